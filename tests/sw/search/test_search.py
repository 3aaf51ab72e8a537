"""Whole searches on a toy task: what is evaluated, fine-tuned, reported and refused."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import contents
from killed_search import SETTINGS
from toy_search import (
    PAPER_SPACE,
    STEPS,
    TOTAL,
    DyingFactory,
    TinySpace,
    ToyRefiner,
    lines,
    toy_correct,
    toy_prepared,
)

from gruhw.errors import InputError, ToolError
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy
from gruhw.network.genome import Genome
from gruhw.search.accelerators import Accelerators
from gruhw.search.evaluation import Evaluator, Prepared, genome_text, widths_text
from gruhw.search.front import Candidate, Selection, non_dominated
from gruhw.search.objectives import Cost, make_costs
from gruhw.search.result import Progress, Result, Settings
from gruhw.search.run import WITHIN_BUDGET, search
from gruhw.search.space import SearchSpace
from gruhw.search.store import FILE, Store

COSTS = make_costs(["size"], steps=STEPS)


def run(
    folder: Path,
    prepared: Prepared | None = None,
    *,
    settings: Settings = SETTINGS,
    space: SearchSpace = PAPER_SPACE,
    costs: list[Cost] = COSTS,
    told: list[Progress] | None = None,
    seeds: tuple[Genome, ...] = (),
) -> Result:
    with Store(folder, create=not (folder / FILE).exists()) as store:
        tell = (lambda progress: None) if told is None else told.append
        made = prepared or toy_prepared()
        return search(made, space, costs, settings, store, seeds=seeds, tell=tell)


def test_resuming_a_finished_search_evaluates_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = run(tmp_path / "s", toy_prepared(log=str(log)))
    count = len(lines(log))
    assert count > 50
    told: list[Progress] = []
    again = run(tmp_path / "s", toy_prepared(log=str(log)), told=told)
    assert len(lines(log)) == count
    assert {progress.evaluated for progress in told} == {0}
    # Models are compared by identity.
    assert [m.candidate for m in again.front] == [m.candidate for m in first.front]
    assert again.history == first.history


def test_more_generations_continue_a_search(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(tmp_path / "s", toy_prepared(log=str(log)), settings=replace(SETTINGS, generations=3))
    short = len([line for line in lines(log) if "refined" not in line])
    run(tmp_path / "s", toy_prepared(log=str(log)))
    found = [line for line in lines(log) if "refined" not in line]
    assert short < len(found) == len(set(found))
    expected = run(tmp_path / "other")
    assert [m.candidate for m in run(tmp_path / "s").front] == [m.candidate for m in expected.front]


def test_the_result_is_made_of_exact_figures(tmp_path: Path) -> None:
    told: list[Progress] = []
    result = run(tmp_path, told=told)
    assert all(c.figure == Accuracy(toy_correct(c.genome), TOTAL) for c in result.evaluated)
    members = (*result.front, *result.baseline)
    for member in members:
        before = toy_correct(member.candidate.genome)
        assert member.shared.figure == Accuracy(before, TOTAL)
        assert member.candidate.figure == Accuracy(before + (TOTAL - before) // 2, TOTAL)
        assert member.model is not None
        network = Network.build(member.candidate.genome, member.model)
        assert member.candidate.costs == (network.weight_bits,)
    kept = non_dominated([member.candidate for member in members])
    assert kept == [member.candidate for member in result.front]
    assert result.selected in result.front
    assert result.selected.candidate.loss <= result.eight.candidate.loss
    assert [m.homogeneous for m in result.baseline] == [b for b in range(2, 9) for _ in (1, 2)]
    # Two foldings share one accuracy and one training.
    with Store(tmp_path, create=False) as store:
        (count,) = store._connection.execute("SELECT COUNT(*) FROM accuracies").fetchone()
        assert count == len({widths_text(c.genome.genes) for c in result.evaluated})
        assert count < len(result.evaluated)

    generations = [p.generation for p in told if p.finished and p.generation is not None]
    assert generations == list(range(SETTINGS.generations + 1))
    assert [round(p.gain, 9) for p in told if p.finished and p.generation is not None] == [
        round(step.gain, 9) for step in result.history
    ]
    assert told[0].evaluated > 0
    assert max(p.evaluated for p in told) == len(result.evaluated)


def test_the_time_left_is_that_of_the_generations_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    run(tmp_path, told=told)
    whole = SETTINGS.generations * SETTINGS.population
    known = [p for p in told if p.left is not None and p.generation is not None]
    evaluations = [round(p.left * p.rate) for p in known]
    # How long the descent takes is not known before its end.
    begun = [p.left is not None for p in told if p.generation is not None]
    assert begun == sorted(begun)
    assert evaluations[0] == whole
    assert evaluations[-1] == 0
    assert evaluations == sorted(evaluations, reverse=True)
    for progress in told:
        if progress.finished and progress.generation and progress.left is not None:
            left = SETTINGS.generations - progress.generation
            assert round(progress.left * progress.rate) == left * SETTINGS.population


def test_a_small_space_gives_the_true_front(tmp_path: Path) -> None:
    space = TinySpace(widths=(2, 3, 4, 5)).space
    settings = replace(SETTINGS, generations=60, finalists=400)
    result = run(tmp_path, toy_prepared(refine=False), settings=settings, space=space)
    evaluator: Evaluator = toy_prepared().factory()
    accelerators = Accelerators(evaluator.model)
    every = []
    for genome in map(space.genome, space.every()):
        costs = tuple(cost(accelerators(genome)) for cost in COSTS)
        every.append(Candidate(genome, Accuracy(toy_correct(genome), TOTAL), costs))
    expected = non_dominated(every)
    assert [member.candidate for member in result.front] == expected
    whole = non_dominated(list(result.evaluated))
    assert [c.objectives for c in whole] == [c.objectives for c in expected]


def test_without_anything_to_find_out_the_whole_front_is_the_result(tmp_path: Path) -> None:
    result = run(tmp_path, toy_prepared(refine=False))
    assert len(result.front) > 2 * SETTINGS.finalists
    assert [member.candidate for member in result.front] == non_dominated(result.evaluated)


def test_given_genomes_take_part(tmp_path: Path) -> None:
    seed = PAPER_SPACE.genome(PAPER_SPACE.draw(random.Random(3)))
    result = run(tmp_path, seeds=(seed,))
    assert genome_text(seed) in {c.text for c in result.evaluated}


@pytest.mark.parametrize("text", ["knee", "max-accuracy", "budget=500"])
def test_a_selection_needs_no_new_search(text: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(tmp_path / "s", toy_prepared(log=str(log)))
    count = len(lines(log))
    selection = Selection.parse(text)
    settings = replace(SETTINGS, selection=selection)
    result = run(tmp_path / "s", toy_prepared(log=str(log)), settings=settings)
    # Those within the budget may not have been fine-tuned before, nor a group with them.
    new = len(WITHIN_BUDGET) + ToyRefiner.together if "budget" in text else 0
    assert len(lines(log)) - count <= new
    candidates = [member.candidate for member in result.front]
    assert result.selected.candidate == selection.choose(candidates, 0, "")


def test_what_rules_select_is_among_the_finalists(tmp_path: Path) -> None:
    settings = replace(SETTINGS, finalists=2, generations=12)
    result = run(tmp_path, settings=settings)
    front = non_dominated(list(result.evaluated))
    assert len(front) > 6
    with Store(tmp_path, create=False) as store:
        for rule in ("smallest", "knee", "max-accuracy"):
            chosen = Selection.parse(rule).choose(front, result.eight.shared.score, "")
            rows = store._connection.execute(
                "SELECT 1 FROM refined WHERE genome LIKE ?",
                (f"{widths_text(chosen.genome.genes)} among %",),
            )
            assert rows.fetchone(), rule


def test_an_impossible_budget_is_told_of_before_the_search(tmp_path: Path) -> None:
    told: list[Progress] = []
    settings = replace(SETTINGS, selection=Selection.parse("budget=3"))
    with pytest.raises(InputError, match=r"budget must be at least .* weight bits") as caught:
        run(tmp_path, settings=settings, told=told)
    assert "not 3" in str(caught.value)
    assert {progress.generation for progress in told} == {0}
    run(tmp_path)  # nothing was lost


def test_a_budget_that_evolution_may_meet_is_not_refused_before_it(tmp_path: Path) -> None:
    cheapest = min(member.candidate.costs[0] for member in run(tmp_path / "first").front)
    told: list[Progress] = []
    settings = replace(SETTINGS, selection=Selection.parse(f"budget={cheapest - 1}"))
    with pytest.raises(InputError, match=f"budget must be at least {cheapest:,} weight bits"):
        run(tmp_path / "second", settings=settings, told=told)
    assert settings.generations in {progress.generation for progress in told}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 2}, "seed must be 1, as when the search began, not 2"),
        ({"population": 16}, "population must be 12, as when the search began, not 16"),
    ],
)
def test_other_settings_are_another_search(
    changed: dict[str, int], message: str, tmp_path: Path
) -> None:
    run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError) as caught:
        run(tmp_path, settings=replace(SETTINGS, **changed))  # type: ignore[arg-type]  # ints
    assert str(caught.value) == f"{tmp_path / FILE}: {message}"
    with pytest.raises(InputError, match='objectives must be \\["size"\\]'):
        run(tmp_path, costs=make_costs(["energy"], steps=STEPS))
    assert contents(tmp_path) == before


def test_a_worker_that_dies_gets_one_line(tmp_path: Path) -> None:
    prepared = replace(toy_prepared(), factory=DyingFactory())
    with Store(tmp_path, create=True) as store, pytest.raises(ToolError) as caught:
        search(prepared, PAPER_SPACE, COSTS, SETTINGS, store, workers=2)
    assert str(caught.value).startswith("a worker process ended before its work did")


def test_a_damaged_model_in_the_store_gets_one_line(tmp_path: Path) -> None:
    run(tmp_path)
    with Store(tmp_path, create=False) as store:
        store._connection.execute("UPDATE refined SET model = ?", (b"nothing",))
    with pytest.raises(InputError) as caught:
        run(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / FILE}: must be a whole safetensors file")


def test_figures_of_a_group_are_those_of_no_other(tmp_path: Path) -> None:
    """The last bit of a weight may depend on what was trained together."""
    log = tmp_path / "log"
    run(tmp_path / "s", toy_prepared(log=str(log)))
    before = sum("refined" in line for line in lines(log))
    prepared = toy_prepared(log=str(log))
    assert isinstance(prepared.refiner, ToyRefiner)
    other = replace(prepared, refiner=replace(prepared.refiner, together=5))
    run(tmp_path / "s", other)
    assert sum("refined" in line for line in lines(log)) == 2 * before


def test_the_best_are_fine_tuned_with_one_more_bit_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    told: list[Progress] = []
    settings = replace(SETTINGS, finalists=24)
    result = run(tmp_path / "s", toy_prepared(log=str(log)), settings=settings, told=told)
    front = non_dominated(list(result.evaluated))
    chosen = Selection("max-accuracy").choose(front, front[0].score, "")
    vector = PAPER_SPACE.vector(chosen.genome)
    refined = {line for line in lines(log) if "refined" in line}
    for weights in (False, True):
        genes = PAPER_SPACE.genome(PAPER_SPACE.widened(vector, weights=weights)).genes.values()
        assert f"refined {' '.join(map(str, genes))}" in refined
    for plain in PAPER_SPACE.narrow_operands():
        genes = PAPER_SPACE.genome(plain).genes.values()
        assert f"refined {' '.join(map(str, genes))}" in refined
    # Some are evaluated after the last generation, which is still the last one.
    assert max(p.evaluated for p in told) == len(result.evaluated) > result.history[-1].evaluations
    assert max(p.generation or 0 for p in told) == SETTINGS.generations
