"""A figure: how well a network does, whatever it is that a task's data say."""

from abc import ABC, abstractmethod
from statistics import NormalDist
from typing import Any, ClassVar

from gruhw.basics.values import whole
from gruhw.errors import InputError

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
