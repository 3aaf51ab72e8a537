"""The area model against synthesis: error, ranking and speed on random networks.

The networks have seeds of their own: none of them calibrated the model. Each is synthesised for
real, flattened and without multiplier blocks. That takes long: results are kept in build/area,
one file a target, and a run that was stopped goes on where it was.

    python bench/area.py [--target ice40] [--count 200] [--no-synthesis]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import kendalltau

from gruhw.files import sha256, write_atomic
from gruhw.genome import GENES, SEARCHED_BITS, Genes, Genome, Sizes, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, Normalisation
from gruhw.quant import calibrate
from gruhw_hw.area import AreaModel, Candidates
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.samples import random_layers, random_network
from gruhw_hw.synthesis import TARGETS, synthesise, tool_versions
from gruhw_hw.top import TOP, generate_verilog

SEED = 2402
FOLDER = Path("build/area")
WORST = 5
GENOMES = 16_000
"""Random ones, for which estimates are timed."""


class Results:
    """What synthesis found for each network, kept in a file."""

    def __init__(self, target: str) -> None:
        self._path = FOLDER / f"{target}.json"
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


def fill(results: dict[str, Results], first: int, count: int, console: Console) -> None:
    """Synthesise what is missing or outdated, all targets of a network before the next."""
    for index in range(first, count):
        verilog = generate_verilog(random_network(SEED, index)).verilog
        for target in results:
            if results[target].has(index, verilog):
                continue
            total = synthesise(verilog, TOP, target, by_operator=False).total
            results[target].keep(index, verilog, total.to_json())
            console.print(f"network {index}, {target}")


def family(sizes: Sizes) -> Callable[[Genes], Model]:
    """A model of random weights for any genes, as candidates of a search share one."""
    rng = np.random.default_rng(SEED)
    weights, biases = random_layers(rng, sizes, 0.3)
    samples = rng.random((16, 12, sizes.input))
    normalisation = Normalisation.identity(sizes.input)
    fractions = {
        bits: calibrate(sizes, homogeneous(bits), weights, biases, samples)[0]
        for bits in SEARCHED_BITS
    }

    def model_of(genes: Genes) -> Model:
        own = {name: fractions[bits][name] for name, bits in calibrated_tensors(genes).items()}
        return Model(weights, biases, own, False, normalisation)

    return model_of


def speeds(model: AreaModel) -> tuple[float, float, float]:
    """Estimates a second of processor time, from genomes.

    Of the first quarter of random genomes, of the last quarter, and of those again.
    """
    sizes = Sizes(input=28, hidden=32, classes=10)
    rng = np.random.default_rng(SEED)
    genomes = [
        Genome(sizes=sizes, genes={gene: int(rng.choice(SEARCHED_BITS)) for gene in GENES})
        for _ in range(GENOMES)
    ]
    candidates = Candidates(family(sizes), sizes)
    rates = []
    quarters = [genomes[start::4] for start in range(4)]
    for part in (*quarters, quarters[-1]):
        start = time.process_time()
        model.amounts([candidates.measure(genome) for genome in part])
        rates.append(len(part) / (time.process_time() - start))
    return rates[0], rates[-2], rates[-1]


def compare(target: str, results: Results, count: int, console: Console) -> list[list[str]]:
    """Print the worst estimates of a target; the rows of the summary."""
    model = AreaModel.load(target)
    done = [index for index in range(count) if results.of(index) is not None]
    networks = [random_network(SEED, index) for index in done]
    rates = [f"{rate:,.0f}" for rate in speeds(model)]
    estimates = [model.estimate(network) for network in networks]
    rows = []
    main = "area_um2" if TARGETS[target].liberty else "luts"
    for amount in (main, "flip_flops", "carries", "block_rams"):
        real = np.array([(results.of(index) or {})[amount] for index in done], dtype=float)
        guess = np.array([getattr(estimate, amount) for estimate in estimates], dtype=float)
        error = guess - real
        relative = 100 * error / np.maximum(real, 1)
        tau = kendalltau(guess, real).statistic if real.any() else 1.0
        rows.append(
            [target, amount, f"{len(done)}", f"{np.abs(relative).mean():.2f} %",
             f"{np.abs(relative).max():.1f} %", f"{np.abs(error).max():.0f}", f"{tau:.3f}",
             *rates]
        )  # fmt: skip
        if amount == main:
            worst = sorted(range(len(done)), key=lambda i: -abs(relative[i]))[:WORST]
            for i in worst:
                genome = networks[i].genome
                console.print(
                    f"{target}: network {done[i]}, {genome.sizes}, pe={genome.folding.pe}, "
                    f"{genome.output}: {guess[i]:,.0f} for {real[i]:,.0f}, {relative[i]:+.1f} %"
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", choices=MODELLED, help="repeat for several")
    parser.add_argument("--first", type=int, default=0, help="of the networks to synthesise")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--no-synthesis", action="store_true", help="use what is there")
    options = parser.parse_args()
    console = Console(width=120)
    results = {target: Results(target) for target in options.target or MODELLED}
    if not options.no_synthesis:
        fill(results, options.first, options.count, console)
    rows = [
        row
        for target in results
        for row in compare(target, results[target], options.count, console)
    ]
    table = Table(title="The area model against synthesis")
    for heading in ("target", "amount", "networks", "mean", "worst", "worst, pieces", "tau",
                    "first/s", "last/s", "again/s"):  # fmt: skip
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
