"""Faults put into a design, and which test of the bench kills each of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from gruhw.basics.programs import in_parallel
from gruhw.errors import ToolError
from gruhw_hw.synthesis.mutation import Fault, plusarg, with_faults
from gruhw_hw.top import TOP
from gruhw_sim import cocotb_job
from gruhw_sim.expectations import Scenario
from gruhw_sim.runner import prepare, read_results, run_child, work_folder
from gruhw_sim.simulators import Simulator

CRASH = "crash"
"""What killed a mutant that ended the simulator."""


@dataclass(frozen=True)
class Fate:
    """What became of a mutant.

    Parameters
    ----------
    number
        Of the mutant, from 1; 0 is the design without a fault.
    killed_by
        The first test that failed, or :data:`CRASH`; empty if it survived.
    seconds
        Time of its run.
    """

    number: int
    killed_by: str
    seconds: float


def fates(
    scenario: Scenario,
    verilog: str,
    faults: Sequence[Fault],
    numbers: Sequence[int],
    tool: Simulator,
    *,
    top: str = TOP,
    seed: int = 0,
    build_folder: Path,
    jobs: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Fate]:
    """Run the bench on the mutants of these numbers, each until a test fails.

    The design is compiled once, with all faults in it. Fault ``N`` - 1 is that of mutant ``N``.

    Parameters
    ----------
    scenario
        What the bench sends and expects.
    verilog
        The design without faults.
    top
        The name of its top module.
    seed
        Of gaps, back-pressure and resets.
    build_folder
        Keeps the compiled simulation.
    jobs
        Simulations at a time.

    Yields
    ------
    Fate
        As soon as it is known, in the order of ``numbers``.

    Raises
    ------
    ToolError
        If Yosys, the simulator or a compiler fails; or if mutant 0, the design without a fault,
        is killed.
    """
    mutated = with_faults(verilog, top, faults)
    folders: SimpleQueue[Path] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(jobs):
            folder = stack.enter_context(work_folder())
            prepare(folder, scenario, mutated, top, tool, seed, build_folder, tell, brief=True)
            folders.put(folder)

        def run(number: int) -> Fate:
            folder = folders.get()
            try:
                return _fate(folder, number, tool, len(scenario.lengths))
            finally:
                folders.put(folder)

        if killer := run(0).killed_by:
            raise ToolError(f"mutation: the design without a fault fails {killer}")
        yield from in_parallel(run, numbers, jobs)


def _fate(folder: Path, number: int, tool: Simulator, sequences: int) -> Fate:
    for file in (cocotb_job.RESULTS, *(path.name for path in folder.glob("result-*.json"))):
        (folder / file).unlink(missing_ok=True)
    started = time.monotonic()
    try:
        run_child("test", folder, tool, plusarg(number))
    except ToolError:
        return Fate(number, CRASH, time.monotonic() - started)
    tests, _, _ = read_results(folder, sequences)
    killer = next((test.name for test in tests if not test.passed), "")
    return Fate(number, killer, time.monotonic() - started)
