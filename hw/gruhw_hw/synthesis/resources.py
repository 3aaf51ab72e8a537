"""Counts of what a netlist is made of, in the same terms for every target."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a netlist, or part of one, is made of.

    Parameters
    ----------
    luts
        LUT sites that hold logic or part of a carry chain; whatever the target's LUT size.
    memory_luts
        LUT sites that hold memory bits.
    flip_flops
        One a bit.
    carries
        Carry-chain cells, of the target's own size.
    wide_muxes
        Dedicated multiplexers that join LUTs.
    block_rams
        In the unit that the target names.
    dsps
        Multiplier blocks.
    area_um2
        Standard-cell area in um2.
    nand2_equivalents
        The same area in units of the library's smallest 2-input NAND.
    other
        Cells that the target's table does not know, by type.
    """

    luts: int = 0
    memory_luts: int = 0
    flip_flops: int = 0
    carries: int = 0
    wide_muxes: int = 0
    block_rams: int = 0
    dsps: int = 0
    area_um2: float = 0.0
    nand2_equivalents: float = 0.0
    other: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            **{name: getattr(self, name) + getattr(other, name) for name in COUNTS},
            other={
                cell: self.other.get(cell, 0) + other.other.get(cell, 0)
                for cell in sorted({*self.other, *other.other})
            },
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(
            **{name: getattr(self, name) * count for name in COUNTS},
            other={cell: cells * count for cell, cells in self.other.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """The counts by name; areas rounded to 1/10000, so that the order of sums is not seen."""
        values = asdict(self) | {"other": dict(sorted(self.other.items()))}
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in values.items()
        }


COUNTS = tuple(item.name for item in fields(Resources) if item.name != "other")
"""The fields of :class:`Resources` that are numbers."""


def count_resources(
    cells: Mapping[str, int], table: tuple[tuple[str, Resources], ...]
) -> Resources:
    """The resources of ``cells``, a count for each cell type.

    Parameters
    ----------
    cells
        How many there are of each type.
    table
        Pairs of a cell type, which may be a pattern with ``*`` and ``?``, and what one cell
        of it uses. The first that matches counts; a type that none matches goes to ``other``.
    """
    total = Resources()
    for cell, count in sorted(cells.items()):
        known = (used for pattern, used in table if fnmatchcase(cell, pattern))
        total += next(known, Resources(other={cell: 1})) * count
    return total
