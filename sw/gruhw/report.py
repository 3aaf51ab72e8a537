"""Designs measured side by side: accuracy, size, cycles and area."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, TypeAlias

from rich.table import Table

from gruhw.accuracy import Accuracy
from gruhw.cache import check_yosys_cache
from gruhw.design import Design
from gruhw.errors import GruhwError, ToolError
from gruhw.reference import classify
from gruhw.schedule import Schedule
from gruhw.tasks import Split
from gruhw_hw.synthesis import SynthesisReport, check_target, library_of, synthesise, tool_versions
from gruhw_hw.top import TOP, generate_verilog

Progress: TypeAlias = Callable[[str], None]

Section: TypeAlias = Mapping[str, str] | None
"""Rows of a table that are measured together, by name; None if that failed."""


@dataclass(frozen=True)
class Failure:
    """A part of the work that failed."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True)
class Footprint:
    """What was measured of a design's hardware at one folding.

    Parameters
    ----------
    pe
        The processing elements of the folding.
    sequence_cycles
        Clock cycles for a sequence of the task's longest length, if no stream stalls.
    targets
        What was to be synthesised for.
    synthesis
        One report for each target, unless its synthesis failed.
    """

    pe: int
    sequence_cycles: int
    targets: tuple[str, ...]
    synthesis: tuple[SynthesisReport, ...]

    def sections(self) -> dict[str, Section]:
        """The figures for people: the cycles, then those of each target."""
        sections: dict[str, Section] = dict.fromkeys(("cycles", *self.targets))
        sections["cycles"] = {"cycles a sequence": f"{self.sequence_cycles:,}"}
        for report in self.synthesis:
            counts = report.total.to_json()
            sections[report.target] = {
                f"{report.target} {name.replace('_', ' ')}": f"{count:,.0f}"
                for name, count in counts.items()
                if isinstance(count, int | float) and count
            }
        return sections

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return {
            "sequence_cycles": self.sequence_cycles,
            "synthesis": [report.to_json() for report in self.synthesis],
        }


@dataclass(frozen=True)
class Measurement:
    """What was measured of one design.

    Parameters
    ----------
    name
        The design.
    accuracy
        On the test sequences, computed in integers.
    weight_bits
        The size of all weight matrices, head included.
    footprint
        At the design's own folding.
    others
        At other foldings.
    """

    name: str
    accuracy: Accuracy
    weight_bits: int
    footprint: Footprint
    others: tuple[Footprint, ...] = ()

    def rows(self) -> dict[str, str]:
        """The figures for people that no folding changes, by name."""
        return {
            "test accuracy": self.accuracy.percent,
            "95 % interval": self.accuracy.bounds,
            "test sequences": f"{self.accuracy.total:,}",
            "weight bits": f"{self.weight_bits:,}",
        }

    def sections(self) -> dict[str, Section]:
        """All figures for people, those together that are measured together."""
        sections = {"": self.rows(), **self.footprint.sections()}
        for other in self.others:
            prefix = f"pe {other.pe}: "
            for key, rows in other.sections().items():
                sections[f"{prefix}{key}"] = rows and {
                    f"{prefix}{name}": text for name, text in rows.items()
                }
        return sections

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        return {
            "name": self.name,
            **self.accuracy.to_json("test"),
            "weight_bits": self.weight_bits,
            **self.footprint.to_json(),
            "other_foldings": [{"pe": other.pe, **other.to_json()} for other in self.others],
        }


@dataclass(frozen=True)
class Comparison:
    """Measurements of one or more designs, and what could not be measured of them."""

    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...] = ()

    def check(self) -> None:
        """Raise :class:`ToolError` naming the first failure, if there is one."""
        if self.failures:
            first, *others = self.failures
            raise ToolError(f"{first} (and {len(others)} more failed)" if others else str(first))

    def _grid(self) -> tuple[list[str], list[list[str]]]:
        columns = [found.sections() for found in self.measurements]
        heading = ["", *(found.name for found in self.measurements)]
        grid = []
        for key in dict.fromkeys(key for column in columns for key in column):
            sections = [column[key] for column in columns]
            # What Yosys does not use it does not count.
            names = dict.fromkeys(name for rows in sections if rows for name in rows) or [key]
            grid += [
                [name, *("failed" if rows is None else rows.get(name, "0") for rows in sections)]
                for name in names
            ]
        return heading, grid

    def table(self) -> Table:
        """The comparison for a terminal."""
        heading, rows = self._grid()
        table = Table(title="Measured")
        for index, title in enumerate(heading):
            table.add_column(title, justify="right" if index else "left")
        for row in rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """The comparison for a page, with the versions of the tools."""
        heading, rows = self._grid()
        ruler = ["---", *("---:" for _ in heading[1:])]
        lines = ["| " + " | ".join(row) + " |" for row in (heading, ruler, *rows)]
        tools = {
            tool: version
            for found in self.measurements
            for report in found.footprint.synthesis
            for tool, version in report.tools.items()
        }
        used = ", ".join(f"{tool} {version}" for tool, version in tools.items())
        notes = [f"Measured with {used}."] if used else []
        notes += [f"Failed: {failure}." for failure in self.failures]
        return "\n".join([*lines, *(line for note in notes for line in ("", note)), ""])

    def to_json(self) -> dict[str, Any]:
        """The comparison for programs."""
        content = {"designs": [found.to_json() for found in self.measurements]}
        return content | ({"failures": list(map(asdict, self.failures))} if self.failures else {})


@dataclass
class _Attempts:
    """Parts of the work, which go on after one of them failed."""

    tell: Progress
    failures: list[Failure] = field(default_factory=list)

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        self.tell(what)
        try:
            yield
        except GruhwError as error:
            self.failures.append(Failure(what, str(error)))


def compare(
    designs: Sequence[Design],
    targets: Sequence[str],
    progress: Progress | None = None,
    *,
    pes: Sequence[int] = (),
    folded_targets: Sequence[str] | None = None,
    task: str | None = None,
) -> Comparison:
    """Evaluate designs on the test sequences of their task, and synthesise them for every target.

    All inputs are checked before anything is measured. What fails after that is part of the
    result, and the rest is measured nevertheless.

    Parameters
    ----------
    designs, targets
        What to measure.
    progress
        Called with what is being done.
    pes
        Other foldings to synthesise at.
    folded_targets
        What to synthesise for at those; ``targets`` if it is None.
    task
        The task instead of those that the genomes name.

    Raises
    ------
    InputError
        If there is no task, or its data do not fit; a folding does not suit the network; there is
        no such target; or a cell library or the cache cannot be used.
    ToolError
        If data or a cell library cannot be downloaded, or Yosys does not run.
    """
    tell = progress or (lambda text: None)
    tell("checking what to measure")
    folded = [[Design.load(design.path, pe=pe) for pe in pes] for design in designs]
    chosen = tuple(targets if folded_targets is None else folded_targets)
    known_targets = [check_target(target) for target in dict.fromkeys((*targets, *chosen))]
    check_yosys_cache()
    parts: dict[str | None, Split] = {}
    tests = [_test_part(design, task, parts) for design in designs]
    for target in known_targets:
        library_of(target)
    tool_versions()
    attempt, measurements = _Attempts(tell), []
    for design, others, test in zip(designs, folded, tests, strict=True):
        tell(f"evaluating {design.name}")
        accuracy = Accuracy.of(classify(design.network, test), test.y)
        steps = int(test.lengths.max())
        measurements.append(
            Measurement(
                design.name,
                accuracy,
                design.network.weight_bits,
                _footprint(design, steps, tuple(targets), attempt),
                tuple(_footprint(other, steps, chosen, attempt) for other in others),
            )
        )
    return Comparison(tuple(measurements), tuple(attempt.failures))


def _test_part(design: Design, task: str | None, known: dict[str | None, Split]) -> Split:
    """The test sequences of a design's task, or of ``task``; those ``known`` are not read again."""
    name = task or design.genome.task
    if name not in known:
        known[name] = design.part("test", design.task(task))
    design.check(known[name], f"task {name}")
    return known[name]


def _footprint(
    design: Design, steps: int, targets: tuple[str, ...], attempt: _Attempts
) -> Footprint:
    """Synthesise a design; cycles are those of a sequence of ``steps``."""
    network = design.network
    folding = network.genome.folding
    schedule = Schedule(network.graph, folding, network.genome.output)
    verilog = cache(lambda: generate_verilog(network).verilog)
    reports = []
    for target in targets:
        with attempt(f"synthesising {design.name} for {target}, pe {folding.pe}"):
            reports.append(synthesise(verilog(), TOP, target))
    return Footprint(folding.pe, schedule.sequence_interval(steps), targets, tuple(reports))
