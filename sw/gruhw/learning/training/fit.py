"""The training loop: batches, the learning rate, and checkpoints from which it goes on."""

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.basics.files import check_unpacked, exists, read_bytes, reading, write_atomic
from gruhw.errors import InputError
from gruhw.learning.quant.network import TrainedNetworks
from gruhw.learning.quant.stages import Streams
from gruhw.learning.tasks import Split, Task
from gruhw.learning.training.recipe import Recipe
from gruhw.network.figures import Figure

SORTED_BATCHES = 8
"""Batches of sequences that are sorted by length together, so that each needs little padding."""

WARM_UP = 0.25
"""The part of training in which the learning rate rises."""

FIRST_RATE = 0.04
LAST_RATE = 1e-4
"""The learning rate at the start and at the end, in parts of its peak."""

LARGEST_GRADIENT = 1.0
"""The norm that gradients are cut to."""


@dataclass(frozen=True)
class Epoch:
    """How an epoch went: mean training loss, and how well the network does in validation."""

    phase: str
    number: int
    of: int
    loss: float
    figure: Figure


Progress: TypeAlias = Callable[[Epoch], None]
Loss: TypeAlias = Callable[[Split, Streams], Tensor]
"""The loss of a batch, of which the gradient is taken, and what goes on from batch to batch."""


@dataclass(frozen=True)
class Batches:
    """The training part of a task, in batches of varied sequences in a new order every epoch.

    With ``in_order``, the part is one stream. Each epoch it is cut into as many as a batch has
    sequences, from another place on, and each batch has the next sequence of every one. The end is
    followed by the beginning: once an epoch, a state comes from elsewhere.
    """

    task: Task
    data: Split
    size: int
    in_order: bool = False

    @property
    def streams(self) -> Streams:
        """What goes on from batch to batch of an epoch."""
        return Streams(min(self.size, len(self.data)))

    def __len__(self) -> int:
        return max(1, len(self.data) // self.size)

    def epoch(self, generator: np.random.Generator) -> Iterator[Split]:
        """All batches of an epoch; those of short sequences are as short as their longest."""
        size = min(self.size, len(self.data))
        chosen = generator.permutation(len(self.data))[: len(self) * size]
        if self.in_order:
            first, run = int(generator.integers(len(self.data))), len(self)
            places = first + np.arange(size) * run + np.arange(run)[:, np.newaxis]
            chosen = places.ravel() % len(self.data)
        elif (self.data.lengths != self.data.lengths[0]).any():
            chosen = self._sorted(chosen, size, generator)
        for indices in chosen.reshape(len(self), size):
            batch = self.data.take(indices)
            if self.task.augment is not None:
                batch = self.task.augment(batch, generator)
            yield batch.shortened()

    def _sorted(self, chosen: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
        """The same sequences, those of like lengths in one batch, batches in random order."""
        part = SORTED_BATCHES * size
        parts = [chosen[start : start + part] for start in range(0, len(chosen), part)]
        ordered = [p[np.argsort(self.data.lengths[p], kind="stable")] for p in parts]
        batches = np.concatenate(ordered).reshape(-1, size)
        return batches[generator.permutation(len(batches))]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: small matrices lose time to more, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def parameter_groups(network: TrainedNetworks, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices, which decay, and biases and initial states, which do not."""
    parts = [(network.weights, weight_decay), (network.biases, 0.0), (network.initial, 0.0)]
    return [
        {"params": [p for p in part.parameters() if p.requires_grad], "weight_decay": decay}
        for part, decay in parts
    ]


def clip_gradients(network: nn.Module, *, members: bool) -> None:
    """Cut gradients to a norm of :data:`LARGEST_GRADIENT`; those that overflowed become zero.

    Over a hundred steps, straight-through gradients now and then grow beyond all numbers.

    With ``members``, the first dimension of every parameter is that of networks that share
    nothing, each of which has a norm of its own.
    """
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    rows = [g.flatten(1) if members else g.reshape(1, -1) for g in gradients]
    squares = torch.stack([row.square().sum(1) for row in rows]).sum(0)
    factors = (LARGEST_GRADIENT / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    factors = torch.where(squares.isfinite(), factors, 0.0)[:, None]
    for row in rows:
        row.copy_(torch.where(factors > 0, row * factors, 0.0))


def one_cycle(done: float) -> float:
    """The learning rate when a part ``done`` of training is over, in parts of its peak.

    Half a cosine up from :data:`FIRST_RATE`, another down to :data:`LAST_RATE`
    (arXiv:1708.07120).
    """
    if done < WARM_UP:
        start, end, part = FIRST_RATE, 1.0, done / WARM_UP
    else:
        start, end, part = 1.0, LAST_RATE, min(1.0, (done - WARM_UP) / (1 - WARM_UP))
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def fit(
    network: TrainedNetworks,
    batches: Batches,
    loss_of: Loss,
    figure_of: Callable[[], Figure],
    recipe: Recipe,
    *,
    phase: str,
    epochs: int,
    rate: float,
    progress: Progress,
    members: bool = False,
    checkpoint: Path | None = None,
    generators: Sequence[np.random.Generator] = (),
) -> None:
    """Train ``network`` in place.

    Parameters
    ----------
    loss_of
        The loss of a batch.
    figure_of
        How well it does in validation, reported after each epoch.
    epochs, rate
        How long, and the peak of the one-cycle learning rate.
    members
        Whether the network is many that share nothing: see :func:`clip_gradients`.
    checkpoint
        A file that keeps the state after each epoch; if it exists, training goes on from it and
        ends with the same weights as without interruption.
    generators
        Other generators that ``loss_of`` draws from, which a checkpoint must keep too.

    Raises
    ------
    InputError
        If the checkpoint is damaged or of another training.
    """
    if epochs == 0:
        return
    groups = parameter_groups(network, recipe.weight_decay)
    optimiser = torch.optim.AdamW(groups, lr=rate, fused=True)
    total = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step / total))
    generator = np.random.default_rng(recipe.seed)
    drawn = (generator, *generators)
    state = _State(network, optimiser, schedule, drawn)
    first = 0 if checkpoint is None else state.load(checkpoint, phase, epochs)
    with one_thread():
        for epoch in range(first, epochs):
            network.train()
            losses, streams = 0.0, batches.streams
            for batch in batches.epoch(generator):
                optimiser.zero_grad()
                loss = loss_of(batch, streams)
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                clip_gradients(network, members=members)
                optimiser.step()
                schedule.step()
                losses += loss.item()
            network.eval()
            if checkpoint is not None:
                state.save(checkpoint, phase, epoch + 1, epochs)
            progress(Epoch(phase, epoch + 1, epochs, losses / len(batches), figure_of()))


@dataclass(frozen=True)
class _State:
    """All that training changes."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Any
    generators: Sequence[np.random.Generator]

    def save(self, path: Path, phase: str, epoch: int, epochs: int) -> None:
        """Write the state after ``epoch`` epochs, in one step."""
        buffer = io.BytesIO()
        content = {
            "phase": phase,
            "epoch": epoch,
            "epochs": epochs,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [json.dumps(g.bit_generator.state) for g in self.generators],
        }
        torch.save(content, buffer)
        write_atomic(path, buffer.getvalue())

    def load(self, path: Path, phase: str, epochs: int) -> int:
        """Take over the state in ``path`` if there is one; returns the epochs that are done."""
        if not exists(path):
            return 0
        data = read_bytes(path)
        with (
            reading(path, "a whole checkpoint of this training"),
            zipfile.ZipFile(io.BytesIO(data)) as archive,
        ):
            # PyTorch compares nothing with its checksum, and would go on from damaged numbers.
            check_unpacked(path, sum(member.file_size for member in archive.infolist()))
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"{damaged} in it is damaged")
            try:
                content = torch.load(io.BytesIO(data), weights_only=True)
            except UnpicklingError:
                # PyTorch would say how to load it all the same.
                raise ValueError("it holds more than numbers and their names") from None
            if (content["phase"], content["epochs"]) != (phase, epochs):
                raise InputError(
                    f"{path}: must be of {epochs} epochs of {phase} training, "
                    f"not {content['epochs']} of {content['phase']}"
                )
            if content["epoch"] not in range(1, epochs + 1):
                raise ValueError(f"{content['epoch']!r} epochs are done")
            try:
                self.network.load_state_dict(content["network"])
            except RuntimeError:
                # PyTorch's words are about its own classes.
                raise ValueError("its weights are not those of this network") from None
            self.optimiser.load_state_dict(content["optimiser"])
            self.schedule.load_state_dict(content["schedule"])
            for generator, state in zip(self.generators, content["generators"], strict=True):
                generator.bit_generator.state = json.loads(state)
            return int(content["epoch"])
