"""Names and paths that shells, Yosys, make and simulators would read as something else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine, contents
from engines import EITHER
from tiny_task import write_tiny_task
from traps import TRAP

from gruhw_sim.simulators import SimulatorName

MODEL = f"{TRAP}.safetensors".replace("\\", "")
"""A genome names no file with a backslash: on another system that would be a path."""


@pytest.fixture
def folder(gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of such a name, with a design in it; the cache of all tests has it too."""
    folder = tmp_path / TRAP
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_tiny_task(Path(f"{TRAP}.npz"))
    gruhw.succeeds(
        *("train", "--task", f"{TRAP}.npz", "--out", f"-{TRAP}", "--json", f"{TRAP}.json"),
        *("--bits", "2", "--hidden", "2", "--float-epochs", "1", "--epochs", "0"),
    )
    # The genome file and the model under such names too.
    design, model = folder / f"-{TRAP}", MODEL
    genome = json.loads((design / "genome.json").read_text())
    (design / genome["model"]["file"]).rename(design / model)
    genome["model"]["file"] = model
    (design / "genome.json").unlink()
    (design / f"{TRAP}.json").write_text(json.dumps(genome))
    return folder


def genome_of(folder: Path) -> Path:
    return folder / f"-{TRAP}" / f"{TRAP}.json"


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, own_cache: Path) -> Iterator[None]:
    yield
    assert [*tmp_path.rglob("trap"), *own_cache.rglob("trap")] == []


def test_train_and_evaluate(folder: Path, gruhw: CommandLine) -> None:
    figures = json.loads((folder / f"{TRAP}.json").read_text())
    result = gruhw.succeeds("evaluate", "--genome", genome_of(folder), "--json", "e.json")
    assert json.loads((folder / "e.json").read_text())["accuracy"] == figures["test_accuracy"]
    assert f"Accuracy of -{TRAP}, computed in integers" in result.out


def test_generate(folder: Path, gruhw: CommandLine) -> None:
    result = gruhw.succeeds("generate", "--genome", genome_of(folder), "--out", f"{TRAP}/{TRAP}")
    written = contents(folder / TRAP / TRAP)
    assert MODEL in written
    assert MODEL in json.loads(written["manifest.json"])["files"]
    assert f"Design folder {TRAP}/{TRAP}" in result.out


@pytest.mark.slow
@pytest.mark.parametrize("simulator", EITHER)
def test_simulate(simulator: SimulatorName, folder: Path, gruhw: CommandLine) -> None:
    for _ in range(2):  # the second time from the cache
        gruhw.succeeds(
            *("simulate", "--genome", genome_of(folder), "--samples", "1", "--data"),
            *(f"{TRAP}.npz", "--simulator", simulator, "--json", f"{TRAP}.json"),
        )
    assert json.loads((folder / f"{TRAP}.json").read_text())["passed"]


@pytest.mark.slow
def test_synth(folder: Path, gruhw: CommandLine) -> None:
    gruhw.succeeds("synth", "--genome", genome_of(folder), "--json", f"{TRAP}.json")
    assert json.loads((folder / f"{TRAP}.json").read_text())["total"]["luts"] > 0
