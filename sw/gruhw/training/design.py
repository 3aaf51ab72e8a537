"""From a task to a trained design: float training, calibration, quantised training."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gruhw.accuracy import Accuracy
from gruhw.design import save_design
from gruhw.errors import GruhwWarning
from gruhw.files import PathLike, as_path, output_folder, write_atomic
from gruhw.genome import Folding, Genes, Genome, Sizes
from gruhw.model import Model, Network
from gruhw.quant import Calibration, TensorReport, float_layers
from gruhw.quant.population import compile_for
from gruhw.reference import classify
from gruhw.tasks import Split, Task, TaskData
from gruhw.training.fit import Progress
from gruhw.training.floating import FloatGRU, bounded, train_float
from gruhw.training.quantised import train_quantised
from gruhw.training.recipe import Recipe
from gruhw.values import instance

SAMPLES = 300
"""Test sequences that travel with a design, so that it can be simulated without its data."""

CALIBRATION = "calibration.json"
"""The file of a design folder that says how samples fit the types that calibration chose."""


@dataclass(frozen=True)
class Figures:
    """What became of a training.

    Parameters
    ----------
    before
        The test accuracy before quantised training, right after calibration.
    validation, test
        After it.
    weight_bits
        The size of all weight matrices, head included.
    """

    before: Accuracy
    validation: Accuracy
    test: Accuracy
    weight_bits: int

    def rows(self) -> dict[str, str]:
        """The figures for people, by name."""
        return {
            "test accuracy, calibrated": str(self.before),
            "validation accuracy": str(self.validation),
            "test accuracy": str(self.test),
            "weight bits": f"{self.weight_bits:,}",
        }

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return {
            "test_accuracy_before_quantised_training": self.before.share,
            "test_accuracy_interval_before_quantised_training": list(self.before.interval),
            **self.validation.to_json("validation"),
            **self.test.to_json("test"),
            "weight_bits": self.weight_bits,
        }


def calibration_of(
    network: FloatGRU, task: Task, data: TaskData, recipe: Recipe
) -> tuple[Calibration, Callable[[Genes], Model]]:
    """The calibration of a trained float GRU on the first training sequences.

    Returns
    -------
    tuple
        The calibration, and what gives the unchanged weights with the fraction bits of genes.
    """
    weights, biases = float_layers(network.gru, network.head)
    sizes = Sizes(input=task.inputs, hidden=network.gru.hidden_size, classes=task.classes)
    few = slice(0, recipe.calibration)
    normalise = task.normalisation()
    found = Calibration.measure(
        sizes,
        weights,
        biases,
        bounded(normalise, data.train.x[few]),
        data.train.lengths[few],
        keep_outliers=recipe.keep_outliers,
    )

    def model(genes: Genes) -> Model:
        fractions, signed = found.fractions(genes), found.input_signed
        return Model(weights, biases, fractions, signed, normalise, network.trained_on)

    return found, model


def record_calibration(tensors: Sequence[TensorReport], out: Path) -> None:
    """Write :data:`CALIBRATION` into the folder ``out``, and warn where one sample decides."""
    content = {"tensors": [tensor.to_json() for tensor in tensors]}
    write_atomic(out / CALIBRATION, json.dumps(content, indent=2) + "\n")
    for tensor in tensors:
        if tensor.warning is not None:
            warnings.warn(tensor.warning, GruhwWarning, stacklevel=3)


def train_design(
    task: Task,
    hidden: int,
    genes: Mapping[str, int],
    recipe: Recipe,
    out: PathLike,
    progress: Progress,
    *,
    folding: Folding | None = None,
) -> Figures:
    """Train a network for ``task`` with the widths of ``genes`` and save its design in ``out``.

    Besides genome, model and sample sequences, ``training.json`` records how it was trained, and
    :data:`CALIBRATION` how samples fit the types of the float network that training began with.

    Returns
    -------
    Figures
        Accuracies and size. The test part of the data is only measured, never trained on or chosen
        by.

    Raises
    ------
    InputError
        If something is of another type, ``hidden`` or the folding does not suit, the task's data
        are wrong, or ``out`` cannot be written.
    ToolError
        If there is no C++ compiler, or the data cannot be downloaded.
    """
    task, recipe = instance("task", task, Task), instance("recipe", recipe, Recipe)
    sizes = Sizes(input=task.inputs, hidden=hidden, classes=task.classes)
    genes, out = Genes.of(genes), as_path(out)
    genome = Genome(
        task=task.name, sizes=sizes, genes=genes, folding=Folding() if folding is None else folding
    )
    # What cannot be written or compiled is known before the work, not after it.
    with output_folder(out):
        pass
    compile_for(sizes)
    data = task.load()
    task.normalisation()  # known before the work, not after it
    task.warn_of_absent_classes()
    network = train_float(task, data, hidden, recipe, progress)
    calibration, model_of = calibration_of(network, task, data, recipe)
    record_calibration(calibration.report(genes), out)
    start = model_of(genes)
    before = Network.build(genome, start)
    (model,) = train_quantised([(genes, start)], task, data, recipe, progress, teacher=network)
    after = Network.build(genome, model)
    figures = Figures(
        accuracy(before, data.test),
        accuracy(after, data.val),
        accuracy(after, data.test),
        after.weight_bits,
    )
    named = {name.replace("_", " "): figure for name, figure in figures.to_json().items()}
    record = {"task": task.name, "recipe": asdict(recipe), "figures": named}
    write_atomic(out / "training.json", json.dumps(record, indent=2) + "\n")
    save_design(out, genome, model, data.test.take(np.arange(min(SAMPLES, len(data.test)))))
    return figures


def accuracy(network: Network, split: Split) -> Accuracy:
    """How much of ``split`` the hardware's integers classify right."""
    return Accuracy.of(classify(network, split), split.y)
