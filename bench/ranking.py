"""How well errors are estimated without training each genome, and for how much time.

Random genomes are trained from the float network on; their validation error (the part that is
classified wrong, or the mean squared error) is compared with what two estimates say beforehand: the
shared weights of a search, and the float weights rounded (post-training quantisation). With
``--again`` all are trained once more from another seed: no estimate can agree better with a
training than another training does. The folder is that of a search of the task.

    python bench/ranking.py --task mnist-1d --folder build/search/mnist-1d [--genomes 30]
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

from gruhw.basics.files import write_atomic
from gruhw.learning.quant.population import Population, states_in_range
from gruhw.learning.tasks import load_task
from gruhw.learning.training.evaluate import EncodedSplit, member_figures
from gruhw.learning.training.floating import FloatNetwork
from gruhw.learning.training.quantised import train_quantised
from gruhw.learning.training.recipe import recipe_for
from gruhw.learning.training.shared import draw_genes
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.search.fine_tuning import TOGETHER
from gruhw.search.shared import SharedEvaluator, SharedWeights


class RoundedWeights(SharedWeights):
    """The float weights in the place of the shared ones."""

    @property
    def model(self) -> Model:
        """The float network, with the fraction bits of 8 bits everywhere."""
        return self.float_model


def trained(
    weights: SharedWeights, epochs: int, job: tuple[Sequence[Genes], int]
) -> tuple[list[float], float]:
    """Validation errors after training from the float network on, and its time.

    ``job`` are some genomes, which are trained together, and the seed.
    """
    genes, seed = job
    start = weights.float_model
    starts = [
        (g, states_in_range(replace(start, fractions=weights.of(g).fractions), g)) for g in genes
    ]
    recipe = replace(recipe_for(weights.task), quantised_epochs=epochs, seed=seed)
    began = time.process_time()
    task, teacher = load_task(weights.task), FloatNetwork.of(start)
    models = train_quantised(
        starts, task, weights.data, recipe, lambda epoch: None, teacher=teacher
    )
    seconds = time.process_time() - began
    population = Population(start.network, models)
    population.assign([model.typed(g) for g, model in zip(genes, models, strict=True)])
    population.compile_steps()
    val = EncodedSplit(weights.validation, start)
    return [figure.error for figure in member_figures(population, val)], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--genomes", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=None, help="of training; the recipe's")
    parser.add_argument("--again", action="store_true", help="train all twice")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    weights = SharedWeights(options.task, options.folder)
    rounded = RoundedWeights(options.task, options.folder)
    generator = np.random.default_rng(7)
    network = weights.model.network
    output = load_task(options.task).output_of(network)
    genes = [draw_genes(network, generator) for _ in range(options.genomes)]
    candidates = [Genome(network=network, genes=each, output=output) for each in genes]
    form = ".2%" if weights.validation.target == "class" else ".4g"
    estimates: dict[str, tuple[list[float], float]] = {}
    for name, source in (("shared weights", weights), ("float weights rounded", rounded)):
        evaluator = SharedEvaluator(source)
        began = time.process_time()
        found = [figure.error for figure in evaluator.figures(candidates)]
        estimates[name] = found, (time.process_time() - began) / len(genes)
    epochs = options.epochs or recipe_for(options.task).quantised_epochs
    seeds = (1, 2) if options.again else (1,)
    parts = [genes[start : start + TOGETHER] for start in range(0, len(genes), TOGETHER)]
    jobs = [(part, seed) for seed in seeds for part in parts]
    with get_context("spawn").Pool(options.processes) as pool:
        outcomes = pool.map(partial(trained, weights, epochs), jobs, chunksize=1)
    trainings = [
        [error for (found, _), (_, used) in zip(outcomes, jobs, strict=True) if used == seed
         for error in found]
        for seed in seeds
    ]  # fmt: skip
    truth = trainings[0]
    seconds = sum(spent for _, spent in outcomes) / len(genes) / len(seeds)
    if options.again:
        estimates["another training"] = trainings[1], seconds
    table = Table(title=f"{options.task}: {len(genes)} genomes, {epochs} epochs of training each")
    for heading in ("estimate", "Kendall's tau", "Spearman's rho", "mean error", "time / training"):
        table.add_column(heading, justify="left" if heading == "estimate" else "right")
    content = {"task": options.task, "genomes": len(genes), "epochs": epochs, "estimates": {}}
    for name, (found, spent) in estimates.items():
        tau, rho = kendalltau(found, truth).statistic, spearmanr(found, truth).statistic
        error = float(np.mean(np.abs(np.array(found) - truth)))
        table.add_row(
            name, f"{tau:.3f}", f"{rho:.3f}", f"{error:{form}}", f"1 / {seconds / spent:.0f}"
        )
        content["estimates"][name] = {"tau": tau, "rho": rho, "mean_error": error}
    Console().print(table)
    low, high = min(truth), max(truth)
    print(f"errors of the trained ones {low:{form}} to {high:{form}}; {seconds:.1f} s each")
    if options.json is not None:
        write_atomic(options.json, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
