"""One set of weights for every genome: what a search estimates accuracies with.

Training a network for each genome takes days, and rounding a float network misjudges narrow
widths. So one network is trained while its widths change with every batch (sandwich sampling,
arXiv:1903.05134: the widest, a narrow one and random ones at a time), each with fraction bits
of its own, and learns from the float network (arXiv:1503.02531).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gruhw.learning.quant import Calibration
from gruhw.learning.quant.population import Population, states_in_range
from gruhw.learning.quant.stages import Streams
from gruhw.learning.tasks import Split, Task, TaskData
from gruhw.learning.training.evaluate import EncodedSplit, member_figures
from gruhw.learning.training.fit import Batches, Progress, fit
from gruhw.learning.training.floating import FloatNetwork, float_outputs
from gruhw.learning.training.losses import Objective
from gruhw.learning.training.quantised import trained_on
from gruhw.learning.training.recipe import Recipe
from gruhw.network.architecture import Architecture
from gruhw.network.figures import Figure
from gruhw.network.genes import SEARCHED_BITS, Genes, homogeneous
from gruhw.network.model import Model

MEMBERS = 4
"""Genomes that each batch is trained on."""

WEIGHT_BASES = (2, 2, 3, 4, 6, 8)
RESULT_BASES = (3, 4, 4, 5, 6, 8)
"""Widths around which random genomes lie, for weights and for results: those that a search is
interested in come up more often."""

NARROWEST = 3
"""The width of the results of a sandwich's narrowest genome, whose weights have 2 bits."""


def draw_genes(network: Architecture, generator: np.random.Generator) -> Genes:
    """Random genes: weights around one width, results around another, each up to one bit off."""
    weights, results = generator.choice(WEIGHT_BASES), generator.choice(RESULT_BASES)
    offsets = generator.choice((-1, 0, 0, 1), len(network.genes))
    low, high = SEARCHED_BITS[0], SEARCHED_BITS[-1]
    return Genes(
        network,
        {
            gene.name: min(
                max(int((weights if gene.kind == "weight" else results) + offset), low), high
            )
            for gene, offset in zip(network.genes, offsets, strict=True)
        },
    )


def sandwich(network: Architecture, generator: np.random.Generator) -> list[Genes]:
    """The genes of a batch: the widest, a narrow one, and random ones."""
    narrow = {
        gene.name: 2 if gene.kind == "weight" else NARROWEST + int(generator.integers(3))
        for gene in network.genes
    }
    return [
        homogeneous(network, SEARCHED_BITS[-1]),
        Genes(network, narrow),
        *(draw_genes(network, generator) for _ in range(MEMBERS - 2)),
    ]


def train_shared(
    start: Model,
    calibration: Calibration,
    task: Task,
    data: TaskData,
    recipe: Recipe,
    progress: Progress,
    *,
    teacher: FloatNetwork,
    checkpoint: Path | None = None,
) -> Model:
    """Train the weights that all genomes share, starting from a float network's.

    Parameters
    ----------
    start
        The float network's weights.
    calibration
        Gives the fraction bits of every width.
    teacher
        The float network.
    checkpoint
        See :func:`gruhw.learning.training.fit.fit`.

    Returns
    -------
    Model
        The shared weights, with the fraction bits of 8 bits everywhere.
    """
    network = start.network
    objective = Objective(start.span, recipe.shared_distillation, recipe.temperature)
    population = Population(network, [start])
    population.compile_steps()
    teacher.compile_steps()
    generator = np.random.default_rng([recipe.seed, 1])
    val = EncodedSplit(data.val, start)

    def assign(genes: Sequence[Genes], *, exact: bool) -> None:
        models = [replace(start, fractions=calibration.fractions(g)) for g in genes]
        population.assign(
            [model.typed(g) for g, model in zip(genes, models, strict=True)], exact=exact
        )

    def loss_of(batch: Split, streams: Streams) -> Tensor:
        with torch.no_grad():
            soft = float_outputs(teacher, task, batch, streams)
        # Gradients need no exact sums, and single precision is twice as fast.
        assign(sandwich(network, generator), exact=False)
        # States that are carried on may be those of other widths, which trains all of them.
        found = population(population.on_grids(batch.x), torch.tensor(batch.lengths), streams)
        return objective.loss(found, batch, soft) / MEMBERS

    def figure() -> Figure:
        assign([homogeneous(network, 4)], exact=True)
        (found,) = member_figures(population, val)
        return found

    fit(
        population,
        Batches(task, data.train, min(recipe.batch, len(data.train)), in_order=network.carries),
        loss_of,
        figure,
        recipe,
        phase="shared",
        epochs=recipe.shared_epochs,
        rate=recipe.quantised_rate,
        progress=progress,
        checkpoint=checkpoint,
        generators=[generator],
    )
    found = states_in_range(
        population.member_model(0, start), homogeneous(network, SEARCHED_BITS[-1])
    )
    return replace(found, trained_on=trained_on(start, data))
