"""The calibration of a network that was trained in floating point."""

from collections.abc import Callable

from gruhw.learning.quant import Calibration
from gruhw.learning.quant.population import states_in_range
from gruhw.learning.tasks import Task, TaskData
from gruhw.learning.training.floating import FloatNetwork, bounded
from gruhw.learning.training.recipe import Recipe
from gruhw.network.genes import Genes
from gruhw.network.model import Model


def calibration_of(
    trained: FloatNetwork, task: Task, data: TaskData, recipe: Recipe
) -> tuple[Calibration, Callable[[Genes], Model]]:
    """The calibration of a trained float network on the first training sequences.

    Returns
    -------
    tuple
        The calibration, and what gives the unchanged weights with the fraction bits of genes, and
        initial states that their types hold.
    """
    network = trained.network
    weights, biases, initial = trained.arrays(0)
    few = slice(0, recipe.calibration)
    normalise = task.normalisation()
    found = Calibration.measure(
        network,
        weights,
        biases,
        bounded(normalise, data.train.x[few]),
        data.train.lengths[few],
        initial=initial,
        keep_outliers=recipe.keep_outliers,
    )

    def model(genes: Genes) -> Model:
        calibrated = Model(
            network,
            weights,
            biases,
            found.fractions(genes),
            found.input_signed,
            normalise,
            trained.trained_on,
            initial,
            trained.span,
        )
        return states_in_range(calibrated, genes)

    return found, model
