"""Evaluating candidates, in this process or in several."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gruhw.network.bound import Network
from gruhw.network.figures import Figure
from gruhw.network.genome import Genome
from gruhw.search.accelerators import Accelerators
from gruhw.search.evaluation import Evaluator, EvaluatorFactory
from gruhw.search.front import Number
from gruhw.search.objectives import Cost
from gruhw.search.processes import Processes

LARGEST_JOB = 8
"""Groups that a worker evaluates before it reports: what a kill loses, and its progress."""


@dataclass(frozen=True)
class Group:
    """Genomes of the same widths, which differ only in folding and share an accuracy.

    Parameters
    ----------
    genomes
        Those whose costs are wanted; the first stands for all where accuracy is measured.
    figure
        How well they do, if that is known.
    """

    genomes: tuple[Genome, ...]
    figure: Figure | None = None


@dataclass(frozen=True)
class Evaluated:
    """What became of a group: how well it does, and the costs of each of its genomes."""

    group: Group
    figure: Figure
    costs: tuple[tuple[Number, ...], ...]


Costs: TypeAlias = tuple[Cost, ...]


class Worker:
    """Evaluates groups with an evaluator and the costs of a search."""

    def __init__(self, evaluator: Evaluator, costs: Costs) -> None:
        self._evaluator, self._costs = evaluator, costs
        self._accelerators = Accelerators(evaluator.model)

    def __call__(self, groups: Sequence[Group]) -> list[Evaluated]:
        """What becomes of ``groups``, all unknown accuracies measured in one call."""
        unknown = [group.genomes[0] for group in groups if group.figure is None]
        measured = iter(self._evaluator.figures(unknown)) if unknown else iter(())
        return [
            Evaluated(
                group,
                next(measured) if group.figure is None else group.figure,
                tuple(map(self._costs_of, group.genomes)),
            )
            for group in groups
        ]

    def _costs_of(self, genome: Genome) -> tuple[Number, ...]:
        accelerator = self._accelerators(genome)
        return tuple(cost(accelerator) for cost in self._costs)


_make_worker: Callable[[], Worker]
_worker: Worker | None = None


def _initialise(factory: EvaluatorFactory, costs: Costs) -> None:
    global _make_worker

    def make() -> Worker:
        return Worker(factory(), costs)

    _make_worker = make


def _work(groups: Sequence[Group]) -> list[Evaluated]:
    global _worker
    if _worker is None:
        _worker = _make_worker()
    return _worker(groups)


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
        self._here = Worker(evaluator, costs)
        self._count = count
        self._processes = Processes(count, _initialise, (factory, costs)) if count > 1 else None

    def __call__(self, groups: Sequence[Group]) -> Iterator[list[Evaluated]]:
        """Yield what became of ``groups``, some at a time, in any order."""
        size = max(1, min(LARGEST_JOB, len(groups) // (2 * self._count)))
        jobs = [groups[start : start + size] for start in range(0, len(groups), size)]
        if self._processes is None:
            return map(self._here, jobs)
        return self._processes(_work, jobs)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._processes is not None:
            self._processes.__exit__(kind, error, trace)


@dataclass(frozen=True)
class Synthesis:
    """A network whose estimated costs are to be measured, and what stands for it."""

    text: str
    network: Network
    costs: Costs


def measure(jobs: Sequence[Synthesis], count: int) -> Iterator[tuple[str, dict[str, Number]]]:
    """Measure networks in ``count`` processes; yield text and figures, in any order."""
    if count == 1 or len(jobs) < 2:
        yield from map(_measure, jobs)
        return
    with Processes(min(count, len(jobs))) as processes:
        yield from processes(_measure, jobs)


def _measure(job: Synthesis) -> tuple[str, dict[str, Number]]:
    found = {cost.name: cost.measure(job.network) for cost in job.costs}
    return job.text, {name: figure for name, figure in found.items() if figure is not None}
