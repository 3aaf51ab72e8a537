"""Whole data sets through the hardware: every output element and state, and their cycles.

The sequences go through a compiled simulation (:mod:`gruhw_sim.harness`) in batches, back to
back. If anything differs from the integer reference, the batch runs again up to the step in which
it did, with every operator recorded and a waveform, to name the operator that went wrong first.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from rich.table import Table

from gruhw.accuracy import Accuracy
from gruhw.files import PathLike, as_path, write_atomic
from gruhw.model import Network
from gruhw.programs import in_parallel
from gruhw.values import instance, whole_number
from gruhw_hw.identifiers import check_top
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.comparison import Comparison
from gruhw_sim.expectations import Scenario, sequences_of
from gruhw_sim.harness import WAVEFORM, Harness, Trace, best_waveform
from gruhw_sim.report import Mismatch
from gruhw_sim.runner import work_folder

BATCH = 200
"""Sequences that are simulated in one run."""

Progress = Callable[[int, int], None]
"""Called with how many sequences are done, and of how many."""


@dataclass(frozen=True)
class Counts:
    """What was compared: ``right`` is the number of right classes, 0 without labels."""

    sequences: int = 0
    states: int = 0
    outputs: int = 0
    cycles: int = 0
    right: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Counts(*(left + right for left, right in pairs))


@dataclass(frozen=True)
class Verification:
    """What the hardware made of a data set.

    Parameters
    ----------
    counts
        What was compared, up to the batch that has the first mismatch.
    mismatch
        The first one; None if hardware and reference are equal.
    waveform
        The waveform of the step in which the mismatch arose.
    accuracy
        How many classes are right; None without labels, without classes, or if anything differs.
    """

    counts: Counts
    mismatch: Mismatch | None = None
    waveform: Path | None = None
    accuracy: Accuracy | None = None

    @property
    def passed(self) -> bool:
        """Whether hardware and reference are equal."""
        return self.mismatch is None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON types."""
        counts = asdict(self.counts)
        del counts["right"]
        return {
            "passed": self.passed,
            **counts,
            "accuracy": self.accuracy and self.accuracy.share,
            "accuracy_interval": self.accuracy and list(self.accuracy.interval),
            "mismatch": self.mismatch and asdict(self.mismatch),
            "waveform": self.waveform and str(self.waveform),
        }

    def table(self, title: str) -> Table:
        """The result for people."""
        rows = {
            "result": "equal" if self.passed else "different",
            "sequences": f"{self.counts.sequences:,}",
            "states": f"{self.counts.states:,}",
            "output elements": f"{self.counts.outputs:,}",
            "clock cycles": f"{self.counts.cycles:,}",
        }
        if self.accuracy is not None:
            rows["accuracy"] = str(self.accuracy)
        if self.mismatch is not None:
            rows |= {"first mismatch": str(self.mismatch), "waveform": str(self.waveform)}
        table = Table(title=title, show_header=False)
        for name, text in rows.items():
            table.add_row(name, text)
        return table


def verify(
    network: Network,
    inputs: ArrayLike,
    lengths: ArrayLike | None,
    labels: ArrayLike | None = None,
    *,
    waveform: PathLike,
    verilog: str | None = None,
    top: str = TOP,
    cache: PathLike | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Simulate all sequences without a stall and compare them with the integer reference.

    Parameters
    ----------
    inputs, lengths, labels
        As in :func:`gruhw_sim.simulate`.
    waveform
        Where the waveform of a mismatch goes; its suffix becomes that of its format.
    verilog
        The accelerator's Verilog; generated if it is not given.
    top
        The name of its top module.
    cache
        Keeps the compiled simulation for the next run.
    jobs
        Simulations that run at a time; one a processor core if it is not given.

    Raises
    ------
    InputError
        If Verilator is missing, ``top`` is no plain Verilog name, inputs, lengths or labels do not
        fit the network, or something is of another type.
    ToolError
        If Verilator or a compiler fails.
    """
    check_top(top)
    codes, steps, labels = sequences_of(network, inputs, lengths, labels)
    verilog = None if verilog is None else instance("verilog", verilog, str)
    waveform = as_path(waveform, "waveform")
    cache = None if cache is None else as_path(cache, "cache")
    jobs = None if jobs is None else whole_number("jobs", jobs, 1)
    text = generate_verilog(network, top=top).verilog if verilog is None else verilog
    starts = range(0, len(codes), BATCH)

    def comparison(first: int) -> Comparison:
        part = slice(first, first + BATCH)
        return Comparison.of(Scenario.of(network, codes[part], steps[part]))

    with work_folder() as folder:
        harness = Harness.build(text, top, folder / "fast", cache)

        def run(first: int) -> tuple[Counts, Mismatch | None]:
            expected = comparison(first)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                mismatch = expected.first_mismatch(_run(harness, expected, Path(place)))
            right = 0
            if labels is not None:
                classes = expected.scenario.reference.classes
                right = int((classes == labels[first : first + BATCH]).sum())
            sizes = (len(expected.scenario.lengths), len(expected.states), len(expected.outputs))
            return Counts(*sizes, expected.scenario.starts[-1], right), mismatch

        done, wrong = Counts(), None
        with closing(in_parallel(run, starts, jobs)) as batches:
            for first, (counts, mismatch) in zip(starts, batches, strict=True):
                done += counts
                if progress is not None:
                    progress(done.sequences, len(codes))
                if mismatch is not None:
                    wrong = first, mismatch
                    break
        if wrong is not None:
            first, mismatch = wrong
            kind = best_waveform()
            traced = Harness.build(text, top, folder / "traced", cache, kind)
            expected = comparison(first)
            window = expected.window(mismatch)
            mismatch = expected.culprit(mismatch, window, _run(traced, expected, folder, window))
            path = waveform.with_suffix(kind.suffix)
            write_atomic(path, (folder / WAVEFORM).read_bytes())
            if mismatch.sequence >= 0:
                mismatch = replace(mismatch, sequence=first + mismatch.sequence)
            return Verification(done, mismatch, path)
    known = labels is not None and network.genome.output == "class"
    return Verification(done, accuracy=Accuracy(done.right, len(codes)) if known else None)


def _run(
    harness: Harness, expected: Comparison, folder: Path, window: tuple[int, int] | None = None
) -> Trace:
    """A batch up to its end, or to the end of the window that is recorded."""
    cycles = window[1] + 1 if window else expected.cycles
    source = expected.scenario.network.graph.state.source
    return harness.run(folder, expected.elements, cycles, expected.traced_operators, source, window)
