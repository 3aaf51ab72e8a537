"""The evolution: NSGA-II for two objectives, NSGA-III for more, with the operators of DEAP.

Every step follows from the seed and the candidates' figures. DEAP draws from the generators
that all of Python and NumPy share; :class:`SharedGenerators` lends it some of our own.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from deap import base, tools

from gruhw.errors import InputError
from gruhw.search.front import Candidate, non_dominated
from gruhw.search.space import SearchSpace, Vector

CROSSOVER_PROBABILITY = 0.9
"""How often two parents' genes are mixed; otherwise their children only mutate."""

ATTEMPTS = 20
"""Mutations that are tried before a random candidate replaces a child that is known already."""

SMALLEST_POPULATION = 8

ENUMERABLE = 100_000
"""Spaces up to this size are searched to the last candidate, if there is time."""

Evaluate: TypeAlias = Callable[[Sequence[Vector]], list[Candidate]]
"""Evaluates a batch of candidates, in its order."""


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


class _Individual:
    """A candidate as DEAP's operators take it.

    Mistakes count by their logarithm. Who dominates whom stays the same, but the population
    spreads evenly from one mistake to all, instead of crowding where every second is wrong.
    """

    def __init__(self, vector: Vector, candidate: Candidate, fitness: type[base.Fitness]) -> None:
        self.vector = vector
        wrong, *costs = candidate.objectives
        self.fitness = fitness((math.log2(wrong + 1), *costs))


class _Selection:
    """Chooses survivors and parents: NSGA-II for two objectives, NSGA-III for more."""

    def __init__(self, objectives: int, population: int, seed: int) -> None:
        self._generators = SharedGenerators(f"gruhw selection {seed}")
        self.fitness = type("Fitness", (base.Fitness,), {"weights": (-1.0,) * objectives})
        self._many: Any = None
        if objectives > 2:
            self._many = tools.selNSGA3WithMemory(_reference_points(objectives, population))

    def survivors(self, individuals: list[_Individual], count: int) -> list[_Individual]:
        with self._generators.lent():
            if self._many is None:
                return list(tools.selNSGA2(individuals, count, nd="log"))
            return list(self._many(individuals, count)) if len(individuals) > count else individuals

    def parents(self, survivors: list[_Individual]) -> list[_Individual]:
        """Parents in the order of their mistakes: neighbours mix better than strangers."""
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


@dataclass(frozen=True)
class Generation:
    """Where the evolution stands.

    Parameters
    ----------
    number
        0 for the initial population.
    evaluations
        Different candidates evaluated so far.
    front
        The best of all of them: see :func:`gruhw.search.front.non_dominated`.
    candidates
        All of them.
    """

    number: int
    evaluations: int
    front: tuple[Candidate, ...]
    candidates: Sequence[Candidate]


def check_population(population: int) -> int:
    """Return ``population`` if selection can work with it; :class:`InputError` otherwise."""
    if population < SMALLEST_POPULATION or population % 4:
        raise InputError(
            f"population must be a multiple of 4, at least {SMALLEST_POPULATION}, not {population}"
        )
    return population


def evolve(
    space: SearchSpace,
    evaluate: Evaluate,
    *,
    population: int,
    generations: int,
    seed: int,
    seeds: Sequence[Vector] = (),
) -> Iterator[Generation]:
    """Search ``space``, yielding after every generation, the initial population first.

    Parameters
    ----------
    space
        What to search. Its homogeneous candidates are always evaluated.
    evaluate
        Called once a generation, with candidates that it was never called with before.
    population
        Candidates that survive a generation, and new ones that it tries; see
        :func:`check_population`.
    generations
        How many follow the initial population, unless every candidate is known before.
    seed
        Of every random choice.
    seeds
        Candidates to begin with, besides the homogeneous ones.
    """
    check_population(population)
    generator = random.Random(f"gruhw variation {seed}")
    known: dict[Vector, Candidate] = {}

    def tried(vectors: Sequence[Vector]) -> list[_Individual]:
        found = evaluate(vectors)
        known.update(zip(vectors, found, strict=True))
        return [_Individual(v, c, selection.fitness) for v, c in zip(vectors, found, strict=True)]

    initial = list(dict.fromkeys([*space.baselines(), *seeds]))
    chosen = set(initial)
    while len(initial) < min(population, space.size):
        vector = _unknown(space, space.draw(generator), chosen, generator)
        if vector is None:
            break
        initial.append(vector)
        chosen.add(vector)

    found = evaluate(initial)
    known.update(zip(initial, found, strict=True))
    selection = _Selection(len(found[0].objectives), population, seed)
    survivors = selection.survivors(
        [_Individual(v, c, selection.fitness) for v, c in known.items()], population
    )
    front = non_dominated(found)
    yield Generation(0, len(known), tuple(front), list(known.values()))

    for number in range(1, generations + 1):
        children = _children(space, selection, survivors, population, set(known), generator)
        if not children:
            return
        offspring = tried(children)
        survivors = selection.survivors([*survivors, *offspring], population)
        front = non_dominated([*front, *(known[child] for child in children)])
        yield Generation(number, len(known), tuple(front), list(known.values()))


def _children(
    space: SearchSpace,
    selection: _Selection,
    survivors: list[_Individual],
    wanted: int,
    taken: set[Vector],
    generator: random.Random,
) -> list[Vector]:
    """New candidates, none of which is in ``taken``; fewer than ``wanted`` if few are left."""
    children: list[Vector] = []
    while len(children) < wanted:
        parents = [parent.vector for parent in selection.parents(survivors)]
        before = len(children)
        for left, right in zip(parents, [*parents[1:], parents[0]], strict=True):
            if len(children) == wanted:
                break
            child = left
            if generator.random() < CROSSOVER_PROBABILITY:
                child, _ = space.cross(left, right, generator)
            new = _unknown(space, space.mutate(child, generator), taken, generator)
            if new is not None:
                children.append(new)
                taken.add(new)
        if len(children) == before:
            break
    return children


def _unknown(
    space: SearchSpace, vector: Vector, taken: set[Vector], generator: random.Random
) -> Vector | None:
    """``vector``, or one that mutates from it, that is not ``taken``; None if none is found."""
    if len(taken) >= space.size:
        return None
    for _ in range(ATTEMPTS):
        if vector not in taken:
            return vector
        vector = space.mutate(vector, generator)
    for _ in range(ATTEMPTS):
        if (vector := space.draw(generator)) not in taken:
            return vector
    # Only spaces that are nearly used up come here.
    return (
        next((v for v in space.every() if v not in taken), None)
        if (space.size <= ENUMERABLE)
        else None
    )


ENUMERABLE = 100_000
"""Spaces up to this size are searched to the last candidate, if there is time."""
