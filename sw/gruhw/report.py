"""Designs measured side by side: accuracy, size, cycles and area."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.table import Table

from gruhw.accuracy import Accuracy
from gruhw.design import Design
from gruhw.errors import InputError
from gruhw.model import Network
from gruhw.reference import classify
from gruhw.schedule import Schedule
from gruhw_hw.synthesis import SynthesisReport, synthesise
from gruhw_hw.top import TOP, generate_verilog

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Footprint:
    """What was measured of a design's hardware at one folding.

    Parameters
    ----------
    pe
        The processing elements of the folding.
    sequence_cycles
        Clock cycles for a sequence of the task's longest length, if no stream stalls.
    synthesis
        One report for each target.
    """

    pe: int
    sequence_cycles: int
    synthesis: tuple[SynthesisReport, ...]

    def rows(self) -> dict[str, str]:
        """The figures for people, by name."""
        rows = {"cycles a sequence": f"{self.sequence_cycles:,}"}
        for report in self.synthesis:
            counts = report.total.to_json()
            rows |= {
                f"{report.target} {name.replace('_', ' ')}": f"{count:,.0f}"
                for name, count in counts.items()
                if isinstance(count, int | float) and count
            }
        return rows

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
        """The figures for people, by name."""
        rows = {
            "test accuracy": self.accuracy.percent,
            "95 % interval": self.accuracy.bounds,
            "test sequences": f"{self.accuracy.total:,}",
            "weight bits": f"{self.weight_bits:,}",
        } | self.footprint.rows()
        for other in self.others:
            rows |= {f"pe {other.pe}: {name}": text for name, text in other.rows().items()}
        return rows

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
    """Measurements of one or more designs on the same task."""

    measurements: tuple[Measurement, ...]

    def _grid(self) -> tuple[list[str], list[list[str]]]:
        columns: list[Mapping[str, str]] = [found.rows() for found in self.measurements]
        names = list(dict.fromkeys(name for column in columns for name in column))
        heading = ["", *(found.name for found in self.measurements)]
        return heading, [[name, *(column.get(name, "0") for column in columns)] for name in names]

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
        return "\n".join([*lines, "", f"Measured with {used}.", ""])

    def to_json(self) -> dict[str, Any]:
        """The comparison for programs."""
        return {"designs": [found.to_json() for found in self.measurements]}


def measure(
    design: Design,
    targets: Sequence[str],
    progress: Progress | None = None,
    *,
    pes: Sequence[int] = (),
    folded_targets: Sequence[str] | None = None,
) -> Measurement:
    """Evaluate a design on its task's test sequences and synthesise it for every target.

    ``progress`` is called with what is being done. ``pes`` are other foldings to synthesise at, for
    ``folded_targets``, or for all targets if that is None.

    Raises
    ------
    InputError
        If the genome names no task, or a folding does not suit the network.
    ToolError
        If a tool fails.
    """
    if design.genome.task is None:
        raise InputError(f"{design.path}: task is required, but missing")
    others = [Design.load(design.path, pe=pe) for pe in pes]
    tell = progress or (lambda text: None)
    tell(f"evaluating {design.name}")
    test = design.part("test", design.task())
    network: Network = design.network
    accuracy = Accuracy.of(classify(network, test), test.y)
    steps = int(test.lengths.max())
    own = _footprint(design, steps, targets, tell)
    chosen = targets if folded_targets is None else folded_targets
    further = tuple(_footprint(other, steps, chosen, tell) for other in others)
    return Measurement(design.name, accuracy, network.weight_bits, own, further)


def _footprint(design: Design, steps: int, targets: Sequence[str], tell: Progress) -> Footprint:
    """Synthesise a design; cycles are those of a sequence of ``steps``."""
    network = design.network
    folding = network.genome.folding
    verilog = generate_verilog(network).verilog
    schedule = Schedule(network.graph, folding, network.genome.output)
    reports = []
    for target in targets:
        tell(f"synthesising {design.name} for {target}, pe {folding.pe}")
        reports.append(synthesise(verilog, TOP, target))
    return Footprint(folding.pe, schedule.sequence_interval(steps), tuple(reports))


def compare(
    designs: Sequence[Design],
    targets: Sequence[str],
    progress: Progress | None = None,
    *,
    pes: Sequence[int] = (),
    folded_targets: Sequence[str] | None = None,
) -> Comparison:
    """Measure several designs; see :func:`measure`."""
    measured = (
        measure(design, targets, progress, pes=pes, folded_targets=folded_targets)
        for design in designs
    )
    return Comparison(tuple(measured))
