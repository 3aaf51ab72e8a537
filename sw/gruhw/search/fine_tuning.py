"""Training of what a search finds, each candidate by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gruhw import __version__
from gruhw.files import sha256
from gruhw.genome import Genome
from gruhw.quant.population import Population
from gruhw.search.evaluation import Refined
from gruhw.search.processes import Processes
from gruhw.search.shared import SharedWeights
from gruhw.tasks import load_task
from gruhw.training.fit import Epoch
from gruhw.training.quantised import EncodedSplit, count_correct, graph_of, train_quantised
from gruhw.training.recipe import Recipe


@dataclass(frozen=True)
class FineTuning:
    """Trains candidates by themselves, from the shared weights on.

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
        return f"{self.recipe} gruhw {__version__}"

    def __call__(
        self, candidates: Sequence[Genome], progress: Callable[[str], None]
    ) -> Iterator[Refined]:
        """Yield each candidate as soon as it is trained."""
        if self.workers == 1:
            yield from (fine_tune(self, candidate, progress) for candidate in candidates)
            return
        with Processes(self.workers) as processes:
            yield from processes(partial(fine_tune, self), candidates)


def fine_tune(
    tuning: FineTuning, candidate: Genome, progress: Callable[[str], None] | None = None
) -> Refined:
    """Train one candidate; it goes on where it was if it was interrupted."""
    weights, genes = tuning.weights, candidate.widths
    start = weights.of(genes)
    task, data = load_task(weights.task), weights.data
    key = sha256(f"{tuning.fingerprint} {weights.fingerprint} {genes}".encode())
    checkpoint = weights.folder / f"fine-tuning-{key[:16]}.checkpoint"
    (model,) = train_quantised(
        [(genes, start)],
        task,
        data,
        tuning.recipe,
        telling(progress) if progress else lambda epoch: None,
        checkpoint=checkpoint,
    )
    checkpoint.unlink(missing_ok=True)
    population = Population(model.sizes, [model])
    population.assign([graph_of(genes, model)])
    population.compile_steps()
    (correct,) = count_correct(population, EncodedSplit(weights.validation, model.normalisation))
    return Refined(candidate, model, correct)


def telling(tell: Callable[[str], Any]) -> Callable[[Epoch], None]:
    """What tells of a training's epochs, a line each."""

    def progress(epoch: Epoch) -> None:
        tell(
            f"{epoch.phase} training, epoch {epoch.number} of {epoch.of}: "
            f"validation {epoch.accuracy:.2%}"
        )

    return progress
