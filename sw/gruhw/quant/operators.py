"""What every operator of the graph computes, in PyTorch: ideally, and quantised.

Quantised values have shape [G, N, elements]: those of G networks on N sequences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from gruhw.graph import Add, Complement, Linear, Multiply, Node, Table
from gruhw.quant.functional import Grid, fake_quantise, tabulated

Layers = Mapping[str, tuple[Tensor, Tensor]]
"""By linear operator: weights [..., outputs, inputs] and biases [..., 1, outputs]."""


@dataclass(frozen=True)
class Lookup:
    """The tables of one operator in G networks, one after the other.

    The value for an operand is at ``operand * scale + offset``, both of shape [G, 1, 1].
    """

    values: Tensor
    scale: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Constants:
    """What the operators of G networks are made of, by name.

    An operator that has no grid gives its exact result.
    """

    layers: Layers
    grids: Mapping[str, Grid]
    tables: Mapping[str, Lookup]


@singledispatch
def ideal(node: Node, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    """The real-valued result of ``node``, without any rounding. Shape [..., N, elements]."""
    raise TypeError(f"no PyTorch meaning for {type(node).__name__}")


@ideal.register
def _(node: Linear, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    weight, bias = layers[node.name]
    return torch.matmul(operands[0], weight.mT) + bias


@ideal.register
def _(node: Add, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    return operands[0] + operands[1]


@ideal.register
def _(node: Multiply, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    return operands[0] * operands[1]


@ideal.register
def _(node: Complement, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    return 1.0 - operands[0]


@ideal.register
def _(node: Table, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    return torch.tanh(operands[0]) if node.function == "tanh" else torch.sigmoid(operands[0])


def quantised(node: Node, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    """The result of ``node`` on the grid of its type, with straight-through gradients."""
    exact = ideal(node, operands, constants.layers)
    if (table := constants.tables.get(node.name)) is not None:
        codes = operands[0].detach() * table.scale + table.offset
        return tabulated(exact, table.values[codes.long()])
    if (grid := constants.grids.get(node.name)) is not None:
        return fake_quantise(exact, grid)
    return exact
