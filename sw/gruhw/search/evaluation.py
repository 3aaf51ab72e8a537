"""What a search needs to know of accuracy: the seams between the search and the networks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from gruhw.network.architecture import Architecture
from gruhw.network.figures import Figure
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.parts import Target
from gruhw.search.scores import read_figure


class Evaluator(Protocol):
    """Measures how accurate candidates are, without training each of them.

    Attributes
    ----------
    target
        What the task's data say of a sequence.
    total
        Validation sequences, or steps where each has a class.
    times
        How often each is among them, with variations of itself: see :class:`Figure`.
    contents
        The SHA-256 of data and files that accuracies depend on, each by what people call it. What
        was stored for others is not used.
    fingerprint
        Of all of them together: what stores know that were made when contents were not told apart.
    """

    @property
    def target(self) -> Target: ...

    @property
    def total(self) -> int: ...

    @property
    def times(self) -> int: ...

    @property
    def contents(self) -> Mapping[str, str]: ...

    @property
    def fingerprint(self) -> str: ...

    def figures(self, candidates: Sequence[Genome]) -> Sequence[Figure]:
        """How well each candidate does on the validation sequences.

        Exact, and independent of how candidates are grouped. Only the genes matter, not the
        folding.
        """
        ...

    def model(self, genes: Genes) -> Model:
        """The shared weights with the fraction bits of ``genes``, for costs.

        Those of a tensor depend on its own width alone.
        """
        ...


def stored_figure(evaluator: Evaluator, stored: Any) -> Figure:
    """What an evaluator or a refiner found, from what was stored of it.

    Raises
    ------
    InputError
        If it is no figure of this evaluator's sequences.
    """
    return read_figure(stored, evaluator.target, evaluator.total, evaluator.times)


EvaluatorFactory: TypeAlias = Callable[[], Evaluator]
"""Makes an evaluator; can be pickled, because each worker process makes its own."""


@dataclass(frozen=True)
class Refined:
    """A candidate after quantisation-aware training of its own.

    Parameters
    ----------
    genome
        The candidate.
    model
        Its trained model.
    figure
        How well it does on the validation sequences, computed in integers.
    """

    genome: Genome
    model: Model
    figure: Figure


class Refiner(Protocol):
    """Trains candidates further, a few at a time.

    Those of a group share nothing but their training's processor time. Still the last bit of a
    weight may depend on the others, so that a result holds for one group.

    Attributes
    ----------
    settings
        What the results depend on, besides contents, as JSON values.
    contents
        As an evaluator's, besides those.
    fingerprint
        Of both together, as an evaluator's.
    together
        How many candidates make a group.
    """

    @property
    def settings(self) -> Mapping[str, Any]: ...

    @property
    def contents(self) -> Mapping[str, str]: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def together(self) -> int: ...

    def __call__(
        self, groups: Sequence[Sequence[Genome]], progress: Callable[[int, int], None]
    ) -> Iterator[Sequence[Refined]]:
        """Yield each group as soon as it is trained.

        ``progress`` takes how many epochs of all groups together are done, and of how many; it may
        be told the same again.
        """
        ...


@dataclass(frozen=True)
class Prepared:
    """A task made ready for searching.

    Parameters
    ----------
    task
        As a genome names it.
    network
        What all candidates compute.
    steps
        Steps of the task's longest sequence.
    factory
        Makes evaluators.
    refiner
        Trains the members of the front; None leaves the shared accuracies as they are.
    validation_seen
        Whether the model to start from may have been trained on validation sequences.
    """

    task: str | None
    network: Architecture
    steps: int
    factory: EvaluatorFactory
    refiner: Refiner | None = None
    validation_seen: bool = False


@dataclass(frozen=True)
class Preparation:
    """What a search asks for before it begins.

    Parameters
    ----------
    task
        A task's name, or the path of an ``.npz`` file.
    model
        The genome file of a trained design to start from; None to train one.
    out
        The search's folder. What took long is kept in it, so that a search that was killed
        finds the same again.
    network
        What all candidates compute.
    seed
        Of every random choice.
    fine_tune_epochs
        Epochs of the refiner, of which there is none with 0; None for the task's own.
    quick
        Whether to spend as little time as possible.
    workers
        Processes that the refiner may use; results do not depend on it.
    keep_outliers
        Whether calibration represents every sample: see :class:`gruhw.learning.quant.Calibration`.
    """

    task: str
    model: Path | None
    out: Path
    network: Architecture
    seed: int
    fine_tune_epochs: int | None
    quick: bool
    workers: int
    keep_outliers: bool = False


Prepare: TypeAlias = Callable[[Preparation, Callable[[str], None]], Prepared]
"""Makes a task ready for searching: loads its data, and trains what candidates share. It tells
its second argument of its progress, a line each, and raises :class:`InputError` if there is no such
task, or the model is wrong or does not fit."""


def widths_text(genes: Genes) -> str:
    """The canonical text of what an accuracy depends on: every width, in the order of genes."""
    return " ".join(str(bits) for bits in genes.values())


def genome_text(genome: Genome) -> str:
    """The canonical text of a candidate; within one search, candidates differ in nothing else."""
    return f"{widths_text(genome.genes)} pe {genome.folding.pe}"


def by_widths(genomes: Iterable[Genome]) -> list[list[Genome]]:
    """The genomes, those of equal widths together."""
    groups: dict[str, list[Genome]] = {}
    for genome in genomes:
        groups.setdefault(widths_text(genome.genes), []).append(genome)
    return list(groups.values())
