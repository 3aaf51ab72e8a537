"""Mean squared errors of values that networks find."""

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import FloatArray, real_values
from gruhw.basics.values import real_number
from gruhw.network.figures.figure import DEVIATIONS, Figure


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
