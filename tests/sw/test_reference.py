"""The reference: its integers against exact fractions, and its two ways against each other."""

import tracemalloc
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import (
    random_architecture,
    random_network,
    random_network_of,
    random_output,
    random_sequences,
)

from gruhw.errors import InputError
from gruhw.learning.tasks import Split
from gruhw.network import reference
from gruhw.network.architecture import Architecture
from gruhw.network.bound import BoundStage, Network
from gruhw.network.figures import Accuracy, MeanSquaredError
from gruhw.network.fixed import Fixed
from gruhw.network.graph import INPUT, Add, Complement, Linear, Multiply, Table
from gruhw.network.planning import schedule_of
from gruhw.network.reference import classes_of, classify, head_results, measure, run_reference

INPUTS = 3
WHOLE, WIDE = np.zeros((2, 6, INPUTS)), np.zeros((2, 6, INPUTS + 1))


@pytest.fixture
def network() -> Network:
    return random_network(np.random.default_rng(4), inputs=INPUTS, hidden=5, classes=4)


def sequences(count: int, steps: int) -> Split:
    """Raw numbers, a few beyond the input's range; the last sequence has all steps."""
    rng = np.random.default_rng(count)
    lengths = np.append(rng.integers(1, steps + 1, count - 1), steps)
    return Split(rng.normal(0, 2, (count, steps, INPUTS)), np.zeros(count, np.int64), lengths)


Vector = list[Fraction]


def to(kind: Fixed, exact: Fraction) -> Fraction:
    """Round half up, saturate."""
    code = floor(exact * Fraction(2) ** kind.frac + Fraction(1, 2))
    return Fraction(min(max(code, kind.minimum), kind.maximum)) / Fraction(2) ** kind.frac


def codes_of(kind: Fixed, values: Vector) -> list[int]:
    found = [value * Fraction(2) ** kind.frac for value in values]
    assert all(code.denominator == 1 for code in found)
    return [int(code) for code in found]


def real(kind: Fixed, codes: Any) -> Vector:
    return [Fraction(int(code)) / Fraction(2) ** kind.frac for code in codes]


def exact_step(bound: BoundStage, values: dict[str, Vector]) -> dict[str, Vector]:
    """A time step in exact fractions, one element after the other."""
    typed, parameters = bound.typed, bound.parameters
    for node in bound.graph.operators:
        kind, operands = typed[node.name], [values[name] for name in node.operands]
        exact: Vector
        if isinstance(node, Linear):
            weight, scale = typed.weights[node.name], typed.accumulators[node.name]
            exact = [
                sum((w * v for w, v in zip(real(weight, row), operands[0], strict=True)), bias)
                for row, bias in zip(
                    parameters.weights[node.name],
                    real(scale, parameters.biases[node.name]),
                    strict=True,
                )
            ]
        elif isinstance(node, Add):
            exact = [a + b for a, b in zip(*operands, strict=True)]
        elif isinstance(node, Multiply):
            exact = [a * b for a, b in zip(*operands, strict=True)]
        elif isinstance(node, Complement):
            exact = [1 - a for a in operands[0]]
        else:
            assert isinstance(node, Table)
            table = typed.table_values(node)
            mask = len(table) - 1
            indices = [code & mask for code in codes_of(typed[node.operand], operands[0])]
            exact = real(kind, table[indices])
        values[node.name] = [to(kind, value) for value in exact]
    return values


def first_states(network: Network) -> list[dict[str, Any]]:
    """What the states of every layer begin with."""
    return [
        {
            state.name: real(
                bound.typed[state.name], bound.parameters.initial.get(state.name, [0] * state.size)
            )
            for state in bound.graph.states
        }
        for bound in network.layers
    ]


def exact_sequence(
    network: Network, codes: Any, states: list[dict[str, Any]]
) -> tuple[list[dict[str, list[int]]], list[list[int]]]:
    """The integers of every operator in every step, and those of the head.

    ``states`` are those before, and afterwards those in the end.
    """
    found, outputs = [], []
    for vector in codes:
        emitted, integers = real(network.input_type, vector), {}
        for number, bound in enumerate(network.layers):
            values = exact_step(bound, {INPUT: emitted, **states[number]})
            states[number] = {state.name: values[state.source] for state in bound.graph.states}
            emitted = values[bound.graph.emits]
            for node in bound.graph.operators:
                spelled = bound.stage.spell(node.name)
                integers[spelled] = codes_of(bound.typed[node.name], values[node.name])
        found.append(integers)
        head = exact_step(network.head, {INPUT: emitted})["head"]
        outputs.append(codes_of(network.head.typed["head"], head))
    return found, outputs


@settings(max_examples=examples(25))
@given(st.integers(0, 2**32), st.sampled_from([(1, 4), (2, 8), (1, 12)]))
def test_integers_are_exact_results_rounded(seed: int, widths: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    low, high = widths
    network = random_network_of(
        rng, random_architecture(rng, largest=5), output=random_output(rng), low=low, high=high
    )
    inputs, lengths = random_sequences(rng, network, 2, 3)
    found = run_reference(network, inputs, lengths)
    every = dict(
        zip(
            (bound.name for bound in network.stages),
            network.architecture.stepping(network.genome.output),
            strict=True,
        )
    )
    stage_of = {
        bound.stage.spell(node.name): bound.name
        for bound in network.layers
        for node in bound.graph.operators
    }
    states = first_states(network)
    for number, length in enumerate(lengths):
        if not network.architecture.carries:
            states = first_states(network)
        expected, outputs = exact_sequence(network, inputs[number, :length], states)
        if network.architecture.every_step:
            assert found.logits[number, :length].tolist() == outputs
            assert not found.logits[number, length:].any()
        else:
            assert found.logits[number].tolist() == outputs[-1]
        for name, integers in found.operators.items():
            computed = integers[number].any(1).nonzero()[0]
            assert (computed < length).all()
            for step in range(length):
                if every[stage_of[name]] or step == length - 1:
                    assert integers[number, step].tolist() == expected[step][name], (name, step)
                else:  # nobody reads it
                    assert not integers[number, step].any()


def test_operators_have_the_names_of_files() -> None:
    rng = np.random.default_rng(1)
    architecture = Architecture(inputs=3, layers=["dense:4", "lstm:5"], outputs=2)
    network = random_network_of(rng, architecture)
    found = run_reference(network, *random_sequences(rng, network, 2, 3)).operators
    assert list(found)[:2] == ["l0.W", "l1.W_ii"]
    assert found["l0.W"].shape == (2, 3, 4)
    assert found["l1.add_c"].shape == (2, 3, 5)


def test_cycles_are_those_of_the_schedule() -> None:
    rng = np.random.default_rng(1)
    architecture = Architecture(inputs=3, layers=["gru:4", "mgu:5", "dense:3:relu"], outputs=2)
    for output in ("class", "values", "states"):
        network = random_network_of(rng, architecture, output=output, pe=(1, 2, 3))
        inputs, lengths = random_sequences(rng, network, 4, 3)
        found, schedule = run_reference(network, inputs, lengths), schedule_of(network)
        assert (found.cycles == schedule.state_cycles(lengths)).all()
        for row, length in zip(found.output_cycles.tolist(), lengths, strict=True):
            due = schedule.output_cycles(int(length))
            assert row == due + [-1] * (len(row) - len(due))


@pytest.mark.parametrize(
    ("results", "classes"),
    [
        ([[3, 1, 2], [1, 2, 2], [-5, -5, -5], [-3, -2, -1]], [0, 1, 0, 2]),
        ([[3], [0], [-1], [1]], [1, 0, 0, 1]),
    ],
)
def test_what_results_of_the_head_stand_for(results: list[list[int]], classes: list[int]) -> None:
    assert classes_of(np.array(results)).tolist() == classes
    assert classes_of(np.array(results) / 2).tolist() == classes


@pytest.mark.filterwarnings("ignore:most input samples saturate")
@settings(max_examples=examples(15))
@given(st.integers(0, 2**32))
def test_results_of_the_head_are_those_of_the_whole_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=8, every_step=False)
    network = random_network_of(rng, architecture, output="values")
    size, outputs = network.architecture.inputs, network.architecture.outputs
    x, lengths = rng.normal(0, 0.4, (5, 4, size)), rng.integers(1, 5, 5)
    values = rng.normal(size=(5, outputs))
    classes = rng.integers(0, max(2, outputs), 5)
    expected = run_reference(network, network.encode(x, lengths), lengths)
    by_value, by_class = Split(x, values, lengths), Split(x, classes, lengths)
    assert (head_results(network, by_value) == expected.logits).all()
    assert (classify(network, by_class) == expected.classes).all()
    assert measure(network, by_class) == Accuracy.of(expected.classes, classes)
    results = expected.logits * network.head.typed.emitted.scale
    assert measure(network, by_value) == MeanSquaredError.of(results, values)


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_classes_are_those_of_the_whole_reference(
    count: int, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "BATCH", 8)
    split = sequences(count, 6)
    expected = run_reference(network, network.encode(split.x), split.lengths)
    np.testing.assert_array_equal(classify(network, split), expected.classes)


def test_no_sequences_have_no_classes(network: Network) -> None:
    empty = Split(np.zeros((0, 6, INPUTS)), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert classify(network, empty).shape == (0,)
    assert run_reference(network, network.encode(empty.x), empty.lengths).classes.shape == (0,)


def test_memory_grows_neither_with_sequences_nor_with_steps(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "BATCH", 100)

    def peak(count: int, steps: int) -> int:
        split = sequences(count, steps)
        tracemalloc.start()
        try:
            classify(network, split)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(200, 5)
    assert peak(200, 300) < 1.1 * few
    assert peak(1000, 5) < 1.1 * few + 800 * 4 * 8  # the logits of each, of 8 bytes


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (WIDE, [6, 6], "shape of inputs must be [sequences, steps, 3], not [2, 6, 4]"),
        (WHOLE, [6], "shape of lengths must be [2], not [1]"),
        (WHOLE, [6, 7], "lengths must be 1 to 6, not 7"),
        (WHOLE, [0, 6], "lengths must be 1 to 6, not 0"),
    ],
)
def test_sequences_that_do_not_fit(
    x: np.ndarray, lengths: list[int], message: str, network: Network
) -> None:
    with pytest.raises(InputError) as refused:
        classify(network, Split(x, np.zeros(len(x), np.int64), np.array(lengths)))
    assert str(refused.value) == message
    with pytest.raises(InputError) as refused:
        run_reference(network, x.astype(np.int64), np.array(lengths))
    assert str(refused.value).removesuffix(": encode gives what a network takes") == message
