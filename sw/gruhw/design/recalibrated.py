"""Fraction bits chosen anew for a design whose widths were changed, without training."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gruhw.basics.files import PathLike, as_path, output_folder
from gruhw.basics.values import instance, whole_number
from gruhw.design.saved import save_design
from gruhw.design.trained import SAMPLES, record_calibration
from gruhw.errors import GruhwWarning, InputError, naming
from gruhw.learning.quant import Calibration, TensorReport
from gruhw.learning.quant.population import states_in_range
from gruhw.learning.tasks import Task
from gruhw.learning.training.floating import bounded
from gruhw.network.bound import Network, read_model
from gruhw.network.figures import Figure
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.parts import VALIDATION_SEEN
from gruhw.network.reference import measure


@dataclass(frozen=True)
class Recalibrated:
    """What became of a design.

    Parameters
    ----------
    tensors
        How the samples of each tensor fit its type.
    validation, test
        How well it does.
    validation_seen
        Whether it may have been trained on validation sequences.
    weight_bits
        The size of all weight matrices, head included.
    """

    tensors: tuple[TensorReport, ...]
    validation: Figure
    test: Figure
    validation_seen: bool
    weight_bits: int

    def rows(self) -> dict[str, str]:
        """The figures for people, by name."""
        return {
            f"validation {self.validation.name}": str(self.validation),
            f"test {self.test.name}": str(self.test),
            "weight bits": f"{self.weight_bits:,}",
        }

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return {
            **self.validation.to_json("validation"),
            VALIDATION_SEEN: self.validation_seen,
            **self.test.to_json("test"),
            "weight_bits": self.weight_bits,
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }


def recalibrate(
    path: PathLike,
    task: Task,
    out: PathLike,
    *,
    sequences: int,
    keep_outliers: bool = False,
) -> Recalibrated:
    """Choose the fraction bits of a design for the widths of its genome, and save it in ``out``.

    Weights and normalisation stay as they are.

    Parameters
    ----------
    path
        The genome file, whose widths may be others than its model was calibrated for.
    task
        What to calibrate on.
    out
        Another folder than that of ``path``.
    sequences
        How many of the first training sequences to calibrate on.
    keep_outliers
        As of :meth:`gruhw.learning.quant.Calibration.measure`.

    Raises
    ------
    InputError
        If a file is wrong, the network or its output does not suit the task, weights are
        beyond all fraction bits, or ``out`` cannot be written.
    """
    path, out, task = as_path(path), as_path(out), instance("task", task, Task)
    sequences = whole_number("sequences", sequences, 1)
    genome = Genome.load(path)
    model = read_model(genome, path)
    task.check_network(genome.network, path)
    with naming(path):
        task.output_of(genome.network, genome.output)
    with output_folder(out):
        pass
    if out.resolve() == path.resolve().parent:
        raise InputError(f"{out}: must be another folder than that of {path}")
    data = task.load()
    task.warn_of_absent_classes()
    few = data.train.take(np.arange(min(sequences, len(data.train))))
    calibration = Calibration.measure(
        genome.network,
        model.weights,
        model.biases,
        bounded(model.normalisation, few.x),
        few.lengths,
        initial=model.initial,
        keep_outliers=keep_outliers,
    )
    chosen = states_in_range(
        replace(
            model,
            fractions=calibration.fractions(genome.genes),
            input_signed=calibration.input_signed,
        ),
        genome.genes,
    )
    with naming(path):
        chosen.check_range(genome.genes)
    _warn_of_clipped(model, chosen, path)
    network = Network.build(genome, chosen)
    tensors = calibration.report(genome.genes)
    found = Recalibrated(
        tensors,
        measure(network, data.val),
        measure(network, data.test),
        task.may_have_taught(model.trained_on, path),
        network.weight_bits,
    )
    record_calibration(tensors, out)
    samples = data.test.take(np.arange(min(SAMPLES, len(data.test))))
    save_design(out, genome.model_copy(update={"task": task.name}), chosen, samples)
    return found


def _warn_of_clipped(before: Model, after: Model, path: Path) -> None:
    """Warn of initial states that the types which were chosen do not reach."""
    for name, values in before.initial.items():
        moved = np.abs(after.initial[name] - values)
        if moved.any():
            worst = int(moved.argmax())
            warnings.warn(
                f"{path}: initial state of {name} was {values[worst]:.4g}, of which these widths "
                f"reach {after.initial[name][worst]:.4g}: give {name} more bits, or train",
                GruhwWarning,
                stacklevel=3,
            )
