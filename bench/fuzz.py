"""Random designs: PyTorch, the integer reference and the generated Verilog must be equal.

Each design is any legal one: layers, sizes, widths, fraction bits, weights, initial states,
folding, sequences, and stalls and resets in any cycle (``random_designs``). Compared are, with
``==``, every operator's integers in PyTorch and NumPy; every operator's integers, every state and
output element of the Verilog in their exact cycles; and states and output elements under stalls and
after resets. One design of twenty also goes through the bench of ``gruhw simulate``, in Verilator
or Icarus Verilog.

A failing design is shrunk and printed, and tried first in the next run. Each batch of designs
appends a line to the file of records, so that nothing is lost if the command is killed.

    python bench/fuzz.py --designs 500            # or: --minutes 60
    python bench/fuzz.py --total 1000 --jobs 2    # until so many are recorded: again, if killed
    python bench/fuzz.py --seed 17 --designs 20   # what the batch with seed 17 ran
    python bench/fuzz.py --summary                # what all recorded batches ran
"""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import hypothesis
import numpy as np
import torch
from fuzz_records import Record, Tally, print_summary, read_records
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.strategies import SearchStrategy
from random_designs import Design, random_designs

from gruhw.basics.files import sha256
from gruhw.errors import InputError
from gruhw.learning.quant import QuantNetwork
from gruhw.network.genome import Genome
from gruhw.network.reference import Reference
from gruhw_hw.top import generate_verilog
from gruhw_sim import simulate
from gruhw_sim.episodes import run_episodes
from gruhw_sim.expectations import Scenario
from gruhw_sim.harness import QuickCompiler
from gruhw_sim.runner import work_folder
from gruhw_sim.simulators import probe

FOLDER = Path("build/fuzz")
"""Where records and failing examples are kept."""

RECORDS = "records.jsonl"
"""The file of records there: a line for each batch."""

BATCH = 20
"""Designs of a batch."""

SHRINKING = 300
"""How many simpler designs are tried after one has failed."""

BENCH_STEPS = 3
"""The most steps of a sequence in the shipped bench, whose cycles take long."""


class DifferentError(Exception):
    """Two of the three disagree."""


class Fuzzer:
    """Checks designs.

    Parameters
    ----------
    folder
        An empty folder for simulations, as ``work_folder`` gives.
    """

    def __init__(self, folder: Path) -> None:
        self._run, self._benches, programs = (folder / n for n in ("run", "benches", "programs"))
        self._run.mkdir()
        programs.mkdir()
        self._compiler = QuickCompiler(programs)

    def check(self, design: Design, fault: Callable[[str], str] | None = None) -> Tally:
        """What of a design was compared; :class:`DifferentError` if anything differs.

        Tests put a ``fault`` into the Verilog.
        """
        try:
            network = design.network
        except InputError as error:
            return Tally(refused=Counter([str(error)]))
        inputs, lengths = design.sequences
        scenario = Scenario.of(network, inputs, lengths)
        torch_values = compare_torch(design, scenario.reference)
        hardware = generate_verilog(network, blocks=design.blocks)
        verilog = hardware.verilog
        if fault is not None:
            verilog = fault(verilog)
        with self._compiler.built(verilog, hardware.top) as harness:
            outcome = run_episodes(
                harness, self._run, scenario, design.episodes, design.random("stalls")
            )
        if outcome.mismatch is not None:
            raise DifferentError(str(outcome.mismatch))
        return Tally(
            designs=1,
            sequences=len(lengths),
            steps=int(lengths.sum()),
            cycles=outcome.cycles,
            resets=len(design.episodes),
            torch_values=torch_values,
            values=outcome.values,
            benched=self._bench(design, verilog),
            features=Counter(features(design.genome)),
            topologies=Counter([topology(design.genome)]),
            verilog=[sha256(verilog.encode())[:12]],
        )

    def _bench(self, design: Design, verilog: str) -> Counter[str]:
        """Let the shipped bench check the beginnings of the sequences, if the design wants it."""
        if design.simulator is None or not probe(design.simulator).usable:
            return Counter()
        inputs, lengths = design.sequences
        report = simulate(
            design.network,
            inputs[:, :BENCH_STEPS],
            np.minimum(lengths, BENCH_STEPS),
            simulator=design.simulator,
            verilog=verilog,
            seed=design.seed,
            build_folder=self._benches,
        )
        problems = [f"{test.name}: {test.problem}" for test in report.tests if not test.passed]
        if problems:
            raise DifferentError("; ".join([*problems, *map(str, report.mismatches[:1])]))
        return Counter([design.simulator])


def topology(genome: Genome) -> str:
    """The layers without their sizes: ``dense:relu, gru``."""
    layers = genome.network.layers
    return ", ".join(":".join(filter(None, (layer.cell, layer.activation))) for layer in layers)


def features(genome: Genome) -> set[str]:
    """What is counted of a design, each once."""
    network = genome.network
    depth = len(network.layers)
    lanes = genome.folding.lanes(network)[:depth]
    found = {f"{depth} layer{'s' if depth > 1 else ''}"}
    found |= {layer.cell for layer in network.layers}
    every = " at every step" if network.every_step and genome.output != "states" else ""
    found |= {f"output {genome.output}{every}", f"initial state {network.initial}"}
    if depth > 1:
        found.add(f"several layers, pe {'equal' if len(set(lanes)) == 1 else 'unequal'}")
    return found


def compare_torch(design: Design, reference: Reference) -> int:
    """How many integers of PyTorch are the reference's; :class:`DifferentError` if one is not."""
    inputs, lengths = design.sequences
    genome = design.genome
    module = QuantNetwork(genome.network, genome.genes, design.model)
    found = module.integers(inputs, lengths, output=genome.output)
    pairs = {name: (found[name], values) for name, values in reference.operators.items()}
    pairs["head"] = found["head"], reference.logits
    with torch.no_grad():
        logits = module(torch.from_numpy(inputs), torch.from_numpy(lengths)).double().numpy()
    pairs["output"] = logits * 2.0 ** module.typed[-1].emitted.frac, reference.logits
    for name, (of_torch, expected) in pairs.items():
        if not np.array_equal(of_torch, expected):
            raise DifferentError(f"PyTorch's {name} must be as in the reference")
    counted = 2 * reference.logits.size
    every = genome.network.stepping(genome.output)
    for stage, steps in zip(genome.network.layer_stages, every, strict=False):
        results = sum(node.size for node in stage.graph.operators)
        counted += results * int(lengths.sum() if steps else len(lengths))
    return counted


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the garbage collector, which takes a quarter of the time that Amaranth takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run_batch(
    check: Callable[[Design], Tally],
    seed: int,
    designs: int,
    *,
    database: Path | None = None,
    until: float = float("inf"),
    shrinking: int = SHRINKING,
    strategy: SearchStrategy[Design] | None = None,
) -> Record:
    """Check random designs, and shrink the first that fails.

    Parameters
    ----------
    seed, designs
        The same give the same designs, but for those of ``database``.
    database
        A folder of failing examples, which are tried first.
    until
        When no further design is begun, as ``time.monotonic`` counts.
    shrinking
        How many simpler designs are tried after one has failed.
    strategy
        Draws designs; any legal ones if it is not given.
    """
    began, spent = time.monotonic(), sum(os.times()[:4])
    total, failure = Tally(), ""
    errors: dict[str, Exception] = {}
    simpler = 0

    @settings(
        max_examples=designs,
        database=None if database is None else DirectoryBasedExampleDatabase(database),
        phases=(Phase.reuse, Phase.generate, *([Phase.shrink] if shrinking else [])),
        suppress_health_check=list(HealthCheck),
        deadline=None,
        report_multiple_bugs=False,
    )
    @hypothesis.seed(seed)  # which would take the database away if it came last
    @given(random_designs() if strategy is None else strategy)
    def equal(design: Design) -> None:
        nonlocal total, failure, simpler
        if str(design) not in errors:
            simpler += bool(errors)
            if simpler > shrinking or (not errors and time.monotonic() > until):
                return
            try:
                with no_collection():
                    found = check(design)
            except Exception as error:
                errors[str(design)] = error
            else:
                total += Tally() if errors else found
        if (known := errors.get(str(design))) is not None:
            # Hypothesis runs the simplest failing design last.
            failure = f"{type(known).__name__}: {known}: {design}"
            raise known

    try:
        equal()
    except Exception:
        if not failure:
            raise
    return Record(seed, time.monotonic() - began, sum(os.times()[:4]) - spent, failure, total)


class Batches:
    """Runs batches in several processes, and records them.

    Parameters
    ----------
    folder
        For records and examples.
    first
        The seed of the first batch.
    jobs
        How many processes.
    until
        When no further design is begun, as ``time.monotonic`` counts.
    """

    def __init__(self, folder: Path, first: int, jobs: int, until: float) -> None:
        self._folder, self._seed, self._jobs, self._until = folder, first, jobs, until
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, designs: float) -> bool:
        """Run batches until so many ``designs`` are recorded; whether all were equal.

        What is refused counts too.
        """
        left, equal = designs, True
        running: dict[Future[Record], int] = {}
        with (
            work_folder() as folder,
            ProcessPoolExecutor(
                self._jobs, get_context("spawn"), initializer=_begin, initargs=(folder,)
            ) as pool,
        ):
            while running or (equal and left > 0 and time.monotonic() < self._until):
                while (
                    len(running) < self._jobs
                    and equal
                    and left > 0
                    and time.monotonic() < self._until
                ):
                    count = int(min(BATCH, left))
                    examples = self._folder / "examples"
                    batch = pool.submit(_batch, self._seed, count, examples, self._until)
                    running[batch] = count
                    self._seed, left = self._seed + 1, left - count
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for batch in done:
                    equal &= self._note(batch.result(), running.pop(batch))
        return equal

    def _note(self, record: Record, count: int) -> bool:
        with (self._folder / RECORDS).open("a") as lines:
            lines.write(record.to_json())
        print(
            f"seed {record.seed}: {record.tally.designs} designs, {record.tally.cycles:,} cycles, "
            f"{record.processor_seconds:.0f} s of processor time",
            flush=True,
        )
        if record.failure:
            print(
                f"{record.failure}\n"
                f"again: python bench/fuzz.py --seed {record.seed} --designs {count}",
                flush=True,
            )
        return not record.failure


_fuzzer: Fuzzer


def _begin(folder: Path) -> None:
    """Make a process ready for batches."""
    global _fuzzer  # one for each process
    own = folder / str(os.getpid())
    own.mkdir()
    _fuzzer = Fuzzer(own)


def _batch(seed: int, designs: int, database: Path, until: float) -> Record:
    return run_batch(_fuzzer.check, seed, designs, database=database, until=until)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="of the first batch; else, follows the last one")
    parser.add_argument("--designs", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--total", type=int, help="run what is missing to so many in the records")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for records and examples")
    parser.add_argument("--summary", action="store_true", help="only print what is recorded")
    options = parser.parse_args()
    records = read_records(options.folder / RECORDS)
    if options.summary:
        print_summary(records)
        return 0
    designs = options.designs or (float("inf") if options.minutes else BATCH)
    if options.total is not None:
        designs = options.total - sum(record.tally.designs for record in records)
    until = time.monotonic() + 60 * (options.minutes or float("inf"))
    seed = options.seed
    if seed is None:
        seed = 1 + max((record.seed for record in records), default=0)
    return 0 if Batches(options.folder, seed, options.jobs, until).run(designs) else 1


if __name__ == "__main__":
    sys.exit(main())
