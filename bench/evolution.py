"""What the evolution gains by its beginning: hypervolumes after equally many evaluations.

The folder is that of a search, whose shared weights tell how well genomes do.

    python bench/evolution.py --folder build/search/mnist-1d --task mnist-1d [--evaluations 4000]
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gruhw.learning.tasks import load_task
from gruhw.network.genes import preset_of
from gruhw.search.accelerators import Accelerators
from gruhw.search.descent import descend
from gruhw.search.evolve import Begin, Evaluate, evolve
from gruhw.search.front import Candidate, Reference
from gruhw.search.objectives import make_costs
from gruhw.search.shared import SharedFactory, SharedWeights
from gruhw.search.space import SearchSpace, Vector

STEPS = 8
"""Rows of the table."""


def at_random(space: SearchSpace, evaluate: Evaluate) -> None:
    """Look at nothing more: the population is filled with random candidates."""


BEGINNINGS: dict[str, Begin] = {"random": at_random, "descent": descend}


def gains(
    space: SearchSpace, evaluate: Evaluate, begin: Begin, evaluations: int, population: int
) -> dict[int, float]:
    """The hypervolume, against that of the homogeneous front, by evaluations so far."""
    found: dict[int, float] = {}
    homogeneous = len(space.baselines())
    for generation in evolve(
        space, evaluate, population=population, generations=evaluations, seed=1, begin=begin
    ):
        reference = Reference.of(generation.candidates[:homogeneous])
        found[generation.evaluations] = reference.gain(generation.front)
        if generation.evaluations >= evaluations:
            break
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--evaluations", type=int, default=4000)
    parser.add_argument("--population", type=int, default=64)
    options = parser.parse_args()
    weights = SharedWeights(options.task, options.folder)
    evaluator = SharedFactory(weights)()
    costs = make_costs(["luts", "size"], steps=load_task(options.task).steps)
    made = Accelerators(evaluator.model)
    network = weights.model.network
    output = load_task(options.task).output_of(network)
    space = SearchSpace(preset_of("full", network), options.task, output)

    def evaluate(vectors: Sequence[Vector]) -> list[Candidate]:
        genomes = [space.genome(vector) for vector in vectors]
        return [
            Candidate(g, figure, tuple(c(made(g)) for c in costs))
            for g, figure in zip(genomes, evaluator.figures(genomes), strict=True)
        ]

    rates = Table(title=f"{options.task}: hypervolume against that of the homogeneous front")
    rates.add_column("evaluations", justify="right")
    columns = []
    for name, begin in BEGINNINGS.items():
        start = time.perf_counter()
        columns.append(gains(space, evaluate, begin, options.evaluations, options.population))
        rate = max(columns[-1]) / (time.perf_counter() - start)
        rates.add_column(f"{name} ({rate:.0f}/s)", justify="right")
    for step in range(1, STEPS + 1):
        limit = options.evaluations * step // STEPS
        reached = [max((g for n, g in c.items() if n <= limit), default=0.0) for c in columns]
        rates.add_row(f"{limit:,}", *(f"{gain:.3f}" if gain else "-" for gain in reached))
    Console().print(rates)


if __name__ == "__main__":
    main()
