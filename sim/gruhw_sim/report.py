"""What a simulation found."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.table import Table

from gruhw.network.figures import Figure
from gruhw.network.fixed import IntArray
from gruhw_sim.simulators import SimulatorName

SHOWN = 5
"""Mismatches that people are shown."""


@dataclass(frozen=True)
class Mismatch:
    """A difference between hardware and reference.

    Parameters
    ----------
    test
        The bench's test that found it.
    quantity
        What differs: a ``value``; the ``cycle`` or the ``last`` flag of an output element; a
        ``missing`` or ``extra`` element; or a ``rule`` of the stream.
    operator
        The operator whose result it is, as files name it; ``class`` for the class index.
    sequence, step, unit
        Whose result; -1 where there is none.
    cycle
        The cycle in which it was found, counted as in :mod:`gruhw.network.schedule`.
    expected, found
        As text, because hardware may also give ``x``.
    """

    test: str
    quantity: str
    operator: str
    sequence: int
    step: int
    unit: int
    cycle: int
    expected: str
    found: str

    def moved(self, *, sequence: int, cycle: int) -> "Mismatch":
        """The same where sequences and cycles are counted from earlier ones."""
        known = self.sequence >= 0
        return replace(
            self, sequence=self.sequence + sequence if known else -1, cycle=self.cycle + cycle
        )

    def __str__(self) -> str:
        place = f"{self.operator}, sequence {self.sequence}, step {self.step}, unit {self.unit}"
        return (
            f"{self.test}: {self.quantity} of {place}, in cycle {self.cycle}: "
            f"must be {self.expected}, not {self.found}"
        )


@dataclass(frozen=True)
class TestOutcome:
    """How one of the bench's tests ended.

    ``problem`` is empty if it passed. ``mismatches`` counts all of them, not only the first
    few that are reported.
    """

    __test__ = False  # its name makes pytest look for tests in it

    name: str
    passed: bool
    cycles: int
    seconds: float
    mismatches: int
    problem: str


@dataclass(frozen=True)
class SimulationReport:
    """What a simulation of a network's accelerator found.

    Parameters
    ----------
    simulator, version
        The tool.
    sequences
        How many of those given were simulated.
    extreme
        How many extreme ones besides; they are numbered after the others.
    inside
        Whether results inside were compared, and not only what ports show.
    tests
        The tests in the order in which they ran.
    mismatches
        The first few of each test.
    classes
        The class that the hardware gave each sequence, -1 if it gave none; shape [N], or [N, T] at
        every step. None if its output is another.
    values
        The integers that it gave each sequence, shape [N, outputs], or [N, T, outputs] at every
        step. None if its output is another, or some are missing.
    accuracy, reference_accuracy
        How well hardware and reference do: how many classes are right, or the squared error of
        values. None without labels; of the hardware, also where its output is the states.
    build_seconds, run_seconds
        Wall time; building takes none if the cache held it.
    """

    simulator: SimulatorName
    version: str
    sequences: int
    extreme: int
    inside: bool
    tests: tuple[TestOutcome, ...]
    mismatches: tuple[Mismatch, ...]
    classes: IntArray | None
    values: IntArray | None
    accuracy: Figure | None
    reference_accuracy: Figure | None
    build_seconds: float
    run_seconds: float

    @property
    def passed(self) -> bool:
        """Whether hardware and reference agree everywhere."""
        return all(test.passed for test in self.tests)

    @property
    def cycles(self) -> int:
        """Simulated clock cycles of all tests."""
        return sum(test.cycles for test in self.tests)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "simulator": self.simulator,
            "version": self.version,
            "passed": self.passed,
            "sequences": self.sequences,
            "extreme": self.extreme,
            "inside": self.inside,
            "cycles": self.cycles,
            "tests": [asdict(test) for test in self.tests],
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
            "classes": None if self.classes is None else self.classes.tolist(),
            "values": None if self.values is None else self.values.tolist(),
            **figure_json(self.accuracy),
            **figure_json(self.reference_accuracy, "reference_", interval=False),
            "build_seconds": self.build_seconds,
            "run_seconds": self.run_seconds,
        }

    def table(self) -> Table:
        """The report for people: a row for each test, then the accuracies and mismatches."""
        extreme = f" and {self.extreme} extreme ones" if self.extreme else ""
        compared = "" if self.inside else ", compared at the ports only"
        caption = [f"{self.sequences} sequences{extreme}{compared}"]
        if self.accuracy is not None and self.reference_accuracy is not None:
            caption.append(f"{self.accuracy.name} in hardware {self.accuracy}")
            caption.append(f"{self.accuracy.name} in the reference {self.reference_accuracy}")
        caption += [str(mismatch) for mismatch in self.mismatches[:SHOWN]]
        table = Table(
            title=f"Simulation with {self.simulator} {self.version}",
            caption="\n".join(caption),
            caption_justify="left",
        )
        table.add_column("test", no_wrap=True)
        table.add_column("result")
        for heading in ("cycles", "mismatches", "seconds"):
            table.add_column(heading, justify="right")
        for test in self.tests:
            result = "equal" if test.passed else "different" if test.mismatches else test.problem
            figures = f"{test.cycles:,}", f"{test.mismatches:,}", f"{test.seconds:.1f}"
            table.add_row(test.name, result, *figures)
        return table


def figure_json(
    figure: Figure | None, prefix: str = "", *, interval: bool = True
) -> dict[str, Any]:
    """A figure for programs, and its interval: an accuracy of None if there is none."""
    name = "accuracy" if figure is None else figure.name.replace(" ", "_")
    known = {} if figure is None else figure.to_json()
    names = [name, f"{name}_interval"] if interval else [name]
    return {prefix + key: known.get(key) for key in names}
