"""The command ``gruhw search``, on a toy evaluator."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from command_line import CommandLine, contents
from tiny_task import write_tiny_task
from toy_search import SIZES, STEPS, prepare_toy, toy_model

from gruhw.cli import search as command
from gruhw.cli.request import QUICK, TRAINED, Request
from gruhw.design import save_design
from gruhw.errors import ToolError
from gruhw.genome import Genome, Sizes, homogeneous
from gruhw.search import results
from gruhw.search.store import FILE, Store

ARGUMENTS = ("search", "--task", "task.npz", "--out", "out", "--workers", "1")
SMALL = ("--population", "12", "--generations", "4", "--finalists", "4")
RESULTS = {
    "best.json", "best.safetensors", "genomes.png", "pareto.csv", "pareto.json", "pareto.png", FILE
}  # fmt: skip


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "_preparation", lambda: prepare_toy)
    write_tiny_task(tmp_path / "task.npz")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of a small search's time."""
    for name in ("draw_front", "draw_genomes"):
        monkeypatch.setattr(results, name, lambda result: b"")


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
    assert rows["validation accuracy"] == f"{chosen['accuracy']:.2%}"
    assert rows["model size / weight bits"].startswith(f"{chosen['costs']['size']:,} ")

    lines = result.err.splitlines()
    assert lines[0] == "training what all share"
    generations = [line for line in lines if line.startswith("generation ")]
    assert [line.split()[1] for line in generations] == [f"{n}/4" for n in range(5)]
    for words in ("evaluations/s", "hypervolume", "best", "left"):
        assert words in generations[2]
    (tuned,) = (line for line in lines if line.startswith("fine-tuned 1 of "))
    assert re.search(r"validation [\d.]+%  \d+:\d\d left$", tuned)
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


@pytest.mark.usefixtures("no_pictures")
def test_resume_needs_no_options(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL, "--seed", "3")
    before = contents(tmp_path / "out")
    for name in ("pareto.json", "best.json"):
        (tmp_path / "out" / name).unlink()
    gruhw.succeeds("search", "--out", "out", "--resume")
    after = contents(tmp_path / "out")
    assert {k: v for k, v in after.items() if k != FILE} == {
        k: v for k, v in before.items() if k != FILE
    }
    gruhw.succeeds("search", "--out", "out", "--resume", "--select", "max-accuracy")
    found = json.loads((tmp_path / "out" / "pareto.json").read_text())
    assert found["select"] == "max-accuracy"
    gruhw.succeeds("search", "--out", "out", "--resume", "--generations", "5")
    found = json.loads((tmp_path / "out" / "pareto.json").read_text())
    assert (found["select"], found["generations"]) == ("max-accuracy", 5)


@pytest.mark.usefixtures("no_pictures")
def test_resume_reads_no_design_again(
    gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = SIZES.model_copy(update={"classes": 3})
    start = Genome(sizes=sizes, genes=dict(homogeneous(5)) | {"add_h": 7})
    save_design(tmp_path / "design", start, toy_model(homogeneous(8), sizes), None)
    design = ("--model", "design/genome.json", "--start", "design/genome.json")
    task = ("--task", str(tmp_path / "task.npz"))
    gruhw.succeeds(*ARGUMENTS, *task, *SMALL, *design)
    before = contents(tmp_path / "out")
    (tmp_path / "design").rename(tmp_path / "moved")
    (tmp_path / "out" / "pareto.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume = ("search", "--resume", "--out", "../out")
    gruhw.succeeds(*resume)
    gruhw.succeeds(*resume, *design, "--hidden", str(sizes.hidden))
    after = contents(tmp_path / "out")
    assert {k: v for k, v in after.items() if k != FILE} == {
        k: v for k, v in before.items() if k != FILE
    }
    for option in ("model", "start"):
        refuses(
            gruhw,
            f"../out: {option} must be design/genome.json, as when the search began, not "
            "../moved/genome.json",
            *(*resume, f"--{option}", "../moved/genome.json"),
        )


def refuses(gruhw: CommandLine, line: str, *arguments: str) -> None:
    result = gruhw(*arguments)
    lines = result.err.splitlines()
    assert (result.status, result.out, lines[-1]) == (2, "", f"gruhw: {line}")


def test_what_is_wrong_is_said_before_anything_is_written(
    gruhw: CommandLine, tmp_path: Path
) -> None:
    wide = Genome(sizes=Sizes(input=3, hidden=32, classes=3), genes=dict(homogeneous(9)))
    (tmp_path / "wide.json").write_text(wide.to_json())
    start = wide.model_copy(update={"genes": dict(homogeneous(8))})
    (tmp_path / "start.json").write_text(start.to_json())
    two_classes = start.model_copy(update={"sizes": SIZES})
    for name in ("other", "damaged"):
        save_design(tmp_path / name, two_classes, toy_model(homogeneous(8)), None)
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
        "other/genome.json: sizes.classes must be 3, as in task task.npz, not 2": (
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
def test_a_folder_holds_one_search(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL)
    before = contents(tmp_path)
    refuses(
        gruhw,
        "out: holds a search already: continue it with --resume, or choose another folder "
        "with --out",
        *ARGUMENTS,
    )
    refuses(
        gruhw,
        "out: seed must be 1, as when the search began, not 2",
        *("search", "--out", "out", "--resume", "--seed", "2"),
    )
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", TRAINED)
def test_what_was_trained_for_other_options_is_not_used(
    name: str, gruhw: CommandLine, tmp_path: Path
) -> None:
    with Store(tmp_path / "out", create=True) as store:
        store.put({"request": asdict(Request(task="task.npz", seed=2))})
    (tmp_path / "out" / name).write_bytes(b"")
    before = contents(tmp_path)
    refuses(
        gruhw,
        "out: seed must be 2, as when the training in it began, not 1: continue it with --resume, "
        "or choose another folder with --out",
        *ARGUMENTS,
    )
    assert contents(tmp_path) == before
    gruhw.succeeds(*ARGUMENTS, *SMALL, "--seed", "2")


@pytest.mark.usefixtures("no_pictures")
def test_a_search_that_trained_nothing_may_begin_with_other_options(
    gruhw: CommandLine, tmp_path: Path
) -> None:
    with Store(tmp_path / "out", create=True) as store:
        store.put({"request": asdict(Request(task="other.npz"))})
    gruhw.succeeds(*ARGUMENTS, *SMALL)


def test_ctrl_c_before_a_search_begins_says_so(
    monkeypatch: pytest.MonkeyPatch, gruhw: CommandLine, tmp_path: Path
) -> None:
    def interrupt(request: Request) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_check", interrupt)
    before = contents(tmp_path)
    result = gruhw(*ARGUMENTS)
    assert (result.status, result.err) == (
        130, "gruhw: interrupted; what is known is stored: continue with the same command\n"
    )  # fmt: skip
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_keeps_another_rule(
    monkeypatch: pytest.MonkeyPatch, gruhw: CommandLine, tmp_path: Path
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    out = ("--out", "my search")
    gruhw.succeeds(*ARGUMENTS, *SMALL, *out)
    with monkeypatch.context() as patch:
        patch.setattr(command, "_run", interrupt)
        result = gruhw("search", "--resume", *out, "--select", "max-accuracy")
    assert result.status == 130
    assert result.err.endswith(": continue with gruhw search --resume --out 'my search'\n")
    gruhw.succeeds("search", "--resume", *out)
    found = json.loads((tmp_path / "my search" / "pareto.json").read_text())
    assert found["select"] == "max-accuracy"


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


@pytest.mark.usefixtures("no_pictures")
def test_a_damaged_search_is_kept(gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL)
    path = tmp_path / "out" / FILE
    path.write_bytes(path.read_bytes()[:5000])
    before = contents(tmp_path)
    result = gruhw("search", "--out", "out", "--resume")
    assert result.status == 2
    assert result.err.startswith(f"gruhw: out/{FILE}: must be a whole search file, but: ")
    assert result.err.count("\n") == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("population", "x", "request.population: input should be a valid integer, not 'x'"),
        ("pe", 1, "request.pe: input should be a valid string, not 1"),
        ("preset", "x", "request.preset: input should be 'full' or 'operators17', not 'x'"),
        ("start", [1], "request.start.0: input should be a valid string, not 1"),
        ("generations", -1, "request.generations: input should be greater than or equal to 0, not"),
        ("genomes", [{}], "request.genomes.0.sizes is required, but missing"),
        (
            "genomes",
            [{"sizes": SIZES.model_dump(), "genes": {"x": 1}}],
            "request.genomes: gene must be one of input, ",
        ),
        ("task", None, "request.task: input should be a valid string, not None"),
    ],
)
def test_a_damaged_request(
    field: str, value: object, message: str, gruhw: CommandLine, tmp_path: Path
) -> None:
    with Store(tmp_path / "out", create=True) as store:
        request = asdict(Request(task="task.npz"))
        store.put({"request": request | {field: value}})
    before = contents(tmp_path)
    result = gruhw("search", "--out", "out", "--resume")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"gruhw: out/{FILE}: {message}")
    assert contents(tmp_path) == before


SCRIPT = """
from toy_search import prepare_toy
from gruhw.cli import search as command
command._preparation = lambda: prepare_toy
from gruhw.cli import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_says_how_to_resume(gruhw: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT)
    support = Path(__file__).parents[1] / "support"
    process = subprocess.Popen(
        [sys.executable, "program.py", *ARGUMENTS[:-1], "2", *SMALL, "--generations", "400"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(support), "TOY_DELAY": "0.02"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    lines = [process.stderr.readline()]
    while "generation 1/" not in lines[-1]:
        assert lines[-1], lines
        lines.append(process.stderr.readline())
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    rest = process.communicate(timeout=180)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in rest if not line.startswith("generation ")] == [
        "gruhw: interrupted; what is known is stored: continue with gruhw search --resume --out out"
    ]
    resumed = gruhw.succeeds("search", "--out", "out", "--resume", "--generations", "3")
    assert "generation 3/3" in resumed.err
