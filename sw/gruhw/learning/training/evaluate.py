"""How well networks do: what their heads give, and the figures that follow from it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gruhw.learning.quant.population import Population
from gruhw.learning.quant.stages import Streams
from gruhw.learning.tasks import Split
from gruhw.learning.training.fit import one_thread
from gruhw.network.architecture import Architecture
from gruhw.network.figures import Accuracy, Figure, MeanSquaredError, StepAccuracy
from gruhw.network.fixed import Fixed, FloatArray, quantise
from gruhw.network.model import Model
from gruhw.network.normalisation import learnt
from gruhw.network.reference import classes_of

EVALUATION_BATCH = 1000
"""The most sequences that are computed at a time."""

EVALUATION_VALUES = 1 << 26
"""About how many results are kept at a time: a quarter of a gigabyte of single precision."""


def evaluation_batch(network: Architecture, steps: int, members: int = 1) -> int:
    """How many sequences of so many steps are computed at a time, for so many networks.

    Of several layers, the results of one for all steps are the input of the next. Where there are
    outputs at every step, so are those of the last.
    """
    layers = network.layer_stages if network.every_step else network.layer_stages[:-1]
    kept = sum(stage.graph.units * (1 + len(stage.graph.states)) for stage in layers)
    return max(1, min(EVALUATION_BATCH, EVALUATION_VALUES // max(1, kept * steps * members)))


class EncodedSplit:
    """Sequences on the input grids that were asked for, each rounded once.

    Values that are right of them are relative to what the model's head computes.
    """

    def __init__(self, split: Split, model: Model) -> None:
        self.split = learnt(split, model.span)
        self._values = model.normalisation(split.x)
        self._known: dict[Fixed, Tensor] = {}

    def on_grids(self, kinds: Sequence[Fixed], part: slice) -> Tensor:
        """The sequences of ``part`` on the grid of each type, shape [G, N, T, inputs]."""
        for kind in set(kinds) - self._known.keys():
            rounded = quantise(self._values, kind) * kind.scale
            self._known[kind] = torch.from_numpy(rounded.astype(np.float32))
        return torch.stack([self._known[kind][part] for kind in kinds])


@torch.no_grad()
def member_outputs(population: Population, encoded: EncodedSplit) -> FloatArray:
    """What the head of each member gives, as real numbers: see :func:`no_outputs`."""
    split = encoded.split
    members, network = len(population.members), population.network
    found = no_outputs(network, split, members)
    batch, stream = evaluation_batch(network, split.x.shape[1], members), Streams()
    with one_thread():
        for start in range(0, len(split), batch):
            part = slice(start, start + batch)
            lengths = split.lengths[part]
            inputs = encoded.on_grids(population.input_types, part)[:, :, : lengths.max()]
            keep_outputs(found, part, population(inputs, torch.tensor(lengths), stream))
    return found


def no_outputs(network: Architecture, split: Split, members: int) -> FloatArray:
    """Room for what heads give: shape [G, N, outputs], or [G, N, T, outputs] at every step."""
    places = split.x.shape[: 2 if network.every_step else 1]
    return np.zeros((members, *places, network.outputs))


def keep_outputs(found: FloatArray, part: slice, outputs: Tensor) -> None:
    """Put what heads gave for a part of the sequences, maybe of fewer steps, in its place."""
    if outputs.ndim == 4:
        found[:, part, : outputs.shape[2]] = outputs.numpy()
    else:
        found[:, part] = outputs.numpy()


def member_figures(
    population: Population, encoded: EncodedSplit, *, times: int = 1
) -> list[Figure]:
    """How well each member does; see :func:`figure_of_outputs`."""
    found = member_outputs(population, encoded)
    return [figure_of_outputs(one[np.newaxis], encoded.split, times=times) for one in found]


def figure_of_outputs(found: FloatArray, split: Split, *, times: int = 1) -> Figure:
    """How well several networks do together whose heads gave ``found``: see :func:`no_outputs`.

    ``times`` says how often each sequence is among the N of ``split``, whose values are relative to
    what heads compute.
    """
    members = len(found)
    flat, right = np.concatenate(found), np.concatenate([split.y] * members)
    counted = np.concatenate([split.counted] * members) if split.of_every_step else None
    if not split.of_classes:
        return MeanSquaredError.of(flat, right, times * members, counted)
    correct = classes_of(flat) == right
    if counted is not None:
        return StepAccuracy.of_steps(correct, counted, times * members)
    return Accuracy(int(np.count_nonzero(correct)), len(right), times * members)
