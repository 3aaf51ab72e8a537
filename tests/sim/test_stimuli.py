"""Extreme sequences: that they reach what the sequences beside them do not."""

import numpy as np
from random_networks import random_network, random_sequences

from gruhw.model import Network
from gruhw.reference import run_reference
from gruhw_sim.expectations import PROBED_SEQUENCES, Scenario
from gruhw_sim.stimuli import STEPS, extreme_sequences


def network_of(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), inputs=5, hidden=6, classes=3)


def ends_reached(network: Network, inputs: np.ndarray, lengths: np.ndarray) -> int:
    """How many operators give the least and the greatest code of their types."""
    reference, count = run_reference(network, inputs, lengths), 0
    for node in network.graph.operators:
        found = reference.operators[node.name]
        count += int((found == node.type.minimum).any()) + int((found == node.type.maximum).any())
    return count


def test_they_stand_behind_the_others_and_the_first_has_one_step() -> None:
    network = network_of(1)
    kind = network.graph.input.type
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 3, STEPS + 2)
    more, more_lengths = extreme_sequences(network, inputs, lengths, 4, seed=0)
    assert (more[:3] == inputs).all()
    assert more_lengths[:3].tolist() == lengths.tolist()
    assert more_lengths[3] == 1
    assert len(more) == len(more_lengths) == 7
    assert 1 <= more_lengths.min() <= more_lengths[3:].max() <= STEPS
    assert kind.minimum <= more.min() <= more.max() <= kind.maximum
    again, _ = extreme_sequences(network, inputs, lengths, 4, seed=0)
    assert (again == more).all()
    other, _ = extreme_sequences(network, inputs, lengths, 4, seed=1)
    assert (other != more).any()


def test_none_are_added_if_none_are_wanted() -> None:
    network = network_of(2)
    sequences = random_sequences(np.random.default_rng(2), network, 2, 3)
    found = extreme_sequences(network, *sequences, 0, seed=0)
    assert all((mine == given).all() for mine, given in zip(found, sequences, strict=True))


def test_they_reach_ends_of_ranges_that_zeros_do_not() -> None:
    for seed in range(3):
        network = network_of(seed)
        zeros, lengths = np.zeros((2, 3, 5), dtype=np.int64), np.array([3, 3])
        before = ends_reached(network, zeros, lengths)
        after = ends_reached(network, *extreme_sequences(network, zeros, lengths, 4, seed=0))
        assert after >= before + 8


def test_every_operator_of_them_is_compared() -> None:
    network = network_of(3)
    sequences = random_sequences(np.random.default_rng(3), network, 4, 3)
    scenario = Scenario.with_extremes(network, *sequences, 2, seed=0)
    probes = scenario.probes()
    add_n = scenario.operators.index("add_n")
    compared = set(probes["probe_sequence"][probes["probe_operator"] == add_n].tolist())
    assert compared == {*range(PROBED_SEQUENCES), 4, 5}
