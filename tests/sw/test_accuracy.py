"""Accuracies say how many sequences decide, and how far that goes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from gruhw.accuracy import Accuracy
from gruhw.errors import InputError


@st.composite
def accuracies(draw: st.DrawFn) -> Accuracy:
    total = draw(st.integers(1, 100_000))
    return Accuracy(draw(st.integers(0, total)), total)


@given(accuracies())
def test_the_interval_is_wilsons(accuracy: Accuracy) -> None:
    low, high = accuracy.interval
    expected = binomtest(accuracy.correct, accuracy.total).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= accuracy.share <= high <= 1
    assert (low == 0) == (accuracy.correct == 0)
    assert (high == 1) == (accuracy.correct == accuracy.total)


@given(accuracies(), st.integers(2, 9))
def test_variations_of_a_sequence_say_no_more_than_it_does(accuracy: Accuracy, times: int) -> None:
    varied = Accuracy(accuracy.correct * times, accuracy.total * times, times)
    assert varied.share == accuracy.share
    assert varied.interval == accuracy.interval


@pytest.mark.parametrize(
    ("accuracy", "text"),
    [
        (Accuracy(390, 400), "97.50 % (95.5 to 98.6 %, 400 sequences)"),
        (Accuracy(1, 1), "100.00 % (20.7 to 100.0 %, 1 sequence)"),
        (Accuracy(0, 2), "0.00 % (0.0 to 65.8 %, 2 sequences)"),
        (Accuracy(9886, 10_000), "98.86 % (98.6 to 99.1 %, 10,000 sequences)"),
        (Accuracy(1485, 1500, 5), "99.00 % (97.1 to 99.7 %, 300 sequences in 5 variations each)"),
    ],
)
def test_for_people(accuracy: Accuracy, text: str) -> None:
    assert str(accuracy) == text


def test_for_programs() -> None:
    accuracy = Accuracy.of(np.array([1, 2, 0, 2]), np.array([1, 2, 2, 2]))
    assert accuracy == Accuracy(3, 4)
    interval = [*accuracy.interval]
    assert accuracy.to_json() == {
        "correct": 3, "sequences": 4, "accuracy": 0.75, "accuracy_interval": interval
    }  # fmt: skip
    assert accuracy.to_json("validation") == {
        "validation_correct": 3,
        "validation_sequences": 4,
        "validation_accuracy": 0.75,
        "validation_accuracy_interval": interval,
    }
    assert Accuracy(6, 8, 2).to_json() == {
        "correct": 6, "sequences": 8, "accuracy": 0.75, "accuracy_interval": interval,
        "variations": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("correct", "total", "times", "message"),
    [
        (0, 0, 1, "at least 1 sequence is required, but there are 0"),
        (5, 4, 1, "correct sequences must be 0 to the 4 there are, not 5"),
        (-1, 4, 1, "correct sequences must be 0 to the 4 there are, not -1"),
        (1, 4, 3, "times of each sequence must divide the 4 there are, not 3"),
        (1, 4, 0, "times of each sequence must divide the 4 there are, not 0"),
    ],
)
def test_impossible_accuracies(correct: int, total: int, times: int, message: str) -> None:
    with pytest.raises(InputError) as raised:
        Accuracy(correct, total, times)
    assert str(raised.value) == message
