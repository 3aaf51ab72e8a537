"""Shipping a design: what a search selected, trained beside 8 bits."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from any_design import write_design
from command_line import contents
from tiny_task import write_tiny_task

import ship_design
import ship_network
from gruhw.design import VECTORS, Design
from gruhw.learning.training.recipe import Recipe
from gruhw.network.architecture import Architecture
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw_hw.synthesis import Resources, SynthesisReport

NETWORK = Architecture(inputs=3, layers=("gru:4",), outputs=3)


def synthesised(
    verilog: str, top: str, target: str, *, operators: Mapping[str, str]
) -> SynthesisReport:
    """Reports have tests of their own, with real synthesis."""
    return SynthesisReport(target, Resources(luts=len(verilog)), {}, {"yosys": "0.0"})


def member(bits: int, correct: int, homogeneous_bits: int | None = None) -> dict[str, Any]:
    """A member of a front as a search's results describe it."""
    return {
        "homogeneous": homogeneous_bits,
        "correct": correct,
        "folding": {"pe": 1},
        "genes": dict(homogeneous(NETWORK, bits)),
    }


def test_a_design_is_shipped_beside_its_twin_of_8_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_task(tmp_path / "tiny.npz")
    search = tmp_path / "search"
    search.mkdir()
    (search / "pareto.csv").write_text("front\n")
    front = [member(2, 9), member(4, 11), member(5, 10), member(6, 12, 6), member(8, 12, 8)]
    (search / "pareto.json").write_text(json.dumps({"front": front}))
    genome = Genome(
        task=str(tmp_path / "tiny.npz"),
        network=NETWORK,
        genes=homogeneous(NETWORK, 2),
    )
    (search / "best.json").write_text(genome.to_json())
    monkeypatch.setattr(ship_design, "DESIGNS", tmp_path / "designs")
    monkeypatch.setattr("gruhw.report.synthesise", synthesised)
    options = ["--candidates", "2", "--seeds", "2", "--epochs", "1", "--processes", "1"]
    ship_design.main(["--search", str(search), *options, "--target", "ice40", "--pe", "2"])
    folder = tmp_path / "designs" / "tiny"
    assert (folder / "pareto.csv").read_text() == "front\n"
    shipped, twin = (Design.load(folder / name / "genome.json") for name in (".", "8-bit"))
    assert (folder / "small").exists() == (shipped.genome.genes == homogeneous(NETWORK, 5))
    assert shipped.genome.genes in (homogeneous(NETWORK, 4), homogeneous(NETWORK, 5))
    assert twin.genome.genes == homogeneous(NETWORK, 8)
    assert (len(shipped.samples()), len(twin.samples())) == (24, VECTORS)
    training = json.loads((folder / "training.json").read_text())
    assert [seed["seed"] for seed in training["seeds"]] == [1, 2]
    counted = [training[f"{name}_sequences"] for name in ("validation", "test")]
    assert counted == [9, 24]
    assert training["validation_variations"] == 1
    assert [c["genes"]["add_h"] for c in training["candidates"]] == [4, 5, 8]
    by_genes = {c["genes"]["add_h"]: c for c in training["candidates"]}
    for place, bits in enumerate(dict.fromkeys((shipped.genome.genes["add_h"], 4, 8))):
        found = [(seed["validation"][place], seed["test"][place]) for seed in training["seeds"]]
        assert found == list(zip(by_genes[bits]["validation"], by_genes[bits]["test"], strict=True))
    report = json.loads((folder / "report.json").read_text())["designs"]
    luts = [design["synthesis"][0]["total"]["luts"] for design in report]
    assert len({*luts}) == len(report)
    assert [d["test_accuracy"] for d in report] == training["seeds"][0]["test"]
    assert all([other["pe"] for other in design["other_foldings"]] == [2] for design in report)
    assert "* weights " in capsys.readouterr().out
    # What is trained is not trained again.
    monkeypatch.setattr(ship_design, "train_quantised", None)
    kept = ship_design.train(
        str(tmp_path / "tiny.npz"),
        NETWORK,
        [homogeneous(NETWORK, 4), homogeneous(NETWORK, 5), homogeneous(NETWORK, 8)],
        search / "shipping",
        replace(Recipe(), quantised_epochs=1, seed=2),
    )
    assert kept.test == [c["test"][1] for c in training["candidates"]]


@pytest.mark.nightly
def test_another_network_is_shipped_beside_the_task_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, designs = str(tmp_path / "tiny.npz"), tmp_path / "designs"
    write_tiny_task(Path(task))
    for folder in ("tiny", "tiny/8-bit"):
        write_design(designs / folder, NETWORK, task)
    monkeypatch.setattr(ship_design, "DESIGNS", designs)
    monkeypatch.setattr("gruhw.report.synthesise", synthesised)
    options = ["--name", "deep", "--seeds", "2", "--epochs", "1", "--processes", "1"]
    options += ["--kept", str(tmp_path / "kept")]
    ship_network.main(["--task", task, "--layers", "ugrnn:3,dense:2:relu", *options])
    design = Design.load(designs / "tiny" / "deep" / "genome.json")
    genes = design.genome.genes
    assert list(map(str, design.genome.network.layers)) == ["ugrnn:3", "dense:2:relu"]
    # The states that a product reads are narrower; what a dense layer gives is no state.
    assert (genes["l0.add_h"], genes["l1.W"], genes["l0.W_hz.weight"]) == (6, 8, 3)
    training = json.loads((design.path.parent / "training.json").read_text())
    assert [seed["seed"] for seed in training["seeds"]] == [1, 2]
    report = json.loads((design.path.parent / "report.json").read_text())["designs"]
    assert [found["name"] for found in report] == ["deep", "tiny", "8-bit"]
    assert report[0]["test_accuracy"] == training["seeds"][0]["test"][0]
    # What is trained is not trained again.
    monkeypatch.setattr(ship_design, "train_quantised", None)
    before = contents(design.path.parent)
    ship_network.main(["--task", task, "--layers", "ugrnn:3,dense:2:relu", *options])
    assert contents(design.path.parent) == before


@pytest.mark.parametrize(
    ("accuracies", "place"),
    [
        ([[0.90, 0.95, 0.96, 0.96]], 2),
        ([[0.97, 0.95, 0.96, 0.96]], 0),
        ([[0.90, 0.95, 0.94, 0.96]], 1),
        ([[0.90, 0.94, 0.96, 0.95], [0.90, 0.97, 0.95, 0.97]], 1),
        ([[0.90, lost, 0.97, 0.95] for lost in (0.938, 0.946, 0.95)], 1),
        ([[0.90, 0.94, 0.96, 0.95], [0.90, 0.94, 0.95, 0.95]], 2),
    ],
)
def test_the_cheapest_that_is_not_measurably_worse_is_chosen(
    accuracies: list[list[float]], place: int
) -> None:
    trained = [
        ship_design.Trained(seed, 0.9, [], validation, [])
        for seed, validation in enumerate(accuracies)
    ]
    assert ship_design.choose(trained) == place
