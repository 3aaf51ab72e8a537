"""A task made ready for searching: its float network, and the weights that candidates share."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gruhw.errors import InputError
from gruhw.files import exists, write_atomic
from gruhw.genome import SEARCHED_BITS, Genome, Sizes, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, read_model
from gruhw.quant.population import compile_for
from gruhw.search.evaluation import Preparation, Prepared
from gruhw.search.fine_tuning import FineTuning
from gruhw.search.folder import (
    FLOAT_CHECKPOINT,
    FLOAT_MODEL,
    FRACTIONS,
    SHARED_CHECKPOINT,
    SHARED_MODEL,
)
from gruhw.search.shared import SharedFactory, SharedWeights
from gruhw.tasks import Task, load_task
from gruhw.training.design import calibration_of
from gruhw.training.fit import Epoch, Progress
from gruhw.training.floating import FloatGRU, train_float
from gruhw.training.recipe import Recipe, recipe_for
from gruhw.training.shared import train_shared

QUICK = 0.1
"""What a quick search does of everything."""


def prepare(wanted: Preparation, tell: Callable[[str], None]) -> Prepared:
    """Make a task ready for searching; see :data:`gruhw.search.evaluation.Prepare`."""
    task, out = load_task(wanted.task), wanted.out
    recipe = replace(recipe_for(wanted.task), seed=wanted.seed, keep_outliers=wanted.keep_outliers)
    if wanted.quick:
        recipe = _quick(recipe)
    epochs = wanted.fine_tune_epochs
    if epochs is None:
        epochs = recipe.fine_tuning_epochs
    weights = SharedWeights(wanted.task, out)
    if not exists(out / SHARED_MODEL):
        _train_float(task, wanted, recipe, _telling(tell))
    task.warn_of_absent_classes()
    seen = wanted.model is not None and task.may_have_taught(
        weights.float_model.trained_on, wanted.model
    )
    if not exists(out / SHARED_MODEL):
        _train_shared(task, weights, recipe, _telling(tell))
    _check_model(weights.model, out / SHARED_MODEL, task, wanted.hidden)
    tuning = FineTuning(weights, replace(recipe, quantised_epochs=epochs), wanted.workers)
    return Prepared(
        task=wanted.task,
        sizes=weights.model.sizes,
        steps=task.steps,
        factory=SharedFactory(weights),
        refiner=tuning if epochs else None,
        validation_seen=seen,
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


def _train_float(task: Task, wanted: Preparation, recipe: Recipe, progress: Progress) -> None:
    """Store the float network, unless there is one."""
    path = wanted.out / FLOAT_MODEL
    if not exists(path):
        network = _float_network(task, wanted, recipe, progress)
        _, model_of = calibration_of(network, task, task.load(), recipe)
        write_atomic(path, model_of(homogeneous(8)).to_bytes())
    _check_model(SharedWeights(wanted.task, wanted.out).float_model, path, task, wanted.hidden)


def _train_shared(task: Task, weights: SharedWeights, recipe: Recipe, progress: Progress) -> None:
    """Train the shared weights from the float network on, and store them."""
    # Read back even if it was just trained, so that all goes on from the same rounded numbers.
    network, data, out = FloatGRU.of(weights.float_model), task.load(), weights.folder
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
        checkpoint=out / SHARED_CHECKPOINT,
    )
    write_atomic(out / SHARED_MODEL, shared.to_bytes())


def _telling(tell: Callable[[str], None]) -> Progress:
    """What tells of a training's epochs, a line each."""

    def progress(epoch: Epoch) -> None:
        tell(
            f"{epoch.phase} training, epoch {epoch.number} of {epoch.of}: "
            f"validation {epoch.accuracy}"
        )

    return progress


def _float_network(task: Task, wanted: Preparation, recipe: Recipe, progress: Progress) -> FloatGRU:
    """That of the design to start from, for which no data are needed yet, or a trained one."""
    if wanted.model is not None:
        return FloatGRU.of(given_model(wanted.model, task, wanted.hidden))
    hidden = wanted.hidden or task.hidden
    # What cannot be compiled is known before the work, not after it.
    compile_for(Sizes(input=task.inputs, hidden=hidden, classes=task.classes))
    return train_float(
        task,
        task.load(),
        hidden,
        recipe,
        progress,
        checkpoint=wanted.out / FLOAT_CHECKPOINT,
    )


def given_model(path: Path, task: Task, hidden: int | None) -> Model:
    """The model of the design whose genome file the user names.

    Raises
    ------
    InputError
        If a file is wrong, or the model has other sizes than ``task`` or ``hidden`` units.
    """
    genome = Genome.load(path)
    found = read_model(genome, path)
    _check_model(found, path, task, hidden)
    return found


def _check_model(model: Model, path: Path, task: Task, hidden: int | None) -> None:
    """Raise :class:`InputError` unless the model that ``path`` gives has the sizes of ``task``."""
    sizes = model.sizes
    task.check_sizes(sizes, path)
    if hidden not in (None, sizes.hidden):
        raise InputError(f"{path}: sizes.hidden must be {hidden}, as asked for, not {sizes.hidden}")
