"""Training: a float GRU first, then the quantised one with straight-through gradients."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.genome import Genes, Sizes
from gruhw.model import Model, Normalisation
from gruhw.quant import QuantGRU, calibrate, float_layers
from gruhw.tasks import Split

Progress = Callable[[str, int, int, float, float], None]
"""Told the phase, the epoch, of how many, the mean loss and the validation accuracy."""


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
    label_smoothing
        Share of the target spread over all classes, 0 to 1.
    weight_decay
        Of AdamW, on weights and biases.
    calibration
        Training sequences from which fraction bits are chosen.
    seed
        Of the initial weights and of the order of sequences.
    """

    float_epochs: int = 30
    quantised_epochs: int = 60
    batch: int = 256
    float_rate: float = 5e-3
    quantised_rate: float = 3e-3
    label_smoothing: float = 0.05
    weight_decay: float = 0.0
    calibration: int = 1024
    seed: int = 1


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
    sizes: Sizes,
    train: Split,
    validation: Split,
    normalisation: Normalisation,
    recipe: Recipe,
    progress: Progress,
) -> FloatGRU:
    """Train a float GRU from scratch."""
    torch.manual_seed(recipe.seed)
    network = FloatGRU(sizes)

    def prepare(split: Split) -> Split:
        return replace(split, x=normalisation(split.x).astype(np.float32))

    _fit(
        network,
        prepare(train),
        prepare(validation),
        recipe.float_epochs,
        recipe.float_rate,
        recipe,
        lambda *figures: progress("float", *figures),
    )
    return network


def calibrated(
    network: FloatGRU,
    genes: Genes,
    train: Split,
    normalisation: Normalisation,
    recipe: Recipe,
) -> QuantGRU:
    """Quantise a trained float GRU, choosing fraction bits on the first training sequences."""
    weights, biases = float_layers(network.gru, network.head)
    sizes = Sizes(
        input=network.gru.input_size,
        hidden=network.gru.hidden_size,
        classes=network.head.out_features,
    )
    few = slice(0, recipe.calibration)
    fractions, input_signed = calibrate(
        sizes, genes, weights, biases, normalisation(train.x[few]), train.lengths[few]
    )
    model = Model(weights, biases, fractions, input_signed, normalisation)
    return QuantGRU(sizes, genes, model)


def train_quantised(
    network: QuantGRU, train: Split, validation: Split, recipe: Recipe, progress: Progress
) -> None:
    """Fine-tune a calibrated network in place (quantisation-aware training)."""
    torch.manual_seed(recipe.seed)
    if recipe.quantised_epochs > 0:
        network.compile_steps()

    def prepare(split: Split) -> Split:
        return replace(split, x=network.encode(split.x).astype(np.float32))

    _fit(
        network,
        prepare(train),
        prepare(validation),
        recipe.quantised_epochs,
        recipe.quantised_rate,
        recipe,
        lambda *figures: progress("quantised", *figures),
    )


def _fit(
    network: nn.Module,
    train: Split,
    validation: Split,
    epochs: int,
    rate: float,
    recipe: Recipe,
    progress: Callable[[int, int, float, float], None],
) -> None:
    """Minimise the cross-entropy of ``network`` on prepared splits."""
    if epochs == 0:
        return
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    lengths = torch.from_numpy(train.lengths)
    # Masking finished sequences costs time that sequences of one length need not spend.
    uniform = bool((lengths == x.shape[1]).all())
    batches = max(1, len(y) // recipe.batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=epochs * batches, pct_start=0.2
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    generator = torch.Generator().manual_seed(recipe.seed)
    for epoch in range(epochs):
        network.train()
        total = 0.0
        order = torch.randperm(len(y), generator=generator)
        for chosen in order[: batches * recipe.batch].view(batches, -1):
            optimiser.zero_grad()
            logits = network(x[chosen], None if uniform else lengths[chosen])
            loss = loss_of(logits, y[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        progress(epoch + 1, epochs, total / batches, accuracy(network, validation))


@torch.no_grad()
def accuracy(network: nn.Module, split: Split, batch: int = 1000) -> float:
    """The share of correctly classified sequences of a prepared split."""
    network.eval()
    correct = 0
    for start in range(0, len(split.y), batch):
        part = slice(start, start + batch)
        logits = network(torch.from_numpy(split.x[part]), torch.from_numpy(split.lengths[part]))
        correct += int((logits.argmax(1).numpy() == split.y[part]).sum())
    return correct / len(split.y)
