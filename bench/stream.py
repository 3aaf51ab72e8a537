"""A source that cannot wait, as a microphone: a million steps, none of which is lost.

The network carries its states on and gives its outputs at every step. Its input elements come in
fixed cycles, a step every so many as the schedule says it takes; an element that finds the input
busy would come too late, and so would all that follows from it. Each output element must have its
value, which PyTorch computes, in the cycle that the schedule predicts.

    python bench/stream.py [--steps 1000000] [--period CYCLES] [--units 4]
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from gruhw.learning.quant import QuantNetwork, calibrate
from gruhw.learning.quant.stages import Streams
from gruhw.learning.training.fit import one_thread
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import IntArray
from gruhw.network.genes import homogeneous
from gruhw.network.model import Model, Normalisation
from gruhw.network.planning import schedule_of
from gruhw_hw.area.samples import random_layers
from gruhw_hw.datapath import output_type
from gruhw_hw.top import TOP, axi_width, generate_verilog
from gruhw_sim.harness import OFFER, TAKE, Harness, Watched
from gruhw_sim.inside import operators_of
from gruhw_sim.runner import work_folder

STEPS = 1_000_000
INPUTS = 2
OUTPUTS = 2
BITS = 6
SEED = 2402
BLOCK = 10_000
"""Steps that PyTorch computes at a time."""


@dataclass(frozen=True)
class Heard:
    """What came of a stream.

    Parameters
    ----------
    elements
        Output elements that were due.
    missing, late, wrong
        How many of them did not come, came in another cycle, or had another value.
    cycles
        Clock cycles that were simulated.
    seconds
        How long that took.
    """

    elements: int
    missing: int
    late: int
    wrong: int
    cycles: int
    seconds: float


def streaming_network(units: int) -> tuple[QuantNetwork, Network]:
    """A network of random weights, in PyTorch and bound."""
    architecture = Architecture(
        inputs=INPUTS, layers=f"gru:{units}", outputs=OUTPUTS, initial="carry", every_step=True
    )
    rng = np.random.default_rng(SEED)
    weights, biases = random_layers(rng, architecture, 0.5)
    genes = homogeneous(architecture, BITS)
    samples = rng.normal(0, 1, (64, 32, INPUTS))
    fractions, signed = calibrate(architecture, genes, weights, biases, samples)
    unit = Normalisation.identity(INPUTS)
    model = Model(architecture, weights, biases, fractions, signed, unit)
    module = QuantNetwork(architecture, genes, model)
    module.compile_steps()
    return module, Network.build(module.genome(output="values"), module.model())


def sound(network: Network, steps: int) -> IntArray:
    """The integers of a stream, shape [steps, inputs]: noise whose level rises and falls."""
    rng = np.random.default_rng(SEED)
    level = 1 + np.sin(np.arange(steps) / 500)
    return network.encode(rng.normal(0, 1, (steps, INPUTS)) * level[:, np.newaxis])


@torch.no_grad()
def expected_values(module: QuantNetwork, codes: IntArray) -> IntArray:
    """What the head gives after each step, shape [steps, outputs]."""
    stream, scale = Streams(), 2.0 ** module.typed[-1].emitted.frac
    with one_thread():
        parts = [
            module(torch.from_numpy(codes[np.newaxis, start : start + BLOCK]), None, stream)[0]
            for start in range(0, len(codes), BLOCK)
        ]
    found: IntArray = (torch.cat(parts).double() * scale).round().long().numpy()
    return found


def listen(
    units: int, steps: int, period: int | None = None, cache: Path | None = None
) -> tuple[int, Heard]:
    """Send a stream, a step every ``period`` cycles; as the schedule says, if absent.

    The compiled simulation is kept in ``cache``, if there is one. Returns the period, and what came
    of the stream.
    """
    module, network = streaming_network(units)
    schedule = schedule_of(network)
    period = period or schedule.step_interval
    codes = sound(network, steps)
    values = expected_values(module, codes)
    offsets = np.array(schedule.output_cycles(1))
    due = (np.arange(steps)[:, np.newaxis] * period + offsets).ravel()
    plan = np.full(steps * period + int(offsets[-1]) + 1, TAKE, dtype=np.uint8)
    plan[: steps * period].reshape(steps, period)[:, :INPUTS] |= OFFER
    elements = (codes.ravel() & ((1 << network.input_type.bits) - 1)).astype(np.uint64)
    with work_folder() as folder:
        verilog = generate_verilog(network).verilog
        harness = Harness.build(verilog, TOP, folder / "build-stream", cache)
        began = time.perf_counter()
        watched = Watched([operators_of(network, schedule)[0].path], [])
        trace = harness.run(folder, elements, len(plan), watched, plan=plan.tobytes())
        seconds = time.perf_counter() - began
    kind = output_type(schedule)
    bits = axi_width(kind)
    found = trace.outputs[:, 1].astype(np.int64)
    found = np.where(found >> (bits - 1), found - (1 << bits), found) if kind.signed else found
    both = min(len(due), len(found))
    late = np.count_nonzero(trace.outputs[:both, 0].astype(np.int64) != due[:both])
    wrong = np.count_nonzero(found[:both] != values.ravel()[:both])
    return period, Heard(len(due), len(due) - both, late, wrong, len(plan), seconds)


def main() -> None:
    """Print what came of a stream."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--period", type=int, help="cycles a step; the schedule's if absent")
    parser.add_argument("--units", type=int, default=4)
    options = parser.parse_args()
    period, heard = listen(options.units, options.steps, options.period)
    table = Table(title="A stream that cannot wait", show_header=False)
    table.add_row("steps", f"{options.steps:,}, one every {period} cycles")
    table.add_row("output elements", f"{heard.elements:,}")
    for name in ("missing", "late", "wrong"):
        table.add_row(f"{name} ones", f"{getattr(heard, name):,}")
    table.add_row("clock cycles", f"{heard.cycles:,} in {heard.seconds:.1f} s")
    Console().print(table)


if __name__ == "__main__":
    main()
