"""Fronts: who dominates whom, how much a front gains, and which member to take."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cached_property
from typing import Literal, TypeAlias

import moocore
import numpy as np

from gruhw.errors import InputError
from gruhw.network.figures import Figure
from gruhw.network.genome import Genome
from gruhw.search.evaluation import genome_text
from gruhw.search.scores import Score, score_of

Number: TypeAlias = int | float
Rule: TypeAlias = Literal["smallest", "knee", "max-accuracy", "budget"]

MARGIN = 10
"""The reference point lies a tenth of the homogeneous range beyond its worst."""

SMALLEST_BUDGET, LARGEST_BUDGET = Decimal("1e-6"), Decimal("1e16")
"""No cost lies beyond them. Far beyond, a fraction has more digits than fit into memory."""


class NothingFitsError(InputError):
    """No candidate is what a selection asks for."""


@dataclass(frozen=True)
class Candidate:
    """A genome and its figures.

    Parameters
    ----------
    genome
        Its widths and folding.
    figure
        How well it does on the validation sequences.
    costs
        One figure for each cost of the search.
    """

    genome: Genome
    figure: Figure
    costs: tuple[Number, ...]

    @property
    def text(self) -> str:
        """The genome's canonical text, which breaks ties."""
        return genome_text(self.genome)

    @cached_property
    def score(self) -> Score:
        """The figure as a search takes it."""
        return score_of(self.figure)

    @property
    def loss(self) -> Number:
        """What is minimised of the figure: lower is better."""
        return self.score.loss

    @property
    def objectives(self) -> tuple[Number, ...]:
        """What is minimised: the loss, then the costs."""
        return (self.loss, *self.costs)


def non_dominated(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other dominates, ordered by the first cost.

    Of candidates with equal figures, the one whose text comes first stands for all.
    """
    unique: dict[tuple[Number, ...], Candidate] = {}
    for candidate in candidates:
        known = unique.setdefault(candidate.objectives, candidate)
        if candidate.text < known.text:
            unique[candidate.objectives] = candidate
    if not unique:
        return []
    kept = moocore.is_nondominated(np.array(list(unique), dtype=np.float64))
    front = [c for c, keep in zip(unique.values(), kept, strict=True) if keep]
    return sorted(front, key=lambda c: (c.costs, c.objectives))


@dataclass(frozen=True)
class Reference:
    """The point that hypervolumes are measured from, and what the homogeneous front has.

    Parameters
    ----------
    point
        Objectives a little worse than the worst of the homogeneous genomes (H. Ishibuchi et
        al., "How to specify a reference point in hypervolume calculation for fair performance
        comparison", Evolutionary Computation 26(3), 2018).
    homogeneous
        The hypervolume of the homogeneous genomes.
    """

    point: tuple[float, ...]
    homogeneous: float

    @classmethod
    def of(cls, baselines: Sequence[Candidate]) -> "Reference":
        """From the homogeneous genomes, of which there is at least one."""
        columns = list(zip(*(b.objectives for b in baselines), strict=True))
        point = tuple(map(_beyond, columns))
        return cls(point, hypervolume(baselines, point))

    def gain(self, candidates: Sequence[Candidate]) -> float:
        """The hypervolume of ``candidates`` in units of that of the homogeneous genomes."""
        return hypervolume(candidates, self.point) / self.homogeneous


def _beyond(column: Sequence[Number]) -> float:
    """A little more than the worst of the figures, also where they nearly are the same."""
    worst = max(column)
    return max(
        float(worst + ((worst - min(column)) / MARGIN or 1)), math.nextafter(worst, math.inf)
    )


def hypervolume(candidates: Sequence[Candidate], point: tuple[float, ...]) -> float:
    """The volume of objectives that ``candidates`` dominate, bounded by ``point``."""
    inside = [
        c.objectives
        for c in candidates
        if all(value < bound for value, bound in zip(c.objectives, point, strict=True))
    ]
    if not inside:
        return 0.0
    # Sorted, because sums of floats depend on their order.
    return float(moocore.hypervolume(np.array(sorted(inside), dtype=np.float64), ref=point))


@dataclass(frozen=True)
class Selection:
    """Which member of a front to take.

    Parameters
    ----------
    rule
        ``smallest``: the cheapest that is at least as accurate as 8 bits; ``knee``;
        ``max-accuracy``; ``budget``: the most accurate that costs at most ``budget``. Cheap is
        meant in the first cost; accurate is what has a low :attr:`Candidate.loss`.
    budget
        In the unit of the first cost.
    """

    rule: Rule = "smallest"
    budget: Fraction | None = None

    @classmethod
    def parse(cls, text: str) -> "Selection":
        """From the command line; :class:`InputError` if it is no selection."""
        name, equals, limit = text.partition("=")
        if name == "budget" and equals:
            return cls("budget", _budget(limit))
        if name in ("smallest", "knee", "max-accuracy") and not equals:
            return cls(name)  # type: ignore[arg-type]  # narrowed by the line above
        raise InputError(
            f"select must be smallest, knee, max-accuracy or budget=NUMBER, not '{text}'"
        )

    def __str__(self) -> str:
        if self.budget is None:
            return self.rule
        whole = self.budget.denominator == 1
        return f"budget={self.budget.numerator if whole else float(self.budget)}"

    def choose(self, candidates: Sequence[Candidate], baseline: Score, unit: str) -> Candidate:
        """The candidate to take.

        Parameters
        ----------
        candidates
            The front, or more than it: all genomes with exact figures.
        baseline
            Of the 8-bit genome.
        unit
            Of the first cost, for the message.

        Raises
        ------
        NothingFitsError
            If nothing is within the budget, or nothing as accurate as the baseline.
        """
        if self.rule == "knee":
            return knee(candidates)
        if self.rule == "max-accuracy":
            return min(candidates, key=_by_accuracy)
        if self.budget is None:
            eligible = [c for c in candidates if c.loss <= baseline.loss]
            if not eligible:
                raise NothingFitsError(baseline.missed_by(min(candidates, key=_by_accuracy).score))
            return min(eligible, key=lambda c: (c.costs[0], _by_accuracy(c)))
        eligible = [c for c in candidates if c.costs[0] <= self.budget]
        if not eligible:
            cheapest = min(c.costs[0] for c in candidates)
            raise NothingFitsError(
                f"budget must be at least {cheapest:,} {unit}, which the cheapest genome found "
                f"needs, not {str(self).removeprefix('budget=')}"
            )
        return min(eligible, key=_by_accuracy)


def _budget(text: str) -> Fraction:
    """The number that ``text`` says, exactly; :class:`InputError` if no cost is like it."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InputError(f"budget must be a number, not '{text}'") from None
    if number.is_nan() or not SMALLEST_BUDGET <= number <= LARGEST_BUDGET:
        raise InputError(f"budget must be {SMALLEST_BUDGET:f} to {LARGEST_BUDGET:f}, not {text}")
    return Fraction(number)


def _by_accuracy(candidate: Candidate) -> tuple[Number, tuple[Number, ...], str]:
    return (candidate.loss, candidate.costs, candidate.text)


def knee(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate farthest below the chord from the cheapest to the most accurate one.

    Both axes, the first cost and the loss, are scaled to the chord's ends (I. Das, "On
    characterizing the 'knee' of the Pareto curve based on normal-boundary intersection",
    Structural Optimization 18, 1999).
    """
    cheap = min(candidates, key=lambda c: (c.costs[0], _by_accuracy(c)))
    exact = min(candidates, key=_by_accuracy)
    wide = Fraction(exact.costs[0]) - Fraction(cheap.costs[0])
    high = Fraction(cheap.loss) - Fraction(exact.loss)

    def above(candidate: Candidate) -> Fraction:
        cost = Fraction(candidate.costs[0]) - Fraction(cheap.costs[0])
        # Both terms are scaled by the area under the chord, so that nothing is divided.
        return cost * high + (Fraction(candidate.loss) - Fraction(exact.loss)) * wide

    return min(candidates, key=lambda c: (above(c), c.costs, c.text))
