"""Accuracies: so many sequences, or steps of sequences, of so many classified right.

Steps of a sequence depend on each other, so the interval of an accuracy of steps follows from how
much *sequences* differ: the linearised variance of a ratio, W. G. Cochran, Sampling Techniques, 3rd
edition, section 9A.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import whole_values
from gruhw.basics.values import real_number, whole
from gruhw.errors import InputError
from gruhw.network.figures.figure import DEVIATIONS, Figure


@dataclass(frozen=True)
class Accuracy(Figure):
    """So many sequences of so many classified right.

    Parameters
    ----------
    correct, total
        Sequences classified right, and all of them.
    times
        See :class:`Figure`.

    Raises
    ------
    InputError
        If there is no sequence, or more of them are right than there are.
    """

    name = "accuracy"

    correct: int
    total: int
    times: int = 1

    def __post_init__(self) -> None:
        self._check_counts()
        correct = whole(self.correct)
        if correct is None or not 0 <= correct <= self.total:
            raise InputError(
                f"correct sequences must be 0 to the {self.total} there are, not {self.correct}"
            )
        object.__setattr__(self, "correct", correct)

    @classmethod
    def of(cls, found: ArrayLike, labels: ArrayLike) -> "Accuracy":
        """The accuracy of the classes ``found`` where ``labels`` are right, both of shape [N].

        Raises
        ------
        InputError
            If they are no whole numbers, there are none, or there are more of one than the other.
        """
        classes = whole_values("classes", found, ("sequences",))
        right = whole_values("labels", labels, classes.shape)
        return cls(int(np.count_nonzero(classes == right)), len(right))

    @property
    def independent(self) -> float:
        """How many independent decisions are worth as much."""
        return self.total // self.times

    @property
    def share(self) -> float:
        """The part that is classified right, 0 to 1."""
        return self.correct / self.total

    @property
    def error(self) -> float:
        """The part that is classified wrong, 0 to 1."""
        return (self.total - self.correct) / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of E. B. Wilson, JASA 22, 1927, within 0 to 1."""
        count, share = self.independent, self.share
        spread = DEVIATIONS**2 / count
        middle = share + spread / 2
        half = sqrt(spread * (share * (1 - share) + spread / 4))
        # At the ends the bound is exactly that, which a difference of roundings need not be.
        low = 0.0 if self.correct == 0 else (middle - half) / (1 + spread)
        high = 1.0 if self.correct == self.total else (middle + half) / (1 + spread)
        return low, high

    @property
    def percent(self) -> str:
        """The share for people: ``97.50 %``."""
        return f"{100 * self.share:.2f} %"

    @property
    def text(self) -> str:
        """The same."""
        return self.percent

    @property
    def bounds(self) -> str:
        """The interval for people: ``95.5 to 98.6 %``."""
        low, high = self.interval
        return f"{100 * low:.1f} to {100 * high:.1f} %"

    def to_json(self, part: str = "") -> dict[str, Any]:
        """The figures for programs; the names begin with the ``part`` of the data, if given."""
        figures = {
            "correct": self.correct,
            "sequences": self.total,
            "accuracy": self.share,
            "accuracy_interval": list(self.interval),
        }
        return self._named(figures, part)


@dataclass(frozen=True)
class StepAccuracy(Accuracy):
    """So many steps of so many classified right.

    Parameters
    ----------
    correct, total, times
        As of :class:`Accuracy`, but steps.
    sequence_count
        The sequences that they belong to, ``times`` included.
    effective
        How many independent steps would be worth as much (L. Kish, Survey Sampling, section 8.2),
        ``times`` included: 1 to ``total``.

    Raises
    ------
    InputError
        If there is no step, or a number is out of range.
    """

    sequence_count: int = 1
    effective: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        count, effective = (
            whole(self.sequence_count),
            real_number("effective steps", self.effective),
        )
        if count is None or not 1 <= count <= self.total or count % self.times:
            raise InputError(
                f"sequences of {self.total} steps must be 1 to as many, each {self.times} times, "
                f"not {self.sequence_count}"
            )
        if not 1 <= effective <= self.total:
            raise InputError(f"effective steps must be 1 to {self.total}, not {self.effective}")
        object.__setattr__(self, "sequence_count", count)
        object.__setattr__(self, "effective", effective)

    @classmethod
    def of_steps(cls, right: NDArray[np.bool], counted: NDArray[np.bool], times: int = 1) -> Self:
        """That of steps, shape [N, T], of which ``right`` says whether they are, where counted.

        Raises
        ------
        InputError
            If there is no sequence.
        """
        correct, steps = (right & counted).sum(axis=1), counted.sum(axis=1)
        total, found = int(steps.sum()), int(correct.sum())
        if not total:
            return cls(0, 0, times)  # which is refused
        share = found / total
        spread = _ratio_variance(correct, steps, share)
        # Where all are right, or wrong, nobody knows how much sequences differ.
        effective = share * (1 - share) / spread if spread else float(len(steps))
        return cls(found, total, times, len(steps), min(max(effective, 1.0), float(total)))

    @property
    def independent(self) -> float:
        """How many independent decisions are worth as much."""
        return max(1.0, self.effective / self.times)

    @property
    def sequence_total(self) -> int:
        """The sequences that the steps belong to."""
        return self.sequence_count

    @property
    def sequences(self) -> str:
        """How much decides, for people: ``12,345 steps of 300 sequences``."""
        count, steps = self.sequence_count // self.times, self.total // self.times
        text = f"{steps:,} step{'s' if steps > 1 else ''} of "
        text += f"{count:,} sequence{'s' if count > 1 else ''}"
        return text if self.times == 1 else f"{text} in {self.times} variations each"

    def to_json(self, part: str = "") -> dict[str, Any]:
        """The figures for programs; the names begin with the ``part`` of the data, if given."""
        figures = {
            "correct": self.correct,
            "steps": self.total,
            "sequences": self.sequence_count,
            "accuracy": self.share,
            "accuracy_interval": list(self.interval),
        }
        return self._named(figures, part)


def _ratio_variance(parts: ArrayLike, wholes: ArrayLike, ratio: float) -> float:
    """The variance of the ratio of two sums over independent sequences; 0 of one alone."""
    parts, wholes = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    count = len(wholes)
    if count == 1:
        return 0.0
    rest = parts - ratio * wholes
    return float(count / (count - 1) * (rest**2).sum() / wholes.sum() ** 2)
