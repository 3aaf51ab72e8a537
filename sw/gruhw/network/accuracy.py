"""How well a network does on sequences, and what that is worth: accuracies and squared errors.

Both are a :class:`Figure`: tables, JSON and searches need to know no more. Where data say something
of every step, steps are counted; but those of a sequence depend on each other, so an interval
follows from how much *sequences* differ: the linearised variance of a ratio, W. G. Cochran,
Sampling Techniques, 3rd edition, section 9A.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import NormalDist
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import FloatArray, real_values, whole_values
from gruhw.basics.values import real_number, whole
from gruhw.errors import InputError
from gruhw.network.sequences import Split

CONFIDENCE = 0.95
"""How often an interval holds the true figure."""

DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""The half width of that interval of a normal distribution, in standard deviations."""


class Figure(ABC):
    """How well a network does on ``total`` sequences.

    ``times`` says how often each sequence is among them: with variations of itself, or computed by
    several networks. Only ``total / times`` sequences are independent, and the interval is theirs.
    """

    name: ClassVar[str]
    """What it is, for people and, with underscores, for programs: ``accuracy``."""

    total: int
    times: int

    @property
    @abstractmethod
    def error(self) -> float:
        """What training and searches minimise: 0 is perfect."""

    @property
    @abstractmethod
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the figure."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The figure for people: ``97.50 %``, ``0.01234``."""

    @property
    @abstractmethod
    def bounds(self) -> str:
        """The interval for people: ``95.5 to 98.6 %``."""

    @abstractmethod
    def to_json(self, part: str = "") -> dict[str, Any]:
        """The figures for programs; the names begin with the ``part`` of the data, if given."""

    @property
    def sequence_total(self) -> int:
        """The sequences."""
        return self.total

    @property
    def sequences(self) -> str:
        """How many decide, for people: ``300 sequences in 5 variations each``."""
        count = self.total // self.times
        text = f"{count:,} sequence{'s' if count > 1 else ''}"
        return text if self.times == 1 else f"{text} in {self.times} variations each"

    def __str__(self) -> str:
        return f"{self.text} ({self.bounds}, {self.sequences})"

    def _check_counts(self) -> None:
        """Make ``total`` and ``times`` whole numbers; :class:`InputError` if they are none."""
        total, times = whole(self.total), whole(self.times)
        if total is None or total < 1:
            raise InputError(f"at least 1 sequence is required, but there are {self.total}")
        if times is None or times < 1 or total % times:
            raise InputError(
                f"times of each sequence must divide the {total} there are, not {self.times}"
            )
        object.__setattr__(self, "total", total)
        object.__setattr__(self, "times", times)

    def _named(self, figures: dict[str, Any], part: str) -> dict[str, Any]:
        if self.times > 1:
            figures["variations"] = self.times
        prefix = f"{part}_" if part else ""
        return {prefix + name: figure for name, figure in figures.items()}


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


@dataclass(frozen=True)
class MeanSquaredError(Figure):
    """The mean of the squared errors of so many sequences.

    The squared error of a sequence is the mean over the values that it has, in the square of their
    unit. Of sequences that have values at every step, longer ones count more.

    Parameters
    ----------
    mean
        Of the sequences' squared errors.
    deviation
        Their standard deviation: the root of the mean squared distance from ``mean``. Where they
        have different weights, distances count by these, in parts of the mean weight.
    total, times
        See :class:`Figure`.

    Raises
    ------
    InputError
        If there is no sequence, or a number is negative or not finite.
    """

    name = "mean squared error"

    mean: float
    deviation: float
    total: int
    times: int = 1

    def __post_init__(self) -> None:
        self._check_counts()
        for name in ("mean", "deviation"):
            value = real_number(f"{name} of squared errors", getattr(self, name))
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        found: ArrayLike,
        values: ArrayLike,
        times: int = 1,
        counted: NDArray[np.bool] | None = None,
    ) -> "MeanSquaredError":
        """That of the values ``found`` where ``values`` are right.

        Parameters
        ----------
        found, values
            Both of shape [N, K], or [N, T, K] at every step.
        times
            See :class:`Figure`.
        counted
            The steps that count, shape [N, T], at least one of each sequence.

        Raises
        ------
        InputError
            If they are no finite numbers, there are none, or there are more of one than the other.
        """
        places = ("sequences",) if counted is None else ("sequences", "steps")
        given = real_values("found values", found, (*places, "values"))
        right = real_values("values", values, given.shape)
        difference = given.astype(np.float64) - right.astype(np.float64)
        with np.errstate(over="ignore"):  # refused below
            errors = (difference**2).mean(axis=-1) if difference.size else np.zeros(0)
        if counted is None or not errors.size:
            return cls.of_errors(errors, times)
        steps = counted.sum(axis=1)
        return cls.of_errors((errors * counted).sum(axis=1) / steps, times, steps)

    @classmethod
    def of_errors(
        cls, errors: ArrayLike, times: int = 1, weights: ArrayLike | None = None
    ) -> "MeanSquaredError":
        """That of sequences with these squared errors, shape [N]; errors as of the class.

        ``weights`` say how much each counts; all count the same if absent.
        """
        squared: FloatArray = np.asarray(errors, dtype=np.float64)
        if not squared.size:
            return cls(0.0, 0.0, 0, times)  # which is refused
        with np.errstate(over="ignore", invalid="ignore"):
            if weights is None:
                return cls(float(squared.mean()), float(squared.std()), len(squared), times)
            parts = np.asarray(weights, dtype=np.float64)
            parts = parts / parts.mean()
            mean = float((parts * squared).mean())
            deviation = float(np.sqrt(((parts * (squared - mean)) ** 2).mean()))
            return cls(mean, deviation, len(squared), times)

    @property
    def error(self) -> float:
        """The mean itself."""
        return self.mean

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the mean of independent squared errors, from 0 on.

        It is the normal one: the central limit theorem says that the mean of many sequences is
        distributed so, whatever the distribution of their errors. Of one sequence alone nobody
        knows the deviation: the interval is from 0 to infinity.
        """
        count = self.total // self.times
        if count == 1:
            return 0.0, inf
        half = DEVIATIONS * self.deviation / sqrt(count - 1)  # unbiased, where count is large
        return max(0.0, self.mean - half), self.mean + half

    @property
    def text(self) -> str:
        """The mean for people: ``0.01234``."""
        return f"{self.mean:.4g}"

    @property
    def bounds(self) -> str:
        """The interval for people: ``0.0101 to 0.0146``."""
        low, high = self.interval
        return f"{low:.3g} to {high:.3g}" if isfinite(high) else f"{low:.3g} or more"

    def to_json(self, part: str = "") -> dict[str, Any]:
        """The figures for programs; an interval without an end has None there."""
        low, high = self.interval
        figures = {
            "sequences": self.total,
            "mean_squared_error": self.mean,
            "mean_squared_error_interval": [low, high if isfinite(high) else None],
        }
        return self._named(figures, part)


def figure_of(found: ArrayLike, split: Split) -> Figure:
    """How well a network does that gave ``found`` for the sequences of ``split``.

    Parameters
    ----------
    found
        Classes of shape [N] where the split's target is ``class``; real numbers of shape [N, K],
        in the unit of the data, where it is ``values``. At every step, of shape [N, T] and
        [N, T, K].
    split
        The sequences.

    Returns
    -------
    Figure
        An :class:`Accuracy`, a :class:`StepAccuracy` or a :class:`MeanSquaredError`.

    Raises
    ------
    InputError
        If shapes differ, there is no sequence, or something is of another type.
    """
    counted = split.counted if split.of_every_step else None
    if not split.of_classes:
        return MeanSquaredError.of(found, split.y, counted=counted)
    if counted is None:
        return Accuracy.of(found, split.y)
    classes = whole_values("classes", found, split.y.shape)
    return StepAccuracy.of_steps(classes == split.y, counted)
