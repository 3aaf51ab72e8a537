"""Workers end with what they run, whatever ends the work, and leave Ctrl-C to their parent."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import interrupted_import
import pytest
import tool_jobs
from processes import assert_ended, started
from tool_jobs import all_but_the_first, ignore_sigterm, run_tool

from gruhw.errors import ToolError
from gruhw.search import processes
from gruhw.search.processes import Processes


def fail_at_work(work: Callable[[Path], None], folder: Path, count: int) -> None:
    """Raise an error when two workers have noted ``count`` processes, and a job is waiting."""
    with Processes(2) as pool:
        for _ in pool(partial(all_but_the_first, work), [(number, folder) for number in range(4)]):
            started(folder, count)
            raise ToolError("the error")


def check_ended(folder: Path, count: int) -> None:
    """So many processes were started, none runs any more, and their folders are gone."""
    pids = started(folder, count)
    assert len(pids) == count
    assert_ended(pids)
    assert [path.name for path in folder.iterdir()] == ["pids"]


def test_an_error_ends_the_programs_of_the_workers(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the error"):
        fail_at_work(run_tool, tmp_path, 6)
    check_ended(tmp_path, 6)


def test_an_error_ends_workers_that_heed_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.0)
    with pytest.raises(ToolError, match="the error"):
        fail_at_work(ignore_sigterm, tmp_path, 2)
    check_ended(tmp_path, 2)


@pytest.mark.parametrize(("work", "count"), [(run_tool, 3), (ignore_sigterm, 1)])
def test_a_killed_parent(work: Callable[[Path], None], count: int, tmp_path: Path) -> None:
    command = [sys.executable, tool_jobs.__file__, work.__name__, tmp_path]
    with subprocess.Popen(command) as parent:
        started(tmp_path, count)
        parent.kill()
    check_ended(tmp_path, count)


def test_ctrl_c_while_workers_start_leaves_them_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with Processes(2, interrupted_import.begin) as pool:
        found = list(pool(interrupted_import.handling, range(2)))
    assert found == [(True, False)] * 2
    assert capfd.readouterr().err == ""


def test_ctrl_c_while_workers_start_comes_afterwards() -> None:
    begun = []

    def interrupted_jobs() -> Iterator[int]:
        for job in range(3):
            signal.raise_signal(signal.SIGINT)
            begun.append(job)
            yield job

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Processes(1) as pool, pytest.raises(KeyboardInterrupt):
        next(pool(abs, interrupted_jobs()))
    assert begun == [0, 1, 2]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
