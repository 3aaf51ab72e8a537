"""What was done for speed, each measured in one run against the plain way, as a ratio.

python bench/speed.py
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from gruhw.design import Design
from gruhw.model import load_model
from gruhw.quant import QuantGRU

GENOME = Path(__file__).parent.parent / "designs" / "mnist-rows" / "genome.json"
BATCH = 256


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The mean time of ``work``, after one run that is not counted."""
    work()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - started) / repeats


def training() -> tuple[float, float]:
    """A training step as it is written, and with time steps in C++."""
    design = Design.load(GENOME)
    network = QuantGRU(design.genome.sizes, design.genome.genes, load_model(design.genome, GENOME))
    split = design.samples()
    inputs = torch.from_numpy(network.encode(split.x[:BATCH]).astype(np.float32))
    labels = torch.tensor(split.y[:BATCH])

    def step() -> None:
        torch.nn.functional.cross_entropy(network(inputs), labels).backward()

    plain = seconds(step, 5)
    network.compile_steps()
    return plain, seconds(step, 10)


def matrix_product() -> tuple[float, float]:
    """The reference's largest product in 64-bit integers, and exactly in double precision."""
    generator = np.random.default_rng(0)
    states = generator.integers(-128, 128, (2000, 32))
    weights = generator.integers(-8, 8, (32, 32))
    plain = seconds(lambda: states @ weights.T, 50)
    fast = seconds(
        lambda: (states.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64), 50
    )
    return plain, fast


def main() -> None:
    table = Table(title="Time of the plain way / time of the chosen way")
    for heading in ("what", "plain", "chosen", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name, measure in (
        ("training step, time steps in C++", training),
        ("reference, products in double precision", matrix_product),
    ):
        plain, chosen = measure()
        table.add_row(
            name, f"{plain * 1e3:.2f} ms", f"{chosen * 1e3:.2f} ms", f"{plain / chosen:.1f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
