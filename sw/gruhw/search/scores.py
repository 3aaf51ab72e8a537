"""What a search makes of figures: an order, whatever it is that a task's data say of sequences.

Nothing else in a search knows which kinds of figures there are.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeAlias

from gruhw.errors import InputError
from gruhw.network.figures import Accuracy, Figure, MeanSquaredError, StepAccuracy
from gruhw.network.parts import Target

Stored: TypeAlias = int | Sequence[float]
"""A figure as a search's memory keeps it: sequences classified right, or numbers."""

OF_8_BITS = 2
MORE_MISTAKES = 0.01
"""Useful members of a front have up to so many times the loss of 8 bits; where sequences are
counted, so many mistakes more as a part of all sequences."""

SMALLEST_ERROR = 1e-30
"""Smaller squared errors are not told apart by their logarithm, which 0 has none of."""

ACCURACIES = (20, 50, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.99)
"""Ticks of an accuracy axis, in percent; closer ones would overlap on its logarithm."""

ROUND = (
    (10,),
    (10, 20, 50),
    (10, 12, 15, 20, 25, 30, 40, 50, 60, 80),
    (*range(10, 16), *range(16, 30, 2), *(30, 33, 36), *range(40, 80, 5), *(80, 90)),
)
"""First digits of ticks, from the roundest on."""

FEWEST_TICKS = 4
"""Where there are fewer, ticks get more digits."""

ABOVE, BELOW = 1.35, 1.25
"""Room on a picture's axis, as a factor: beyond the best, and beyond the worst."""


class Score(ABC):
    """A figure as a search takes it. All of one search are of one kind.

    Parameters
    ----------
    figure
        How well a genome does on the validation sequences.
    """

    figure: Figure

    @property
    @abstractmethod
    def loss(self) -> float:
        """What is minimised, from 0 on; whole where sequences are counted."""

    @property
    @abstractmethod
    def level(self) -> float:
        """A logarithm of the loss.

        Who dominates whom stays the same, but a population spreads evenly from the best to the
        worst, instead of crowding where hardly any genome is of use.
        """

    @property
    @abstractmethod
    def useful(self) -> float:
        """The largest loss that fine-tuning may make up for, if this score is that of 8 bits."""

    @property
    @abstractmethod
    def stored(self) -> Stored:
        """The figure as a search's memory keeps it; :func:`read_figure` reads it again."""

    @property
    @abstractmethod
    def short(self) -> Mapping[str, float]:
        """The figure alone, by the names of columns."""

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, float]:
        """The figure with all that belongs to it, by the names of columns."""

    @abstractmethod
    def missed_by(self, best: "Score") -> str:
        """What to say where even ``best`` is worse than this one, which is required."""

    @property
    @abstractmethod
    def height(self) -> float:
        """What pictures show of it on a logarithmic axis: lower is better, and never 0."""

    @property
    @abstractmethod
    def heights(self) -> tuple[float, float]:
        """The 95 % interval of that."""

    @property
    @abstractmethod
    def highest(self) -> float:
        """What no height exceeds."""

    @abstractmethod
    def ticks(self, others: Sequence["Score"]) -> dict[float, str]:
        """The ticks of an axis that shows ``others``, which are of its kind: text by height."""


@dataclass(frozen=True)
class Mistakes(Score):
    """Sequences, or steps, classified wrong."""

    figure: Accuracy

    @property
    def loss(self) -> int:
        return self.figure.total - self.figure.correct

    @property
    def level(self) -> float:
        return math.log2(self.loss + 1)

    @property
    def useful(self) -> float:
        return OF_8_BITS * self.loss + self.figure.total * MORE_MISTAKES

    @property
    def stored(self) -> int | tuple[int, int, float]:
        figure = self.figure
        if isinstance(figure, StepAccuracy):
            return figure.correct, figure.sequence_count, figure.effective
        return figure.correct

    @property
    def short(self) -> Mapping[str, float]:
        return {"correct": self.figure.correct, "accuracy": self.figure.share}

    @property
    def columns(self) -> Mapping[str, float]:
        low, high = self.figure.interval
        steps = {"steps": self.figure.total} if isinstance(self.figure, StepAccuracy) else {}
        return {
            "correct": self.figure.correct,
            **steps,
            "sequences": self.figure.sequence_total,
            "accuracy": self.figure.share,
            "accuracy_low": low,
            "accuracy_high": high,
        }

    def missed_by(self, best: Score) -> str:
        what = "steps" if isinstance(self.figure, StepAccuracy) else "sequences"
        most = self.figure.total - best.loss
        return (
            f"a genome that classifies {self.figure.correct} {what} is required, but the best "
            f"classifies {most:.0f}"
        )

    @property
    def height(self) -> float:
        """The part that is classified wrong; what has no logarithm counts half a sequence."""
        return max(self.loss, 0.5) / self.figure.total

    @property
    def heights(self) -> tuple[float, float]:
        low, high = self.figure.interval
        return 1 - high, 1 - low

    @property
    def highest(self) -> float:
        return 1.0

    def ticks(self, others: Sequence[Score]) -> dict[float, str]:
        best, worst = _ends(others)
        perfect = any(other.loss == 0 for other in others)
        nearest, farthest = best * (1.1 if perfect else 1 / ABOVE), min(1.0, worst * BELOW)
        found = {1 - a / 100: f"{a:g} %" for a in ACCURACIES if nearest <= 1 - a / 100 <= farthest}
        return found | ({best: "100 %"} if perfect else {})


@dataclass(frozen=True)
class SquaredError(Score):
    """The mean squared error of values."""

    figure: MeanSquaredError

    @property
    def loss(self) -> float:
        return self.figure.mean

    @property
    def level(self) -> float:
        return math.log2(self.height)

    @property
    def useful(self) -> float:
        return OF_8_BITS * self.loss

    @property
    def stored(self) -> tuple[float, float]:
        return self.figure.mean, self.figure.deviation

    @property
    def short(self) -> Mapping[str, float]:
        return {"mean_squared_error": self.figure.mean}

    @property
    def columns(self) -> Mapping[str, float]:
        low, high = self.figure.interval
        return {
            "sequences": self.figure.total,
            "mean_squared_error": self.figure.mean,
            "mean_squared_error_low": low,
            "mean_squared_error_high": high,
        }

    def missed_by(self, best: Score) -> str:
        return (
            f"a genome with a mean squared error of at most {self.loss:.6g} is required, but the "
            f"best has {best.loss:.6g}"
        )

    @property
    def height(self) -> float:
        return max(self.loss, SMALLEST_ERROR)

    @property
    def heights(self) -> tuple[float, float]:
        low, high = self.figure.interval
        return max(low, SMALLEST_ERROR), high

    @property
    def highest(self) -> float:
        return math.inf

    def ticks(self, others: Sequence[Score]) -> dict[float, str]:
        best, worst = _ends(others)
        low, high = best / ABOVE, worst * BELOW
        tens = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        for digits in ROUND:
            found = {
                float(text): text
                for ten in tens
                for digit in digits
                if low <= float(text := f"{float(f'{digit}e{ten}'):g}") <= high
            }
            if len(found) >= FEWEST_TICKS:
                break
        return found


def _ends(scores: Sequence[Score]) -> tuple[float, float]:
    """The lowest and the highest of their heights."""
    heights = [score.height for score in scores]
    return min(heights), max(heights)


@singledispatch
def score_of(figure: Figure) -> Score:
    """A figure as a search takes it."""
    raise TypeError(f"no score for {type(figure).__name__}")


@score_of.register
def _(figure: Accuracy) -> Score:
    return Mistakes(figure)


@score_of.register
def _(figure: MeanSquaredError) -> Score:
    return SquaredError(figure)


def read_figure(stored: Any, target: Target, total: int, times: int) -> Figure:
    """The figure that was ``stored``.

    Parameters
    ----------
    stored
        See :attr:`Score.stored`.
    target
        What the task's data say of a sequence.
    total, times
        As of :class:`gruhw.network.figures.Figure`.

    Raises
    ------
    InputError
        If it is none that there can be.
    """
    if target == "class":
        return Accuracy(stored, total, times)
    if target == "class every step":
        if isinstance(stored, int) or len(stored) != 3:
            raise InputError(
                "an accuracy of steps must be stored as those that are right, the sequences and "
                f"the steps that are worth as much, not {stored!r}"
            )
        correct, sequences, effective = stored
        return StepAccuracy(correct, total, times, sequences, effective)
    if isinstance(stored, int) or len(stored) != 2:
        raise InputError(
            f"a squared error must be stored as its mean and its deviation, not {stored!r}"
        )
    mean, deviation = stored
    return MeanSquaredError(mean, deviation, total, times)
