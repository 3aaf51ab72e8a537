"""Extreme sequences: that they reach what the sequences beside them do not."""

import numpy as np
from random_networks import random_network, random_sequences

from gruhw.model import Network
from gruhw.reference import run_reference
from gruhw_sim import EXTREME_SEQUENCES, stimuli
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
        more = extreme_sequences(network, zeros, lengths, EXTREME_SEQUENCES, seed=0)
        assert ends_reached(network, *more) >= before + 8


def test_every_operator_of_them_is_compared() -> None:
    network = network_of(3)
    sequences = random_sequences(np.random.default_rng(3), network, 4, 3)
    scenario = Scenario.with_extremes(network, *sequences, 2, seed=0)
    probes = scenario.probes()
    add_n = scenario.operators.index("add_n")
    compared = set(probes["probe_sequence"][probes["probe_operator"] == add_n].tolist())
    assert compared == {*range(PROBED_SEQUENCES), 4, 5}


def closest_decisions(network: Network, inputs: np.ndarray, lengths: np.ndarray) -> list[int]:
    """How far the second largest logit of each sequence is from the largest, in order."""
    logits = np.sort(run_reference(network, inputs, lengths).logits, axis=1)
    return sorted((logits[:, -1] - logits[:, -2]).tolist())


def test_some_classes_are_decided_by_a_few_low_bits() -> None:
    for seed in range(3):
        network = network_of(seed)
        zeros, lengths = np.zeros((1, 3, 5), dtype=np.int64), np.array([3])
        more = extreme_sequences(network, zeros, lengths, EXTREME_SEQUENCES, seed=0)
        close = network.graph.head.type.maximum // 32
        assert np.mean(np.array(closest_decisions(network, *more)) <= close) > 0.5


def test_bits_that_decide_are_those_whose_flip_changes_the_class() -> None:
    rng = np.random.default_rng(8)
    bits = 5
    logits = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (200, 4))
    classes = logits.argmax(axis=1)
    marks = stimuli._decisive_bits(logits, classes, bits).reshape(200, 4, bits)

    def flipped(value: int, bit: int) -> int:
        code = (value ^ (1 << bit)) & ((1 << bits) - 1)
        return code - (1 << bits) if code >> (bits - 1) else code

    for row, winner, found in zip(logits.tolist(), classes.tolist(), marks, strict=True):
        before, behind = row[:winner], row[winner + 1 :]
        for bit in range(bits):
            if behind:
                assert found[0, bit] == (max(behind) > flipped(row[winner], bit))
                assert found[1, bit] == (flipped(max(behind), bit) > row[winner])
            if before:
                assert found[2, bit] == (max(before) >= flipped(row[winner], bit))
                assert found[3, bit] == (flipped(max(before), bit) >= row[winner])
