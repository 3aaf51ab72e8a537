"""What operators can see, against what they do see."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from own_cells import TWO_STATES, installed_cell
from random_networks import (
    random_architecture,
    random_network,
    random_network_of,
    random_output,
    random_sequences,
)

from gruhw.network.architecture import Architecture
from gruhw.network.bound import BoundStage, Network
from gruhw.network.fixed import IntArray
from gruhw.network.graph import Linear, Multiply, State
from gruhw.network.reference import initial_states, run_reference
from gruhw_hw.formal import reach
from gruhw_hw.formal.reach import possible_operands


def network_of(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), inputs=3, hidden=4, classes=2)


def seen_operands(network: Network, seed: int) -> dict[str, set[tuple[int, ...]]]:
    """The combinations of operands of each elementwise operator in some random sequences."""
    inputs, lengths = random_sequences(np.random.default_rng(seed), network, 12, 9)
    values = run_reference(network, inputs, lengths).operators
    every = network.architecture.stepping(network.genome.output)
    found = {}
    for bound, steps in zip(network.layers, every, strict=False):
        step = np.arange(inputs.shape[1])
        ends = lengths[:, None]
        alive = step < ends if steps else step == ends - 1
        known = {node.name: values[bound.stage.spell(node.name)] for node in bound.graph.operators}
        known |= states_before(bound, known)
        for node in bound.graph.operators:
            if not isinstance(node, Linear):
                columns = [known[name][alive].ravel() for name in node.operands]
                rows = np.stack(columns, axis=1).tolist()
                found[bound.stage.spell(node.name)] = set(map(tuple, rows))
    return found


def states_before(bound: BoundStage, values: dict[str, IntArray]) -> dict[str, IntArray]:
    """The states that each time step reads, shape [N, T, units]."""
    if not bound.graph.states:
        return {}
    count = len(next(iter(values.values())))
    begun = initial_states(bound, count)
    return {
        state.name: np.concatenate(
            [begun[state.name][:, None], values[state.source][:, :-1]], axis=1
        )
        for state in bound.graph.states
    }


def check(network: Network, seed: int) -> None:
    possible = possible_operands(network)
    for name, seen in seen_operands(network, seed).items():
        if name in possible:
            assert seen <= set(map(tuple, possible[name].tolist())), name


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(15))
def test_what_is_seen_is_possible(seed: int) -> None:
    check(network_of(seed), seed)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(30))
def test_what_is_seen_in_any_network_is_possible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=5)
    output = random_output(rng) if architecture.outputs > 1 else "values"
    check(random_network_of(rng, architecture, output=output, low=1, high=5), seed)


@pytest.fixture
def own_cell(tmp_path: Path) -> Iterator[Callable[[int], Network]]:
    """Networks of two layers of a cell with two states, by seed."""
    with installed_cell(tmp_path, "two_states", TWO_STATES) as cell:
        architecture = Architecture(
            inputs=2, layers=(f"{cell}:3", f"{cell}:2"), outputs=2, initial="constant"
        )

        def network(seed: int) -> Network:
            return random_network_of(np.random.default_rng(seed), architecture, low=2, high=5)

        yield network


@pytest.mark.slow
def test_what_is_seen_in_a_cell_of_ones_own_is_possible(
    own_cell: Callable[[int], Network],
) -> None:
    for seed in range(10):
        network = own_cell(seed)
        check(network, seed)
        # Of a signed result times its own function, not all combinations are possible.
        possible = possible_operands(network)
        for bound in network.layers:
            node = bound.graph["mul_a"]
            assert isinstance(node, Multiply)
            rows = possible[bound.stage.spell("mul_a")]
            assert len(rows) == len(np.unique(rows[:, 0]))


def test_states_are_followed_until_they_have_no_new_value() -> None:
    architecture = Architecture(inputs=1, layers=("lstm:1",), outputs=2)
    network = random_network_of(np.random.default_rng(4), architecture, low=5, high=6)
    possible = possible_operands(network)
    (bound,) = network.layers
    (_, cell) = bound.graph.states
    assert isinstance(cell, State)
    states = set(possible["mul_fc"][:, 1].tolist())
    following = set(possible["tanh_c"][:, 0].tolist())
    assert states == {0} | following
    assert len(states) > 2


def test_a_layer_reads_what_the_one_before_can_emit(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(
        inputs=2, layers=("dense:2:relu", "gru:2", "dense:2:tanh"), outputs=2
    )
    network = random_network_of(np.random.default_rng(5), architecture, low=4, high=6)
    read = []
    step = reach._fixed_point

    def noting(bound: BoundStage, inputs: IntArray) -> reach._Step:
        found = step(bound, inputs)
        read.append((bound, inputs, found))
        return found

    monkeypatch.setattr(reach, "_fixed_point", noting)
    possible_operands(network)
    assert [bound.name for bound, *_ in read] == ["l0", "l1", "l2"]
    assert sorted(read[0][1].tolist()) == sorted(network.input_type.codes().tolist())
    for (before, _, found), (_, inputs, _) in pairwise(read):
        assert inputs.tolist() == found.results[before.graph.emits].tolist()
    assert read[1][1].min() == 0  # a ReLU gives nothing below


def test_not_everything_is_possible() -> None:
    # Sums of operands with few fraction bits leave out codes, and so does a narrow range.
    shares = []
    for seed in range(10):
        network = network_of(seed)
        (bound,) = network.layers
        for name, combinations in possible_operands(network).items():
            codes = [1 << bound.typed[operand].bits for operand in bound.graph[name].operands]
            shares.append(len(combinations) / np.prod(codes))
    assert min(shares) < 0.1
    assert max(shares) == 1


def test_what_is_too_much_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(3)
    full = possible_operands(network)
    monkeypatch.setattr(reach, "MOST_COMBINATIONS", 1)
    assert possible_operands(network) == {}
    most = max(len(full[name]) for name in ("add_r", "add_z"))
    monkeypatch.setattr(reach, "MOST_COMBINATIONS", most)
    some = possible_operands(network)
    assert {"add_r", "add_z"} <= some.keys() < full.keys()
