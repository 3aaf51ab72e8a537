"""The command ``gruhw search``, on a toy evaluator."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CommandLine, contents
from toy_command import ARGUMENTS, SMALL
from toy_search import ARCHITECTURE, STEPS, toy_model

from gruhw.cli.request import QUICK
from gruhw.design import save_design
from gruhw.errors import ToolError
from gruhw.network.architecture import Architecture
from gruhw.network.figures import Accuracy
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.search.store import FILE

pytestmark = pytest.mark.usefixtures("toy")

SHOWN = r"\d+\.\d\d % \(\d+\.\d to \d+\.\d %, 1,000 sequences\)"

RESULTS = {
    "best.json", "best.safetensors", "genomes.png", "pareto.csv", "pareto.json", "pareto.png", FILE
}  # fmt: skip


def test_help(gruhw: CommandLine) -> None:
    result = gruhw.succeeds("search", "--help")
    assert result.out.startswith("Usage: gruhw search [OPTIONS]\n\n  ")
    # Every option says what it is.
    assert re.findall(r"^  --[\w-]+(?: \S+)?$\n  --", result.out, re.M) == []


def test_search(gruhw: CommandLine, tmp_path: Path) -> None:
    result = gruhw.succeeds(*ARGUMENTS, *SMALL, "--json", "found.json")
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULTS
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == json.loads((tmp_path / "out" / "pareto.json").read_text())
    assert (found["population"], found["generations"]) == (12, 4)
    assert [objective["name"] for objective in found["objectives"]] == ["size"]
    (chosen,) = (member for member in found["front"] if member["selected"])
    rows = dict(result.rows())
    accuracy = Accuracy(chosen["correct"], found["validation_sequences"])
    assert rows["validation accuracy"] == str(accuracy)
    assert chosen["accuracy_interval"] == [*accuracy.interval]
    assert rows["model size / weight bits"].startswith(f"{chosen['costs']['size']:,} ")

    lines = result.err.splitlines()
    assert lines[0] == "training what all share"
    generations = [line for line in lines if line.startswith("generation ")]
    assert [line.split()[1] for line in generations] == [f"{n}/4" for n in range(5)]
    for words in ("evaluations/s", "hypervolume", "left"):
        assert words in generations[2]
    assert re.search(rf"best [\d,]+ at {SHOWN}  ", generations[2])
    (tuned,) = (line for line in lines if line.startswith("fine-tuned 1 of "))
    assert re.search(rf"validation {SHOWN}  \d+:\d\d left$", tuned)
    assert "written: pareto.json, " in result.err


@pytest.mark.usefixtures("no_pictures")
def test_quick_is_small_unless_it_is_told_otherwise(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(*ARGUMENTS, "--quick", "--generations", "2")
    found = json.loads((tmp_path / "out" / "pareto.json").read_text())
    assert (found["population"], found["generations"]) == (QUICK["population"], 2)


@pytest.mark.usefixtures("no_pictures")
def test_options_reach_the_search(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(
        *ARGUMENTS, *SMALL, "--objective", "energy", "--objective", "size", "--pe", "2,1",
        "--preset", "operators17", "--seed", "5", "--fine-tune-epochs", "0", "--select", "knee",
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "pareto.json").read_text())
    assert [objective["name"] for objective in found["objectives"]] == ["energy", "size"]
    assert found["objectives"][0]["identity"] == f"energy of {STEPS} steps"
    assert (found["preset"], found["pe"], found["seed"]) == ("operators17", [1, 2], 5)
    assert (found["select"], found["fine_tuned"]) == ("knee", False)


@pytest.mark.usefixtures("no_pictures")
def test_networks_reach_the_search(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(
        *ARGUMENTS, *SMALL, "--layers", "dense:2:tanh,lstm:3", "--initial", "constant",
        "--output", "states", "--preset", "operators17",
    )  # fmt: skip
    network = {
        "inputs": 3,
        "layers": ["dense:2:tanh", "lstm:3"],
        "outputs": 3,
        "initial": "constant",
    }
    found = json.loads((tmp_path / "out" / "pareto.json").read_text())
    best = json.loads((tmp_path / "out" / "best.json").read_text())
    assert found["network"] == best["network"] == network
    assert (best["version"], best["output"]) == (2, "states")


@pytest.mark.usefixtures("no_pictures")
def test_the_model_says_what_the_network_is(gruhw: CommandLine, tmp_path: Path) -> None:
    network = Architecture(inputs=3, layers=("ugrnn:2", "gru:2"), outputs=3, initial="constant")
    genes = homogeneous(network, 8)
    model = Genome(network=network, genes=genes)
    save_design(tmp_path / "design", model, toy_model(genes), None)
    gruhw.succeeds(*ARGUMENTS, *SMALL, "--model", "design/genome.json")
    found = json.loads((tmp_path / "out" / "best.json").read_text())
    assert found["network"] == model.model_dump(mode="json")["network"]


def test_calibration_is_shown_and_comes_first(
    gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def calibrate(target: str, liberty: Path | None, progress: Callable[[int, int], None]) -> None:
        progress(1, 2)
        progress(2, 2)
        raise ToolError(f"Yosys: no {target}")

    monkeypatch.setattr("gruhw_hw.area.calibrate.calibrate", calibrate)
    monkeypatch.setattr("gruhw_hw.area.calibration.tool_versions", lambda: {"yosys": "0"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = gruhw(*ARGUMENTS, "--objective", "luts", "--target", "ecp5")
    assert (result.status, result.err.splitlines()) == (
        1,
        ["calibrating ecp5 LUTs: 1/2", "calibrating ecp5 LUTs: 2/2", "gruhw: Yosys: no ecp5"],
    )
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_said_before_anything_is_written(
    gruhw: CommandLine, tmp_path: Path
) -> None:
    network = Architecture(inputs=3, layers=("gru:32",), outputs=3)
    wide = Genome(network=network, genes=homogeneous(network, 9))
    (tmp_path / "wide.json").write_text(wide.to_json())
    start = wide.model_copy(update={"genes": homogeneous(network, 8)})
    (tmp_path / "start.json").write_text(start.to_json())
    narrow = homogeneous(ARCHITECTURE, 8)
    two_classes = Genome(network=ARCHITECTURE, genes=narrow)
    for name in ("other", "damaged"):
        save_design(tmp_path / name, two_classes, toy_model(narrow), None)
    (tmp_path / "damaged" / "model.safetensors").write_bytes(b"")
    before = contents(tmp_path)
    wrong = {
        "task must be mnist-rows": ("search", "--out", "out", "--task", "nothing"),
        "task is required, but missing: give --task, or --resume": ("search", "--out", "out"),
        "population must be a multiple of 4, at least 8, not 9": (*ARGUMENTS, "--population", "9"),
        "finalists must be a multiple of 4, not 6": (*ARGUMENTS, "--finalists", "6"),
        "pe must be numbers with commas between them, not '1;2'": (*ARGUMENTS, "--pe", "1;2"),
        "pe must be 1 to the 32 hidden units, not 33": (*ARGUMENTS, "--pe", "1,33"),
        "pe must be 1 to the 4 hidden units, not 5": (*ARGUMENTS, "--hidden", "4", "--pe", "5"),
        "a genome to start from must have the genes of preset full, 2 to 8 bits, not ": (
            *ARGUMENTS, "--start", "wide.json"
        ),
        "pe of a genome to start from must be one of 2, 4, not 1": (
            *ARGUMENTS, "--start", "start.json", "--pe", "2,4"
        ),
        "wide.json: model is required, but missing": (*ARGUMENTS, "--model", "wide.json"),
        "other/genome.json: outputs of the network must be 3, as in task task.npz, not 2": (
            *ARGUMENTS, "--model", "other/genome.json"
        ),
        "damaged/model.safetensors: SHA-256 must be ": (
            *ARGUMENTS, "--model", "damaged/genome.json"
        ),
        "budget must be a number, not 'x'": (*ARGUMENTS, "--select", "budget=x"),
        "objectives must be 1 to 3 different ones, not size, size": (
            *ARGUMENTS, *("--objective", "size") * 2
        ),
        "target of objective luts must be one of ice40, ecp5, xc7, not 'asic'": (
            *ARGUMENTS, "--objective", "luts", "--target", "asic"
        ),
        f"out/{FILE}: a search to resume is required, but missing": (
            "search", "--out", "out", "--resume"
        ),
    }  # fmt: skip
    for line, arguments in wrong.items():
        result = gruhw(*arguments)
        assert (result.status, result.out) == (2, "")
        assert result.err.startswith(f"gruhw: {line}")
        assert result.err.count("\n") == 1
        assert contents(tmp_path) == before
    result = gruhw(*ARGUMENTS, "--objective", "colour")
    assert result.status == 2
    assert "'colour' is not one of 'size', 'luts', 'area', 'memory'" in result.err
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("no_pictures")
def test_an_impossible_budget_costs_nothing(gruhw: CommandLine, tmp_path: Path) -> None:
    result = gruhw(*ARGUMENTS, *SMALL, "--select", "budget=7")
    assert result.status == 2
    line = result.err.splitlines()[-1]
    assert line.startswith("gruhw: budget must be at least ")
    assert line.endswith(
        " weight bits, which the cheapest genome found needs, not 7; what is known is stored: "
        "try another rule with gruhw search --resume --out out --select RULE"
    )
    gruhw.succeeds("search", "--out", "out", "--resume", "--select", "smallest")
    refuses_budget = gruhw("search", "--out", "out", "--resume", "--select", "budget=7")
    assert refuses_budget.status == 2
    gruhw.succeeds("search", "--out", "out", "--resume")
