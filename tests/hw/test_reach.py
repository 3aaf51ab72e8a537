"""What operators can see, against what they do see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network, random_sequences

from gruhw.graph import Linear
from gruhw.model import Network
from gruhw.reference import run_reference
from gruhw_hw.formal import reach
from gruhw_hw.formal.reach import possible_operands


def network_of(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), inputs=3, hidden=4, classes=2)


def seen_operands(network: Network, seed: int) -> dict[str, set[tuple[int, ...]]]:
    """The combinations of operands of each elementwise operator in some random sequences."""
    inputs, lengths = random_sequences(np.random.default_rng(seed), network, 12, 9)
    values = run_reference(network, inputs, lengths).operators
    state = values[network.graph.state.source]
    before = np.concatenate([np.zeros_like(state[:, :1]), state[:, :-1]], axis=1)
    values = {**values, network.graph.state.name: before}
    alive = np.arange(inputs.shape[1]) < lengths[:, None]
    return {
        node.name: set(
            map(tuple, np.stack([values[o][alive].ravel() for o in node.operands], 1).tolist())
        )
        for node in network.graph.operators
        if not isinstance(node, Linear)
    }


@pytest.mark.slow
@given(seed=st.integers(0, 10_000))
def test_what_is_seen_is_possible(seed: int) -> None:
    network = network_of(seed)
    possible = possible_operands(network)
    for name, seen in seen_operands(network, seed).items():
        if name in possible:
            assert seen <= set(map(tuple, possible[name].tolist()))


def test_not_everything_is_possible() -> None:
    # Sums of operands with few fraction bits leave out codes, and so does a narrow range.
    shares = []
    for seed in range(10):
        network = network_of(seed)
        graph = network.graph
        for name, combinations in possible_operands(network).items():
            codes = [1 << graph[operand].type.bits for operand in graph[name].operands]
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
