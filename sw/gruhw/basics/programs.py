"""Running other programs: each ends in time, and nothing that it started is left running."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from math import isfinite
from pathlib import Path
from typing import IO, Any, ParamSpec, TypeVar

from gruhw.basics.files import describe
from gruhw.errors import InputError, ToolError

LIMIT_VARIABLE = "GRUHW_TOOL_SECONDS"
"""The environment variable that says how long a program may take."""

USUAL_LIMIT = 3600.0
"""Seconds that a program may take: far more than any design has needed."""

Job = TypeVar("Job")
Found = TypeVar("Found")
Arguments = ParamSpec("Arguments")


def time_limit() -> float:
    """How many seconds a program may take.

    Raises
    ------
    InputError
        If the user's choice is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        seconds = float(text) if text else USUAL_LIMIT
    except ValueError:
        seconds = 0.0
    if not (isfinite(seconds) and seconds > 0):
        raise InputError(f"{LIMIT_VARIABLE} must be a positive number of seconds, not {text!r}")
    return seconds


def _interruptible(run: Callable[Arguments, Found]) -> Callable[Arguments, Found]:
    """Let the main thread wait for another one to run a program, which is killed if it cannot.

    Signals interrupt the main thread anywhere: if it ran the program itself, that would be left
    running by one that comes after its start and before this module knows of it.
    """

    @wraps(run)
    def called(*arguments: Arguments.args, **options: Arguments.kwargs) -> Found:
        if threading.current_thread() is not threading.main_thread():
            return run(*arguments, **options)
        [found] = in_parallel(lambda _: run(*arguments, **options), [None], threads=1)
        return found

    return called


@_interruptible
def run_program(
    name: str,
    command: Sequence[str | Path],
    *,
    text: str = "",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its exit status is part of the result.

    It has a process group of its own, which is killed if the program takes too long or this
    process is interrupted meanwhile.

    Parameters
    ----------
    name
        What people call the program.
    text
        What it reads on its standard input.

    Raises
    ------
    InputError
        If the user's time limit is wrong.
    ToolError
        If the program cannot be run, or does not end in time.
    """
    limit = time_limit()
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
    except OSError as error:
        raise ToolError(f"{name}: cannot be run: {describe(error)}") from error
    with process:
        _Running.of_this_thread().add(process)
        try:
            output, errors = process.communicate(text, timeout=limit)
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{name}: must end within {limit:g} s, but has not: {LIMIT_VARIABLE} allows more"
            ) from error
        finally:
            _Running.of_this_thread().remove(process)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def in_parallel(
    work: Callable[[Job], Found], jobs: Iterable[Job], threads: int | None = None
) -> Generator[Found]:
    """Yield the result of ``work`` for each of the ``jobs``, in their order.

    Several are done at a time, in threads, which suits work that runs programs. Where an
    exception ends it, or the caller wants no more results, those programs are killed.

    Parameters
    ----------
    threads
        How many at a time; one a processor core if it is not given.
    """
    running = _Running()
    with ThreadPoolExecutor(
        threads or os.cpu_count(), initializer=running.adopt_this_thread
    ) as pool:
        try:
            yield from pool.map(work, jobs)
        except BaseException:
            running.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Running:
    """The programs that some threads are running, to be killed together."""

    _here = threading.local()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._stopped = False

    @classmethod
    def of_this_thread(cls) -> "_Running":
        """What the thread belongs to: the one that adopted it, or one of its own."""
        if not hasattr(cls._here, "running"):
            cls._here.running = cls()
        found: _Running = cls._here.running
        return found

    def adopt_this_thread(self) -> None:
        """Count what this thread runs from now on."""
        self._here.running = self

    def add(self, process: "subprocess.Popen[str]") -> None:
        """Count a program; it is killed at once if the others were."""
        with self._lock:
            self._processes.add(process)
            if self._stopped:
                _kill(process)

    def remove(self, process: "subprocess.Popen[str]") -> None:
        """Count a program no more; it is killed if it has not ended."""
        with self._lock:
            self._processes.discard(process)
        _kill(process)

    def stop(self) -> None:
        """Kill what runs, and what will."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a program that has not ended, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
