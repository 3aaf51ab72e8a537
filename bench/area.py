"""The area model against synthesis: error, ranking and speed on random networks.

The networks have seeds of their own: none of them calibrated the model. There are two kinds, those
of one GRU and stacks of any cells and layers, of which errors are told apart by topology. Each is
synthesised for real, flattened and without multiplier blocks. That takes long: results are kept in
build/area, one file a target and kind, and a run that was stopped goes on where it was.

    python bench/area.py [--target ice40] [--kind stack] [--count 200] [--no-synthesis]
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

from gruhw.basics.files import sha256, write_atomic
from gruhw.learning.quant import calibrate
from gruhw.network.architecture import DENSE, Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import SEARCHED_BITS, Genes, homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw_hw.area import AreaModel, Candidates
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.samples import random_layers, random_network, random_stack
from gruhw_hw.synthesis import TARGETS, synthesise, tool_versions
from gruhw_hw.top import TOP, generate_verilog

KINDS: Mapping[str, Callable[[int, int], Network]] = {
    "gru": random_network,
    "stack": random_stack,
}
"""What draws the networks of each kind."""

SEED = 2402
FOLDER = Path("build/area")
WORST = 5
GENOMES = 16_000
"""Random ones, for which estimates are timed."""

TIMED: Mapping[str, Architecture] = {
    "gru": Architecture(inputs=28, layers=("gru:32",), outputs=10),
    "stack": Architecture(inputs=28, layers=("gru:32", "gru:32"), outputs=10),
}
"""Those of what network, for each kind."""


class Results:
    """What synthesis found for each network of a kind, kept in a file."""

    def __init__(self, target: str, kind: str) -> None:
        self.target, self.draw = target, KINDS[kind]
        self._path = FOLDER / (f"{target}.json" if kind == "gru" else f"{target}-{kind}.json")
        self._tools = dict(tool_versions())
        found = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._found = found.get("found", {}) if found.get("tools") == self._tools else {}

    def of(self, index: int) -> dict[str, Any] | None:
        found = self._found.get(str(index))
        return found and found["total"]

    def has(self, index: int, verilog: str) -> bool:
        """Whether it is known of a network, and of what the generator makes of it today."""
        found = self._found.get(str(index))
        return found is not None and found["verilog"] == sha256(verilog.encode())

    def keep(self, index: int, verilog: str, total: dict[str, Any]) -> None:
        self._found[str(index)] = {"verilog": sha256(verilog.encode()), "total": total}
        write_atomic(self._path, json.dumps({"tools": self._tools, "found": self._found}))


def fill(results: Sequence[Results], first: int, count: int, console: Console) -> None:
    """Synthesise what is missing or outdated, all targets of a network before the next."""
    for index in range(first, count):
        verilog = generate_verilog(results[0].draw(SEED, index)).verilog
        for found in results:
            if found.has(index, verilog):
                continue
            total = synthesise(verilog, TOP, found.target, by_operator=False).total
            found.keep(index, verilog, total.to_json())
            console.print(f"network {index}, {found.target}")


def family(network: Architecture) -> Callable[[Genes], Model]:
    """A model of random weights for any genes, as candidates of a search share one."""
    rng = np.random.default_rng(SEED)
    weights, biases = random_layers(rng, network, 0.3)
    samples = rng.random((16, 12, network.inputs))
    fractions = {
        bits: calibrate(network, homogeneous(network, bits), weights, biases, samples)[0]
        for bits in SEARCHED_BITS
    }
    unit = Normalisation.identity(network.inputs)
    shared = Model(network, weights, biases, fractions[SEARCHED_BITS[0]], False, unit)

    def model_of(genes: Genes) -> Model:
        own = {gene.name: fractions[genes[gene.name]][gene.name] for gene in network.calibrated}
        return replace(shared, fractions=own)

    return model_of


def speeds(model: AreaModel, network: Architecture) -> tuple[float, float, float]:
    """Estimates a second of processor time, from genomes.

    Of the first quarter of random genomes, of the last quarter, and of those again.
    """
    rng = np.random.default_rng(SEED)
    genomes = [
        Genome(
            network=network,
            genes=Genes(network, {n: int(rng.choice(SEARCHED_BITS)) for n in network.gene_names}),
        )
        for _ in range(GENOMES)
    ]
    candidates = Candidates(family(network), network)
    rates = []
    quarters = [genomes[start::4] for start in range(4)]
    for part in (*quarters, quarters[-1]):
        start = time.process_time()
        model.amounts([candidates.measure(genome) for genome in part])
        rates.append(len(part) / (time.process_time() - start))
    return rates[0], rates[-2], rates[-1]


def topologies(network: Network) -> Iterator[str]:
    """The groups of networks that this one belongs to."""
    genome, layers = network.genome, network.architecture.layers
    yield f"{len(layers)} layers" if len(layers) > 1 else "1 layer"
    yield f"output {genome.output}"
    yield f"initial {genome.network.initial}"
    for cell in sorted({layer.cell for layer in layers}):
        yield "with dense layers" if cell == DENSE else f"with {cell}"


Row = tuple[str, ...]


def errors(real: np.ndarray, guess: np.ndarray) -> Row:
    """Mean and largest error, in percent and pieces, and Kendall's tau."""
    error = np.abs(guess - real)
    relative = 100 * error / np.maximum(real, 1)
    tau = kendalltau(guess, real).statistic if len(real) > 1 and real.any() else 1.0
    mean, worst = f"{relative.mean():.2f} %", f"{relative.max():.1f} %"
    return f"{len(real)}", mean, worst, f"{error.max():.0f}", f"{tau:.3f}"


def compare(results: Results, kind: str, count: int, console: Console) -> tuple[list[Row], ...]:
    """Print the worst estimates of a target; the rows of the summary, and those by topology."""
    model = AreaModel.load(results.target)
    done = [index for index in range(count) if results.of(index) is not None]
    if not done:
        return [], []
    networks = [results.draw(SEED, index) for index in done]
    rates = [f"{rate:,.0f}" for rate in speeds(model, TIMED[kind])]
    estimates = [model.estimate(network) for network in networks]
    rows, grouped = [], []
    main = "area_um2" if TARGETS[results.target].liberty else "luts"
    for amount in (main, "flip_flops", "carries", "block_rams"):
        real = np.array([(results.of(index) or {})[amount] for index in done], dtype=float)
        guess = np.array([getattr(estimate, amount) for estimate in estimates], dtype=float)
        rows.append((kind, results.target, amount, *errors(real, guess), *rates))
        if amount == main:
            groups: dict[str, list[int]] = {}
            for place, network in enumerate(networks):
                for name in topologies(network):
                    groups.setdefault(name, []).append(place)
            for name, places in sorted(groups.items()):
                grouped.append((kind, results.target, name, *errors(real[places], guess[places])))
            relative = 100 * (guess - real) / np.maximum(real, 1)
            for i in sorted(range(len(done)), key=lambda i: -abs(relative[i]))[:WORST]:
                genome = networks[i].genome
                console.print(
                    f"{results.target}: network {done[i]}, {genome.network}, "
                    f"pe={genome.folding.pe}, {genome.output}: {guess[i]:,.0f} for "
                    f"{real[i]:,.0f}, {relative[i]:+.1f} %"
                )
    return rows, grouped


def table_of(title: str, headings: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table for people."""
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", choices=MODELLED, help="repeat for several")
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="repeat for several")
    parser.add_argument("--first", type=int, default=0, help="of the networks to synthesise")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--no-synthesis", action="store_true", help="use what is there")
    options = parser.parse_args()
    console = Console(width=120)
    rows: list[Row] = []
    grouped: list[Row] = []
    for kind in options.kind or KINDS:
        results = [Results(target, kind) for target in options.target or MODELLED]
        if not options.no_synthesis:
            fill(results, options.first, options.count, console)
        for found in results:
            more, more_grouped = compare(found, kind, options.count, console)
            rows += more
            grouped += more_grouped
    figures = ("networks", "mean", "worst", "worst, pieces", "tau")
    headings = ("kind", "target", "amount", *figures, "first/s", "last/s", "again/s")
    console.print(table_of("The area model against synthesis", headings, rows))
    headings = ("kind", "target", "topology", *figures)
    console.print(table_of("LUTs, or area, by topology", headings, grouped))


if __name__ == "__main__":
    main()
