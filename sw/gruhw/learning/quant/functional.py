"""Fake quantisation with straight-through gradients (arXiv:1308.3432).

Forward passes give exact fixed-point values, as reals; backward passes see the ideal
function, with no gradient where a value saturates.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gruhw.network.fixed import Fixed


class Grid(NamedTuple):
    """The types of a tensor in each of G networks, as tensors of shape [G, 1, 1].

    Tensors, not numbers: a compiled function then serves any types.
    """

    scale: Tensor
    """``2**frac``."""
    unit: Tensor
    """``2**-frac``."""
    low: Tensor
    """The smallest integer code."""
    high: Tensor
    """The largest one."""

    @classmethod
    def of(cls, kinds: Sequence[Fixed], dtype: torch.dtype) -> "Grid":
        """The grid of one type for each network."""
        columns = (
            [2.0**kind.frac for kind in kinds],
            [kind.scale for kind in kinds],
            [kind.minimum for kind in kinds],
            [kind.maximum for kind in kinds],
        )
        return cls(*(torch.tensor(column, dtype=dtype)[:, None, None] for column in columns))


class _Requantise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, scale: Tensor, unit: Tensor, low: Tensor, high: Tensor
    ) -> Tensor:
        rounded = torch.floor(values * scale + 0.5)
        clipped = torch.minimum(torch.maximum(rounded, low), high)
        ctx.save_for_backward(rounded == clipped)
        return clipped * unit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None, None


def fake_quantise(values: Tensor, to: Grid) -> Tensor:
    """Real ``values``, shape [G, ..., ...], rounded half up to a grid and saturated."""
    return _Requantise.apply(values, *to)  # type: ignore[no-any-return,no-untyped-call]  # torch leaves apply untyped


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
