"""Training of quantised networks with straight-through gradients, several at a time."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gruhw.learning.quant.population import Population, states_in_range
from gruhw.learning.quant.stages import Streams
from gruhw.learning.tasks import Split, Task, TaskData
from gruhw.learning.training.evaluate import EncodedSplit, figure_of_outputs, member_outputs
from gruhw.learning.training.fit import Batches, Progress, fit
from gruhw.learning.training.floating import FloatNetwork, float_outputs
from gruhw.learning.training.losses import Objective
from gruhw.learning.training.recipe import Recipe
from gruhw.network.genes import Genes
from gruhw.network.model import Model


def train_quantised(
    starts: Sequence[tuple[Genes, Model]],
    task: Task,
    data: TaskData,
    recipe: Recipe,
    progress: Progress,
    *,
    teacher: FloatNetwork,
    checkpoint: Path | None = None,
) -> list[Model]:
    """Quantisation-aware training of several networks, which do not influence each other.

    Parameters
    ----------
    starts
        The widths of each network, and its initial weights and fraction bits.
    teacher
        The float network to learn from besides the data, as much as the recipe says.
    checkpoint
        See :func:`gruhw.learning.training.fit.fit`.

    Returns
    -------
    list of Model
        In the order of ``starts``.
    """
    first = starts[0][1]
    objective = Objective(first.span, recipe.distillation, recipe.temperature)
    population = Population(first.network, [model for _, model in starts])
    population.assign([model.typed(genes) for genes, model in starts])
    population.compile_steps()
    if recipe.distillation > 0:
        teacher.compile_steps()
    val = EncodedSplit(data.val, first)

    def loss_of(batch: Split, streams: Streams) -> Tensor:
        soft = None
        if recipe.distillation > 0:
            with torch.no_grad():
                soft = float_outputs(teacher, task, batch, streams)
        found = population(population.on_grids(batch.x), torch.tensor(batch.lengths), streams)
        return objective.loss(found, batch, soft)

    fit(
        population,
        Batches(
            task,
            data.train,
            min(recipe.batch, len(data.train)),
            in_order=population.network.carries,
        ),
        loss_of,
        lambda: figure_of_outputs(member_outputs(population, val), val.split),
        recipe,
        phase="quantised",
        epochs=recipe.quantised_epochs,
        rate=recipe.quantised_rate,
        progress=progress,
        members=True,
        checkpoint=checkpoint,
    )
    return [
        replace(
            states_in_range(population.member_model(member, model), genes),
            trained_on=trained_on(model, data),
        )
        for member, (genes, model) in enumerate(starts)
    ]


def trained_on(start: Model, data: TaskData) -> str | None:
    """The record of weights that were those of ``start`` and were trained on ``data`` since."""
    return start.trained_on if start.trained_on == data.train.fingerprint else None
