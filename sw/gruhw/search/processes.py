"""Processes that work for this one, and end with it."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from gruhw.errors import ToolError

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numerical libraries read their number of threads from."""

Job = TypeVar("Job")
Found = TypeVar("Found")


class Processes:
    """Freshly started processes, of one thread each, that leave Ctrl-C to this one.

    Where an exception leaves the context, those at work are terminated; those of a process
    that is killed end by themselves.

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

    def __call__(self, work: Callable[[Job], Found], jobs: Iterable[Job]) -> Iterator[Found]:
        """Yield the result of ``work`` for every job, in the order in which they come.

        Raises
        ------
        ToolError
            If a process ends before its work does.
        """
        try:
            with _one_thread_each():
                futures = [self._pool.submit(work, job) for job in jobs]
            for future in as_completed(futures):
                yield future.result()
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
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)


def _start(initialise: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initialise is not None:
        initialise(*arguments)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
