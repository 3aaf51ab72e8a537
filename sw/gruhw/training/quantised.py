"""Training of quantised networks with straight-through gradients, several at a time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.accuracy import Accuracy
from gruhw.fixed import Fixed, quantise
from gruhw.genome import Genes
from gruhw.model import Model, Normalisation
from gruhw.quant.population import Population
from gruhw.tasks import Split, Task, TaskData
from gruhw.training.fit import Batches, Progress, fit, one_thread
from gruhw.training.floating import EVALUATION_BATCH, FloatGRU, float_logits
from gruhw.training.recipe import Recipe


class EncodedSplit:
    """Sequences on the input grids that were asked for, each rounded once."""

    def __init__(self, split: Split, normalisation: Normalisation) -> None:
        self.split = split
        self._values = normalisation(split.x)
        self._known: dict[Fixed, Tensor] = {}

    def on_grids(self, kinds: Sequence[Fixed], part: slice) -> Tensor:
        """The sequences of ``part`` on the grid of each type, shape [G, N, T, inputs]."""
        for kind in set(kinds) - self._known.keys():
            rounded = quantise(self._values, kind) * kind.scale
            self._known[kind] = torch.from_numpy(rounded.astype(np.float32))
        return torch.stack([self._known[kind][part] for kind in kinds])


@torch.no_grad()
def count_correct(population: Population, encoded: EncodedSplit) -> list[int]:
    """How many sequences each member classifies right; the lowest class wins ties."""
    split, correct = encoded.split, np.zeros(len(population.graphs), dtype=np.int64)
    kinds = [graph.input.type for graph in population.graphs]
    with one_thread():
        for start in range(0, len(split), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            lengths = split.lengths[part]
            inputs = encoded.on_grids(kinds, part)[:, :, : lengths.max()]
            logits = population(inputs, torch.tensor(lengths))
            correct += (logits.argmax(2).numpy() == split.y[part]).sum(1)
    return [int(count) for count in correct]


def distilled_loss(
    logits: Tensor, soft: Tensor | None, labels: Tensor, distillation: float, temperature: float
) -> Tensor:
    """The loss of logits [G, N, classes], summed over the G networks.

    Parameters
    ----------
    soft
        The teacher's logits, shape [N, classes]; only without distillation None.
    labels
        Shape [N].
    distillation, temperature
        See :class:`gruhw.training.recipe.Recipe`.
    """
    members, count, classes = logits.shape
    hard = nn.functional.cross_entropy(
        logits.reshape(-1, classes), labels.repeat(members), reduction="sum"
    )
    if soft is None:
        return hard / count
    target = torch.softmax(soft / temperature, 1).expand(members, -1, -1)
    found = torch.log_softmax(logits / temperature, 2)
    distance = nn.functional.kl_div(found, target, reduction="sum") * temperature**2
    return ((1 - distillation) * hard + distillation * distance) / count


def train_quantised(
    starts: Sequence[tuple[Genes, Model]],
    task: Task,
    data: TaskData,
    recipe: Recipe,
    progress: Progress,
    *,
    teacher: FloatGRU,
    checkpoint: Path | None = None,
) -> list[Model]:
    """Quantisation-aware training of several networks, which do not influence each other.

    Parameters
    ----------
    starts
        The widths of each network, and its initial weights and fraction bits.
    teacher
        The float network to learn from besides the labels, as much as the recipe says.
    checkpoint
        See :func:`gruhw.training.fit.fit`.

    Returns
    -------
    list of Model
        In the order of ``starts``.
    """
    population = Population(starts[0][1].sizes, [model for _, model in starts])
    graphs = [model.graph(genes) for genes, model in starts]
    population.assign(graphs)
    population.compile_steps()
    val = EncodedSplit(data.val, starts[0][1].normalisation)

    def loss_of(batch: Split) -> Tensor:
        soft = None
        if recipe.distillation > 0:
            with torch.no_grad():
                soft = float_logits(teacher, task, batch)
        logits = population(population.on_grids(batch.x), torch.tensor(batch.lengths))
        labels = torch.tensor(batch.y)
        return distilled_loss(logits, soft, labels, recipe.distillation, recipe.temperature)

    def accuracy() -> Accuracy:
        counts = count_correct(population, val)
        return Accuracy(sum(counts), len(counts) * len(data.val), times=len(counts))

    fit(
        population,
        Batches(task, data.train, min(recipe.batch, len(data.train))),
        loss_of,
        accuracy,
        recipe,
        phase="quantised",
        epochs=recipe.quantised_epochs,
        rate=recipe.quantised_rate,
        progress=progress,
        members=True,
        checkpoint=checkpoint,
    )
    return [
        replace(population.member_model(member, model), trained_on=trained_on(model, data))
        for member, (_, model) in enumerate(starts)
    ]


def trained_on(start: Model, data: TaskData) -> str | None:
    """The record of weights that were those of ``start`` and were trained on ``data`` since."""
    return start.trained_on if start.trained_on == data.train.fingerprint else None
