"""What a search makes of accuracies and of squared errors."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from toy_search import TinySpace

from gruhw.errors import InputError
from gruhw.network.figures import Accuracy, Figure, MeanSquaredError
from gruhw.network.parts import Target
from gruhw.search.front import Candidate, NothingFitsError, Reference, Selection, non_dominated
from gruhw.search.scores import Score, read_figure, score_of

SPACE = TinySpace().space
GENOMES = [SPACE.genome(vector) for vector in SPACE.every()]
TOTAL = 200


def accuracies(*counts: int) -> list[Score]:
    return [score_of(Accuracy(count, TOTAL)) for count in counts]


def errors(*means: float) -> list[Score]:
    return [score_of(MeanSquaredError(mean, mean / 2, TOTAL)) for mean in means]


KINDS = {
    "class": accuracies(200, 199, 150, 20, 0),
    "values": errors(0.0, 1e-9, 0.25, 3.0, 1e12),
}
"""Scores of either kind, the best first."""


def test_mistakes_are_counted() -> None:
    (score,) = accuracies(190)
    assert (score.loss, score.level, score.useful) == (10, math.log2(11), 22)
    assert (score.height, score.highest) == (0.05, 1.0)
    low, high = score.figure.interval
    assert score.heights == (1 - high, 1 - low)
    assert accuracies(200)[0].height == 0.5 / 200
    assert score.columns == {
        "correct": 190,
        "sequences": 200,
        "accuracy": 0.95,
        "accuracy_low": low,
        "accuracy_high": high,
    }
    assert score.short == {"correct": 190, "accuracy": 0.95}


def test_squared_errors_are_as_they_are() -> None:
    (score,) = errors(0.25)
    assert (score.loss, score.level, score.useful) == (0.25, -2, 0.5)
    assert (score.height, score.highest) == (0.25, math.inf)
    low, high = score.figure.interval
    assert score.heights == (low, high)
    assert score.columns == {
        "sequences": 200,
        "mean_squared_error": 0.25,
        "mean_squared_error_low": low,
        "mean_squared_error_high": high,
    }
    assert score.short == {"mean_squared_error": 0.25}


@pytest.mark.parametrize("target", KINDS)
def test_losses_and_their_logarithms_have_the_order_of_the_figures(target: str) -> None:
    for better, worse in pairwise(KINDS[target]):
        assert better.loss < worse.loss
        assert better.level < worse.level
        assert better.height < worse.height
    for score in KINDS[target]:
        low, high = score.heights
        assert 0 <= low <= score.height <= high <= score.highest or score.height == low
        assert score.useful >= score.loss


@pytest.mark.parametrize("target", ["class", "values"])
def test_what_is_stored_is_the_figure(target: Target) -> None:
    for score in KINDS[target]:
        stored = json.loads(json.dumps(score.stored))
        assert read_figure(stored, target, TOTAL, 1) == score.figure
    times = read_figure(KINDS[target][1].stored, target, TOTAL, 4)
    assert (times.total, times.times) == (TOTAL, 4)


@pytest.mark.parametrize(
    ("target", "stored", "message"),
    [
        ("class", 201, "correct sequences must be 0 to the 200 there are, not 201"),
        ("class", [1, 2], "correct sequences must be 0 to the 200 there are, not [1, 2]"),
        ("values", 5, "a squared error must be stored as its mean and its deviation, not 5"),
        ("values", [1], "a squared error must be stored as its mean and its deviation, not [1]"),
        ("values", [-1, 1], "mean of squared errors must be a number of at least 0, not -1"),
        (
            *("values", [1, math.nan]),
            "deviation of squared errors must be a number of at least 0, not nan",
        ),
        ("values", [True, 1], "mean of squared errors must be a number of at least 0, not True"),
        ("values", ["x", 1], "mean of squared errors must be a number of at least 0, not 'x'"),
    ],
)  # fmt: skip
def test_stored_figures_must_be_some(target: Target, stored: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_figure(stored, target, TOTAL, 1)
    assert str(caught.value) == message


def test_a_figure_of_another_kind_has_no_score() -> None:
    class Other(Figure):
        pass

    Other.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]  # for this test alone
    with pytest.raises(TypeError, match="no score for Other"):
        score_of(Other())  # type: ignore[abstract]


def candidates(scores: Sequence[Score]) -> list[Candidate]:
    """The better, the dearer."""
    count = len(scores)
    pairs = enumerate(zip(GENOMES, scores, strict=False))
    return [Candidate(genome, s.figure, (count - place,)) for place, (genome, s) in pairs]


def test_fronts_of_squared_errors() -> None:
    found = candidates(errors(0.1, 0.2, 0.4, 0.8))
    worse = Candidate(GENOMES[9], MeanSquaredError(0.9, 0.1, TOTAL), (1,))
    assert non_dominated([*found, worse]) == found[::-1]
    reference = Reference.of(found)
    assert reference.point == (0.8 + (0.8 - 0.1) / 10, 4.3)
    assert reference.gain([*found, worse]) == 1.0
    better = Candidate(GENOMES[9], MeanSquaredError(0.05, 0.1, TOTAL), (4,))
    assert reference.gain([*found, better]) > 1.0


def test_hypervolumes_of_errors_that_hardly_differ() -> None:
    baselines = candidates(errors(5.0, math.nextafter(5.0, 6)))
    assert Reference.of(baselines).gain(baselines) == 1.0


@pytest.mark.parametrize(
    ("text", "mean"), [("smallest", 0.4), ("max-accuracy", 0.1), ("budget=3", 0.2), ("knee", 0.4)]
)
def test_selections_by_squared_errors(text: str, mean: float) -> None:
    found = candidates(errors(0.1, 0.2, 0.4, 3.0))
    (baseline,) = errors(0.5)
    chosen = Selection.parse(text).choose(found, baseline, "bits")
    assert chosen.loss == mean


def test_nothing_as_good_as_the_baseline() -> None:
    for scores, required, message in (
        (
            accuracies(17, 19),
            accuracies(20),
            "a genome that classifies 20 sequences is required, but the best classifies 19",
        ),
        (
            errors(0.5, 0.25),
            errors(0.1),
            "a genome with a mean squared error of at most 0.1 is required, but the best has 0.25",
        ),
    ):
        with pytest.raises(NothingFitsError) as caught:
            Selection().choose(candidates(scores), required[0], "bits")
        assert str(caught.value) == message


def test_ticks_of_accuracies() -> None:
    found = accuracies(200)[0].ticks(accuracies(200, 196, 160))
    assert list(found.values()) == ["80 %", "90 %", "95 %", "98 %", "99 %", "99.5 %", "100 %"]
    assert max(found, key=float) == pytest.approx(0.2)
    assert min(found, key=float) == 0.5 / 200


def test_ticks_of_squared_errors_are_round_and_enough() -> None:
    generator = np.random.default_rng(5)
    for _ in range(200):
        low = 10.0 ** generator.uniform(-9, 9)
        means = (low, low * 10.0 ** generator.uniform(0, 4))
        found = errors(1)[0].ticks(errors(*means))
        assert 4 <= len(found) <= 13
        assert all(float(text) == tick for tick, text in found.items())
        assert all(means[0] / 1.4 <= tick <= means[1] * 1.3 for tick in found)
    assert list(errors(1)[0].ticks(errors(0.012, 0.9)).values()) == [
        *("0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1")
    ]
