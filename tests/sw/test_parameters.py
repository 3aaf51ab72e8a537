"""Integer parameters: rounding, and accumulators that hold the worst operand and no more."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_architecture, random_network_of

from gruhw.network.architecture import Architecture
from gruhw.network.bound import BoundStage
from gruhw.network.fixed import Fixed, quantise
from gruhw.network.genes import homogeneous
from gruhw.network.parameters import (
    BIAS_BITS,
    Parameters,
    accumulator_type,
    fit_accumulators,
    product_sums,
    quantise_parameters,
)
from gruhw.network.typed import type_stages

rows = st.integers(1, 4).flatmap(
    lambda inputs: st.lists(
        st.tuples(st.lists(st.integers(-8, 7), min_size=inputs, max_size=inputs)),
        min_size=1,
        max_size=3,
    )
)
operands = st.builds(Fixed, st.integers(1, 3), st.just(2), st.booleans())


def every_sum(weight: np.ndarray, operand: Fixed) -> np.ndarray:
    """The sums of products of every output for every operand vector: [vectors, outputs]."""
    vectors = np.array(list(product(operand.codes(), repeat=weight.shape[1])))
    return vectors @ weight.T


@given(rows, operands, st.data())
def test_accumulators_are_the_narrowest_that_hold_everything(
    found: list[tuple[list[int]]], operand: Fixed, data: st.DataObject
) -> None:
    weight = np.array([row for (row,) in found])
    bias = np.array([data.draw(st.integers(-300, 300)) for _ in found])
    sums = every_sum(weight, operand)
    lowest, highest = product_sums(weight, operand)
    assert (lowest == sums.min(0)).all()
    assert (highest == sums.max(0)).all()

    held = [*sums.ravel().tolist(), *(sums + bias).ravel().tolist()]
    kind = accumulator_type(5, operand, weight, bias)
    assert kind == Fixed.spanning(held, 5)


def check_reach(bound: BoundStage) -> None:
    """That the worst operands reach both ends of every accumulator."""
    typed, parameters = bound.typed, bound.parameters
    for op in bound.graph.linears:
        operand, accumulator = typed[op.operand], typed.accumulators[op.name]
        weight, bias = parameters.weights[op.name], parameters.biases[op.name]
        reached = []
        for low, high in ((operand.minimum, operand.maximum), (operand.maximum, operand.minimum)):
            worst = np.where(weight > 0, high, low)
            sums = (weight * worst).sum(1)
            reached += [*sums.tolist(), *(sums + bias).tolist()]
        assert accumulator == Fixed.spanning(reached, accumulator.frac)
        assert accumulator.frac == operand.frac + typed.weights[op.name].frac


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_adversarial_operands_reach_the_accumulators_bounds(seed: int, largest: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=largest)
    for bound in random_network_of(rng, architecture, low=1, high=12).stages:
        check_reach(bound)


NETWORK = Architecture(inputs=2, layers=["dense:4:relu", "lstm:3"], outputs=2)


def test_only_accumulators_change() -> None:
    genes = homogeneous(NETWORK, 4)
    fractions = {gene.name: 3 for gene in NETWORK.calibrated}
    for typed in type_stages(genes, fractions, input_signed=True):
        linears = typed.graph.linears
        zeros = quantise_parameters(
            typed,
            linears,
            {op.name: np.zeros((op.outputs, op.inputs)) for op in linears},
            {op.name: np.zeros(op.outputs) for op in linears},
        )
        narrow = {op.name: Fixed(1, typed.accumulators[op.name].frac) for op in linears}
        found = fit_accumulators(typed, zeros)
        assert found == typed.with_accumulators(narrow)
        assert (found.graph, found.weights) == (typed.graph, typed.weights)


def test_of_some_operators_only_their_accumulators_are_fitted() -> None:
    genes = homogeneous(NETWORK, 4)
    fractions = {gene.name: 3 for gene in NETWORK.calibrated}
    _, typed, _ = type_stages(genes, fractions, input_signed=True)
    some = [op for op in typed.graph.linears if op.name in ("W_ii", "W_hg")]
    zeros = quantise_parameters(
        typed,
        some,
        {op.name: np.zeros((op.outputs, op.inputs)) for op in some},
        {op.name: np.zeros(op.outputs) for op in some},
    )
    found = fit_accumulators(typed, zeros)
    changed = {n for n in found.accumulators if found.accumulators[n] != typed.accumulators[n]}
    assert changed == {"W_ii", "W_hg"}


def test_parameters_round_to_weights_and_accumulator_scale() -> None:
    random = np.random.default_rng(1)
    genes = homogeneous(NETWORK, 6)
    fractions = {gene.name: 3 + i % 4 for i, gene in enumerate(NETWORK.calibrated)}
    for typed in type_stages(genes, fractions, input_signed=True):
        linears = typed.graph.linears
        weights = {op.name: random.normal(size=(op.outputs, op.inputs)) for op in linears}
        biases = {op.name: random.normal(size=op.outputs) for op in linears}
        biases[linears[0].name][:2] = [1e30, -1e30]
        found = quantise_parameters(typed, linears, weights, biases)
        for op in linears:
            kind = typed.weights[op.name]
            scale = Fixed(BIAS_BITS, typed[op.operand].frac + kind.frac)
            assert (found.weights[op.name] == quantise(weights[op.name], kind)).all()
            assert (found.biases[op.name] == quantise(biases[op.name], scale)).all()
        assert found.biases[linears[0].name][:2].tolist() == [2**31 - 1, -(2**31)]
        assert found.initial == {}


def test_initial_states_round_to_their_types() -> None:
    genes = homogeneous(NETWORK, 6)
    fractions = {gene.name: 2 for gene in NETWORK.calibrated}
    _, typed, _ = type_stages(genes, fractions, input_signed=True)
    assert (typed["h"], typed["c"]) == (Fixed(6, 5), Fixed(6, 2))
    initial = {"h": np.array([0.5, -0.015, 2.0]), "c": np.array([0.5, -0.125, 2.0])}
    found = quantise_parameters(typed, (), {}, {}, initial)
    assert found.initial["h"].tolist() == [16, 0, 31]
    assert found.initial["c"].tolist() == [2, 0, 8]


def test_parameters_cannot_change() -> None:
    found = Parameters({"W": np.ones((2, 3), int)}, {"W": np.ones(2, int)}, {"h": np.ones(2, int)})
    for arrays in (found.weights, found.biases, found.initial):
        with pytest.raises(TypeError, match="does not support item assignment"):
            arrays["W"] = np.zeros(2)  # type: ignore[index]  # what must fail
        (array,) = arrays.values()
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
