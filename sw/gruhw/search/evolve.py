"""The evolution, from a descent on: variation of candidates, and selection by what they reach.

Every step follows from the seed and the candidates' figures.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gruhw.errors import InputError
from gruhw.search.descent import descend
from gruhw.search.front import Candidate, non_dominated
from gruhw.search.selection import Individual, Selection
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

Begin: TypeAlias = Callable[[SearchSpace, Evaluate], None]
"""Evaluates candidates to begin with."""


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
    begin: Begin = descend,
) -> Iterator[Generation]:
    """Search ``space``, yielding after every generation, the initial population first.

    Parameters
    ----------
    space
        What to search. Its homogeneous candidates are always evaluated.
    evaluate
        Called with candidates that it was never called with before: once a generation, and more
        often for the initial population.
    population
        Candidates that survive a generation, and new ones that it tries; see
        :func:`check_population`.
    generations
        How many follow the initial population, unless every candidate is known before.
    seed
        Of every random choice.
    seeds
        Candidates to begin with, besides the homogeneous ones.
    begin
        What looks at other good ones.
    """
    check_population(population)
    generator = random.Random(f"gruhw variation {seed}")
    known = _Known(evaluate)
    baselines = known([*space.baselines(), *seeds])
    begin(space, known)
    missing = min(population, space.size) - len(known.candidates)
    known(_drawn(space, missing, known, generator))
    selection = Selection(len(baselines[0].objectives), population, seed)
    survivors = selection.survivors(selection.individuals(known.candidates), population)
    yield known.generation(0)
    for number in range(1, generations + 1):
        children = _children(space, selection, survivors, population, known, generator)
        if not children:
            return
        offspring = selection.individuals(dict(zip(children, known(children), strict=True)))
        survivors = selection.survivors([*survivors, *offspring], population)
        yield known.generation(number)


class _Known:
    """The candidates that were evaluated, by vector, in the order of their evaluation."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._front: list[Candidate] = []
        self.candidates: dict[Vector, Candidate] = {}

    def __call__(self, vectors: Sequence[Vector]) -> list[Candidate]:
        """The candidates of ``vectors``, of which the unknown ones are evaluated."""
        unknown = [v for v in dict.fromkeys(vectors) if v not in self.candidates]
        if unknown:
            found = self._evaluate(unknown)
            self.candidates.update(zip(unknown, found, strict=True))
            self._front = non_dominated([*self._front, *found])
        return [self.candidates[vector] for vector in vectors]

    def generation(self, number: int) -> Generation:
        """Where the evolution stands."""
        every = list(self.candidates.values())
        return Generation(number, len(every), tuple(self._front), every)


def _children(
    space: SearchSpace,
    selection: Selection,
    survivors: list[Individual],
    wanted: int,
    known: _Known,
    generator: random.Random,
) -> list[Vector]:
    """Candidates that are not known; fewer than ``wanted`` if few are left."""
    children: list[Vector] = []
    taken = set(known.candidates)
    while len(children) < wanted:
        parents = [parent.vector for parent in selection.parents(survivors)]
        before = len(children)
        for left, right in zip(parents, [*parents[1:], parents[0]], strict=True):
            if len(children) == wanted:
                break
            child = left
            if generator.random() < CROSSOVER_PROBABILITY:
                child = space.cross(left, right, generator)
            new = _unknown(space, space.mutate(child, generator), taken, generator)
            if new is not None:
                children.append(new)
                taken.add(new)
        if len(children) == before:
            break
    return children


def _drawn(
    space: SearchSpace, wanted: int, known: _Known, generator: random.Random
) -> list[Vector]:
    """Random candidates that are not known; fewer than ``wanted`` if few are left."""
    taken, drawn = set(known.candidates), []
    for _ in range(wanted):
        vector = _unknown(space, space.draw(generator), taken, generator)
        if vector is not None:
            drawn.append(vector)
            taken.add(vector)
    return drawn


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
    if space.size > ENUMERABLE:
        return None
    return next((v for v in space.every() if v not in taken), None)
