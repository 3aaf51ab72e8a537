"""Shipping a design: what a search selected, trained beside 8 bits, and the table of README.md."""

import importlib.util
import json
from pathlib import Path

import pytest
from command_line import REPOSITORY
from tiny_task import write_tiny_task

import ship_design
from gruhw.design import Design
from gruhw.genome import Genome, Sizes, homogeneous


def test_a_design_is_shipped_beside_its_twin_of_8_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_task(tmp_path / "tiny.npz")
    search = tmp_path / "search"
    search.mkdir()
    (search / "pareto.csv").write_text("front\n")
    genome = Genome(
        task=str(tmp_path / "tiny.npz"),
        sizes=Sizes(input=3, hidden=4, classes=3),
        genes=dict(homogeneous(4)),
    )
    (search / "best.json").write_text(genome.to_json())
    monkeypatch.setattr(ship_design, "DESIGNS", tmp_path / "designs")
    options = ["--seeds", "2", "--epochs", "1", "--processes", "1", "--target", "ice40"]
    ship_design.main(["--search", str(search), *options])
    folder = tmp_path / "designs" / "tiny"
    assert (folder / "pareto.csv").read_text() == "front\n"
    shipped, twin = (Design.load(folder / name / "genome.json") for name in (".", "8-bit"))
    assert shipped.genome.widths == genome.widths
    assert twin.genome.widths == homogeneous(8)
    assert len(twin.samples()) == len(shipped.samples()) == 24
    training = json.loads((folder / "training.json").read_text())
    assert [seed["seed"] for seed in training["seeds"]] == [1, 2]
    report = json.loads((folder / "report.json").read_text())["designs"]
    assert [d["test_accuracy"] for d in report] == training["seeds"][0]["test"]
    assert report[0]["weight_bits"] * 2 == report[1]["weight_bits"]
    assert "tiny: test " in capsys.readouterr().out


def test_the_table_of_designs_is_what_their_reports_say() -> None:
    spec = importlib.util.spec_from_file_location("results", REPOSITORY / "docs" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    results = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(results)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert results.table() in readme
    assert results.designs()
