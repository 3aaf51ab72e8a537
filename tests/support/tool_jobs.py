"""Jobs that hang in worker processes.

As a program of its own, ``tool_jobs.py JOB FOLDER``, it does one of them and is to be killed.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from processes import FAMILY

from gruhw.basics.files import scratch_folder
from gruhw.basics.programs import run_program
from gruhw.search import processes
from gruhw.search.processes import Processes


def run_tool(folder: Path) -> None:
    """Run a program that hangs, while there is a temporary folder; all note their numbers."""
    note(folder)
    with scratch_folder("job-", str(folder)):
        run_program("the tool", ["sh", "-c", FAMILY], cwd=folder)


def all_but_the_first(work: Callable[[Path], None], job: tuple[int, Path]) -> None:
    """Do a job in its folder; the first of them is done at once."""
    number, folder = job
    if number:
        work(folder)


def ignore_sigterm(folder: Path) -> None:
    """Work as if in a long C++ call, which no signal ends, for a parent that does not wait."""
    processes.GRACE_SECONDS = 0.0
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(folder)
    threading.Event().wait()


def note(folder: Path) -> None:
    with (folder / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")


if __name__ == "__main__":
    with Processes(1) as pool:
        list(pool(globals()[sys.argv[1]], [Path(sys.argv[2])]))
