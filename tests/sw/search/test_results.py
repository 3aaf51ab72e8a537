"""The files of a search say what was found, in the same bytes every time."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from toy_search import ARCHITECTURE, DEEP, PAPER_SPACE, STEPS, TOTAL, Estimate, lines, toy_prepared

from gruhw.errors import InputError
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy
from gruhw.network.genes import preset_of
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.search.clusters import CLUSTERS, cluster, widths_of
from gruhw.search.front import Number, Selection, non_dominated
from gruhw.search.objectives import make_costs
from gruhw.search.plots import (
    _boundaries,
    _gene_kinds,
    _gene_labels,
    draw_front,
    draw_genomes,
    label_points,
)
from gruhw.search.result import Result, Settings
from gruhw.search.results import describe, front_csv, summary, write_results
from gruhw.search.run import search
from gruhw.search.space import SearchSpace
from gruhw.search.store import Store

ESTIMATE = Estimate()


class RoughEstimate(Estimate):
    """One that synthesis does not order its genomes by."""

    def measure(self, network: Network) -> Number | None:
        return self(network) + 11 * self(network) % 31


def found(
    folder: Path,
    *,
    refine: bool,
    names: tuple[str, ...] = ("size",),
    select: str = "smallest",
    estimate: Estimate = ESTIMATE,
) -> Result:
    costs = [estimate, *make_costs(names, steps=STEPS)] if names else [estimate]
    settings = Settings(
        population=16, generations=5, finalists=6, selection=Selection.parse(select)
    )
    with Store(folder, create=True) as store:
        return search(toy_prepared(refine=refine), PAPER_SPACE, costs, settings, store)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return found(tmp_path_factory.mktemp("search"), refine=True)


def test_json_and_csv_agree(result: Result) -> None:
    described = json.loads(json.dumps(describe(result)))
    rows = list(csv.DictReader(io.StringIO(front_csv(result))))
    members = [*described["front"], *described["homogeneous"]]
    parts = ["front"] * len(result.front) + ["homogeneous"] * len(result.baseline)
    assert [row["part"] for row in rows] == parts
    for row, member in zip(rows, members, strict=True):
        assert int(row["correct"]) == member["correct"]
        assert float(row["accuracy"]) == member["accuracy"] == member["correct"] / TOTAL
        assert int(row["sequences"]) == member["sequences"] == TOTAL
        interval = [float(row["accuracy_low"]), float(row["accuracy_high"])]
        assert interval == member["accuracy_interval"]
        assert interval == [*Accuracy(member["correct"], TOTAL).interval]
        assert int(row["shared_correct"]) == member["before_fine_tuning"]["correct"]
        assert int(row["luts"]) == member["costs"]["luts"]
        assert int(row["size"]) == member["costs"]["size"]
        assert int(row["estimated_luts"]) == member["estimated"]["luts"]
        assert member["costs"]["luts"] == member["estimated"]["luts"] + int(row["add_h"])
        assert int(row["pe"]) == member["folding"]["pe"]
        assert {gene: int(row[gene]) for gene in ARCHITECTURE.gene_names} == member["genes"]
        assert row["homogeneous"] == str(member["homogeneous"] or "")
        assert row["selected"] == str(int(member["selected"]))
    assert sum(member["selected"] for member in described["front"]) == 1
    assert described["validation_sequences"] == TOTAL
    assert described["validation_variations"] == 1
    assert described["validation_may_be_trained_on"] is False
    doubtful = replace(result, validation_seen=True)
    assert describe(doubtful)["validation_may_be_trained_on"] is True
    assert summary(doubtful).keys() - summary(result).keys() == {"validation data"}
    assert summary(doubtful)["validation data"] == "may have been trained on"
    assert [step["generation"] for step in described["history"]] == list(range(6))
    # Finalists may be evaluated after the last generation.
    assert described["history"][-1]["evaluations"] <= described["evaluations"]


@pytest.mark.slow
def test_without_fine_tuning_there_are_no_figures_before_it(tmp_path: Path) -> None:
    result = found(tmp_path / "s", refine=False, names=())
    described = describe(result)
    assert not described["fine_tuned"]
    assert "before_fine_tuning" not in described["front"][0]
    assert "shared_correct" not in front_csv(result).splitlines()[0]
    names = write_results(result, tmp_path / "out")
    assert set(names) == {path.name for path in (tmp_path / "out").iterdir()}
    assert "best.safetensors" not in names
    best = Genome.load(tmp_path / "out" / "best.json")
    assert best == result.selected.candidate.genome
    assert best.model is None


LAYERS = SearchSpace(preset_of("full", DEEP), "toy", "values", pe=(1, 2))


def found_values(folder: Path, log: Path | None = None) -> Result:
    """A search for the widths of three layers, by the squared errors of values."""
    settings = Settings(population=16, generations=2, finalists=4, narrowed=1.0)
    prepared = toy_prepared(log=str(log) if log else None, network=DEEP, target="values")
    costs = [ESTIMATE, *make_costs(["size"], steps=STEPS)]
    with Store(folder, create=log is None) as store:
        return search(prepared, LAYERS, costs, settings, store)


@pytest.fixture(scope="module")
def values_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("values")


@pytest.fixture(scope="module")
def values_result(values_folder: Path) -> Result:
    return found_values(values_folder)


@pytest.mark.slow
def test_layers_and_squared_errors(
    values_result: Result, values_folder: Path, tmp_path: Path
) -> None:
    described = json.loads(json.dumps(describe(values_result)))
    assert described["version"] == 2
    assert described["network"] == DEEP.model_dump(mode="json")
    assert "sizes" not in described
    rows = list(csv.DictReader(io.StringIO(front_csv(values_result))))
    for row, member in zip(rows, described["front"], strict=False):
        assert float(row["mean_squared_error"]) == member["mean_squared_error"]
        interval = [float(row[f"mean_squared_error_{end}"]) for end in ("low", "high")]
        assert interval == member["mean_squared_error_interval"]
        before = member["before_fine_tuning"]["mean_squared_error"]
        assert float(row["shared_mean_squared_error"]) == before > member["mean_squared_error"]
        assert int(row["sequences"]) == member["sequences"] == TOTAL
        assert {gene: int(row[gene]) for gene in DEEP.gene_names} == member["genes"]
        assert "correct" not in row
        assert "accuracy" not in member
    front = [member.candidate for member in values_result.front]
    assert front == non_dominated(front)
    assert len(front) > 3
    rows_of = summary(values_result)
    assert rows_of["validation mean squared error"] == str(values_result.selected.candidate.figure)
    assert "validation mean squared error of 8 bits" in rows_of

    log = tmp_path / "log"
    again = found_values(values_folder, log)
    assert lines(log) == []
    assert describe(again) == describe(values_result)
    write_results(again, tmp_path)
    best = Genome.load(tmp_path / "best.json")
    assert (best.network, best.output) == (DEEP, "values")
    model = Model.from_bytes((tmp_path / "best.safetensors").read_bytes(), tmp_path)
    assert Network.build(best, model).architecture == DEEP


@pytest.mark.slow
@pytest.mark.parametrize("name", ["result", pytest.param("values_result", marks=pytest.mark.slow)])
@pytest.mark.parametrize("draw", [draw_front, draw_genomes])
def test_pictures(draw: object, name: str, request: pytest.FixtureRequest) -> None:
    assert callable(draw)
    result = request.getfixturevalue(name)
    first = draw(result)
    assert draw(result) == first
    for word in (b"Software", b"Date", b"Creation"):
        assert word not in first
    pixels = matplotlib.image.imread(io.BytesIO(first))
    assert min(pixels.shape[:2]) > 400
    # Something is drawn in the middle.
    height, width, _ = pixels.shape
    middle = pixels[height // 4 : -height // 4, width // 4 : -width // 4, :3]
    assert float(middle.std()) > 0.02


def test_labels_of_points_that_nearly_coincide_are_one() -> None:
    axis = Figure().subplots()
    axis.set_yscale("log")
    axis.set_xlim(0, 100)
    axis.set_ylim(1, 0.01)
    label_points(axis, ["6", "7", "8", "8"], [80, 90, 92, 92], [0.1, 0.1, 0.101, 0.1])
    assert [(text.get_text(), text.xy) for text in axis.texts] == [
        ("6", (80, 0.1)),
        ("7, 8", (90, 0.1)),
    ]
    # On a logarithm, a tenth as many mistakes are far away.
    label_points(axis, ["a", "b"], [10, 10], [0.02, 0.2])
    assert len(axis.texts) == 4


def test_the_summary_compares_with_eight_bits(result: Result) -> None:
    rows = summary(result)
    eight = result.eight.candidate
    assert rows["validation accuracy of 8 bits"] == str(eight.figure)
    chosen = result.selected.candidate
    assert rows["toy LUTs"].startswith(f"{chosen.costs[0]:,} (of 8 bits: {eight.costs[0]:,}, ")
    estimated = result.selected.estimated["luts"], result.eight.estimated["luts"]
    assert rows["toy LUTs, estimated"] == f"{estimated[0]:,} (of 8 bits: {estimated[1]:,})"


def test_what_synthesis_finds_decides(tmp_path: Path) -> None:
    chosen = found(tmp_path / "first", refine=True)
    exact = {int(member.candidate.costs[0]): member for member in chosen.front}
    assert chosen.selected.candidate.costs[0] == min(
        luts for luts, member in exact.items()
        if member.candidate.loss <= chosen.eight.candidate.loss
    )  # fmt: skip
    # Estimates are too low by the bits of the state: this budget is what the cheapest really needs.
    cheapest = min(exact)
    result = found(tmp_path / "second", refine=True, select=f"budget={cheapest}")
    assert result.selected.candidate.costs[0] == cheapest
    with pytest.raises(InputError, match=f"budget must be at least {cheapest} LUTs"):
        found(tmp_path / "third", refine=True, select=f"budget={cheapest - 1}")


@pytest.mark.parametrize("refine", [False, True])
def test_the_front_is_drawn_from_what_synthesis_finds(tmp_path: Path, refine: bool) -> None:
    result = found(tmp_path, refine=refine, names=(), estimate=RoughEstimate())
    candidates = [member.candidate for member in result.front]
    assert len(candidates) > 3
    assert candidates == non_dominated(candidates)
    assert any(m.candidate.costs[0] != m.estimated["luts"] for m in result.front)


def test_a_budget_that_the_best_estimate_misses_takes_the_next_best(tmp_path: Path) -> None:
    result = found(tmp_path, refine=True, names=(), select="budget=82")
    # Synthesis finds more than was estimated, by the bits of the state.
    exact = [
        replace(candidate, costs=(candidate.costs[0] + candidate.genome.genes["add_h"],))
        for candidate in result.evaluated
    ]
    best = Selection.parse("budget=82").choose(exact, exact[0].score, "LUTs")
    assert result.selected.candidate.costs[0] <= 82
    assert TOTAL - result.selected.shared.loss > 0.95 * (TOTAL - best.loss)


def test_estimates_cannot_be_changed_from_outside(result: Result) -> None:
    estimated = {"luts": 3}
    member = replace(result.selected, estimated=estimated)
    estimated["luts"] = 4
    assert dict(member.estimated) == {"luts": 3}
    with pytest.raises(TypeError):
        member.estimated["luts"] = 4  # type: ignore[index]  # that is the point


def test_genes_are_named_as_files_name_them() -> None:
    labels = _gene_labels(DEEP)
    assert labels[:4] == ["input", "l0.W", "l0.W weights", "l1.W_ii"]
    assert labels[-2:] == ["l2.W_hn weights", "head weights"]
    kinds = _gene_kinds(DEEP)
    assert kinds[:4] == [("result", False), ("result", True), ("weight", True), ("result", True)]
    # As in the first pictures: input, linear operators, other operators, weights.
    assert _boundaries(_gene_kinds(ARCHITECTURE)) == [0.5, 6.5, 17.5]


def test_clusters_are_numbered_in_order() -> None:
    narrow, middle, wide = (
        [PAPER_SPACE.genome(PAPER_SPACE.homogeneous(bits)[pe]) for pe in (0, 1)]
        for bits in (2, 5, 8)
    )
    assert cluster([*wide, *narrow, *middle]) == [0, 0, 1, 1, 2, 2]
    assert cluster([wide[0], narrow[0], middle[0], wide[1], narrow[1]]) == [0, 1, 2, 0, 1]
    assert cluster(narrow) == [0, 1]
    assert cluster([]) == []
    assert max(cluster([*wide, *narrow, *middle])) < CLUSTERS
    genes = len(ARCHITECTURE.genes)
    assert widths_of(narrow).shape == (genes, 2)
    assert np.array_equal(widths_of(wide)[:, 0], [8] * genes)
