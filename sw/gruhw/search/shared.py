"""Accuracy from shared weights, and fine-tuning of what the search finds."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from gruhw import __version__
from gruhw.errors import InputError
from gruhw.files import read_bytes, sha256, write_atomic
from gruhw.genome import SEARCHED_BITS, Genes, Genome, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, Network, load_model
from gruhw.quant.population import Population
from gruhw.search.evaluation import Prepared, Refined
from gruhw.search.processes import Processes
from gruhw.tasks import Task, TaskData, load_task
from gruhw.training.design import calibration_of
from gruhw.training.fit import Epoch
from gruhw.training.floating import FloatGRU, train_float
from gruhw.training.quantised import EncodedSplit, count_correct, graph_of, train_quantised
from gruhw.training.recipe import Recipe, recipe_for
from gruhw.training.shared import train_shared

MEMBERS = 8
"""Candidates that are evaluated at a time."""

QUICK = 0.1
"""What a quick search does of everything."""

FLOAT_MODEL = "float.safetensors"
SHARED_MODEL = "shared.safetensors"
FRACTIONS = "fractions.json"
"""The files of a search's folder that hold what was trained before it."""


@dataclass(frozen=True)
class SharedWeights:
    """What every candidate is made from; can be pickled, and reads its files when needed.

    Parameters
    ----------
    task
        A task's name, or the path of its file.
    folder
        The search's folder.
    """

    task: str
    folder: Path

    @cached_property
    def model(self) -> Model:
        """The shared weights, with the fraction bits of 8 bits everywhere."""
        path = self.folder / SHARED_MODEL
        return Model.from_bytes(read_bytes(path), path)

    @cached_property
    def fractions(self) -> dict[str, dict[str, int]]:
        """The fraction bits of each tensor at each width."""
        path = self.folder / FRACTIONS
        try:
            found: dict[str, dict[str, int]] = json.loads(read_bytes(path))
        except ValueError as error:
            raise InputError(f"{path}: must be JSON, but: {error}") from error
        return found

    @cached_property
    def data(self) -> TaskData:
        """The task's sequences."""
        return load_task(self.task).load()

    def of(self, genes: Genes) -> Model:
        """The shared weights with the fraction bits of ``genes``."""
        widths = calibrated_tensors(genes)
        try:
            found = {name: self.fractions[name][str(bits)] for name, bits in widths.items()}
        except (KeyError, TypeError) as error:
            path = self.folder / FRACTIONS
            raise InputError(f"{path}: fraction bits of {error} are required") from error
        return replace(self.model, fractions=found)

    @cached_property
    def fingerprint(self) -> str:
        """Of weights, fraction bits and validation data."""
        val = self.data.val
        parts = [
            *(read_bytes(self.folder / name) for name in (SHARED_MODEL, FRACTIONS)),
            *(np.ascontiguousarray(array).tobytes() for array in (val.x, val.y, val.lengths)),
        ]
        return sha256("".join(sha256(part) for part in parts).encode())


class SharedEvaluator:
    """Measures candidates with shared weights, in the integers of the hardware."""

    def __init__(self, weights: SharedWeights) -> None:
        self._weights = weights
        self._val = EncodedSplit(weights.data.val, weights.model.normalisation)
        self._population = Population(weights.model.sizes, [weights.model])
        self._population.compile_steps()

    @property
    def total(self) -> int:
        """Validation sequences."""
        return len(self._weights.data.val)

    @property
    def fingerprint(self) -> str:
        """Of all that accuracies depend on."""
        return self._weights.fingerprint

    def correct(self, candidates: Sequence[Genome]) -> list[int]:
        """How many validation sequences each candidate classifies right."""
        found: list[int] = []
        for start in range(0, len(candidates), MEMBERS):
            genes = [candidate.widths for candidate in candidates[start : start + MEMBERS]]
            self._population.assign([graph_of(g, self._weights.of(g)) for g in genes])
            found += count_correct(self._population, self._val)
        return found

    def network(self, candidate: Genome) -> Network:
        """The candidate bound to the shared weights."""
        return Network.build(candidate, self._weights.of(candidate.widths))


@dataclass(frozen=True)
class SharedFactory:
    """Makes evaluators in any process."""

    weights: SharedWeights

    def __call__(self) -> SharedEvaluator:
        """A new evaluator."""
        return SharedEvaluator(self.weights)


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
        _telling(progress) if progress else lambda epoch: None,
        checkpoint=checkpoint,
    )
    checkpoint.unlink(missing_ok=True)
    population = Population(model.sizes, [model])
    population.assign([graph_of(genes, model)])
    population.compile_steps()
    (correct,) = count_correct(population, EncodedSplit(data.val, model.normalisation))
    return Refined(candidate, model, correct)


def prepare(
    task: str,
    model: Path | None,
    out: Path,
    *,
    hidden: int | None,
    seed: int,
    fine_tune_epochs: int | None,
    quick: bool,
    workers: int,
    tell: Callable[[str], None],
) -> Prepared:
    """Make a task ready for searching; see :class:`gruhw.search.evaluation.Prepare`."""
    found = load_task(task)
    recipe = replace(recipe_for(task), seed=seed)
    if quick:
        recipe = _quick(recipe)
    epochs = recipe.fine_tuning_epochs if fine_tune_epochs is None else fine_tune_epochs
    tuning = replace(recipe, quantised_epochs=epochs)
    weights = SharedWeights(task, out)
    if not (out / SHARED_MODEL).exists():
        _train(found, model, out, hidden, recipe, tell)
    return Prepared(
        task=task,
        sizes=weights.model.sizes,
        steps=found.steps,
        factory=SharedFactory(weights),
        refiner=FineTuning(weights, tuning, workers) if epochs else None,
    )


def _quick(recipe: Recipe) -> Recipe:
    def less(epochs: int) -> int:
        return max(1, round(epochs * QUICK))

    return replace(
        recipe,
        float_epochs=less(recipe.float_epochs),
        shared_epochs=less(recipe.shared_epochs),
        fine_tuning_epochs=less(recipe.fine_tuning_epochs),
    )


def _train(
    task: Task,
    model: Path | None,
    out: Path,
    hidden: int | None,
    recipe: Recipe,
    tell: Callable[[str], None],
) -> None:
    """Train the float network, unless there is one, and the shared weights; store them."""
    data, progress = task.load(), _telling(tell)
    if not (out / FLOAT_MODEL).exists():
        network = (
            FloatGRU.of(_given_model(model, task, hidden))
            if model is not None
            else train_float(
                task,
                data,
                hidden or task.hidden,
                recipe,
                progress,
                checkpoint=out / "float.checkpoint",
            )
        )
        _, model_of = calibration_of(network, task, data, recipe)
        write_atomic(out / FLOAT_MODEL, model_of(homogeneous(8)).to_bytes())
    # Read back even if it was just trained, so that all goes on from the same rounded numbers.
    network = FloatGRU.of(_float_model(out))
    calibration, model_of = calibration_of(network, task, data, recipe)
    start = model_of(homogeneous(8))
    fractions = {
        tensor: {str(bits): calibration.fraction(tensor, bits) for bits in SEARCHED_BITS}
        for tensor in calibrated_tensors(homogeneous(8))
    }
    write_atomic(out / FRACTIONS, json.dumps(fractions, indent=1) + "\n")
    shared = train_shared(
        start,
        calibration,
        task,
        data,
        recipe,
        progress,
        teacher=network,
        checkpoint=out / "shared.checkpoint",
    )
    write_atomic(out / SHARED_MODEL, shared.to_bytes())
    for name in ("float.checkpoint", "shared.checkpoint"):
        (out / name).unlink(missing_ok=True)


def _float_model(folder: Path) -> Model:
    path = folder / FLOAT_MODEL
    return Model.from_bytes(read_bytes(path), path)


def _given_model(path: Path, task: Task, hidden: int | None) -> Model:
    """The model of the design whose genome file the user names."""
    genome = Genome.load(path)
    sizes = genome.sizes
    found = load_model(genome, path)
    required = {"input": task.inputs, "classes": task.classes} | (
        {"hidden": hidden} if hidden else {}
    )
    for name, count in required.items():
        if getattr(sizes, name) != count:
            raise InputError(
                f"{path}: sizes.{name} must be {count}, as in task {task.name}, "
                f"not {getattr(sizes, name)}"
            )
    return found


def _telling(tell: Callable[[str], Any]) -> Callable[[Epoch], None]:
    def progress(epoch: Epoch) -> None:
        tell(
            f"{epoch.phase} training, epoch {epoch.number} of {epoch.of}: "
            f"validation {epoch.accuracy:.2%}"
        )

    return progress
