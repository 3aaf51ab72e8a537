"""Fronts against other implementations, and the rules that select from them."""

import random
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from deap import base, tools
from toy_search import ARCHITECTURE, TinySpace

from gruhw.errors import InputError
from gruhw.network.figures import Accuracy
from gruhw.network.genome import Genome
from gruhw.search.front import (
    Candidate,
    Number,
    Reference,
    Selection,
    hypervolume,
    knee,
    non_dominated,
)
from gruhw.search.scores import Mistakes

TOTAL = 20
SPACE = TinySpace().space
GENOMES = [SPACE.genome(vector) for vector in SPACE.every()]


def candidate(correct: int, *costs: Number, genome: Genome | None = None) -> Candidate:
    return Candidate(genome or GENOMES[0], Accuracy(correct, TOTAL), costs)


def some_candidates(generator: random.Random, count: int, costs: int) -> list[Candidate]:
    """Few different figures, so that there are many ties."""
    return [
        candidate(
            generator.randrange(TOTAL),
            *(generator.randrange(9) for _ in range(costs)),
            genome=generator.choice(GENOMES),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_the_front_is_that_of_another_library(costs: int) -> None:
    generator = random.Random(costs)
    fitness = type("Fitness", (base.Fitness,), {"weights": (-1.0,) * (costs + 1)})

    class Individual:
        def __init__(self, objectives: tuple[Number, ...]) -> None:
            self.fitness = fitness(objectives)

    for count in (1, 2, 10, 60):
        found = some_candidates(generator, count, costs)
        individuals = [Individual(c.objectives) for c in found]
        first = tools.sortNondominated(individuals, count, first_front_only=True)[0]
        expected = {individual.fitness.values for individual in first}
        assert {tuple(map(float, c.objectives)) for c in non_dominated(found)} == expected


def test_equal_figures_are_represented_by_the_first_text() -> None:
    equal = [candidate(9, 4, genome=genome) for genome in GENOMES[:20]]
    (kept,) = non_dominated(equal)
    assert kept.text == min(c.text for c in equal)
    assert non_dominated(equal[::-1]) == [kept]
    assert non_dominated([]) == []


def test_the_front_ascends_in_the_first_cost() -> None:
    found = non_dominated(some_candidates(random.Random(4), 50, 2))
    assert [c.costs for c in found] == sorted(c.costs for c in found)


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_hypervolume_counts_dominated_cells(costs: int) -> None:
    generator = random.Random(10 + costs)
    point = (TOTAL - 2.0, *([7.0] * costs))
    for count in (0, 1, 5, 25):
        found = some_candidates(generator, count, costs)
        cells = product(*(range(int(bound)) for bound in point))
        dominated = sum(
            any(all(v <= x for v, x in zip(c.objectives, cell, strict=True)) for c in found)
            for cell in cells
        )
        assert hypervolume(found, point) == dominated
        assert hypervolume(found[::-1], point) == dominated


def test_the_reference_lies_behind_the_homogeneous_genomes() -> None:
    baselines = [candidate(2, 10, 7), candidate(12, 50, 7)]
    reference = Reference.of(baselines)
    assert reference.point == (19.0, 54.0, 8.0)
    assert reference.gain(baselines) == 1.0
    assert reference.gain([*baselines, candidate(12, 20, 7)]) > 1.0


FRONT = [candidate(4, 10), candidate(14, 20), candidate(15, 30), candidate(16, 40)]
BASELINE = Mistakes(Accuracy(15, TOTAL))


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("smallest", 15),
        ("knee", 14),
        ("max-accuracy", 16),
        ("budget=10", 4),
        ("budget=39.9", 15),
        ("budget=1e9", 16),
    ],
)
def test_selection(text: str, correct: int) -> None:
    for order in (FRONT, FRONT[::-1]):
        chosen = Selection.parse(text).choose(order, baseline=BASELINE, unit="bits")
        assert chosen.figure == Accuracy(correct, TOTAL)


def test_the_knee_is_farthest_from_the_chord() -> None:
    generator = np.random.default_rng(6)
    for _ in range(20):
        found = non_dominated(
            [candidate(int(c), int(s)) for c, s in generator.integers(0, 20, (30, 2))]
        )
        if len(found) < 3:
            continue
        ends = np.array([[c.costs[0], c.objectives[0]] for c in (found[0], found[-1])], float)
        points = np.array([[c.costs[0], c.objectives[0]] for c in found], float)
        span = np.abs(ends[1] - ends[0])
        (x0, y0), (x1, y1) = ends / span
        distances = [(x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0) for x, y in points / span]
        best = knee(found)
        place = found.index(best)
        assert distances[place] == pytest.approx(max(distances))


def test_an_impossible_budget_names_the_cheapest() -> None:
    with pytest.raises(InputError) as caught:
        Selection.parse("budget=9.5").choose(FRONT, baseline=BASELINE, unit="LUTs")
    assert str(caught.value) == (
        "budget must be at least 10 LUTs, which the cheapest genome found needs, not 9.5"
    )


@pytest.mark.parametrize("text", ["", "best", "budget", "smallest=3", "Knee"])
def test_unknown_selection(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Selection.parse(text)
    assert str(caught.value) == (
        f"select must be smallest, knee, max-accuracy or budget=NUMBER, not '{text}'"
    )


@pytest.mark.parametrize("limit", ["", "x", "1/2"])
def test_a_budget_is_a_number(limit: str) -> None:
    with pytest.raises(InputError) as caught:
        Selection.parse(f"budget={limit}")
    assert str(caught.value) == f"budget must be a number, not '{limit}'"


@pytest.mark.parametrize(
    "limit", ["0", "-0.5", "1e-7", "1e17", "1e999999999", "1e-999999999", "inf", "nan", "snan"]
)
def test_a_budget_is_what_costs_can_be(limit: str) -> None:
    with pytest.raises(InputError) as caught:
        Selection.parse(f"budget={limit}")
    assert str(caught.value) == f"budget must be 0.000001 to 10000000000000000, not {limit}"


@pytest.mark.parametrize(
    ("limit", "exact"),
    [("1234.5", Fraction(2469, 2)), ("0.1", Fraction(1, 10)), ("1e9", Fraction(10**9))],
)
def test_a_budget_is_exact(limit: str, exact: Fraction) -> None:
    assert Selection.parse(f"budget={limit}").budget == exact


@pytest.mark.parametrize("text", ["smallest", "knee", "max-accuracy", "budget=12", "budget=0.5"])
def test_selections_print_as_they_are_given(text: str) -> None:
    assert str(Selection.parse(text)) == text


def test_candidates_differ_by_text() -> None:
    assert len({candidate(1, 1, genome=genome).text for genome in GENOMES}) == len(GENOMES)
    assert GENOMES[0].network == ARCHITECTURE
    assert len(candidate(1, 1).text.split()) == len(ARCHITECTURE.genes) + 2
