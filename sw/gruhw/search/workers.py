"""Evaluating candidates, in this process or in several."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import TypeAlias

from gruhw.errors import ToolError
from gruhw.genome import Genome
from gruhw.search.evaluation import Evaluator, EvaluatorFactory
from gruhw.search.front import Number
from gruhw.search.objectives import Cost

LARGEST_JOB = 8
"""Groups that a worker evaluates before it reports: what a kill loses, and its progress."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numerical libraries read their number of threads from."""


@dataclass(frozen=True)
class Group:
    """Genomes of the same widths, which differ only in folding and share an accuracy.

    Parameters
    ----------
    genomes
        Those whose costs are wanted; the first stands for all where accuracy is measured.
    correct
        Sequences classified right, if that is known.
    """

    genomes: tuple[Genome, ...]
    correct: int | None = None


@dataclass(frozen=True)
class Evaluated:
    """What became of a group: correct sequences, and the costs of each of its genomes."""

    group: Group
    correct: int
    costs: tuple[tuple[Number, ...], ...]


Costs: TypeAlias = tuple[Cost, ...]


def evaluate(evaluator: Evaluator, costs: Costs, groups: Sequence[Group]) -> list[Evaluated]:
    """Measure ``groups``, all unknown accuracies in one call."""
    unknown = [group.genomes[0] for group in groups if group.correct is None]
    measured = iter(evaluator.correct(unknown)) if unknown else iter(())
    return [
        Evaluated(
            group,
            next(measured) if group.correct is None else group.correct,
            tuple(_costs(evaluator, costs, genome) for genome in group.genomes),
        )
        for group in groups
    ]


def _costs(evaluator: Evaluator, costs: Costs, genome: Genome) -> tuple[Number, ...]:
    network = evaluator.network(genome)
    return tuple(cost(network) for cost in costs)


_factory: EvaluatorFactory
_costs_of_worker: Costs
_evaluator: Evaluator | None = None


def _start_worker(factory: EvaluatorFactory, costs: Costs) -> None:
    global _factory, _costs_of_worker
    _factory, _costs_of_worker = factory, costs
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(groups: Sequence[Group]) -> list[Evaluated]:
    global _evaluator
    if _evaluator is None:
        _evaluator = _factory()
    return evaluate(_evaluator, _costs_of_worker, groups)


class Workers:
    """Evaluates groups in ``count`` processes; in this one, if that is 1.

    Parameters
    ----------
    factory, evaluator
        What makes evaluators, and one that it made for this process.
    costs
        The costs of the search.
    count
        Processes.
    """

    def __init__(
        self, factory: EvaluatorFactory, evaluator: Evaluator, costs: Costs, count: int
    ) -> None:
        self._evaluator = evaluator
        self._costs = costs
        self._count = count
        self._pool = (
            ProcessPoolExecutor(count, get_context("spawn"), _start_worker, (factory, costs))
            if count > 1
            else None
        )

    def __call__(self, groups: Sequence[Group]) -> Iterator[list[Evaluated]]:
        """Yield what became of ``groups``, some at a time, in any order."""
        size = max(1, min(LARGEST_JOB, len(groups) // (2 * self._count)))
        jobs = [groups[start : start + size] for start in range(0, len(groups), size)]
        if self._pool is None:
            for job in jobs:
                yield evaluate(self._evaluator, self._costs, job)
            return
        with _one_thread_each():
            futures: list[Future[list[Evaluated]]] = [self._pool.submit(_work, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise ToolError(
                "a worker process ended before its work did, maybe for lack of memory: "
                "continue with --resume and fewer --workers"
            ) from error

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._pool is None:
            return
        if kind is not None:
            # What they compute now would not be stored any more.
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)


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
