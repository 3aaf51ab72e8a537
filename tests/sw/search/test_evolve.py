"""The evolution: finds the true front of small spaces, and disturbs no one's random numbers."""

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from toy_search import ARCHITECTURE, TOTAL, TinySpace, toy_correct

from gruhw.errors import InputError
from gruhw.network.figures import Accuracy
from gruhw.network.genes import preset_of
from gruhw.network.genome import Genome
from gruhw.search.evolve import Generation, evolve
from gruhw.search.front import Candidate, non_dominated
from gruhw.search.selection import SharedGenerators
from gruhw.search.space import SearchSpace, Vector

SPACE = TinySpace().space
FULL = SearchSpace(preset_of("full", ARCHITECTURE))


def figures(genome: Genome, costs: int) -> Candidate:
    """Costs that want other genes wide than accuracy does."""
    weights = [[(place * k) % 7 + 1 for place in range(len(genome.genes))] for k in (3, 5, 4)]
    found = [
        sum(w * bits for w, bits in zip(row, genome.genes.values(), strict=True))
        for row in weights[:costs]
    ]
    return Candidate(genome, Accuracy(toy_correct(genome), TOTAL), tuple(found))


class Counted:
    """Evaluates, and keeps what it was asked for."""

    def __init__(self, space: SearchSpace, costs: int = 1) -> None:
        self.space, self.costs = space, costs
        self.batches: list[Sequence[Vector]] = []

    def __call__(self, vectors: Sequence[Vector]) -> list[Candidate]:
        self.batches.append(vectors)
        return [figures(self.space.genome(vector), self.costs) for vector in vectors]


def run(
    space: SearchSpace, generations: int, *, costs: int = 1, seed: int = 1, population: int = 16
) -> tuple[list[Generation], Counted]:
    counted = Counted(space, costs)
    steps = list(evolve(space, counted, population=population, generations=generations, seed=seed))
    return steps, counted


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_it_finds_the_front_of_brute_force(costs: int) -> None:
    every = [figures(SPACE.genome(vector), costs) for vector in SPACE.every()]
    true = non_dominated(every)
    assert len(true) > 5
    steps, _ = run(SPACE, 100, costs=costs)
    assert list(steps[-1].front) == true
    assert steps[-1].evaluations <= SPACE.size


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_it_finds_most_of_the_front_long_before_the_space_is_used_up(costs: int) -> None:
    space = TinySpace(widths=(2, 3, 4, 5, 6, 7, 8)).space
    true = set(non_dominated_texts([figures(space.genome(v), costs) for v in space.every()]))
    steps, _ = run(space, 30, costs=costs)
    assert steps[-1].evaluations < space.size / 4
    found = {c.text for c in steps[-1].front}
    # With survivors and parents drawn at random, 46 to 60 %.
    assert len(found & true) > 0.65 * len(true)


def non_dominated_texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in non_dominated(candidates)]


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_nothing_is_evaluated_twice(costs: int) -> None:
    for space in (SPACE, FULL):
        steps, counted = run(space, 12, costs=costs)
        asked = [vector for batch in counted.batches for vector in batch]
        assert len(asked) == len(set(asked)) == steps[-1].evaluations
        assert {*space.baselines()} <= {*counted.batches[0]}
        assert [c.genome for c in steps[-1].candidates] == [space.genome(v) for v in asked]


def test_it_ends_when_every_candidate_is_known() -> None:
    space = TinySpace(widths=(2, 3)).space
    steps, counted = run(space, 50, population=8)
    assert steps[-1].evaluations == space.size == 16
    assert len(steps) < 10
    assert all(counted.batches)


@pytest.mark.parametrize("population", [8, 12, 20, 64])
def test_populations_smaller_and_larger_than_the_space(population: int) -> None:
    space = TinySpace(widths=(2, 3, 4)).space
    steps, _ = run(space, 20, population=population)
    assert steps[-1].evaluations == space.size


def test_the_front_never_gets_worse() -> None:
    steps, _ = run(FULL, 15, population=20)
    for before, after in pairwise(steps):
        assert non_dominated([*before.front, *after.front]) == list(after.front)


@pytest.mark.parametrize("costs", [1, 3])
def test_the_seed_decides(costs: int) -> None:
    first, again = (run(FULL, 6, costs=costs, seed=4)[1].batches for _ in range(2))
    assert first == again
    assert run(FULL, 6, costs=costs, seed=5)[1].batches != first


@pytest.mark.parametrize("costs", [1, 3])
def test_random_numbers_of_others_do_not_matter_and_are_not_used(costs: int) -> None:
    expected = run(FULL, 5, costs=costs)[1].batches
    counted = Counted(FULL, costs)
    random.seed(9)
    np.random.seed(9)  # noqa: NPY002  # DEAP's
    drawn = [
        (random.random(), np.random.random())  # noqa: NPY002  # DEAP's
        for _ in evolve(FULL, counted, population=16, generations=5, seed=1)
    ]
    assert counted.batches == expected
    random.seed(9)
    np.random.seed(9)  # noqa: NPY002  # DEAP's
    assert drawn == [(random.random(), np.random.random()) for _ in drawn]  # noqa: NPY002  # DEAP's


def test_shared_generators_go_on_where_they_stopped() -> None:
    generators, whole = SharedGenerators("x"), SharedGenerators("x")
    found = []
    for _ in range(3):
        with generators.lent():
            found.append((random.random(), np.random.random()))  # noqa: NPY002  # DEAP's
    with whole.lent():
        assert found == [(random.random(), np.random.random()) for _ in range(3)]  # noqa: NPY002  # DEAP's
    state = random.getstate()
    with pytest.raises(KeyError), generators.lent():
        {}[random.random()]
    assert random.getstate() == state


def test_given_genomes_are_in_the_first_generation() -> None:
    generator = random.Random(8)
    seeds = [FULL.draw(generator) for _ in range(3)]
    counted = Counted(FULL)
    next(evolve(FULL, counted, population=8, generations=0, seed=1, seeds=seeds))
    assert {*seeds} <= {*counted.batches[0]}


@pytest.mark.parametrize("population", [0, 4, 10, -8])
def test_population(population: int) -> None:
    with pytest.raises(InputError) as caught:
        run(SPACE, 1, population=population)
    assert str(caught.value) == (
        f"population must be a multiple of 4, at least 8, not {population}"
    )
