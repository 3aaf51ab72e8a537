"""Designs measured side by side: accuracy, size, cycles and area."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, TypeAlias

from rich.table import Table

from gruhw.basics.cache import check_yosys_cache
from gruhw.design import Design
from gruhw.errors import GruhwError, ToolError
from gruhw.learning.tasks import Split
from gruhw.network.architecture import Architecture, Stage
from gruhw.network.bound import weight_bits_by_stage
from gruhw.network.figures import Figure
from gruhw.network.genome import Genome
from gruhw.network.planning import schedule_of
from gruhw.network.reference import measure
from gruhw_hw.synthesis import (
    Resources,
    SynthesisReport,
    check_target,
    library_of,
    operator_modules,
    synthesise,
    tool_versions,
)
from gruhw_hw.top import TOP, generate_verilog

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Section:
    """Rows of a table that are measured together.

    Parameters
    ----------
    rows
        The figures for people, by name.
    absent
        The figure of a row that only another design has.
    """

    rows: Mapping[str, str]
    absent: str = ""

    def prefixed(self, prefix: str) -> "Section":
        """The same under longer names."""
        rows = {f"{prefix}{name}": text for name, text in self.rows.items()}
        return Section(rows, self.absent)


Sections: TypeAlias = dict[str, Section | None]
"""All of a design, by name; None where the measurement failed."""


@dataclass(frozen=True)
class Failure:
    """A part of the work that failed."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def pe_text(pe: int | tuple[int, ...]) -> str:
    """Processing elements as users give them: ``2``, or ``2,1`` where layers have their own."""
    return ",".join(map(str, pe)) if isinstance(pe, tuple) else str(pe)


def layered(network: Architecture) -> tuple[Stage, ...]:
    """The stages of a network with several layers.

    One layer is the whole network, of which nothing is said by layer.
    """
    return network.stages if len(network.layers) > 1 else ()


def labelled(network: Architecture, figures: Mapping[str, float]) -> dict[str, str]:
    """Figures of stages, by what tables call them: ``l0 gru:32``."""
    named = zip(network.layer_stages, network.layers, strict=True)
    labels = {stage.name: f"{stage.name} {layer}" for stage, layer in named}
    return {labels.get(name, name): f"{figure:,.0f}" for name, figure in figures.items()}


@dataclass(frozen=True)
class Footprint:
    """What was measured of a design's hardware at one folding.

    Parameters
    ----------
    network
        What it computes.
    pe
        The processing elements of the folding.
    sequence_cycles
        Clock cycles for a sequence of the task's longest length, if no stream stalls.
    targets
        What was to be synthesised for.
    synthesis
        One report for each target, unless its synthesis failed.
    """

    network: Architecture
    pe: int | tuple[int, ...]
    sequence_cycles: int
    targets: tuple[str, ...]
    synthesis: tuple[SynthesisReport, ...]

    def sections(self) -> Sections:
        """The figures for people: the cycles, then those of each target."""
        sections: Sections = {"cycles": Section({"cycles a sequence": f"{self.sequence_cycles:,}"})}
        reports = {report.target: report for report in self.synthesis}
        for target in self.targets:
            report = reports.get(target)
            sections[target] = _counts(report) if report else None
            if report and (by_layer := self._by_layer(report)):
                main = "area_um2" if report.total.area_um2 else "luts"
                shown = labelled(
                    self.network, {name: getattr(used, main) for name, used in by_layer.items()}
                )
                prefix = f"{target} {main.replace('_', ' ')} of "
                sections[f"{target} by layer"] = Section(shown).prefixed(prefix)
        return sections

    def _by_layer(self, report: SynthesisReport) -> dict[str, Resources]:
        """What the operators of each stage need together, if there are several layers."""
        return {
            stage.name: sum(
                (
                    report.by_operator[name]
                    for name in (stage.spell(node.name) for node in stage.graph.operators)
                    if name in report.by_operator
                ),
                Resources(),
            )
            for stage in layered(self.network)
        }

    def to_json(self) -> dict[str, Any]:
        """The figures for programs."""
        synthesis = []
        for report in self.synthesis:
            found = {name: used.to_json() for name, used in self._by_layer(report).items()}
            synthesis.append(report.to_json() | ({"by_layer": found} if found else {}))
        return {"sequence_cycles": self.sequence_cycles, "synthesis": synthesis}


def _counts(report: SynthesisReport) -> Section:
    """Everything that a design has of something."""
    counts = report.total.to_json().items()
    rows = {
        f"{report.target} {name.replace('_', ' ')}": f"{count:,.0f}"
        for name, count in counts
        if isinstance(count, int | float) and count
    }
    return Section(rows, absent="0")  # what Yosys does not use it does not count


@dataclass(frozen=True)
class Measurement:
    """What was measured of one design.

    Parameters
    ----------
    name
        The design.
    genome
        Its widths and its network.
    figure
        How well it does on the test sequences, computed in integers.
    weight_bits
        The size of all weight matrices, head included.
    footprint
        At the design's own folding.
    others
        At other foldings.
    """

    name: str
    genome: Genome
    figure: Figure
    weight_bits: int
    footprint: Footprint
    others: tuple[Footprint, ...] = ()

    @property
    def layers(self) -> str:
        """Its layers, as the command line takes them."""
        return ",".join(map(str, self.genome.network.layers))

    def rows(self) -> dict[str, str]:
        """The figures for people that no folding changes, by name."""
        by_layer = labelled(self.genome.network, self._by_layer())
        return {
            f"test {self.figure.name}": self.figure.text,
            "95 % interval": self.figure.bounds,
            "test sequences": f"{self.figure.sequence_total:,}",
            "weight bits": f"{self.weight_bits:,}",
            **{f"weight bits of {label}": bits for label, bits in by_layer.items()},
        }

    def _by_layer(self) -> dict[str, int]:
        """The weight bits of each stage, if there are several layers."""
        return weight_bits_by_stage(self.genome) if layered(self.genome.network) else {}

    def sections(self) -> Sections:
        """All figures for people, those together that are measured together."""
        sections: Sections = {"": Section(self.rows()), **self.footprint.sections()}
        for other in self.others:
            prefix = f"pe {pe_text(other.pe)}: "
            for key, section in other.sections().items():
                sections[f"{prefix}{key}"] = section.prefixed(prefix) if section else None
        return sections

    def to_json(self) -> dict[str, Any]:
        """The figures for programs; what a network of version 1 cannot have is left out there."""
        content: dict[str, Any] = {"name": self.name}
        if self.genome.version > 1:
            content["network"] = self.genome.network.model_dump(mode="json")
        content |= {**self.figure.to_json("test"), "weight_bits": self.weight_bits}
        if by_layer := self._by_layer():
            content["weight_bits_by_layer"] = by_layer
        others = [{"pe": other.pe, **other.to_json()} for other in self.others]
        return content | self.footprint.to_json() | {"other_foldings": others}


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
        if any(found.genome.version > 1 for found in self.measurements):
            grid.append(["layers", *(found.layers for found in self.measurements)])
        for key in dict.fromkeys(key for column in columns for key in column):
            # Of a layer that only another design has, nothing was to be measured.
            found = [column.get(key, Section({})) for column in columns]
            names = dict.fromkeys(name for each in found if each for name in each.rows) or [key]
            grid += [
                [name, *("failed" if e is None else e.rows.get(name, e.absent) for e in found)]
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
    pes: Sequence[int | tuple[int, ...]] = (),
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
    folded = [[design.folded(pe) for pe in pes] for design in designs]
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
        figure = measure(design.network, test)
        steps = int(test.lengths.max())
        measurements.append(
            Measurement(
                design.name,
                design.genome,
                figure,
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
    pe = design.genome.folding.pe
    verilog = cache(lambda: generate_verilog(network).verilog)
    reports = []
    for target in targets:
        with attempt(f"synthesising {design.name} for {target}, pe {pe_text(pe)}"):
            modules = operator_modules(network, TOP)
            reports.append(synthesise(verilog(), TOP, target, operators=modules))
    cycles = schedule_of(network).sequence_interval(steps)
    return Footprint(network.architecture, pe, cycles, targets, tuple(reports))
