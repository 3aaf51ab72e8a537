"""Designs measured side by side: accuracy, size, cycles and area."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from rich.table import Table

from gruhw.design import Design
from gruhw.errors import InputError
from gruhw.model import Network
from gruhw.reference import classify
from gruhw.schedule import Schedule
from gruhw_hw.synthesis import SynthesisReport, synthesise
from gruhw_hw.top import TOP, generate_verilog

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Measurement:
    """What was measured of one design.

    Parameters
    ----------
    name
        The design.
    correct, sequences
        Test sequences classified correctly in integers, and all of them.
    weight_bits
        The size of all weight matrices, head included.
    sequence_cycles
        Clock cycles for a sequence of the task's longest length, if no stream stalls.
    synthesis
        One report for each target.
    """

    name: str
    correct: int
    sequences: int
    weight_bits: int
    sequence_cycles: int
    synthesis: tuple[SynthesisReport, ...]

    def rows(self) -> dict[str, str]:
        """The figures for people, by name."""
        rows = {
            "test accuracy": f"{self.correct / self.sequences:.2%}",
            "test sequences": f"{self.sequences:,}",
            "weight bits": f"{self.weight_bits:,}",
            "cycles a sequence": f"{self.sequence_cycles:,}",
        }
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
            "name": self.name,
            "test_correct": self.correct,
            "test_sequences": self.sequences,
            "test_accuracy": self.correct / self.sequences,
            "weight_bits": self.weight_bits,
            "sequence_cycles": self.sequence_cycles,
            "synthesis": [report.to_json() for report in self.synthesis],
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
            for report in found.synthesis
            for tool, version in report.tools.items()
        }
        used = ", ".join(f"{tool} {version}" for tool, version in tools.items())
        return "\n".join([*lines, "", f"Measured with {used}.", ""])

    def to_json(self) -> dict[str, Any]:
        """The comparison for programs."""
        return {"designs": [found.to_json() for found in self.measurements]}


def measure(
    design: Design, targets: Sequence[str], progress: Progress | None = None
) -> Measurement:
    """Evaluate a design on its task's test sequences and synthesise it for every target.

    ``progress`` is called with what is being done.

    Raises
    ------
    InputError
        If the genome names no task.
    ToolError
        If a tool fails.
    """
    if design.genome.task is None:
        raise InputError(f"{design.path}: task is required, but missing")
    tell = progress or (lambda text: None)
    tell(f"evaluating {design.name}")
    test = design.part("test")
    network: Network = design.network
    verilog = generate_verilog(network).verilog
    schedule = Schedule(network.graph, network.genome.folding, network.genome.output)
    correct = int(np.sum(classify(network, network.encode(test.x), test.lengths) == test.y))
    reports = []
    for target in targets:
        tell(f"synthesising {design.name} for {target}")
        reports.append(synthesise(verilog, TOP, target))
    return Measurement(
        design.name,
        correct,
        len(test),
        network.weight_bits,
        schedule.sequence_interval(int(test.lengths.max())),
        tuple(reports),
    )


def compare(
    designs: Sequence[Design], targets: Sequence[str], progress: Progress | None = None
) -> Comparison:
    """Measure several designs; see :func:`measure`."""
    return Comparison(tuple(measure(design, targets, progress) for design in designs))
