"""The reference's two ways: all that operators compute, and the classes alone."""

import tracemalloc

import numpy as np
import pytest
from random_networks import random_network

from gruhw import reference
from gruhw.errors import InputError
from gruhw.model import Network
from gruhw.reference import classify, run_reference
from gruhw.tasks import Split

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
    assert peak(1000, 5) < 1.1 * few  # a class of 8 bytes for each


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
