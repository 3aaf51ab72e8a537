"""Training: a float GRU first, then the quantised one with straight-through gradients."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gruhw.design import save_design
from gruhw.files import output_folder, write_atomic
from gruhw.genome import Folding, Genes, Sizes
from gruhw.model import Model, Network
from gruhw.quant import QuantGRU, calibrate, float_layers
from gruhw.reference import classify
from gruhw.tasks import Split, Task, TaskData

SAMPLES = 300
"""Test sequences that travel with a design, so that it can be simulated without its data."""

COMPILED_BATCHES = 500
"""Batches from which on compiling the time steps pays off."""

EVALUATION_BATCH = 1000
"""Sequences that are classified at a time."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the same recipe and seed give the same model on the same machine.

    Parameters
    ----------
    float_epochs, quantised_epochs
        Epochs of each phase; each anneals its own one-cycle learning rate (arXiv:1708.07120).
    batch
        Sequences a batch.
    float_rate, quantised_rate
        The peak learning rate of each phase.
    calibration
        Training sequences from which fraction bits are chosen.
    seed
        Of the initial weights, of the order of sequences and of their variation.
    """

    float_epochs: int = 20
    quantised_epochs: int = 40
    batch: int = 256
    float_rate: float = 5e-3
    quantised_rate: float = 4e-3
    calibration: int = 1024
    seed: int = 1


@dataclass(frozen=True)
class Epoch:
    """How an epoch went: mean training loss and validation accuracy."""

    phase: str
    number: int
    of: int
    loss: float
    accuracy: float


Progress: TypeAlias = Callable[[Epoch], None]
Prepare: TypeAlias = Callable[[NDArray[Any]], Tensor]
"""Turns raw sequences, shape [N, T, inputs], into what a network takes."""


class FloatGRU(nn.Module):
    """A single-layer ``nn.GRU`` and the ``nn.Linear`` that classifies its last state."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gru = nn.GRU(sizes.input, sizes.hidden, batch_first=True)
        self.head = nn.Linear(sizes.hidden, sizes.classes)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits after the last step of every sequence; inputs [N, T, inputs] as reals."""
        states, _ = self.gru(inputs)
        if lengths is None:
            last = states[:, -1]
        else:
            last = states[torch.arange(len(lengths)), lengths - 1]
        logits: Tensor = self.head(last)
        return logits


def train_float(
    task: Task, data: TaskData, hidden: int, recipe: Recipe, progress: Progress
) -> FloatGRU:
    """Train a float GRU with ``hidden`` units from scratch."""
    torch.manual_seed(recipe.seed)
    network = FloatGRU(Sizes(input=task.inputs, hidden=hidden, classes=task.classes))
    normalise = task.normalisation()

    def prepare(raw: NDArray[Any]) -> Tensor:
        return torch.from_numpy(normalise(raw).astype(np.float32))

    fit = _Fit(network, prepare, task, data, recipe)
    fit.run("float", recipe.float_epochs, recipe.float_rate, progress)
    return network


def calibrated(
    network: FloatGRU, genes: Genes, task: Task, data: TaskData, recipe: Recipe
) -> QuantGRU:
    """Quantise a trained float GRU, choosing fraction bits on the first training sequences."""
    weights, biases = float_layers(network.gru, network.head)
    sizes = Sizes(input=task.inputs, hidden=network.gru.hidden_size, classes=task.classes)
    few = slice(0, recipe.calibration)
    normalise = task.normalisation()
    fractions, input_signed = calibrate(
        sizes, genes, weights, biases, normalise(data.train.x[few]), data.train.lengths[few]
    )
    model = Model(weights, biases, fractions, input_signed, normalise)
    return QuantGRU(sizes, genes, model)


def train_quantised(
    network: QuantGRU, task: Task, data: TaskData, recipe: Recipe, progress: Progress
) -> None:
    """Fine-tune a calibrated network in place (quantisation-aware training)."""
    torch.manual_seed(recipe.seed)

    def prepare(raw: NDArray[Any]) -> Tensor:
        return torch.from_numpy(network.encode(raw).astype(np.float32))

    if recipe.quantised_epochs * (len(data.train) // recipe.batch) >= COMPILED_BATCHES:
        network.compile_steps()
    fit = _Fit(network, prepare, task, data, recipe)
    fit.run("quantised", recipe.quantised_epochs, recipe.quantised_rate, progress)


def train_design(
    task: Task,
    hidden: int,
    genes: Genes,
    recipe: Recipe,
    out: Path,
    progress: Progress,
    *,
    folding: Folding | None = None,
) -> dict[str, float]:
    """Train a network for ``task`` with the widths of ``genes`` and save its design in ``out``.

    Besides genome, model and sample sequences, ``training.json`` records how it was trained.

    Returns
    -------
    dict
        Accuracies and size by name. The test part of the data is only measured, never trained
        on or chosen by.
    """
    with output_folder(out):
        pass
    data = task.load()
    network = calibrated(
        train_float(task, data, hidden, recipe, progress), genes, task, data, recipe
    )
    before = Network.build(network.genome(), network.model())
    train_quantised(network, task, data, recipe, progress)
    genome = network.genome(task=task.name, folding=folding or Folding())
    after = Network.build(genome, network.model())

    def accuracy(of: Network, split: Split) -> float:
        return float(np.mean(classify(of, of.encode(split.x), split.lengths) == split.y))

    figures = {
        "test accuracy before quantised training": accuracy(before, data.test),
        "validation accuracy": accuracy(after, data.val),
        "test accuracy": accuracy(after, data.test),
        "weight bits": after.weight_bits,
    }
    record = {"task": task.name, "recipe": asdict(recipe), "figures": figures}
    write_atomic(out / "training.json", json.dumps(record, indent=2) + "\n")
    save_design(
        out, genome, network.model(), data.test.take(np.arange(min(SAMPLES, len(data.test))))
    )
    return figures


@dataclass(frozen=True)
class _Fit:
    """Minimises the cross-entropy of a network on a task's training part."""

    network: nn.Module
    prepare: Prepare
    task: Task
    data: TaskData
    recipe: Recipe

    def run(self, phase: str, epochs: int, rate: float, progress: Progress) -> None:
        train, recipe = self.data.train, self.recipe
        if epochs == 0:
            return
        # Masking finished sequences costs time that sequences of one length need not spend.
        uniform = bool((train.lengths == train.x.shape[1]).all())
        size = min(recipe.batch, len(train))
        batches = len(train) // size
        optimiser = torch.optim.Adam(self.network.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=rate, total_steps=epochs * batches, pct_start=0.2
        )
        generator = np.random.default_rng(recipe.seed)
        for epoch in range(epochs):
            self.network.train()
            total = 0.0
            for chosen in generator.permutation(len(train))[: batches * size].reshape(batches, -1):
                part = train.take(chosen)
                if self.task.augment is not None:
                    part = self.task.augment(part, generator)
                optimiser.zero_grad()
                lengths = None if uniform else torch.from_numpy(part.lengths)
                logits = self.network(self.prepare(part.x), lengths)
                loss = nn.functional.cross_entropy(logits, torch.from_numpy(part.y))
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                total += loss.item()
            accuracy = self._accuracy(self.data.val)
            progress(Epoch(phase, epoch + 1, epochs, total / batches, accuracy))

    @torch.no_grad()
    def _accuracy(self, split: Split) -> float:
        self.network.eval()
        correct = 0
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            logits = self.network(
                self.prepare(split.x[part]), torch.from_numpy(split.lengths[part])
            )
            correct += int((logits.argmax(1).numpy() == split.y[part]).sum())
        return correct / len(split)
