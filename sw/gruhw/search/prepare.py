"""A task made ready for searching: its float network, and the weights that candidates share."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gruhw.basics.files import exists, read_bytes, write_atomic
from gruhw.errors import InputError
from gruhw.learning.quant.network import compile_for
from gruhw.learning.tasks import Task, task_for
from gruhw.learning.training.calibrate import calibration_of
from gruhw.learning.training.fit import Epoch, Progress
from gruhw.learning.training.floating import FloatNetwork, train_float
from gruhw.learning.training.recipe import Recipe, recipe_for
from gruhw.learning.training.shared import train_shared
from gruhw.network.architecture import Architecture
from gruhw.network.bound import read_model
from gruhw.network.genes import SEARCHED_BITS, homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.normalisation import Span
from gruhw.network.parts import of_classes
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
from gruhw_hw.top import check_names

QUICK = 0.1
"""What a quick search does of everything."""

WIDEST = SEARCHED_BITS[-1]
"""The width whose fraction bits the stored models have."""


def prepare(wanted: Preparation, tell: Callable[[str], None]) -> Prepared:
    """Make a task ready for searching; see :data:`gruhw.search.evaluation.Prepare`."""
    task, out = task_for(wanted.task, wanted.network), wanted.out
    recipe = replace(recipe_for(wanted.task), seed=wanted.seed, keep_outliers=wanted.keep_outliers)
    if wanted.quick:
        recipe = _quick(recipe)
    epochs = wanted.fine_tune_epochs
    if epochs is None:
        epochs = recipe.fine_tuning_epochs
    weights = SharedWeights(wanted.task, out, wanted.network.every_step, wanted.network.initial)
    if not exists(out / SHARED_MODEL):
        check_names(wanted.network)  # before anything is trained
        _train_float(task, wanted, recipe, _telling(tell))
    task.warn_of_absent_classes()
    seen = wanted.model is not None and task.may_have_taught(
        weights.float_model.trained_on, wanted.model
    )
    if not exists(out / SHARED_MODEL):
        _train_shared(task, weights, recipe, _telling(tell))
    _check_model(weights.model, out / SHARED_MODEL, task, wanted.network)
    tuning = FineTuning(weights, replace(recipe, quantised_epochs=epochs), wanted.workers)
    return Prepared(
        task=wanted.task,
        network=wanted.network,
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
        found = _float_network(task, wanted, recipe, progress)
        _, model_of = calibration_of(found, task, task.load(), recipe)
        write_atomic(path, model_of(homogeneous(wanted.network, WIDEST)).to_bytes())
    stored = Model.from_bytes(read_bytes(path), path)
    _check_model(stored, path, task, wanted.network)


def _train_shared(task: Task, weights: SharedWeights, recipe: Recipe, progress: Progress) -> None:
    """Train the shared weights from the float network on, and store them."""
    # Read back even if it was just trained, so that all goes on from the same rounded numbers.
    teacher, data, out = FloatNetwork.of(weights.float_model), task.load(), weights.folder
    network = weights.float_model.network
    calibration, model_of = calibration_of(teacher, task, data, recipe)
    start = model_of(homogeneous(network, WIDEST))
    fractions = {
        gene.name: {str(bits): calibration.fraction(gene.name, bits) for bits in SEARCHED_BITS}
        for gene in network.calibrated
    }
    write_atomic(out / FRACTIONS, json.dumps(fractions, indent=1) + "\n")
    shared = train_shared(
        start,
        calibration,
        task,
        data,
        recipe,
        progress,
        teacher=teacher,
        checkpoint=out / SHARED_CHECKPOINT,
    )
    write_atomic(out / SHARED_MODEL, shared.to_bytes())


def _telling(tell: Callable[[str], None]) -> Progress:
    """What tells of a training's epochs, a line each."""

    def progress(epoch: Epoch) -> None:
        tell(
            f"{epoch.phase} training, epoch {epoch.number} of {epoch.of}: validation {epoch.figure}"
        )

    return progress


def _float_network(
    task: Task, wanted: Preparation, recipe: Recipe, progress: Progress
) -> FloatNetwork:
    """That of the design to start from, for which no data are needed yet, or a trained one."""
    if wanted.model is not None:
        model = read_model(Genome.load(wanted.model), wanted.model)
        _check_model(model, wanted.model, task, wanted.network)
        # Everything is trained with the task's normalisation; an imported model may have its own.
        model = model.renormalised(task.normalisation())
        if not of_classes(task.target):
            train = task.load().train
            model = model.learning(Span.of(train.y[train.counted]))
        return FloatNetwork.of(model)
    # What cannot be compiled is known before the work, not after it.
    compile_for(wanted.network)
    return train_float(
        task,
        task.load(),
        wanted.network,
        recipe,
        progress,
        checkpoint=wanted.out / FLOAT_CHECKPOINT,
    )


def _check_model(model: Model, path: Path, task: Task, network: Architecture) -> None:
    """Raise :class:`InputError` unless the model that ``path`` gives is of ``network``."""
    task.check_network(model.network, path)
    if model.network != network:
        raise InputError(
            f"{path}: the network must be {network}, as asked for, not {model.network}"
        )
