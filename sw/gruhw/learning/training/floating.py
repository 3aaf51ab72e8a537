"""The float network that quantised ones start from and learn from."""

from dataclasses import replace
from functools import partial
from math import sqrt
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gruhw.learning.quant.network import TrainedNetworks
from gruhw.learning.quant.operators import in_range, unrounded
from gruhw.learning.quant.stages import StageTensors, Streams
from gruhw.learning.tasks import Split, Task, TaskData
from gruhw.learning.training.evaluate import (
    evaluation_batch,
    figure_of_outputs,
    keep_outputs,
    no_outputs,
)
from gruhw.learning.training.fit import Batches, Progress, fit, one_thread
from gruhw.learning.training.losses import Objective
from gruhw.learning.training.recipe import Recipe
from gruhw.network.architecture import DENSE, HEAD, Architecture
from gruhw.network.cells import cell_of
from gruhw.network.figures import Figure
from gruhw.network.fixed import FloatArray
from gruhw.network.graph import State
from gruhw.network.model import Model, Normalisation
from gruhw.network.normalisation import Span, learnt
from gruhw.network.parts import of_classes

LARGEST_INPUT = 2.0**60
"""What raw numbers far beyond those of training may become: sums of products with it are still
single-precision numbers."""


class FloatNetwork(TrainedNetworks):
    """A network that computes with real numbers: results are not rounded.

    Recurrent matrices start orthogonal, the others as Glorot and Bengio (2010) have them, and the
    head as PyTorch's ``nn.Linear``. Biases start as the cell says, and constant initial states with
    zero.

    Its parameters have a first dimension of 1.

    Parameters
    ----------
    network
        What it computes.

    Attributes
    ----------
    trained_on
        As of :class:`gruhw.network.model.Model`.
    """

    rounded: ClassVar[bool] = False
    trained_on: str | None = None

    def __init__(self, network: Architecture) -> None:
        shapes = network.layer_shapes
        super().__init__(
            network,
            {name: torch.zeros(1, *shape) for name, shape in shapes.items()},
            {name: torch.zeros(1, *shape[:1]) for name, shape in shapes.items()},
            {name: torch.zeros(1, *shape) for name, shape in network.initial_shapes.items()},
        )
        self._draw()

    @torch.no_grad()
    def _draw(self) -> None:
        for layer, stage in zip(self.network.layers, self.network.layer_stages, strict=True):
            biases = {} if layer.cell == DENSE else cell_of(layer.cell).initial_biases
            for op in stage.graph.linears:
                name = stage.spell(op.name)
                recurrent = isinstance(stage.graph[op.operand], State)
                draw = nn.init.orthogonal_ if recurrent else nn.init.xavier_uniform_
                draw(self.weights[name][0])
                self.biases[name].fill_(biases.get(op.name, 0.0))
        bound = 1 / sqrt(self.weights[HEAD].shape[2])
        for part in (self.weights, self.biases):
            nn.init.uniform_(part[HEAD], -bound, bound)
        self.freeze_merged_biases()

    @classmethod
    def of(cls, model: Model) -> "FloatNetwork":
        """The float network with the weights of ``model``."""
        found = cls(model.network)
        with torch.no_grad():
            for part, arrays in (
                (found.weights, model.weights),
                (found.biases, model.biases),
                (found.initial, model.initial),
            ):
                for name, parameter in part.items():
                    parameter.copy_(torch.tensor(arrays[name])[None])
        found.freeze_merged_biases()
        found.trained_on, found.span = model.trained_on, model.span
        return found

    def tensors(self) -> list[StageTensors]:
        """Every stage with its parameters."""
        found = []
        for stage in self.network.stages:
            layers = {}
            for op in stage.graph.linears:
                name = stage.spell(op.name)
                layers[op.name] = self.weights[name], self.biases[name][:, None]
            rules = {s.name: stage.graph[s.source].rule for s in stage.graph.states}
            initial = {n: in_range(v, rules[n])[:, None] for n, v in self.states_of(stage).items()}
            compute = partial(unrounded, layers=layers)
            found.append(StageTensors(stage, layers, initial, compute))
        return found

    def forward(self, inputs: Tensor, lengths: Tensor, streams: Streams | None = None) -> Tensor:
        """What the head gives after the last step of every sequence, shape [N, outputs].

        At every step, it is of shape [N, T, outputs], and zero past a sequence's end.

        Parameters
        ----------
        inputs
            Normalised numbers, shape [N, T, inputs].
        lengths
            Steps of each sequence, shape [N], 1 to T.
        streams
            Where states that are carried on come from: see :meth:`outputs`.
        """
        there = torch.arange(inputs.shape[1]) < lengths[:, None]
        # What follows a sequence's end may be so large that products overflow.
        inputs = torch.where(there[:, :, None], inputs, 0.0)
        return self.outputs(self.tensors(), inputs[None], lengths, streams)[0]


def bounded(normalisation: Normalisation, raw: NDArray[np.generic]) -> FloatArray:
    """Raw sequences normalised, every number within :data:`LARGEST_INPUT`."""
    return np.clip(normalisation(raw), -LARGEST_INPUT, LARGEST_INPUT)


def float_inputs(task: Task, raw: NDArray[np.generic]) -> Tensor:
    """Raw sequences as a float network takes them, in single precision."""
    return torch.from_numpy(bounded(task.normalisation(), raw).astype(np.float32))


def float_outputs(
    network: FloatNetwork, task: Task, batch: Split, streams: Streams | None = None
) -> Tensor:
    """What the head gives for a batch: see :meth:`FloatNetwork.forward`."""
    found: Tensor = network(float_inputs(task, batch.x), torch.tensor(batch.lengths), streams)
    return found


@torch.no_grad()
def float_figure(network: FloatNetwork, task: Task, split: Split) -> Figure:
    """How well a float network does on ``split``."""
    found = no_outputs(network.network, split, 1)
    batch, stream = evaluation_batch(network.network, split.x.shape[1]), Streams()
    with one_thread():
        for start in range(0, len(split), batch):
            part = slice(start, start + batch)
            outputs = float_outputs(network, task, split.take(part), stream)
            keep_outputs(found, part, outputs[None])
    return figure_of_outputs(found, learnt(split, network.span))


def train_float(
    task: Task,
    data: TaskData,
    network: Architecture,
    recipe: Recipe,
    progress: Progress,
    checkpoint: Path | None = None,
) -> FloatNetwork:
    """Train a float network from scratch; see :func:`gruhw.learning.training.fit.fit`."""
    # Initial weights come from PyTorch's own generator, which stays the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        found = FloatNetwork(network)
    found.compile_steps()
    if not of_classes(task.target):
        found.span = Span.of(data.train.y[data.train.counted])
    objective = Objective(found.span)
    size = min(recipe.batch, len(data.train))
    fit(
        found,
        Batches(task, data.train, size, in_order=network.carries),
        lambda batch, streams: objective.loss(
            float_outputs(found, task, batch, streams)[None], batch
        ),
        lambda: float_figure(found, task, data.val),
        replace(recipe, batch=size),
        phase="float",
        epochs=recipe.float_epochs,
        rate=recipe.float_rate,
        progress=progress,
        checkpoint=checkpoint,
    )
    found.trained_on = data.train.fingerprint
    return found
