"""Train, measure and store a design of another network, beside a task's design.

    python tools/ship_network.py --task keyword-spotting --layers gru:48,gru:32 --name two-layers

trains the network at plain widths, which are 8 bits but for weights and states, with some seeds.
The first seed's design goes to ``designs/TASK/NAME``, with its accuracies for every seed and a
report of it beside the task's own designs. Nothing is chosen by the test part. What was trained is
kept, and not trained again.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import ship_design
from gruhw.basics.files import write_atomic
from gruhw.design import Design, save_design
from gruhw.design.trained import SAMPLES
from gruhw.learning.tasks import load_task
from gruhw.learning.training.recipe import recipe_for
from gruhw.network.architecture import Architecture
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.genome import Genome
from gruhw.report import compare
from ship_design import BASELINE, EIGHT, counts, samples_of, train


def plain_genes(network: Architecture, weights: int, states: int, kept: int) -> Genes:
    """8 bits, but for all weights and for states.

    States that linear operators read have ``states`` bits. Others, such as the cell state of an
    LSTM, are sums over many steps: these and what is added have ``kept`` bits.
    """
    changed = {gene.name: weights for gene in network.genes if gene.kind == "weight"}
    for stage in network.stages:
        read = {node.operand for node in stage.graph.linears}
        for state in stage.graph.states:
            if state.name in read:
                changed[stage.spell(state.source)] = states
            else:
                added = (state.source, *stage.graph[state.source].operands)
                changed |= dict.fromkeys(map(stage.spell, added), kept)
    return homogeneous(network, EIGHT).changed(changed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--task", required=True)
    parser.add_argument("--layers", required=True, help="as gru:48,gru:32")
    parser.add_argument("--name", required=True, help="of the folder below that of the task")
    parser.add_argument("--weights", type=int, default=3, help="bits of weights")
    parser.add_argument("--states", type=int, default=6, help="bits of states that weights meet")
    parser.add_argument("--cell-states", type=int, default=12, help="bits of other states")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of quantised training; the task's if absent")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--target", action="append", default=None)
    parser.add_argument("--kept", type=Path, default=Path("build/networks"), help="what is trained")
    options = parser.parse_args(arguments)
    task = load_task(options.task)
    network = Architecture(inputs=task.inputs, layers=options.layers, outputs=task.outputs)
    recipe = recipe_for(options.task)
    if options.epochs is not None:
        recipe = replace(recipe, quantised_epochs=options.epochs)
    genes = [plain_genes(network, options.weights, options.states, options.cell_states)]
    recipes = [replace(recipe, seed=seed) for seed in range(1, options.seeds + 1)]
    name = Path(options.task).stem
    kept = options.kept / name / options.name
    work = partial(train, options.task, network, genes, kept)
    with get_context("spawn").Pool(min(options.processes, len(recipes))) as pool:
        trained = pool.map(work, recipes, chunksize=1)
    beside, folder = ship_design.DESIGNS / name, ship_design.DESIGNS / name / options.name
    genome = Genome(task=options.task, network=network, genes=genes[0])
    save_design(folder, genome, trained[0].models[0], samples_of(options.task, SAMPLES))
    record = {
        "task": options.task,
        "recipe": asdict(recipe),
        "genomes": [options.name],
        **counts(options.task),
        "seeds": [
            {
                "seed": found.seed,
                "float_test": found.float_test,
                "validation": found.validation,
                "test": found.test,
            }
            for found in trained
        ],
    }
    write_atomic(folder / "training.json", json.dumps(record, indent=2) + "\n")
    paths = [folder / "genome.json", beside / "genome.json", beside / BASELINE / "genome.json"]
    comparison = compare([Design.load(p) for p in paths], options.target or ["ice40"], print)
    comparison.check()
    write_atomic(folder / "report.md", comparison.markdown())
    write_atomic(folder / "report.json", json.dumps(comparison.to_json(), indent=2) + "\n")
    tests = [found.test[0] for found in trained]
    spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
    print(f"{options.name}: test {statistics.mean(tests):.2%} +- {spread:.2%} {tests}")


if __name__ == "__main__":
    main()
