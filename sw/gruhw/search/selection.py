"""Survivors and parents: NSGA-II for two objectives, NSGA-III for more, as DEAP implements them.

DEAP draws from the generators that all of Python and NumPy share; :class:`SharedGenerators` lends
it some of our own.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from deap import base, tools

from gruhw.search.front import Candidate
from gruhw.search.space import Vector


class SharedGenerators:
    """Python's and NumPy's shared random generators, replaced for a while by seeded ones."""

    def __init__(self, seed: str) -> None:
        self._python = random.Random(seed)
        self._numpy = np.random.RandomState(self._python.getrandbits(32))

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Continue the seeded generators inside; the caller's go on afterwards as if nothing was.

        In this process alone: threads that draw from the shared ones meanwhile disturb both.
        """
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # DEAP's
        random.setstate(self._python.getstate())
        np.random.set_state(self._numpy.get_state())  # noqa: NPY002  # DEAP's
        try:
            yield
        finally:
            self._python.setstate(random.getstate())
            self._numpy.set_state(np.random.get_state())  # noqa: NPY002  # DEAP's
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002  # DEAP's


class Individual:
    """A candidate as DEAP's operators take it: see :attr:`gruhw.search.scores.Score.level`."""

    def __init__(self, vector: Vector, candidate: Candidate, fitness: type[base.Fitness]) -> None:
        self.vector = vector
        self.fitness = fitness((candidate.score.level, *candidate.costs))


class Selection:
    """Chooses survivors and parents: NSGA-II for two objectives, NSGA-III for more."""

    def __init__(self, objectives: int, population: int, seed: int) -> None:
        self._generators = SharedGenerators(f"gruhw selection {seed}")
        self._fitness = type("Fitness", (base.Fitness,), {"weights": (-1.0,) * objectives})
        self._many: Any = None
        if objectives > 2:
            self._many = tools.selNSGA3WithMemory(_reference_points(objectives, population))

    def individuals(self, candidates: Mapping[Vector, Candidate]) -> list[Individual]:
        """Candidates as individuals, in their order."""
        return [Individual(v, candidate, self._fitness) for v, candidate in candidates.items()]

    def survivors(self, individuals: list[Individual], count: int) -> list[Individual]:
        """The best ``count`` of ``individuals``; all, if there are no more."""
        with self._generators.lent():
            if self._many is None:
                return list(tools.selNSGA2(individuals, count, nd="log"))
            return list(self._many(individuals, count)) if len(individuals) > count else individuals

    def parents(self, survivors: list[Individual]) -> list[Individual]:
        """Parents in the order of their losses: neighbours mix better than strangers."""
        with self._generators.lent():
            # The tournament takes four at a time.
            fours = len(survivors) - len(survivors) % 4
            if self._many is None and fours:
                chosen = list(tools.selTournamentDCD(survivors, fours))
            else:
                chosen = random.sample(survivors, len(survivors))
        return sorted(chosen, key=lambda parent: (parent.fitness.values, parent.vector))


def _reference_points(objectives: int, population: int) -> Any:
    """As many directions as fit the population, spread evenly (Das and Dennis, 1998)."""
    divisions = 1
    points = tools.uniform_reference_points(objectives, divisions)
    while len(more := tools.uniform_reference_points(objectives, divisions + 1)) <= population:
        points, divisions = more, divisions + 1
    return points
