"""The integer constants of a stage: weights, biases and accumulators that just hold them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gruhw.basics.arrays import frozen
from gruhw.basics.frozen import FrozenMapping
from gruhw.network.fixed import Fixed, IntArray, quantise
from gruhw.network.graph import Linear
from gruhw.network.typed import Typed


@dataclass(frozen=True)
class Parameters:
    """The integers of a stage, by the names of its graph; read-only.

    ``weights[op]`` of a linear operator has shape [outputs, inputs]; ``biases[op]``, at the
    accumulator's scale, has shape [outputs]. ``initial[state]``, of shape [units], is what a state
    begins with; without an entry it begins with zero.
    """

    weights: Mapping[str, IntArray]
    biases: Mapping[str, IntArray]
    initial: Mapping[str, IntArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("weights", "biases", "initial"):
            arrays = {op: frozen(array) for op, array in getattr(self, name).items()}
            object.__setattr__(self, name, FrozenMapping(arrays))


BIAS_BITS = 32
"""Biases saturate to this width at the accumulator's scale; trained ones need a fraction of it."""


def quantise_parameters(
    typed: Typed,
    operators: Iterable[Linear],
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    initial: Mapping[str, np.ndarray] | None = None,
) -> Parameters:
    """Round float weights and biases, by operator name, to the types of ``operators``.

    ``initial`` are those of states, by their names.
    """
    chosen = [op.name for op in operators]
    return Parameters(
        {name: quantise(weights[name], typed.weights[name]) for name in chosen},
        {
            name: quantise(biases[name], Fixed(BIAS_BITS, typed.accumulators[name].frac))
            for name in chosen
        },
        {name: quantise(values, typed[name]) for name, values in (initial or {}).items()},
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


def accumulator_type(frac: int, operand: Fixed, weight: IntArray, bias: IntArray) -> Fixed:
    """The narrowest accumulator that no operand overflows, the bias added first or last.

    ``frac`` are its fraction bits.
    """
    lowest, highest = product_sums(weight, operand)
    sums = np.concatenate([lowest, highest, lowest + bias, highest + bias])
    return Fixed.spanning((int(sums.min()), int(sums.max())), frac)


def fit_accumulators(typed: Typed, parameters: Parameters) -> Typed:
    """The types with accumulators as wide as the actual weights of ``parameters`` make them."""
    return typed.with_accumulators(
        {
            op.name: accumulator_type(
                typed.accumulators[op.name].frac,
                typed[op.operand],
                parameters.weights[op.name],
                parameters.biases[op.name],
            )
            for op in typed.graph.linears
            if op.name in parameters.weights
        }
    )
