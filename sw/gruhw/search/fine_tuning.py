"""Training of what a search finds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gruhw import __version__
from gruhw.files import sha256
from gruhw.genome import Genome
from gruhw.quant.population import Population
from gruhw.search.evaluation import Refined
from gruhw.search.folder import FINE_TUNING_CHECKPOINT
from gruhw.search.processes import Processes
from gruhw.search.shared import SharedWeights
from gruhw.tasks import load_task
from gruhw.training.fit import Epoch
from gruhw.training.floating import FloatGRU
from gruhw.training.quantised import EncodedSplit, count_correct, graph_of, train_quantised
from gruhw.training.recipe import Recipe

TOGETHER = 4
"""Candidates that are trained at a time."""


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
    def fingerprint(self) -> str:
        """Of all that the results depend on."""
        source = self.weights.training_fingerprint
        return f"{self.recipe} gruhw {__version__} float network and data {source}"

    @property
    def together(self) -> int:
        """How many are trained at a time: half of the time of one by itself is no arithmetic."""
        return TOGETHER

    def __call__(
        self, groups: Sequence[Sequence[Genome]], progress: Callable[[str], None]
    ) -> Iterator[Sequence[Refined]]:
        """Yield each group as soon as it is trained."""
        if self.workers == 1:
            yield from (fine_tune(self, group, progress) for group in groups)
            return
        with Processes(self.workers) as processes:
            yield from processes(partial(fine_tune, self), groups)


def fine_tune(
    tuning: FineTuning, group: Sequence[Genome], progress: Callable[[str], None] | None = None
) -> list[Refined]:
    """Train some candidates; they go on where they were if they were interrupted.

    The checkpoint stays, for nobody has stored yet what is returned; the end of the search removes
    it.
    """
    weights, genes = tuning.weights, [candidate.widths for candidate in group]
    key = sha256(f"{tuning.fingerprint} {weights.fingerprint} {genes}".encode())
    checkpoint = weights.folder / FINE_TUNING_CHECKPOINT.format(key[:16])
    models = train_quantised(
        [(widths, weights.of(widths)) for widths in genes],
        load_task(weights.task),
        weights.data,
        tuning.recipe,
        telling(progress) if progress else lambda epoch: None,
        teacher=FloatGRU.of(weights.float_model),
        checkpoint=checkpoint,
    )
    population = Population(weights.model.sizes, models)
    population.assign([graph_of(*pair) for pair in zip(genes, models, strict=True)])
    population.compile_steps()
    counts = count_correct(
        population, EncodedSplit(weights.validation, weights.model.normalisation)
    )
    return [Refined(*found) for found in zip(group, models, counts, strict=True)]


def telling(tell: Callable[[str], Any]) -> Callable[[Epoch], None]:
    """What tells of a training's epochs, a line each."""

    def progress(epoch: Epoch) -> None:
        tell(
            f"{epoch.phase} training, epoch {epoch.number} of {epoch.of}: "
            f"validation {epoch.accuracy:.2%}"
        )

    return progress
