"""A sample of ``bench/hostile_files.py``: a command works, whatever a file holds, or refuses it.

The long run has ten thousand cases, and files that are slow to check: cell libraries and compiled
simulations.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from hostile import running
from hostile.campaign import try_case, warm_up
from hostile.cases import Case, draw
from hostile.kinds import KINDS, Kind
from hostile.running import judge, run
from hostile.world import DESIGN, TASK, make_world

SEED = 20261124
CASES = 300

SLOW = ("Liberty", "compiled time steps")
QUICK = tuple(kind.name for kind in KINDS if not kind.compiled and kind.name not in SLOW)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Path:
    """Made in another process, for it changes the environment of its own."""
    folder = tmp_path_factory.mktemp("hostile") / "world"
    with get_context("spawn").Pool(1) as pool:
        pool.apply(make_world, (folder,), {"compiled": False, "cache": own_cache})
    return folder


@pytest.mark.slow
def test_every_file_works_or_is_refused_in_one_line(world: Path, tmp_path: Path) -> None:
    work = partial(try_case, SEED, QUICK, world, tmp_path)
    with get_context("spawn").Pool(1, warm_up) as pool:
        rows = pool.map(work, range(CASES))
    assert [row for row in rows if row["problem"]] == []
    assert {row["kind"] for row in rows} == set(QUICK)
    assert {row["outcome"] for row in rows} == {"works", "refused", "absent"}


def test_a_case_is_always_the_same(world: Path, tmp_path: Path) -> None:
    for number in range(20):
        case = draw(SEED, number, [kind for kind in KINDS if kind.name == "task"])
        assert case == draw(SEED, number, [kind for kind in KINDS if kind.name == "task"])
        for name in ("a", "b"):
            run(case, world, lambda command: None, tmp_path / name / case.name)
    kept = [
        # A case may put a folder or a pipe there instead.
        sorted(path for path in (tmp_path / name).rglob("*.npz") if path.is_file())
        for name in "ab"
    ]
    assert len(kept[0]) > 10
    for one, other in zip(*kept, strict=True):
        assert one.read_bytes() == other.read_bytes()


def refuse(line: str, status: int = 2) -> None:
    print(line, file=sys.stderr)
    sys.exit(status)


def hang() -> None:
    time.sleep(100)


def eat_memory() -> None:
    bytearray(1 << 40)


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def write(name: str, status: int) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("half of it")
    if status:
        refuse("gruhw: genome.json: is wrong", status)


FAULTS: dict[str, tuple[Callable[[], None], str]] = {
    "exception": (lambda: [][0], "status 70: IndexError"),
    "memory": (eat_memory, "status 70: MemoryError"),
    "failure": (partial(refuse, "gruhw: failed", 1), "status 1: gruhw: failed"),
    "signal": (die, "status -11"),
    "hang": (hang, "status -14"),
    "silence": (partial(sys.exit, 2), "0 lines on standard error"),
    "two lines": (partial(refuse, "gruhw: one\ntwo"), "2 lines on standard error"),
    "foreign line": (partial(refuse, "error"), "1 lines on standard error: error"),
    "no file": (partial(refuse, "gruhw: something is wrong"), "names no file"),
    "long line": (
        partial(refuse, f"gruhw: genome.json: it {'x' * 9999}"),
        "a line of 10022 characters",
    ),
    "terminal": (partial(refuse, "gruhw: genome.json: \x1b[2J"), "a line that cannot be printed"),
    "warning": (lambda: print("warning", file=sys.stderr), "printed: warning"),
    "half-written": (partial(write, "out/gruhw.v", 2), "refused, but wrote out/gruhw.v"),
    "left behind": (partial(write, "out/.gruhw.v.x", 0), "half-written: out/.gruhw.v.x"),
    "temporary": (partial(write, "tmp/x", 0), "left behind: tmp/x"),
    "trap": (partial(write, "design/trap", 0), "something ran"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TIME", 0.3)
    monkeypatch.setattr(running, "MEMORY", 8 << 30)
    fault, expected = FAULTS[name]
    case = next(_cases("genome"))
    assert (judge(case, run(case, world, lambda command: fault())) or "").startswith(expected)
    fine = run(case, world, lambda command: refuse("gruhw: design/genome.json: is wrong"))
    assert judge(case, fine) is None


def test_nothing_is_left_running(world: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ended"

    def leave_running() -> None:
        # In a process group of its own, like every program that gruhw runs.
        subprocess.Popen(["sh", "-c", f"sleep 2; touch {mark}"], process_group=0)

    run(next(_cases("genome")), world, lambda command: leave_running())
    time.sleep(3)
    assert not mark.exists()


def test_a_changed_file_that_is_pinned_must_be_refused(world: Path) -> None:
    case = next(case for case in _cases("model, pinned") if case.mutation == "truncated")
    found = run(case, world, lambda command: None)
    assert judge(case, found) == "another SHA-256 was accepted"


def _cases(kind: str) -> Iterator[Case]:
    kinds: list[Kind] = [found for found in KINDS if found.name == kind]
    return (draw(SEED, number, kinds) for number in range(1000))


def test_worlds_are_whole(world: Path) -> None:
    for kind in KINDS:
        if not kind.compiled:
            assert list(world.glob(kind.file)), kind.name
            assert all((world / name).exists() for name in kind.needs), kind.name
    assert (world / DESIGN).exists()
    assert (world / TASK).exists()
