"""Extreme sequences: that they reach what the sequences beside them do not."""

import numpy as np
import pytest
from random_networks import random_network, random_network_of, random_sequences

from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genome import OUTPUTS, Output
from gruhw.network.reference import run_reference
from gruhw_sim import EXTREME_SEQUENCES, stimuli
from gruhw_sim.expectations import PROBED_SEQUENCES, Scenario
from gruhw_sim.stimuli import STEPS, extreme_sequences


def network_of(seed: int) -> Network:
    return random_network(np.random.default_rng(seed), inputs=5, hidden=6, classes=3)


STACK = ("dense:4:relu", "lstm:5", "ugrnn:3", "dense:4:tanh")
"""The layers of a network whose last one computes the last step alone."""


def stack_of(seed: int, output: Output = "class") -> Network:
    network = Architecture(inputs=5, layers=STACK, outputs=3, initial="constant")
    return random_network_of(np.random.default_rng(seed), network, pe=2, output=output)


def ends_reached(network: Network, inputs: np.ndarray, lengths: np.ndarray) -> dict[str, int]:
    """How many ends of its type's range each operator gives, by its name."""
    reference, count = run_reference(network, inputs, lengths), {}
    for bound in network.layers:
        for node in bound.graph.operators:
            found = reference.operators[bound.stage.spell(node.name)]
            kind = bound.typed[node.name]
            ends = (kind.minimum, kind.maximum)
            count[bound.stage.spell(node.name)] = sum(int((found == end).any()) for end in ends)
    return count


def test_they_stand_behind_the_others_and_the_first_has_one_step() -> None:
    network = network_of(1)
    kind = network.input_type
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
        assert sum(ends_reached(network, *more).values()) >= sum(before.values()) + 8


@pytest.mark.parametrize("output", OUTPUTS)
def test_they_reach_ends_of_ranges_in_every_layer(output: Output) -> None:
    before, after = dict.fromkeys(range(len(STACK)), 0), dict.fromkeys(range(len(STACK)), 0)
    for seed in range(4):
        network = stack_of(seed, output)
        zeros, lengths = np.zeros((2, 3, 5), dtype=np.int64), np.array([3, 3])
        more = extreme_sequences(network, zeros, lengths, EXTREME_SEQUENCES, seed=0)
        for counts, sequences in ((before, (zeros, lengths)), (after, more)):
            for name, ends in ends_reached(network, *sequences).items():
                counts[int(name[1])] += ends
    # The last one has a single step in each sequence, unless the output is the states.
    assert all(after[layer] > before[layer] for layer in range(len(STACK) - 1))
    assert after[len(STACK) - 1] >= before[len(STACK) - 1]


def test_no_random_sequences_reach_more() -> None:
    def reached(network: Network, *sequences: np.ndarray) -> int:
        return int(stimuli._reached(network, *sequences).any(axis=0).sum())

    for seed in range(3):
        network = stack_of(seed)
        sequences = random_sequences(np.random.default_rng(seed), network, 2, 3)
        more = extreme_sequences(network, *sequences, EXTREME_SEQUENCES, seed=0)
        count = len(more[0])
        others = random_sequences(np.random.default_rng(seed + 10), network, count, STEPS)
        assert reached(network, *more) > reached(network, *others)


def test_steps_in_which_nothing_is_computed_count_for_nothing() -> None:
    network = stack_of(1)
    inputs, lengths = random_sequences(np.random.default_rng(3), network, 4, 5)
    once = stimuli._reached(network, inputs, lengths)
    other = np.array(inputs)
    padding = np.arange(5) >= lengths[:, None]
    other[padding] = network.input_type.maximum
    assert (stimuli._reached(network, other, lengths) == once).all()


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
        close = network.head.typed.emitted.maximum // 32
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
