"""How well networks do: what their heads give, and the figures that follow from it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gruhw.learning.quant.population import Population
from gruhw.learning.tasks import Split
from gruhw.learning.training.fit import one_thread
from gruhw.network.accuracy import Accuracy, Figure, MeanSquaredError
from gruhw.network.architecture import Architecture
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

    Of several layers, the results of one for all steps are the input of the next.
    """
    layers = network.layer_stages
    kept = sum(stage.graph.units * (1 + len(stage.graph.states)) for stage in layers[:-1])
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
    """What the head of each member gives, shape [G, N, outputs], as real numbers."""
    split = encoded.split
    members, network = len(population.members), population.network
    found = np.empty((members, len(split), network.outputs))
    batch = evaluation_batch(network, split.x.shape[1], members)
    with one_thread():
        for start in range(0, len(split), batch):
            part = slice(start, start + batch)
            lengths = split.lengths[part]
            inputs = encoded.on_grids(population.input_types, part)[:, :, : lengths.max()]
            found[:, part] = population(inputs, torch.tensor(lengths)).numpy()
    return found


def member_figures(
    population: Population, encoded: EncodedSplit, *, times: int = 1
) -> list[Figure]:
    """How well each member does; see :func:`figure_of_outputs`."""
    found = member_outputs(population, encoded)
    return [figure_of_outputs(one[np.newaxis], encoded.split, times=times) for one in found]


def figure_of_outputs(found: FloatArray, split: Split, *, times: int = 1) -> Figure:
    """How well several networks do together whose heads gave ``found``, shape [G, N, outputs].

    ``times`` says how often each sequence is among the N of ``split``, whose values are relative to
    what heads compute.
    """
    members, _, outputs = found.shape
    flat, right = found.reshape(-1, outputs), np.concatenate([split.y] * members)
    if split.target == "values":
        return MeanSquaredError.of(flat, right, times * members)
    correct = int(np.count_nonzero(classes_of(flat) == right))
    return Accuracy(correct, len(right), times * members)
