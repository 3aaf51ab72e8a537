"""What was done for speed, each measured in one run against the plain way, as a ratio.

The second table is about cells: the time of a training step, compiled, and how much of it there is
for each multiplication, beside the GRU.

python bench/speed.py
"""

import time
from collections.abc import Callable
from math import prod

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from gruhw.learning.quant import calibrate
from gruhw.learning.quant.population import Population
from gruhw.learning.training.fit import one_thread
from gruhw.learning.training.floating import FloatNetwork
from gruhw.network.architecture import Architecture
from gruhw.network.cells import cells
from gruhw.network.genes import homogeneous
from gruhw.network.model import Model
from gruhw.network.normalisation import Normalisation

INPUTS, UNITS, CLASSES, STEPS, BATCH = 28, 32, 10, 28, 256
"""As rows of MNIST."""

BITS = 5


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of ``work``, after one run that is not counted.

    Other processes may run meanwhile: they make single runs longer, and none shorter.
    """
    work()
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def architecture(*layers: str) -> Architecture:
    """A network of these layers."""
    return Architecture(inputs=INPUTS, layers=layers, outputs=CLASSES)


class Steps:
    """A training step of a network on one batch of random sequences."""

    def __init__(self, network: Architecture) -> None:
        rng = np.random.default_rng(0)
        self.raw = rng.random((BATCH, STEPS, INPUTS))
        self.labels = torch.tensor(rng.integers(0, CLASSES, BATCH))
        self.floating = FloatNetwork(network)
        weights, biases, initial = self.floating.arrays(0)
        genes = homogeneous(network, BITS)
        fractions, signed = calibrate(network, genes, weights, biases, self.raw)
        unit = Normalisation.identity(INPUTS)
        model = Model(network, weights, biases, fractions, signed, unit, initial=initial)
        self.quantised = Population(network, [model])
        self.quantised.assign([model.typed(genes)])
        self.on_grid = self.quantised.on_grids(self.raw)
        self.real = torch.from_numpy(self.raw).float()

    def compiled(self) -> "Steps":
        """The same, compiled."""
        self.quantised.compile_steps()
        self.floating.compile_steps()
        return self

    def quantised_step(self) -> None:
        """Of the quantised network."""
        self._learn(self.quantised(self.on_grid)[0])

    def float_step(self) -> None:
        """Of the float network."""
        self._learn(self.floating(self.real, torch.full((BATCH,), STEPS)))

    def pytorch_step(self, recurrent: nn.GRU, head: nn.Linear) -> None:
        """Of PyTorch's own modules."""
        states, _ = recurrent(self.real)
        self._learn(head(states[:, -1]))

    def _learn(self, logits: Tensor) -> None:
        nn.functional.cross_entropy(logits, self.labels).backward()


def training() -> tuple[float, float]:
    """A training step as it is written, and with time steps in C++."""
    steps = Steps(architecture(f"gru:{UNITS}"))
    plain = seconds(steps.quantised_step, 5)
    return plain, seconds(steps.compiled().quantised_step, 50)


def float_training() -> tuple[float, float]:
    """A training step of PyTorch's GRU, and of the float network in C++."""
    steps = Steps(architecture(f"gru:{UNITS}")).compiled()
    recurrent, head = nn.GRU(INPUTS, UNITS, batch_first=True), nn.Linear(UNITS, CLASSES)
    plain = seconds(lambda: steps.pytorch_step(recurrent, head), 50)
    return plain, seconds(steps.float_step, 50)


def networks() -> list[Architecture]:
    """One of each cell, the GRU first, and stacked ones."""
    single = sorted(cells(), key=lambda name: name != "gru")
    layers = [(f"{name}:{UNITS}",) for name in single]
    layers += [(f"gru:{UNITS}", f"gru:{UNITS}"), (f"dense:{UNITS}:relu", f"gru:{UNITS}")]
    return [architecture(*each) for each in layers]


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


def ways() -> Table:
    """The plain ways and the chosen ones."""
    table = Table(title="Processor time of the plain way / of the chosen way")
    for heading in ("what", "plain", "chosen", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name, measure in (
        ("quantised training step, time steps in C++", training),
        ("float training step, PyTorch's GRU and C++", float_training),
        ("reference, products in double precision", matrix_product),
    ):
        plain, chosen = measure()
        table.add_row(
            name, f"{plain * 1e3:.2f} ms", f"{chosen * 1e3:.2f} ms", f"{plain / chosen:.1f}"
        )
    return table


def by_cell() -> Table:
    """Training steps of other networks beside the GRU."""
    table = Table(
        title="Processor time of a training step; / for each multiplication, of the GRU's"
    )
    for heading in ("layers", "multiplications", "quantised", "/", "float", "/"):
        table.add_column(heading, justify="left" if heading == "layers" else "right")
    first: list[float] = []
    for network in networks():
        steps = Steps(network).compiled()
        products = sum(map(prod, network.layer_shapes.values()))
        times = [seconds(steps.quantised_step, 50), seconds(steps.float_step, 50)]
        each = [time / products for time in times]
        first = first or each
        shown = [
            text
            for time, one, of in zip(times, each, first, strict=True)
            for text in (f"{time * 1e3:.2f} ms", f"{one / of:.2f}")
        ]
        table.add_row(", ".join(map(str, network.layers)), f"{products:,}", *shown)
    return table


def main() -> None:
    with one_thread():
        for table in (ways(), by_cell()):
            Console().print(table)


if __name__ == "__main__":
    main()
