"""From a task to a trained design: float training, calibration, quantised training."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gruhw.basics.files import PathLike, as_path, output_folder, write_atomic
from gruhw.basics.values import instance
from gruhw.design.saved import save_design
from gruhw.errors import GruhwWarning
from gruhw.learning.quant import TensorReport
from gruhw.learning.quant.network import compile_for
from gruhw.learning.tasks import Task
from gruhw.learning.training.calibrate import calibration_of
from gruhw.learning.training.fit import Progress
from gruhw.learning.training.floating import train_float
from gruhw.learning.training.quantised import train_quantised
from gruhw.learning.training.recipe import Recipe
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import Figure
from gruhw.network.genes import Genes
from gruhw.network.genome import Folding, Genome, Output
from gruhw.network.reference import measure
from gruhw_hw.top import check_names

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
        How well the network does on test data before quantised training, right after calibration.
    validation, test
        How well it does after it.
    weight_bits
        The size of all weight matrices, head included.
    """

    before: Figure
    validation: Figure
    test: Figure
    weight_bits: int

    def rows(self) -> dict[str, str]:
        """The figures for people, by name."""
        return {
            f"test {self.before.name}, calibrated": str(self.before),
            f"validation {self.validation.name}": str(self.validation),
            f"test {self.test.name}": str(self.test),
            "weight bits": f"{self.weight_bits:,}",
        }

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        before, key = self.before.to_json("test"), self.before.name.replace(" ", "_")
        when = "before_quantised_training"
        return {
            f"test_{key}_{when}": before[f"test_{key}"],
            f"test_{key}_interval_{when}": before[f"test_{key}_interval"],
            **self.validation.to_json("validation"),
            **self.test.to_json("test"),
            "weight_bits": self.weight_bits,
        }


def record_calibration(tensors: Sequence[TensorReport], out: Path) -> None:
    """Write :data:`CALIBRATION` into the folder ``out``, and warn where one sample decides."""
    content = {"tensors": [tensor.to_json() for tensor in tensors]}
    write_atomic(out / CALIBRATION, json.dumps(content, indent=2) + "\n")
    for tensor in tensors:
        if tensor.warning is not None:
            warnings.warn(tensor.warning, GruhwWarning, stacklevel=3)


def train_design(
    task: Task,
    network: Architecture,
    genes: Mapping[str, int],
    recipe: Recipe,
    out: PathLike,
    progress: Progress,
    *,
    folding: Folding | None = None,
    output: Output | None = None,
) -> Figures:
    """Train a network for ``task`` with the widths of ``genes`` and save its design in ``out``.

    Besides genome, model and sample sequences, ``training.json`` records how it was trained, and
    :data:`CALIBRATION` how samples fit the types of the float network that training began with.

    Parameters
    ----------
    task, network
        What is to be learnt, and by what: :meth:`gruhw.learning.tasks.Task.network` gives one
        that suits.
    genes, folding, output
        Of the genome; of outputs the one that the task suggests if absent.
    recipe, out, progress
        How to train, where to write, and what hears of every epoch.

    Returns
    -------
    Figures
        How well it does, and its size. The test part of the data is only measured, never trained on
        or chosen by.

    Raises
    ------
    InputError
        If something is of another type, the network or the folding does not suit, the task's data
        are wrong, or ``out`` cannot be written.
    ToolError
        If there is no C++ compiler, or the data cannot be downloaded.
    """
    task, recipe = instance("task", task, Task), instance("recipe", recipe, Recipe)
    network = instance("network", network, Architecture)
    genes, out = Genes.of(network, genes), as_path(out)
    task.check_network(network, "network")
    genome = Genome(
        task=task.name,
        network=network,
        genes=genes,
        folding=Folding() if folding is None else folding,
        output=task.output_of(network, output),
    )
    # What cannot be written or compiled is known before the work, not after it.
    with output_folder(out):
        pass
    compile_for(network)
    check_names(network)
    data = task.load()
    task.normalisation()  # known before the work, not after it
    task.warn_of_absent_classes()
    teacher = train_float(task, data, network, recipe, progress)
    calibration, model_of = calibration_of(teacher, task, data, recipe)
    record_calibration(calibration.report(genes), out)
    start = model_of(genes)
    before = Network.build(genome, start)
    (model,) = train_quantised([(genes, start)], task, data, recipe, progress, teacher=teacher)
    after = Network.build(genome, model)
    figures = Figures(
        measure(before, data.test),
        measure(after, data.val),
        measure(after, data.test),
        after.weight_bits,
    )
    named = {name.replace("_", " "): figure for name, figure in figures.to_json().items()}
    record = {"task": task.name, "recipe": asdict(recipe), "figures": named}
    write_atomic(out / "training.json", json.dumps(record, indent=2) + "\n")
    save_design(out, genome, model, data.test.take(np.arange(min(SAMPLES, len(data.test)))))
    return figures
