"""Training of what a search finds."""

from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeAlias

from gruhw import __version__
from gruhw.basics.files import sha256
from gruhw.learning.quant.population import Population
from gruhw.learning.training.evaluate import EncodedSplit, member_figures
from gruhw.learning.training.floating import FloatNetwork
from gruhw.learning.training.quantised import train_quantised
from gruhw.learning.training.recipe import Recipe
from gruhw.network.genome import Genome
from gruhw.search.evaluation import Refined
from gruhw.search.folder import FINE_TUNING_CHECKPOINT
from gruhw.search.processes import Processes
from gruhw.search.shared import SharedWeights

TOGETHER = 4
"""Candidates that are trained at a time."""

Counts: TypeAlias = MutableSequence[int]
"""The epochs that are over, of every group."""

Job: TypeAlias = tuple[int, Sequence[Genome]]
"""The place of a group in :data:`Counts`, and its candidates."""


@dataclass(frozen=True)
class FineTuning:
    """Trains candidates from the shared weights on, each with weights of its own.

    Parameters
    ----------
    weights
        Where they start.
    recipe
        How they are trained.
    workers
        Processes.
    """

    weights: SharedWeights
    recipe: Recipe
    workers: int

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe, and the version of what follows it."""
        return {"version of gruhw": __version__, **asdict(self.recipe)}

    @property
    def contents(self) -> dict[str, str]:
        """The SHA-256 of what candidates learn from, by name."""
        return self.weights.training_contents

    @property
    def fingerprint(self) -> str:
        """Of all that the results depend on together."""
        source = self.weights.training_fingerprint
        return f"{self.recipe} gruhw {__version__} float network and data {source}"

    @property
    def together(self) -> int:
        """How many are trained at a time: half of the time of one by itself is no arithmetic."""
        return TOGETHER

    def __call__(
        self, groups: Sequence[Sequence[Genome]], progress: Callable[[int, int], None]
    ) -> Iterator[Sequence[Refined]]:
        """Yield each group as soon as it is trained."""
        total = len(groups) * self.recipe.quantised_epochs
        # Each count has one writer, and an old one that is read is of an epoch ago.
        done: Counts = get_context("spawn").RawArray("L", len(groups))
        jobs = list(enumerate(groups))

        def tell() -> None:
            progress(sum(done), total)

        if self.workers == 1:
            yield from map(partial(fine_tune, self, done, tell), jobs)
            return
        # Memory is shared with processes only when they start.
        with Processes(self.workers, _begin, (self, done)) as processes:
            yield from processes(_work, jobs, tell)


_fine_tune: Callable[[Job], list[Refined]]


def _begin(tuning: FineTuning, done: Counts) -> None:
    global _fine_tune
    _fine_tune = partial(fine_tune, tuning, done, lambda: None)


def _work(job: Job) -> list[Refined]:
    return _fine_tune(job)


def fine_tune(
    tuning: FineTuning, done: Counts, tell: Callable[[], None], job: Job
) -> list[Refined]:
    """Train some candidates; they go on where they were if they were interrupted.

    The checkpoint stays, for nobody has stored yet what is returned; the end of the search removes
    it.

    Parameters
    ----------
    tuning
        How.
    done
        Gets the epochs that are over, at the place of the group.
    tell
        Called after each.
    job
        The place and the candidates.
    """
    place, group = job

    def note(epochs: int) -> None:
        done[place] = epochs
        tell()

    weights, genes = tuning.weights, [candidate.genes for candidate in group]
    key = sha256(f"{tuning.fingerprint} {weights.fingerprint} {genes}".encode())
    models = train_quantised(
        [(widths, weights.of(widths)) for widths in genes],
        weights.task_data,
        weights.data,
        tuning.recipe,
        lambda epoch: note(epoch.number),
        teacher=FloatNetwork.of(weights.float_model),
        checkpoint=weights.folder / FINE_TUNING_CHECKPOINT.format(key[:16]),
    )
    # Of a training that is gone on with, all may have been over.
    note(tuning.recipe.quantised_epochs)
    population = Population(weights.model.network, models)
    population.assign([model.typed(g) for g, model in zip(genes, models, strict=True)])
    population.compile_steps()
    val = EncodedSplit(weights.validation, weights.model)
    figures = member_figures(population, val, times=weights.validation_times)
    return [Refined(*found) for found in zip(group, models, figures, strict=True)]
