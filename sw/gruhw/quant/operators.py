"""What every operator of the graph computes, in PyTorch: ideally, and quantised."""

from collections.abc import Mapping, Sequence
from functools import singledispatch

import torch
from torch import Tensor

from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table
from gruhw.quant.functional import fake_quantise, tabulated

Constants = Mapping[str, tuple[Tensor, ...]]
"""By operator: weight [outputs, inputs] and bias [outputs], or a table and its lowest code."""


@singledispatch
def ideal(node: Node, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    """The real-valued result of ``node``, without any rounding. Shape [..., elements]."""
    raise TypeError(f"no PyTorch meaning for {type(node).__name__}")


@ideal.register
def _(node: Linear, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    weight, bias = constants[node.name]
    return torch.nn.functional.linear(operands[0], weight, bias)


@ideal.register
def _(node: Add, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    return operands[0] + operands[1]


@ideal.register
def _(node: Multiply, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    return operands[0] * operands[1]


@ideal.register
def _(node: Complement, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    return 1.0 - operands[0]


@ideal.register
def _(node: Table, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    return torch.tanh(operands[0]) if node.function == "tanh" else torch.sigmoid(operands[0])


def quantised(node: Node, graph: Graph, operands: Sequence[Tensor], constants: Constants) -> Tensor:
    """The result of ``node`` on the grid of its type, with straight-through gradients."""
    exact = ideal(node, operands, constants)
    if isinstance(node, Table):
        (table,) = constants[node.name]
        operand = graph[node.operand].type
        codes = torch.round(operands[0].detach() * 2.0**operand.frac).long() - operand.minimum
        return tabulated(exact, table[codes])
    if isinstance(node, Linear) and node.type == node.accumulator:
        return exact
    return fake_quantise(exact, node.type)
