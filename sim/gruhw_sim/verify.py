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

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.table import Table

from gruhw.basics.arrays import IntArray, shaped
from gruhw.basics.files import PathLike, as_path, write_atomic
from gruhw.basics.programs import in_parallel
from gruhw.basics.values import at_least_one, instance, whole_number
from gruhw.network.bound import Network
from gruhw.network.encoding import Saturation, rounded
from gruhw.network.figures import Figure
from gruhw.network.sequences import Split
from gruhw_hw.identifiers import check_top
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.comparison import Comparison
from gruhw_sim.expectations import Scenario, labels_of, sequences_of
from gruhw_sim.given import worth
from gruhw_sim.harness import WAVEFORM, Harness, Trace, Waveform, best_waveform
from gruhw_sim.report import Mismatch, figure_json
from gruhw_sim.runner import work_folder

BATCH = 200
"""The most sequences that are simulated in one run."""

RESULTS = 1 << 23
"""About as many integers of the reference are kept in a run; of long sequences, it has fewer."""

Progress = Callable[[int, int], None]
"""Called with how many sequences are done, and of how many."""


@dataclass(frozen=True)
class Counts:
    """What was compared."""

    sequences: int = 0
    states: int = 0
    outputs: int = 0
    cycles: int = 0

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
        How well the hardware does: how many classes are right, or the squared error of values.
        None without labels, where its output is the states, or if anything differs.
    """

    counts: Counts
    mismatch: Mismatch | None = None
    waveform: Path | None = None
    accuracy: Figure | None = None

    @property
    def passed(self) -> bool:
        """Whether hardware and reference are equal."""
        return self.mismatch is None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {
            "passed": self.passed,
            **asdict(self.counts),
            **figure_json(self.accuracy),
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
            rows[self.accuracy.name] = str(self.accuracy)
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
    codes, steps, right = sequences_of(network, inputs, lengths, labels)
    settings = _Settings.checked(network, waveform, verilog, top, cache, jobs, progress)
    return _verify(settings, codes.shape[1], steps, right, lambda part: codes[part])


def verify_samples(
    network: Network,
    split: Split,
    *,
    waveform: PathLike,
    verilog: str | None = None,
    top: str = TOP,
    cache: PathLike | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """The same of raw samples, which become integers when it is their turn.

    Memory does not grow with their number then, unless states are carried on: all sequences are one
    run.

    Parameters
    ----------
    split
        Sequences of raw numbers, and what is right of them; others as in :func:`verify`.
    """
    check_top(top)
    network, split = instance("network", network, Network), instance("split", split, Split)
    kind, size = network.input_type, network.architecture.inputs
    x = shaped("inputs", split.x, ("sequences", "steps", size))
    at_least_one("sequence", len(x))
    right = labels_of(network, split.y, *x.shape[:2])
    settings = _Settings.checked(network, waveform, verilog, top, cache, jobs, progress)
    saturation = Saturation()

    def encoded(part: slice) -> IntArray:
        codes, saturated = rounded(network.normalisation, kind, x[part])
        inside = np.arange(x.shape[1]) < split.lengths[part, None]
        saturation.note(saturated[inside])
        return codes

    found = _verify(settings, x.shape[1], split.lengths, right, encoded)
    saturation.warn(kind)
    return found


@dataclass(frozen=True)
class _Settings:
    """What both ways to verify have in common, checked."""

    network: Network
    verilog: str
    top: str
    waveform: Path
    cache: Path | None
    jobs: int | None
    progress: Progress

    @classmethod
    def checked(
        cls,
        network: Network,
        waveform: PathLike,
        verilog: str | None,
        top: str,
        cache: PathLike | None,
        jobs: int | None,
        progress: Progress | None,
    ) -> "_Settings":
        given = None if verilog is None else instance("verilog", verilog, str)
        return cls(
            waveform=as_path(waveform, "waveform"),
            cache=None if cache is None else as_path(cache, "cache"),
            jobs=None if jobs is None else whole_number("jobs", jobs, 1),
            network=network,
            verilog=generate_verilog(network, top=top).verilog if given is None else given,
            top=top,
            progress=progress or (lambda done, total: None),
        )


def batch_size(network: Network, steps: int) -> int:
    """How many sequences of so many steps are simulated in one run."""
    results = sum(node.size for bound in network.layers for node in bound.graph.operators)
    return max(1, min(BATCH, RESULTS // (steps * results)))


def _verify(
    settings: _Settings,
    steps: int,
    lengths: IntArray,
    labels: NDArray[Any] | None,
    encoded: Callable[[slice], IntArray],
) -> Verification:
    """Verify sequences of at most so many ``steps``, whose input integers ``encoded`` gives."""
    network, count = settings.network, len(lengths)
    # What one sequence leaves, the next one needs.
    size = count if network.architecture.carries else batch_size(network, steps)
    starts = range(0, count, size)

    def comparison(first: int) -> Comparison:
        part = slice(first, first + size)
        return Comparison.of(Scenario.of(network, encoded(part), lengths[part]))

    with work_folder() as folder:

        def build(name: str, kind: Waveform | None = None) -> Harness:
            place = folder / name
            return Harness.build(settings.verilog, settings.top, place, settings.cache, kind)

        harness = build("fast")

        def run(first: int) -> tuple[Counts, IntArray, Mismatch | None]:
            expected = comparison(first)
            with tempfile.TemporaryDirectory(dir=folder) as place:
                mismatch = expected.first_mismatch(_run(harness, expected, Path(place)))
            scenario = expected.scenario
            states, outputs = sum(map(len, expected.states)), len(expected.outputs)
            counts = Counts(len(scenario.lengths), states, outputs, scenario.starts[-1])
            return counts, scenario.reference.logits, mismatch

        done, wrong = Counts(), None
        given: list[IntArray] = []
        with closing(in_parallel(run, starts, settings.jobs)) as batches:
            for first, (counts, logits, mismatch) in zip(starts, batches, strict=True):
                done += counts
                given.append(logits)
                settings.progress(done.sequences, count)
                if mismatch is not None:
                    wrong = first, mismatch
                    break
        if wrong is not None:
            first, mismatch = wrong
            kind = best_waveform()
            traced = build("traced", kind)
            expected = comparison(first)
            window = expected.window(mismatch)
            mismatch = expected.culprit(mismatch, window, _run(traced, expected, folder, window))
            path = settings.waveform.with_suffix(kind.suffix)
            write_atomic(path, (folder / WAVEFORM).read_bytes())
            if mismatch.sequence >= 0:
                mismatch = replace(mismatch, sequence=first + mismatch.sequence)
            return Verification(done, mismatch, path)
    if labels is None or network.genome.output == "states":
        return Verification(done)
    # What the reference's head gave is what the hardware gave.
    return Verification(done, accuracy=worth(network, np.concatenate(given), labels, lengths))


def _run(
    harness: Harness, expected: Comparison, folder: Path, window: tuple[int, int] | None = None
) -> Trace:
    """A batch up to its end, or to the end of the window that is recorded."""
    cycles = window[1] + 1 if window else expected.cycles
    return harness.run(folder, expected.elements, cycles, expected.watched, window)
