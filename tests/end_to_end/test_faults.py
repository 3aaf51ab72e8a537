"""Kills, full disks, closed folders: nothing is lost, and the next run works."""

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import GENOME, generate
from command_line import DESIGN, SCRIPT, CommandLine, Result, contents, no_permission, run_process
from tiny_task import write_task_of_samples, write_tiny_task

KILLED_AT_WRITE = """
import os, signal
left = {writes}
def killing(descriptor):
    global left
    left -= 1
    if not left:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = killing
"""
"""A process that dies in the middle of its n-th file, when the disk has half of its contents."""

FULL_DISK = """
import resource
from gruhw_hw import top
def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
generate = top.generate_verilog
def generate_and_fill(*arguments, **options):
    found = generate(*arguments, **options)
    fill()
    return found
top.generate_verilog = generate_and_fill
"""
"""No file may grow, once the Verilog is there: what makes it needs large files in memory."""


@pytest.fixture(autouse=True)
def a_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DESIGN.parent / "small", tmp_path / "design")
    write_tiny_task(tmp_path / "task.npz")
    monkeypatch.chdir(tmp_path)


def visible(folder: Path) -> dict[str, bytes]:
    """All files of a folder but those that a killed process had not finished."""
    return {
        name: data for name, data in contents(folder).items() if not Path(name).name.startswith(".")
    }


@pytest.mark.parametrize("writes", [1, 4, 11])
def test_a_killed_command_leaves_old_files_or_new_ones(
    writes: int, gruhw: CommandLine, tmp_path: Path
) -> None:
    gruhw.succeeds(*generate("--pe", "2"))
    old = visible(tmp_path / "out")
    killed = run_process(
        *generate(), cwd=tmp_path, script=KILLED_AT_WRITE.format(writes=writes) + SCRIPT
    )
    assert killed.status == -signal.SIGKILL
    found = visible(tmp_path / "out")
    gruhw.succeeds(*generate())
    new = visible(tmp_path / "out")
    assert found.keys() == old.keys() == new.keys()
    assert all(found[name] in (old[name], new[name]) for name in found)
    changed = [name for name in found if found[name] != old[name]]
    assert len(changed) < writes
    assert "manifest.json" not in changed  # which is written last, and names what the rest must be


def test_killed_training_leaves_no_half_of_a_design(gruhw: CommandLine, tmp_path: Path) -> None:
    train = ("train", "--task", "task.npz", "--hidden", "4", "--out", "out")
    short = ("--float-epochs", "1", "--epochs", "1")
    killed = run_process(
        *train, *short, cwd=tmp_path, script=KILLED_AT_WRITE.format(writes=2) + SCRIPT
    )
    assert killed.status == -signal.SIGKILL
    assert "genome.json" not in visible(tmp_path / "out")  # which makes it a design
    refused = gruhw("evaluate", "--genome", "out/genome.json")
    assert refused.err == "gruhw: out/genome.json: cannot be read: no such file or directory\n"
    gruhw.succeeds(*train, *short)
    gruhw.succeeds("evaluate", "--genome", "out/genome.json")


def fails(result: Result, status: int, line: str) -> None:
    assert (result.status, result.out) == (status, "")
    last = result.err.splitlines()[-1]
    assert last.startswith(f"gruhw: {line}")
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (generate(), 2, "out/gruhw.v: cannot be written: file too large"),
        (("simulate", "--genome", GENOME, "--samples", "1"), 1, "{tmp}: file too large: make room"),
        (("synth", "--genome", GENOME), 1, "{tmp}: file too large: make room"),
        (("verify", "--genome", GENOME, "--task", "{design}"), 1, "{tmp}: file too large"),
        (("prove", "--genome", GENOME), 1, "{tmp}: file too large: make room"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_full_disk(
    arguments: tuple[str | Path, ...],
    status: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    names = {"tmp": tmp_path / "tmp", "design": "design/task.npz"}
    write_task_of_samples(Path("design/samples.npz"), Path("design/task.npz"))
    before = contents(tmp_path)
    given = [str(argument).format(**names) for argument in arguments]
    at_once = "fill()\n" if arguments[0] == "prove" else ""
    result = run_process(*given, cwd=tmp_path, script=FULL_DISK + at_once + SCRIPT)
    fails(result, status, line.format(**names))
    assert contents(tmp_path) == before


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


@pytest.mark.parametrize(
    ("name", "option"), [("closed/out", "--out"), ("closed", "--json")], ids=["out", "json"]
)
def test_a_folder_that_may_not_be_written(
    name: str, option: str, closed: Path, tmp_path: Path
) -> None:
    file = name if option == "--out" else f"{name}/found.json"
    result = run_process(*generate(option, file), cwd=tmp_path, spoil=no_permission)
    fails(result, 2, f"{name}: cannot be written: permission denied")
    assert contents(closed) == {}


ADVICE = "let XDG_CACHE_HOME name another folder"
SIMULATE = ("simulate", "--genome", GENOME, "--samples", "1")
TRAIN = ("train", "--task", "task.npz", "--hidden", "4", "--out", "out")
VERIFY = ("verify", "--genome", GENOME, "--task", "task.npz")


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (generate(), "wasmtime"),
        (("synth", "--genome", GENOME), "wasmtime"),
        (("report", "--genome", GENOME), "wasmtime"),
        (SIMULATE, "wasmtime"),
        (VERIFY, "gruhw"),
        (TRAIN, "gruhw"),
        (("search", "--task", "task.npz", "--objective", "luts", "--out", "out"), "wasmtime"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_cache_that_may_not_be_written(
    arguments: tuple[str | Path, ...],
    folder: str,
    closed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    result = run_process(*arguments, cwd=tmp_path, spoil=no_permission)
    # Nothing else is said: no work was done before.
    line = f"gruhw: {closed}/{folder}: cannot be written: permission denied: {ADVICE}\n"
    assert (result.status, result.out, result.err) == (2, "", line)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_own_cache_that_may_not_be_written(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed.chmod(0o755)
    (closed / "wasmtime").mkdir()
    (closed / "gruhw").mkdir(mode=0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    result = run_process(*SIMULATE, cwd=tmp_path, spoil=no_permission)
    problem = f"{closed}/gruhw/simulation: cannot be written: permission denied: {ADVICE}"
    fails(result, 2, problem)


def test_a_closed_cache_that_yosys_only_reads(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    closed.chmod(0o755)
    (own_cache / "wasmtime").mkdir(exist_ok=True)
    (closed / "wasmtime").symlink_to(own_cache / "wasmtime")
    closed.chmod(0o555)
    monkeypatch.setenv("XDG_CACHE_HOME", str(closed))
    result = run_process(*generate(), cwd=tmp_path, spoil=no_permission)
    assert result.status == 0, result.err


def at_once(count: int, run: Callable[[], Result]) -> list[Result]:
    """The results of several runs that begin together."""
    results: list[Result] = []
    threads = [threading.Thread(target=lambda: results.append(run())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_commands_in_one_folder(gruhw: CommandLine, tmp_path: Path) -> None:
    results = at_once(2, lambda: run_process(*generate(), cwd=tmp_path))
    assert [result.status for result in results] == [0, 0], results
    found = contents(tmp_path / "out")
    gruhw.succeeds(*generate("--out", "alone"))
    assert found == contents(tmp_path / "alone")


@pytest.mark.nightly
@pytest.mark.slow
def test_two_simulations_with_one_cache(tmp_path: Path, fresh_cache: Path) -> None:
    simulate = ("simulate", "--genome", GENOME, "--samples", "1")
    results = at_once(2, lambda: run_process(*simulate, cwd=tmp_path))
    assert [result.status for result in results] == [0, 0], results
    assert not [name for name in contents(fresh_cache) if Path(name).name.startswith("tmp")]
    again = run_process(*simulate, cwd=tmp_path)
    assert again.status == 0
