"""What every operator of a graph computes, in PyTorch: exactly, within its range, and quantised.

Values have shape [G, N, elements]: those of G networks on N sequences.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from math import inf

import torch
from torch import Tensor

from gruhw.learning.quant.functional import Grid, fake_quantise, tabulated
from gruhw.network.graph import Add, Complement, Function, Linear, Multiply, Node, Rule, Table

Layers = Mapping[str, tuple[Tensor, Tensor]]
"""By linear operator: weights [..., outputs, inputs] and biases [..., 1, outputs]."""

RANGES: Mapping[Rule, tuple[float, float]] = {
    "rectified": (0.0, inf),
    "unit": (0.0, 1.0),
    "symmetric": (-1.0, 1.0),
}
"""What results of these rules are limited to, also where nothing is rounded."""


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
    """What the operators of a stage are made of in G networks, by their names in the graph.

    An operator that has no grid gives its exact result.
    """

    layers: Layers
    grids: Mapping[str, Grid]
    tables: Mapping[str, Lookup]


def function_of(name: Function) -> Callable[[Tensor], Tensor]:
    """A tabulated function itself."""
    return torch.tanh if name == "tanh" else torch.sigmoid


@singledispatch
def ideal(node: Node, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    """The exact result of ``node``, as a real number. Shape [..., N, elements]."""
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
    return function_of(node.function)(operands[0])


def in_range(values: Tensor, rule: Rule) -> Tensor:
    """Real ``values`` limited to the range of a rule."""
    return values.clamp(*RANGES[rule]) if rule in RANGES else values


def unrounded(node: Node, operands: Sequence[Tensor], layers: Layers) -> Tensor:
    """The result of ``node`` as a real number within the range of its rule."""
    exact = ideal(node, operands, layers)
    return exact if isinstance(node, Table) else in_range(exact, node.rule)


def quantised(node: Node, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    """The result of ``node`` on the grid of its type, with straight-through gradients."""
    exact = ideal(node, operands, constants.layers)
    if (table := constants.tables.get(node.name)) is not None:
        codes = operands[0].detach() * table.scale + table.offset
        return tabulated(exact, table.values[codes.long()])
    if (grid := constants.grids.get(node.name)) is not None:
        return fake_quantise(exact, grid)
    return exact
