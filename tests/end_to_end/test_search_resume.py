"""``gruhw search`` in a folder that holds a search: resumed, interrupted, damaged, another's."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from command_line import CommandLine, contents, supported
from tiny_task import write_tiny_task
from toy_command import ARGUMENTS, SMALL, refuses
from toy_search import toy_model

from gruhw.cli import search as command
from gruhw.cli.request import TRAINED, Request
from gruhw.design import save_design
from gruhw.network.architecture import Architecture
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.search.store import FILE, Store

SIZES = {"input": 3, "hidden": 4, "classes": 2}

pytestmark = pytest.mark.usefixtures("toy")


def interrupted(*arguments: object) -> None:
    """What Ctrl-C makes of a function."""
    raise KeyboardInterrupt


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
def test_a_search_that_began_before_there_was_an_option_goes_on_without_it(
    gruhw: CommandLine, tmp_path: Path
) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL)
    with Store(tmp_path / "out", create=False) as store:
        request = store.get("request")
        assert request.pop("keep_outliers") is False
        store.put({"request": request})
    gruhw.succeeds("search", "--out", "out", "--resume")
    result = gruhw("search", "--out", "out", "--resume", "--keep-outliers")
    assert (result.status, result.err) == (
        2,
        "gruhw: out: keep-outliers must be False, as when the search began, not True\n",
    )


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("hidden", [4, None])
def test_a_search_that_began_before_there_were_layers_goes_on_with_its_units(
    hidden: int | None, gruhw: CommandLine, tmp_path: Path
) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL, *(("--hidden", str(hidden)) if hidden else ()))
    before = (tmp_path / "out" / "best.json").read_bytes()
    with Store(tmp_path / "out", create=False) as store:
        request = store.get("request")
        old = {
            name: request[name] for name in request if name not in ("layers", "output", "initial")
        }
        assert request["layers"] == (f"gru:{hidden}" if hidden else None)
        store.put({"request": old | {"hidden": hidden}})
    gruhw.succeeds("search", "--out", "out", "--resume")
    assert (tmp_path / "out" / "best.json").read_bytes() == before
    with Store(tmp_path / "out", create=False) as store:
        assert store.get("request") == request
    refuses(
        gruhw,
        f"out: layers must be {f'gru:{hidden}' if hidden else 'absent'}, as when the search began, "
        "not gru:5",
        *("search", "--out", "out", "--resume", "--hidden", "5"),
    )


@pytest.mark.usefixtures("no_pictures")
def test_a_rule_outlives_an_interrupted_calibration(
    gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gruhw.succeeds(*ARGUMENTS, *SMALL, "--objective", "size")
    monkeypatch.setattr(command, "_calibrate", interrupted)
    result = gruhw("search", "--resume", "--out", "out", "--select", "knee")
    assert result.status == 130
    with Store(tmp_path / "out", create=False) as store:
        assert store.get("request")["select"] == "knee"


@pytest.mark.usefixtures("no_pictures")
def test_resume_reads_no_design_again(
    gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Architecture(inputs=3, layers=("gru:4",), outputs=3)
    start = Genome(network=network, genes=homogeneous(network, 5).changed({"add_h": 7}))
    save_design(tmp_path / "design", start, toy_model(start.genes), None)
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
    gruhw.succeeds(*resume, *design, "--hidden", "4")
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
@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_training_on_other_data_is_not_gone_on_with(
    resume: tuple[str, ...], gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(command, "_run", interrupted)
        assert gruhw(*ARGUMENTS).status == 130
    write_tiny_task(tmp_path / "task.npz", train=93)  # nothing was trained yet
    with monkeypatch.context() as patch:
        patch.setattr(command, "_run", interrupted)
        assert gruhw(*ARGUMENTS).status == 130
    (tmp_path / "out" / TRAINED[0]).write_bytes(b"")
    write_tiny_task(tmp_path / "task.npz")
    refuses(
        gruhw,
        f"out/{FILE}: the training data must be as when the search began, but changed: put back "
        "what was there, or choose another folder with --out",
        *(("search", "--out", "out", *resume) if resume else ARGUMENTS),
    )


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
    monkeypatch.setattr(command, "_calibrate", interrupted)
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
    out = ("--out", "my search")
    gruhw.succeeds(*ARGUMENTS, *SMALL, *out)
    with monkeypatch.context() as patch:
        patch.setattr(command, "_run", interrupted)
        result = gruhw("search", "--resume", *out, "--select", "max-accuracy")
    assert result.status == 130
    assert result.err.endswith(": continue with gruhw search --resume --out 'my search'\n")
    gruhw.succeeds("search", "--resume", *out)
    found = json.loads((tmp_path / "my search" / "pareto.json").read_text())
    assert found["select"] == "max-accuracy"


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
        ("preset", "x", "request.preset: input should be 'operators17' or 'full', not 'x'"),
        ("start", [1], "request.start.0: input should be a valid string, not 1"),
        ("generations", -1, "request.generations: input should be greater than or equal to 0, not"),
        ("genomes", [{}], "request.genomes.0.network is required, but missing"),
        (
            "genomes",
            [{"version": 1, "sizes": SIZES, "genes": {"x": 1}}],
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
from gruhw.network.architecture import Architecture
from gruhw.cli import search as command
command._preparation = lambda: prepare_toy
from gruhw.cli import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_says_how_to_resume(gruhw: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "program.py", *ARGUMENTS[:-1], "2", *SMALL, "--generations", "400"],
        cwd=tmp_path,
        env=supported(TOY_DELAY="0.02"),
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
