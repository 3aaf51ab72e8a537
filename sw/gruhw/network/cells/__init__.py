"""Cells: what a layer computes in a time step. Each is one file of this folder, or of a user's.

A package adds cells under the entry point ``gruhw.cells``, each a :class:`Cell`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from gruhw.errors import InputError
from gruhw.network.cells.cell import Cell, Stacked
from gruhw.network.cells.gru import GRU
from gruhw.network.cells.lstm import LSTM
from gruhw.network.cells.mgu import MGU
from gruhw.network.cells.ugrnn import UGRNN

__all__ = ["DENSE", "ENTRY_POINT", "OWN_CELLS", "Cell", "Stacked", "cell_of", "cells"]

DENSE = "dense"
"""The layer without a state: no cell, and so no name of one."""

ENTRY_POINT = "gruhw.cells"
"""The group of entry points under which packages add cells."""

OWN_CELLS = (GRU, UGRNN, MGU, LSTM)
"""Those that come with gruhw."""


@cache
def cells() -> Mapping[str, Cell]:
    """Every cell by name: gruhw's own, then those of installed packages.

    Raises
    ------
    InputError
        If a package cannot be imported, adds something else, or adds a cell whose name another
        layer has.
    """
    found = {cell.name: cell for cell in OWN_CELLS}
    for point in entry_points(group=ENTRY_POINT):
        try:
            cell = point.load()
        except Exception as error:  # whatever a package raises
            raise InputError(
                f"entry point {point.value} must be a Cell, but cannot be imported: {error}"
            ) from error
        if not isinstance(cell, Cell):
            raise InputError(f"entry point {point.value} must be a Cell, not {type(cell).__name__}")
        if cell.name in (*found, DENSE):
            raise InputError(f"cell {cell.name} of {point.value} must have a name of its own")
        found[cell.name] = cell
    return found


def cell_of(name: str) -> Cell:
    """The cell of this name; :class:`InputError` if there is none."""
    if (found := cells().get(name)) is not None:
        return found
    raise InputError(f"cell must be one of {', '.join(cells())}, not {name!r}")
