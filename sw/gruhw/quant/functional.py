"""Fake quantisation with straight-through gradients (arXiv:1308.3432).

Forward passes give exact fixed-point values, as reals; backward passes see the ideal
function, with no gradient where a value saturates.
"""

from typing import Any

import torch
from torch import Tensor

from gruhw.fixed import Fixed


class _Requantise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: float, low: float, high: float) -> Tensor:
        rounded = torch.floor(values * scale + 0.5)
        clipped = rounded.clamp(low, high)
        ctx.save_for_backward(rounded == clipped)
        return clipped * (1.0 / scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None


def fake_quantise(values: Tensor, to: Fixed) -> Tensor:
    """Real ``values`` rounded half up to the grid of ``to`` and saturated to its range."""
    return _Requantise.apply(values, 2.0**to.frac, float(to.minimum), float(to.maximum))  # type: ignore[no-any-return,no-untyped-call]  # torch leaves apply untyped


class _Tabulated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ideal: Tensor, looked_up: Tensor) -> Tensor:
        return looked_up.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def tabulated(ideal: Tensor, looked_up: Tensor) -> Tensor:
    """``looked_up`` in the forward pass, with the gradient of ``ideal``, its smooth original."""
    return _Tabulated.apply(ideal, looked_up)  # type: ignore[no-any-return,no-untyped-call]  # torch leaves apply untyped
