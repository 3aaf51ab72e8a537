"""Accuracies and squared errors say how many sequences decide, and how far that goes."""

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, sem

from gruhw.errors import InputError
from gruhw.learning.tasks import Split
from gruhw.network.figures import Accuracy, MeanSquaredError, figure_of


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


errors = st.lists(st.floats(0, 1e6), min_size=2, max_size=50).map(np.array)


@given(errors)
def test_the_interval_of_squared_errors_is_the_normal_one(squared: NDArray[Any]) -> None:
    found = MeanSquaredError.of_errors(squared)
    low, high = found.interval
    assert found.mean == pytest.approx(squared.mean())
    if sem(squared) > 0:
        expected = norm.interval(0.95, squared.mean(), sem(squared))
        assert (low, high) == pytest.approx((max(0, expected[0]), expected[1]), rel=1e-9, abs=1e-6)
    assert 0 <= low <= found.mean <= high
    assert found.error == found.mean


@given(errors, st.integers(2, 9))
def test_variations_of_a_squared_error_say_no_more_than_it_does(
    squared: NDArray[Any], times: int
) -> None:
    once = MeanSquaredError.of_errors(squared)
    varied = MeanSquaredError.of_errors(np.tile(squared, times), times)
    assert varied.interval == pytest.approx(once.interval, rel=1e-6, abs=1e-6)
    assert varied.sequences.endswith(f" in {times} variations each")


FOUND = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])
RIGHT = np.array([[1.0, 1.0], [3.0, 2.0], [0.0, 1.0]])
SQUARED = [0.5, 2.0, 0.0]


def test_a_sequence_has_the_mean_of_its_values_errors() -> None:
    found = MeanSquaredError.of(FOUND, RIGHT)
    assert found == MeanSquaredError.of_errors(SQUARED)
    assert (found.mean, found.deviation, found.total) == (
        pytest.approx(np.mean(SQUARED)), pytest.approx(np.std(SQUARED)), 3
    )  # fmt: skip
    assert MeanSquaredError.of(FOUND.astype(np.float32), RIGHT.astype(int)) == found


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (MeanSquaredError(0.25, 0.5, 101), "0.25 (0.152 to 0.348, 101 sequences)"),
        (MeanSquaredError(0.01234567, 0.0, 1000), "0.01235 (0.0123 to 0.0123, 1,000 sequences)"),
        (MeanSquaredError(0.1, 4.0, 9), "0.1 (0 to 2.87, 9 sequences)"),
        (MeanSquaredError(3.0, 0.0, 1), "3 (0 or more, 1 sequence)"),
        (
            MeanSquaredError(0.25, 0.5, 505, 5),
            "0.25 (0.152 to 0.348, 101 sequences in 5 variations each)",
        ),
    ],
)
def test_squared_errors_for_people(figure: MeanSquaredError, text: str) -> None:
    assert str(figure) == text
    assert text.startswith(f"{figure.text} ({figure.bounds}, ")


def test_squared_errors_for_programs() -> None:
    found = MeanSquaredError(0.25, 0.5, 101)
    assert found.to_json("test") == {
        "test_sequences": 101,
        "test_mean_squared_error": 0.25,
        "test_mean_squared_error_interval": [*found.interval],
    }
    # Infinity is none of JSON's numbers.
    alone = MeanSquaredError(0.25, 0.0, 2, 2)
    assert alone.interval == (0.0, inf)
    assert alone.to_json() == {
        "sequences": 2,
        "mean_squared_error": 0.25,
        "mean_squared_error_interval": [0.0, None],
        "variations": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0.1, 0), "at least 1 sequence is required, but there are 0"),
        ((0.1, 0.1, 4, 3), "times of each sequence must divide the 4 there are, not 3"),
        ((-0.1, 0.1, 4), "mean of squared errors must be a number of at least 0, not -0.1"),
        ((0.1, inf, 4), "deviation of squared errors must be a number of at least 0, not inf"),
    ],
)
def test_impossible_squared_errors(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError) as raised:
        MeanSquaredError(*arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("found", "right", "message"),
    [
        (FOUND, RIGHT[:2], "shape of values must be [3, 2], not [2, 2]"),
        (FOUND[:, 0], RIGHT, "shape of found values must be [sequences, values], not [3]"),
        (FOUND * np.nan, RIGHT, "every value of found values must be finite, not nan"),
        (FOUND[:0], RIGHT[:0], "at least 1 sequence is required, but there are 0"),
        (
            FOUND * 1e300,
            RIGHT,
            "mean of squared errors must be a number of at least 0, not inf",
        ),
    ],
)
def test_values_without_a_squared_error(
    found: NDArray[Any], right: NDArray[Any], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        MeanSquaredError.of(found, right)
    assert str(raised.value) == message


def test_a_figure_is_what_the_data_have() -> None:
    x = np.zeros((3, 2, 1))
    values, classes = Split(x, RIGHT), Split(x, np.array([0, 1, 1]))
    assert figure_of(FOUND, values) == MeanSquaredError.of_errors(SQUARED)
    assert figure_of(np.array([0, 0, 1]), classes) == Accuracy(2, 3)
