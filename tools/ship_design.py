"""Train, measure and store the design of a task, beside the same network at 8 bits.

    python tools/ship_design.py --search build/search/activity --candidates 4 --seeds 3

trains the most accurate mixed members of a search's front (or the genomes of ``--genome``), and 8
bits everywhere, all together and from the same float network, as ``gruhw train`` does with one. The
cheapest one whose validation accuracy over the seeds is not measurably below 8 bits' is the task's
design; if there is none, the most accurate one. The first seed's models go to ``designs/TASK`` and
``designs/TASK/8-bit``, and that of ``--small``, the cheapest candidate if absent, to
``designs/TASK/small`` if it is another one, with the search's front, the measured report, and the
accuracies of all candidates and seeds. Nothing is chosen by the test part, which is only measured.
What was trained stays in the search's folder, and is not trained again.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from gruhw.basics.files import sha256, write_atomic
from gruhw.design import VECTORS, Design, save_design
from gruhw.design.trained import SAMPLES
from gruhw.learning.tasks import Split, load_task
from gruhw.learning.training.calibrate import calibration_of
from gruhw.learning.training.floating import float_figure, train_float
from gruhw.learning.training.quantised import train_quantised
from gruhw.learning.training.recipe import Recipe, recipe_for
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy, Figure
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.model import Model
from gruhw.network.reference import measure
from gruhw.report import compare
from gruhw.search.shared import validation_of

DESIGNS = Path(__file__).parent.parent / "designs"
SMALL, BASELINE, EIGHT = "small", "8-bit", 8
FRONT = ("pareto.json", "pareto.csv", "pareto.png", "genomes.png")
LARGEST_SAMPLES = 200_000
"""Bytes of test sequences that may travel with a design; 8 bits get only the few that it needs."""

ERRORS = 2
"""Standard errors from which on a difference counts."""

FIGURES = ("seed", "float_test", "validation", "test")


@dataclass(frozen=True)
class Trained:
    """What became of all genomes with one seed; accuracies are in their order."""

    seed: int
    float_test: float
    models: list[Model]
    validation: list[float]
    test: list[float]

    def save(self, folder: Path) -> None:
        """Keep it in a folder of its own; the figures last, so that they stand for the whole."""
        for number, model in enumerate(self.models):
            write_atomic(folder / f"{number}.safetensors", model.to_bytes())
        figures = {name: getattr(self, name) for name in FIGURES}
        write_atomic(folder / "figures.json", json.dumps(figures) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Trained | None":
        """What :meth:`save` kept; None if nothing was."""
        if not (folder / "figures.json").exists():
            return None
        figures = json.loads((folder / "figures.json").read_text())
        paths = [folder / f"{number}.safetensors" for number in range(len(figures["test"]))]
        return cls(models=[Model.from_bytes(path.read_bytes(), path) for path in paths], **figures)


def candidates(search: Path, count: int) -> list[Genome]:
    """The ``count`` most accurate members of a front that are mixed, the cheapest first."""
    template = Genome.load(search / "best.json")
    front = json.loads((search / "pareto.json").read_text())["front"]
    members = [member for member in front if member["homogeneous"] is None]
    chosen = sorted(members, key=lambda member: -member["correct"])[:count]
    return [
        template.model_copy(
            update={"genes": member["genes"], "folding": Folding(pe=member["folding"]["pe"])}
        )
        for member in front
        if member in chosen
    ]


def train(
    task_name: str, network: Architecture, genes: Sequence[Genes], kept: Path, recipe: Recipe
) -> Trained:
    """Train genomes from the same float network, unless it is done and ``kept``."""
    folder = kept / f"seed-{recipe.seed}-{_short_hash((genes, recipe))}"
    if (known := Trained.load(folder)) is not None:
        return known
    task = load_task(task_name)
    data = task.load()

    def tell(epoch: object) -> None:
        print(f"{task_name} seed {recipe.seed}: {epoch}", flush=True)

    teacher = train_float(task, data, network, recipe, tell)
    _, model_of = calibration_of(teacher, task, data, recipe)
    starts = [(widths, model_of(widths)) for widths in genes]
    models = train_quantised(starts, task, data, recipe, tell, teacher=teacher)
    bound = [
        Network.build(Genome(network=network, genes=g), model)
        for g, model in zip(genes, models, strict=True)
    ]
    validation, _ = validation_of(task)
    found = Trained(
        seed=recipe.seed,
        float_test=share(float_figure(teacher, task, data.test)),
        models=models,
        validation=[share(measure(one, validation)) for one in bound],
        test=[share(measure(one, data.test)) for one in bound],
    )
    found.save(folder)
    return found


def share(figure: Figure) -> float:
    """The part that is classified right: all shipped tasks are of classes."""
    if not isinstance(figure, Accuracy):
        raise TypeError(f"a task of classes is required, not one of {figure.name}")
    return figure.share


def _short_hash(value: object) -> str:
    """Names what was made from ``value``."""
    return sha256(repr(value).encode())[:16]


def choose(trained: Sequence[Trained]) -> int:
    """The place of the first genome that is as accurate as the last one, as far as seeds tell.

    That is, whose mean validation accuracy lies below it by no more than two standard errors of
    their difference. The most accurate one if there is none.
    """
    accuracies = np.array([found.validation for found in trained])
    below = accuracies[:, -1:] - accuracies[:, :-1]
    means = below.mean(axis=0)
    errors = np.zeros_like(means)
    if len(trained) > 1:
        errors = below.std(axis=0, ddof=1) / np.sqrt(len(trained))
    equal = np.flatnonzero(means <= ERRORS * errors)
    return int(equal[0]) if len(equal) else int(means.argmin())


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--search", type=Path, required=True, help="folder of a finished search")
    parser.add_argument("--candidates", type=int, default=4, help="of the search's front")
    parser.add_argument(
        "--genome", type=Path, action="append", help="instead of candidates, the cheapest first"
    )
    parser.add_argument("--small", type=int, default=0, help="place of the small candidate")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of quantised training; the task's if absent")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", action="append", default=None)
    parser.add_argument(
        "--pe", type=int, action="append", help="another folding to measure for the first target"
    )
    options = parser.parse_args(arguments)
    genomes = [Genome.load(path) for path in options.genome or ()]
    genomes = genomes or candidates(options.search, options.candidates)
    if not genomes or genomes[0].task is None:
        parser.error("mixed genomes of a task are required, but there are none")
    if not 0 <= options.small < len(genomes):
        parser.error(f"small must be 0 to {len(genomes) - 1}, not {options.small}")
    task, network = genomes[0].task, genomes[0].network
    recipe = recipe_for(task)
    if options.epochs is not None:
        recipe = replace(recipe, quantised_epochs=options.epochs)
    genes = [*(genome.genes for genome in genomes), homogeneous(network, EIGHT)]
    recipes = [replace(recipe, seed=seed) for seed in range(1, options.seeds + 1)]
    work = partial(train, task, network, genes, options.search / "shipping")
    with get_context("spawn").Pool(min(options.processes, len(recipes))) as pool:
        trained = pool.map(work, recipes, chunksize=1)
    place = choose(trained)
    name = Path(task).stem
    folder = DESIGNS / name
    template = genomes[place].model_copy(update={"model": None, "samples": None})
    shown = {place: folder, options.small: folder / SMALL, len(genes) - 1: folder / BASELINE}
    shown[place] = folder  # also where it is the small one
    shutil.rmtree(folder / SMALL, ignore_errors=True)
    paths = []
    for number, out in shown.items():
        genome = template.model_copy(update={"genes": genes[number]})
        samples = samples_of(task, VECTORS if out == folder / BASELINE else SAMPLES)
        save_design(out, genome, trained[0].models[number], samples)
        paths.append(out / "genome.json")
    names = [out.name for out in shown.values()]
    record = _record(recipe, names, genes, list(shown), trained, counts(task))
    write_atomic(folder / "training.json", json.dumps(record, indent=2) + "\n")
    for file in FRONT:
        if (options.search / file).exists():
            shutil.copyfile(options.search / file, folder / file)
    designs = [Design.load(path) for path in paths]
    targets = options.target or ["ice40", "asic"]
    # Cells of many PEs take Yosys minutes a design: other foldings are for the first target.
    comparison = compare(designs, targets, print, pes=options.pe or (), folded_targets=targets[:1])
    comparison.check()
    write_atomic(folder / "report.md", comparison.markdown())
    write_atomic(folder / "report.json", json.dumps(comparison.to_json(), indent=2) + "\n")
    for number, candidate in enumerate(genes):
        tests = [found.test[number] for found in trained]
        spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
        mark = "*" if number == place else " "
        weights = [bits for gene, bits in candidate.items() if gene.endswith(".weight")]
        print(
            f"{mark} weights {weights}: test {statistics.mean(tests):.2%} +- {spread:.2%} {tests}"
        )


def counts(task_name: str) -> dict[str, int]:
    """How many sequences the accuracies of a task's designs are of."""
    task = load_task(task_name)
    validation, times = validation_of(task)
    return {
        "validation_sequences": len(validation),
        "validation_variations": times,
        "test_sequences": len(task.load().test),
    }


def _record(
    recipe: Recipe,
    names: Sequence[str],
    genes: Sequence[Genes],
    shown: Sequence[int],
    trained: Sequence[Trained],
    counted: Mapping[str, int],
) -> dict[str, Any]:
    """How the designs were trained, what those reached that are shown, and what all did."""
    return {
        "task": names[0],
        "recipe": asdict(recipe),
        "genomes": list(names),
        **counted,
        "seeds": [
            {
                "seed": found.seed,
                "float_test": found.float_test,
                "validation": [found.validation[number] for number in shown],
                "test": [found.test[number] for number in shown],
            }
            for found in trained
        ],
        "candidates": [
            {
                "genes": dict(candidate),
                "validation": [found.validation[number] for found in trained],
                "test": [found.test[number] for found in trained],
            }
            for number, candidate in enumerate(genes)
        ],
    }


def samples_of(task_name: str, wanted: int) -> Split:
    """The first ``wanted`` test sequences, or as many as travel with a design."""
    test = load_task(task_name).load().test
    count = max(1, LARGEST_SAMPLES // test.x[0].nbytes)
    return test.take(np.arange(min(wanted, len(test), count)))


if __name__ == "__main__":
    main()
