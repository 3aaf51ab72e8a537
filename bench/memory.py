"""What an evaluation takes when every operator of every step is kept, and when only classes are.

Each way runs in a process of its own, on the same random network and sequences, and must find the
same classes. The data themselves, in single precision, are part of either peak.

    python bench/memory.py [--sequences 200] [--steps 5000] [--inputs 16] [--hidden 32]
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from gruhw.learning.tasks import Split
from gruhw.network.architecture import Architecture, Layer
from gruhw.network.bound import Network
from gruhw.network.fixed import IntArray
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import classify, run_reference
from gruhw_hw.area.samples import random_layers

BITS = 8
CLASSES = 10
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of what the operating system counts a process's memory in."""


def case(sequences: int, steps: int, inputs: int, hidden: int) -> tuple[Network, Split]:
    """A random network and random sequences, all of them as long as they can be."""
    rng = np.random.default_rng(1)
    network = Architecture(inputs=inputs, layers=(Layer("gru", hidden),), outputs=CLASSES)
    genes = homogeneous(network, BITS)
    fractions = {gene.name: BITS - 2 for gene in network.calibrated}
    layers = random_layers(rng, network, 0.3)
    model = Model(network, *layers, fractions, True, Normalisation.identity(inputs))
    x = rng.standard_normal((sequences, steps, inputs), dtype=np.float32)
    labels, lengths = np.zeros(sequences, dtype=np.int64), np.full(sequences, steps)
    bound = Network.build(Genome(network=network, genes=genes), model)
    return bound, Split(x, labels, lengths)


def keep_everything(network: Network, split: Split) -> IntArray:
    return run_reference(network, network.encode(split.x), split.lengths).classes


def measure(
    work: Callable[[Network, Split], IntArray], sizes: tuple[int, ...]
) -> tuple[float, int, list[int]]:
    """The seconds that ``work`` takes, its process's peak of memory in bytes, what it finds."""
    network, split = case(*sizes)
    started = time.perf_counter()
    found = work(network, split).tolist()
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("sequences", 200), ("steps", 5000), ("inputs", 16), ("hidden", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = tuple(vars(parser.parse_args()).values())
    table = Table(title="{:,} sequences, {:,} steps, {} inputs, {} hidden units".format(*sizes))
    for heading in ("", "everything kept", "classes only", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    results = []
    for work in (keep_everything, classify):
        # Not forked: what this process has held would count.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results.append(pool.apply(measure, (work, sizes)))
    (seconds, peak, found), (fewer_seconds, lower_peak, classes) = results
    if found != classes:
        raise SystemExit("the two ways find different classes")
    for name, plain, chosen, shown in (
        ("time", seconds, fewer_seconds, "{:.1f} s"),
        ("peak memory", peak / 1e6, lower_peak / 1e6, "{:,.0f} MB"),
    ):
        table.add_row(name, shown.format(plain), shown.format(chosen), f"{plain / chosen:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
