"""Integer parameters: rounding, and accumulators that hold the worst operand and no more."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network

from gruhw.fixed import Fixed, quantise
from gruhw.genome import Sizes, homogeneous
from gruhw.graph import Linear, build_graph, calibrated_tensors
from gruhw.parameters import (
    BIAS_BITS,
    accumulator_type,
    fit_accumulators,
    product_sums,
    quantise_parameters,
)

rows = st.integers(1, 4).flatmap(
    lambda inputs: st.lists(
        st.tuples(st.lists(st.integers(-8, 7), min_size=inputs, max_size=inputs)),
        min_size=1,
        max_size=3,
    )
)
operands = st.builds(Fixed, st.integers(1, 3), st.just(2), st.booleans())


def linear(inputs: int, outputs: int) -> Linear:
    wide = Fixed(40, 5)
    return Linear(
        name="op",
        type=Fixed(8, 3),
        operand="x",
        weight=Fixed(4, 3),
        accumulator=wide,
        inputs=inputs,
        outputs=outputs,
    )


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
    kind = accumulator_type(linear(weight.shape[1], len(bias)), operand, weight, bias)
    assert kind == Fixed.spanning(held, 5)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40))
def test_adversarial_operands_reach_the_accumulators_bounds(
    seed: int, inputs: int, hidden: int
) -> None:
    network = random_network(
        np.random.default_rng(seed), inputs=inputs, hidden=hidden, classes=3, low=1, high=12
    )
    for op in network.graph.linears:
        operand = network.graph[op.operand].type
        weight, bias = network.parameters.weights[op.name], network.parameters.biases[op.name]
        reached = []
        for low, high in ((operand.minimum, operand.maximum), (operand.maximum, operand.minimum)):
            worst = np.where(weight > 0, high, low)
            sums = (weight * worst).sum(1)
            reached += [*sums.tolist(), *(sums + bias).tolist()]
        assert op.accumulator == Fixed.spanning(reached, op.accumulator.frac)


def test_only_accumulators_change() -> None:
    genes = homogeneous(4)
    fractions = dict.fromkeys(calibrated_tensors(genes), 3)
    sizes = Sizes(input=2, hidden=3, classes=2)
    graph = build_graph(sizes, genes, fractions, input_signed=True)
    zeros = quantise_parameters(
        graph.linears,
        {op.name: np.zeros((op.outputs, op.inputs)) for op in graph.linears},
        {op.name: np.zeros(op.outputs) for op in graph.linears},
    )
    narrow = {op.name: Fixed(1, op.accumulator.frac) for op in graph.linears}
    assert fit_accumulators(graph, zeros) == graph.with_accumulators(narrow)


def test_parameters_round_to_weights_and_accumulator_scale() -> None:
    random = np.random.default_rng(1)
    genes = homogeneous(6)
    fractions = {name: 3 + index % 4 for index, name in enumerate(calibrated_tensors(genes))}
    sizes = Sizes(input=2, hidden=3, classes=2)
    graph = build_graph(sizes, genes, fractions, input_signed=True)
    weights = {op.name: random.normal(size=(op.outputs, op.inputs)) for op in graph.linears}
    biases = {op.name: random.normal(size=op.outputs) for op in graph.linears}
    biases["head"] = np.array([1e30, -1e30])
    found = quantise_parameters(graph.linears, weights, biases)
    for op in graph.linears:
        scale = Fixed(BIAS_BITS, graph[op.operand].type.frac + op.weight.frac)
        assert (found.weights[op.name] == quantise(weights[op.name], op.weight)).all()
        assert (found.biases[op.name] == quantise(biases[op.name], scale)).all()
    assert found.biases["head"].tolist() == [2**31 - 1, -(2**31)]
