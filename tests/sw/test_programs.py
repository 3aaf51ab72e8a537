"""Programs end in time and take everything they started with them."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from processes import FAMILY, assert_ended, started

from gruhw.basics.programs import LIMIT_VARIABLE, USUAL_LIMIT, in_parallel, run_program, time_limit
from gruhw.errors import InputError, ToolError


def test_a_program_runs_to_its_end(tmp_path: Path) -> None:
    script = "import os, sys; print(os.getcwd(), sys.stdin.read()); print('é', file=sys.stderr)"
    done = run_program(
        "python",
        [sys.executable, "-c", script],
        text="read",
        cwd=tmp_path,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path} read\n", "é\n")
    assert run_program("sh", ["sh", "-c", "exit 3"]).returncode == 3


def test_a_program_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    with pytest.raises(ToolError) as raised:
        run_program("the tool", ["sh", "-c", FAMILY], cwd=tmp_path)
    assert str(raised.value) == (
        "the tool: must end within 0.5 s, but has not: GRUHW_TOOL_SECONDS allows more"
    )
    assert_ended(started(tmp_path, 2))


def test_an_interrupt_kills_the_program_too(tmp_path: Path) -> None:
    def interrupt() -> None:
        started(tmp_path, 2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_program("the tool", ["sh", "-c", FAMILY], cwd=tmp_path)
    assert_ended(started(tmp_path, 2))


def test_an_interrupt_at_the_start_kills_the_program_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started(tmp_path, 2)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_program("the tool", ["sh", "-c", FAMILY], cwd=tmp_path)
    assert_ended(started(tmp_path, 2))


def test_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as raised:
        run_program("the tool", [tmp_path / "absent"])
    assert str(raised.value) == "the tool: cannot be run: no such file or directory"


@pytest.mark.parametrize("text", ["x", "0", "-1", "nan", "inf"])
def test_a_wrong_limit(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(InputError) as raised:
        run_program("sh", ["sh", "-c", "exit 0"])
    assert str(raised.value) == (
        f"GRUHW_TOOL_SECONDS must be a positive number of seconds, not {text!r}"
    )


def test_the_usual_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert time_limit() == USUAL_LIMIT
    monkeypatch.setenv(LIMIT_VARIABLE, "12.5")
    assert time_limit() == 12.5


def test_results_come_in_order() -> None:
    def work(number: int) -> int:
        return int(run_program("sh", ["sh", "-c", f"sleep 0.{3 - number}; echo {number}"]).stdout)

    assert list(in_parallel(work, range(4), threads=4)) == [0, 1, 2, 3]


def test_a_failure_ends_the_others(tmp_path: Path) -> None:
    def work(number: int) -> None:
        if number:
            run_program("the tool", ["sh", "-c", FAMILY], cwd=tmp_path)
        else:
            started(tmp_path, 2)
            raise ToolError("the first")

    with pytest.raises(ToolError, match="the first"):
        list(in_parallel(work, range(20), threads=2))
    assert_ended(started(tmp_path, 2))


def test_who_wants_no_more_results_waits_for_none(tmp_path: Path) -> None:
    def work(number: int) -> int:
        if number:
            run_program("the tool", ["sh", "-c", FAMILY], cwd=tmp_path)
        return number

    with closing(in_parallel(work, range(20), threads=2)) as results:
        assert next(results) == 0
        started(tmp_path, 2)
    assert_ended(started(tmp_path, 2))
