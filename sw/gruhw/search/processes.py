"""Processes that work for this one, and end with it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import TypeVar

from gruhw.errors import ToolError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numerical libraries read their number of threads from."""

GLANCE = 1.0
"""Seconds between two looks at what processes are doing."""

GRACE_SECONDS = 5.0
"""What a terminated process may take to end its programs and remove its temporary folders."""

Job = TypeVar("Job")
Found = TypeVar("Found")


class Processes:
    """Freshly started processes, of one thread each, that leave Ctrl-C to this one.

    Where an exception leaves the context, those at work are terminated; those of a process
    that is killed end by themselves. Either way they end the programs that they run and remove
    their temporary folders, unless that takes more than :data:`GRACE_SECONDS`.

    Parameters
    ----------
    count
        Processes; they start when there is work for them.
    initialise, arguments
        Called in each process before its work.
    """

    def __init__(
        self,
        count: int,
        initialise: Callable[..., None] | None = None,
        arguments: tuple[object, ...] = (),
    ) -> None:
        self._pool = ProcessPoolExecutor(
            count, get_context("spawn"), _start, (initialise, arguments)
        )

    def __call__(
        self,
        work: Callable[[Job], Found],
        jobs: Iterable[Job],
        meanwhile: Callable[[], None] | None = None,
    ) -> Iterator[Found]:
        """Yield the result of ``work`` for every job, in the order in which they come.

        Parameters
        ----------
        meanwhile
            Called now and then while there is none, and when there is one.

        Raises
        ------
        ToolError
            If a process ends before its work does.
        """
        try:
            with _one_thread_each(), _ctrl_c_later():
                waiting = {self._pool.submit(_do, work, job) for job in jobs}
            while waiting:
                done, waiting = wait(waiting, GLANCE if meanwhile else None, FIRST_COMPLETED)
                if meanwhile is not None:
                    meanwhile()
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise ToolError(
                "a worker process ended before its work did, maybe for lack of memory: "
                "continue with --resume and fewer --workers"
            ) from error

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            # What they compute now would not be stored any more.
            _terminate(list((self._pool._processes or {}).values()))
        self._pool.shutdown(cancel_futures=True)


def _start(initialise: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initialise is not None:
        initialise(*arguments)


def _do(work: Callable[[Job], Found], job: Job) -> Found:
    """Do a job in a worker; what SIGTERM interrupts is left as by an exception."""
    try:
        signal.signal(signal.SIGTERM, _leave)
        try:
            return work(job)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit:
        # The executor would catch it and give this process the next job.
        os._exit(1)


def _leave(number: int, frame: object) -> None:
    # A second one must not interrupt what the first one has to end and remove.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os._exit(1)


def _terminate(processes: Sequence[BaseProcess]) -> None:
    """Terminate processes; kill those that have not ended in time, such as in a long C++ call."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + GRACE_SECONDS
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile compute in one thread each: there are enough of them."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Ctrl-C interrupts this process afterwards, and none that starts meanwhile.

    Those inherit that it is blocked, until they can ignore it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
