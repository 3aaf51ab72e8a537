"""The integer constants of a network: weights, biases and accumulators that just hold them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gruhw.arrays import frozen
from gruhw.fixed import Fixed, IntArray, quantise
from gruhw.frozen import FrozenMapping
from gruhw.graph import Graph, Linear


@dataclass(frozen=True)
class Parameters:
    """The integers of linear operators, by name; read-only.

    ``weights[op]`` has shape [outputs, inputs]; ``biases[op]``, at the accumulator's scale,
    has shape [outputs].
    """

    weights: Mapping[str, IntArray]
    biases: Mapping[str, IntArray]

    def __post_init__(self) -> None:
        for name in ("weights", "biases"):
            arrays = {op: frozen(array) for op, array in getattr(self, name).items()}
            object.__setattr__(self, name, FrozenMapping(arrays))


BIAS_BITS = 32
"""Biases saturate to this width at the accumulator's scale; trained ones need a fraction of it."""


def quantise_parameters(
    operators: Sequence[Linear],
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
) -> Parameters:
    """Round float weights and biases, by operator name, to the types of ``operators``."""
    return Parameters(
        {op.name: quantise(weights[op.name], op.weight) for op in operators},
        {
            op.name: quantise(biases[op.name], Fixed(BIAS_BITS, op.accumulator.frac))
            for op in operators
        },
    )


def product_sums(weight: IntArray, operand: Fixed) -> tuple[IntArray, IntArray]:
    """The lowest and the highest sum of products of each output, over all operands.

    Every operand type holds zero, so any partial sum lies between the two.

    Returns
    -------
    tuple
        Two arrays of shape [outputs].
    """
    positive = np.maximum(weight, 0).sum(1)
    negative = weight.sum(1) - positive
    lowest, highest = operand.minimum, operand.maximum
    return positive * lowest + negative * highest, positive * highest + negative * lowest


def accumulator_type(op: Linear, operand: Fixed, weight: IntArray, bias: IntArray) -> Fixed:
    """The narrowest accumulator that no operand overflows, the bias added first or last."""
    lowest, highest = product_sums(weight, operand)
    sums = np.concatenate([lowest, highest, lowest + bias, highest + bias])
    return Fixed.spanning((int(sums.min()), int(sums.max())), op.accumulator.frac)


def fit_accumulators(graph: Graph, parameters: Parameters) -> Graph:
    """The graph with accumulators as wide as the actual weights of ``parameters`` make them."""
    return graph.with_accumulators(
        {
            op.name: accumulator_type(
                op,
                graph[op.operand].type,
                parameters.weights[op.name],
                parameters.biases[op.name],
            )
            for op in graph.linears
            if op.name in parameters.weights
        }
    )
