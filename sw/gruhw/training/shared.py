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

from gruhw.accuracy import Accuracy
from gruhw.genome import GENES, SEARCHED_BITS, Genes, homogeneous
from gruhw.model import Model
from gruhw.quant import Calibration
from gruhw.quant.population import Population
from gruhw.tasks import Split, Task, TaskData
from gruhw.training.fit import Batches, Progress, fit
from gruhw.training.floating import FloatGRU, float_logits
from gruhw.training.quantised import EncodedSplit, count_correct, distilled_loss, trained_on
from gruhw.training.recipe import Recipe

MEMBERS = 4
"""Genomes that each batch is trained on."""

WEIGHT_BASES = (2, 2, 3, 4, 6, 8)
RESULT_BASES = (3, 4, 4, 5, 6, 8)
"""Widths around which random genomes lie, for weights and for results: those that a search is
interested in come up more often."""

NARROWEST = 3
"""The width of the results of a sandwich's narrowest genome, whose weights have 2 bits."""


def draw_genes(generator: np.random.Generator) -> Genes:
    """Random genes: weights around one width, results around another, each up to one bit off."""
    weights, results = generator.choice(WEIGHT_BASES), generator.choice(RESULT_BASES)
    offsets = generator.choice((-1, 0, 0, 1), len(GENES))
    low, high = SEARCHED_BITS[0], SEARCHED_BITS[-1]
    return Genes(
        {
            gene: min(max(int((weights if ".weight" in gene else results) + offset), low), high)
            for gene, offset in zip(GENES, offsets, strict=True)
        }
    )


def sandwich(generator: np.random.Generator) -> list[Genes]:
    """The genes of a batch: the widest, a narrow one, and random ones."""
    widest = homogeneous(SEARCHED_BITS[-1])
    narrow = {g: 2 if ".weight" in g else NARROWEST + int(generator.integers(3)) for g in GENES}
    return [widest, Genes(narrow), *(draw_genes(generator) for _ in range(MEMBERS - 2))]


def train_shared(
    start: Model,
    calibration: Calibration,
    task: Task,
    data: TaskData,
    recipe: Recipe,
    progress: Progress,
    *,
    teacher: FloatGRU,
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
        See :func:`gruhw.training.fit.fit`.

    Returns
    -------
    Model
        The shared weights, with the fraction bits of 8 bits everywhere.
    """
    sizes = start.sizes
    population = Population(sizes, [start])
    population.compile_steps()
    generator = np.random.default_rng([recipe.seed, 1])
    val = EncodedSplit(data.val, start.normalisation)

    def assign(genes: Sequence[Genes], *, exact: bool) -> None:
        models = [replace(start, fractions=calibration.fractions(g)) for g in genes]
        graphs = [model.graph(g) for g, model in zip(genes, models, strict=True)]
        population.assign(graphs, exact=exact)

    def loss_of(batch: Split) -> Tensor:
        with torch.no_grad():
            soft = float_logits(teacher, task, batch)
        # Gradients need no exact sums, and single precision is twice as fast.
        assign(sandwich(generator), exact=False)
        logits = population(population.on_grids(batch.x), torch.tensor(batch.lengths))
        labels = torch.tensor(batch.y)
        loss = distilled_loss(logits, soft, labels, recipe.shared_distillation, recipe.temperature)
        return loss / MEMBERS

    def accuracy() -> Accuracy:
        assign([homogeneous(4)], exact=True)
        (correct,) = count_correct(population, val)
        return Accuracy(correct, len(data.val))

    fit(
        population,
        Batches(task, data.train, min(recipe.batch, len(data.train))),
        loss_of,
        accuracy,
        recipe,
        phase="shared",
        epochs=recipe.shared_epochs,
        rate=recipe.quantised_rate,
        progress=progress,
        checkpoint=checkpoint,
        generators=[generator],
    )
    return replace(population.member_model(0, start), trained_on=trained_on(start, data))
