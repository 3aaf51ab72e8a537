"""Accuracies: how many sequences were classified right, of how many, and what that is worth."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gruhw.arrays import whole_values
from gruhw.errors import InputError
from gruhw.values import whole

CONFIDENCE = 0.95
"""How often an interval holds the true accuracy."""

DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""The half width of that interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Accuracy:
    """So many sequences of so many classified right.

    Parameters
    ----------
    correct, total
        Sequences classified right, and all of them.
    times
        How often each sequence is among them: with variations of itself, or classified by several
        networks. Only ``total / times`` sequences are independent, and the interval is theirs.

    Raises
    ------
    InputError
        If there is no sequence, or more of them are right than there are.
    """

    correct: int
    total: int
    times: int = 1

    def __post_init__(self) -> None:
        correct, total, times = map(whole, (self.correct, self.total, self.times))
        if total is None or total < 1:
            raise InputError(f"at least 1 sequence is required, but there are {self.total}")
        if correct is None or not 0 <= correct <= total:
            raise InputError(
                f"correct sequences must be 0 to the {total} there are, not {self.correct}"
            )
        if times is None or times < 1 or total % times:
            raise InputError(
                f"times of each sequence must divide the {total} there are, not {self.times}"
            )
        for name, value in (("correct", correct), ("total", total), ("times", times)):
            object.__setattr__(self, name, value)

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
    def share(self) -> float:
        """The part that is classified right, 0 to 1."""
        return self.correct / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of E. B. Wilson, JASA 22, 1927, within 0 to 1."""
        count, share = self.total // self.times, self.share
        spread = DEVIATIONS**2 / count
        middle = share + spread / 2
        half = sqrt(spread * (share * (1 - share) + spread / 4))
        # At the ends the bound is exactly that, which a difference of roundings need not be.
        low = 0.0 if self.correct == 0 else (middle - half) / (1 + spread)
        high = 1.0 if self.correct == self.total else (middle + half) / (1 + spread)
        return low, high

    @property
    def sequences(self) -> str:
        """How many decide, for people: ``300 sequences in 5 variations each``."""
        count = self.total // self.times
        text = f"{count:,} sequence{'s' if count > 1 else ''}"
        return text if self.times == 1 else f"{text} in {self.times} variations each"

    @property
    def percent(self) -> str:
        """The share for people: ``97.50 %``."""
        return f"{100 * self.share:.2f} %"

    @property
    def bounds(self) -> str:
        """The interval for people: ``95.5 to 98.6 %``."""
        low, high = self.interval
        return f"{100 * low:.1f} to {100 * high:.1f} %"

    def __str__(self) -> str:
        return f"{self.percent} ({self.bounds}, {self.sequences})"

    def to_json(self, part: str = "") -> dict[str, Any]:
        """The figures for programs; the names begin with the ``part`` of the data, if given."""
        prefix = f"{part}_" if part else ""
        figures = {
            "correct": self.correct,
            "sequences": self.total,
            "accuracy": self.share,
            "accuracy_interval": list(self.interval),
        }
        if self.times > 1:
            figures["variations"] = self.times
        return {prefix + name: figure for name, figure in figures.items()}
