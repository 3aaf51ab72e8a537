"""The float GRU that quantised ones start from and learn from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gruhw.accuracy import Accuracy
from gruhw.fixed import FloatArray
from gruhw.genome import Sizes
from gruhw.model import Model, Normalisation
from gruhw.tasks import Split, Task, TaskData
from gruhw.training.fit import Batches, Progress, fit, one_thread
from gruhw.training.recipe import Recipe

EVALUATION_BATCH = 1000
"""Sequences that are classified at a time."""

LARGEST_INPUT = 2.0**60
"""What raw numbers far beyond those of training, or padding, may become: sums of products with it
are still single-precision numbers. Infinite ones in padding would spoil gradients."""

UPDATE_BIAS = 1.0
"""The initial bias of the update gate: states are kept for a while from the start."""


class FloatGRU(nn.Module):
    """A single-layer ``nn.GRU`` and the ``nn.Linear`` that classifies its last state.

    Recurrent matrices start orthogonal, the others as Glorot and Bengio (2010) have them.

    Attributes
    ----------
    trained_on
        As of :class:`gruhw.model.Model`.
    """

    trained_on: str | None = None

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.gru = nn.GRU(sizes.input, sizes.hidden, batch_first=True)
        self.head = nn.Linear(sizes.hidden, sizes.classes)
        initial = dict(self.gru.named_parameters())
        with torch.no_grad():
            for gate in range(3):
                rows = slice(gate * sizes.hidden, (gate + 1) * sizes.hidden)
                nn.init.orthogonal_(initial["weight_hh_l0"][rows])
                nn.init.xavier_uniform_(initial["weight_ih_l0"][rows])
            initial["bias_ih_l0"].zero_()
            initial["bias_hh_l0"].zero_()
            initial["bias_ih_l0"][sizes.hidden : 2 * sizes.hidden] = UPDATE_BIAS

    @classmethod
    def of(cls, model: Model) -> "FloatGRU":
        """The float network with the weights of ``model``."""
        network = cls(model.sizes)
        parameters = dict(network.gru.named_parameters())
        for side, letter in (("i", "ih"), ("h", "hh")):
            layers = [f"W_{side}{gate}" for gate in "rzn"]
            for kind, source in (("weight", model.weights), ("bias", model.biases)):
                stacked = np.concatenate([source[layer] for layer in layers])
                parameters[f"{kind}_{letter}_l0"].data = torch.tensor(stacked).float()
        network.head.weight.data = torch.tensor(model.weights["head"]).float()
        network.head.bias.data = torch.tensor(model.biases["head"]).float()
        network.trained_on = model.trained_on
        return network

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The logits after the last step of every sequence; inputs [N, T, inputs] as reals."""
        states, _ = self.gru(inputs)
        logits: Tensor = self.head(states[torch.arange(len(lengths)), lengths - 1])
        return logits


def bounded(normalisation: Normalisation, raw: NDArray[Any]) -> FloatArray:
    """Raw sequences normalised, every number within :data:`LARGEST_INPUT`."""
    return np.clip(normalisation(raw), -LARGEST_INPUT, LARGEST_INPUT)


def float_inputs(task: Task, raw: NDArray[Any]) -> Tensor:
    """Raw sequences as a float network takes them, in single precision."""
    return torch.from_numpy(bounded(task.normalisation(), raw).astype(np.float32))


def float_logits(network: FloatGRU, task: Task, batch: Split) -> Tensor:
    """The logits of a batch, shape [N, classes]."""
    logits: Tensor = network(float_inputs(task, batch.x), torch.tensor(batch.lengths))
    return logits


@torch.no_grad()
def float_accuracy(network: FloatGRU, task: Task, split: Split) -> Accuracy:
    """How much of ``split`` a float network classifies right."""
    correct = 0
    with one_thread():
        for start in range(0, len(split), EVALUATION_BATCH):
            part = split.take(np.arange(start, min(start + EVALUATION_BATCH, len(split))))
            correct += int((float_logits(network, task, part).argmax(1).numpy() == part.y).sum())
    return Accuracy(correct, len(split))


def train_float(
    task: Task,
    data: TaskData,
    hidden: int,
    recipe: Recipe,
    progress: Progress,
    checkpoint: Path | None = None,
) -> FloatGRU:
    """Train a float GRU with ``hidden`` units from scratch; see :func:`gruhw.training.fit.fit`."""
    # Initial weights come from PyTorch's own generator, which stays the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = FloatGRU(Sizes(input=task.inputs, hidden=hidden, classes=task.classes))
    size = min(recipe.batch, len(data.train))
    fit(
        network,
        Batches(task, data.train, size),
        lambda batch: nn.functional.cross_entropy(
            float_logits(network, task, batch), torch.tensor(batch.y)
        ),
        lambda: float_accuracy(network, task, data.val),
        replace(recipe, batch=size),
        phase="float",
        epochs=recipe.float_epochs,
        rate=recipe.float_rate,
        progress=progress,
        checkpoint=checkpoint,
    )
    network.trained_on = data.train.fingerprint
    return network
