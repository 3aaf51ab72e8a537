"""What synthesis found, for programs and for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from gruhw.basics.frozen import FrozenMapping
from gruhw_hw.synthesis.hierarchy import REST
from gruhw_hw.synthesis.resources import COUNTS, Resources
from gruhw_hw.synthesis.targets import TARGETS

__all__ = ["REST", "SynthesisReport"]

COLUMNS: Mapping[str, tuple[str, str]] = {
    "luts": ("LUTs", "{:,}"),
    "memory_luts": ("LUT RAM", "{:,}"),
    "flip_flops": ("FFs", "{:,}"),
    "carries": ("carry", "{:,}"),
    "wide_muxes": ("mux", "{:,}"),
    "block_rams": ("BRAM", "{:,}"),
    "dsps": ("DSP", "{:,}"),
    "area_um2": ("area um2", "{:,.1f}"),
    "nand2_equivalents": ("NAND2", "{:,.1f}"),
}
"""The heading and the format of each column of the table."""


@dataclass(frozen=True)
class SynthesisReport:
    """What synthesis found.

    Parameters
    ----------
    target
        The name of the target.
    total
        Resources of the whole design, flattened: optimised across modules.
    by_operator
        Resources of each operator and of the rest, each module optimised alone, so that they
        add up to about, not exactly, ``total``. Empty if not asked for.
    tools
        Versions of the tools, and the name and SHA-256 of the library if there is one.
    warnings
        What Yosys warned of when it read the design.
    dsp
        Whether multiplier blocks were allowed.
    """

    target: str
    total: Resources
    by_operator: Mapping[str, Resources]
    tools: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    dsp: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("by_operator", "tools"):
            object.__setattr__(self, name, FrozenMapping(getattr(self, name)))

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types; the same design and tools give the same."""
        return {
            "target": self.target,
            "dsp": self.dsp,
            "block_ram": TARGETS[self.target].block_ram,
            "tools": dict(self.tools),
            "warnings": list(self.warnings),
            "total": self.total.to_json(),
            "by_operator": {name: used.to_json() for name, used in self.by_operator.items()},
        }

    def table(self) -> Table:
        """The report for people: a row for each operator; columns that are all 0 are left out."""
        rows = list(self.by_operator.items())
        sums = [("sum", sum(self.by_operator.values(), Resources()))] if rows else []
        sums.append(("total, flattened", self.total))
        everything = [used for _, used in (*rows, *sums)]
        shown = [name for name in COUNTS if any(getattr(used, name) for used in everything)]
        other = any(used.other for used in everything)
        table = Table(title=f"Synthesis for {self.target}")
        table.add_column("operator", no_wrap=True)
        for name in shown:
            table.add_column(COLUMNS[name][0], justify="right")
        if other:
            table.add_column("other cells")

        def add(row: str, used: Resources) -> None:
            values = [COLUMNS[name][1].format(getattr(used, name)) for name in shown]
            if other:
                values.append(", ".join(f"{n} {cell}" for cell, n in used.other.items()))
            table.add_row(row, *values)

        for row, used in rows:
            add(row, used)
        for row, used in sums:
            table.add_section()
            add(row, used)
        return table
