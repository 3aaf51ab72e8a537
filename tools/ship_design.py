"""Train, measure and store the design of a task, beside the same network at 8 bits.

    python tools/ship_design.py --search build/search/activity --seeds 3

takes the genome that a search selected and trains it and 8 bits everywhere together, from one
float network a seed, so that both have the same training. The first seed's designs go to
``designs/TASK`` and ``designs/TASK/8-bit``, with the search's front, the measured report, and the
accuracies of all seeds. Genomes were chosen on validation data; the test part is only measured.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from gruhw.design import Design, save_design
from gruhw.files import write_atomic
from gruhw.genome import Genes, Genome, homogeneous
from gruhw.model import Model, Network
from gruhw.report import compare
from gruhw.tasks import load_task
from gruhw.training.design import SAMPLES, accuracy, calibration_of
from gruhw.training.floating import float_accuracy, train_float
from gruhw.training.quantised import train_quantised
from gruhw.training.recipe import Recipe, recipe_for

DESIGNS = Path(__file__).parent.parent / "designs"
BASELINE = "8-bit"
FRONT = ("pareto.json", "pareto.csv", "pareto.png", "genomes.png")
LARGEST_SAMPLES = 200_000
"""Bytes of test sequences that may travel with a design."""


def train(
    task_name: str, hidden: int, genes: Sequence[Genes], recipe: Recipe
) -> tuple[list[Model], dict[str, Any]]:
    """Train genomes from one float network; their models, and all accuracies."""
    task = load_task(task_name)
    data = task.load()

    def tell(epoch: object) -> None:
        print(f"{task_name} seed {recipe.seed}: {epoch}", flush=True)

    float_network = train_float(task, data, hidden, recipe, tell)
    _, model_of = calibration_of(float_network, task, data, recipe)
    models = train_quantised([(g, model_of(g)) for g in genes], task, data, recipe, tell)
    networks = [
        Network.build(Genome(sizes=model.sizes, genes=dict(g)), model)
        for g, model in zip(genes, models, strict=True)
    ]
    figures = {
        "seed": recipe.seed,
        "float_test": float_accuracy(float_network, task, data.test),
        "validation": [accuracy(network, data.val) for network in networks],
        "test": [accuracy(network, data.test) for network in networks],
    }
    return models, figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--search", type=Path, required=True, help="folder of a finished search")
    parser.add_argument("--genome", type=Path, help="another genome than the search's best.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of quantised training; the task's if absent")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", action="append", default=None)
    options = parser.parse_args(arguments)
    chosen = Genome.load(options.genome or options.search / "best.json")
    if chosen.task is None:
        parser.error("the genome must name its task")
    recipe = recipe_for(chosen.task)
    if options.epochs is not None:
        recipe = replace(recipe, quantised_epochs=options.epochs)
    genes = [chosen.widths, homogeneous(8)]
    work = partial(train, chosen.task, chosen.sizes.hidden, genes)
    recipes = [replace(recipe, seed=seed) for seed in range(1, options.seeds + 1)]
    with get_context("spawn").Pool(min(options.processes, len(recipes))) as pool:
        outcomes = pool.map(work, recipes, chunksize=1)
    name = Path(chosen.task).stem
    folder = DESIGNS / name
    paths = _save(folder, chosen, genes, outcomes[0][0])
    figures = [found for _, found in outcomes]
    names = [name, BASELINE]
    record = {
        "task": chosen.task,
        "recipe": asdict(recipe),
        "genomes": names,
        "seeds": figures,
    }
    write_atomic(folder / "training.json", json.dumps(record, indent=2) + "\n")
    for file in FRONT:
        if (options.search / file).exists():
            shutil.copyfile(options.search / file, folder / file)
    comparison = compare(
        [Design.load(path) for path in paths], options.target or ["ice40", "asic"], print
    )
    write_atomic(folder / "report.md", comparison.markdown())
    write_atomic(folder / "report.json", json.dumps(comparison.to_json(), indent=2) + "\n")
    for place, genome in enumerate(names):
        tests = [found["test"][place] for found in figures]
        spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
        print(f"{genome}: test {statistics.mean(tests):.2%} +- {spread:.2%} {tests}")


def _save(
    folder: Path, chosen: Genome, genes: Sequence[Genes], models: Sequence[Model]
) -> list[Path]:
    """Store the designs; the baseline takes its test sequences from the task."""
    test = load_task(str(chosen.task)).load().test
    size = test.x[0].nbytes
    samples = test.take(np.arange(min(SAMPLES, len(test), max(1, LARGEST_SAMPLES // size))))
    template = chosen.model_copy(update={"model": None, "samples": None})
    save_design(folder, template, models[0], samples)
    baseline = template.model_copy(update={"genes": dict(genes[1])})
    save_design(folder / BASELINE, baseline, models[1], None)
    return [folder / "genome.json", folder / BASELINE / "genome.json"]


if __name__ == "__main__":
    main()
