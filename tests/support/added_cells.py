"""Cells that tests add as installed packages do, in this process alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gruhw.network.cells import ENTRY_POINT, cells


class Point:
    """An entry point, of a package that is not there."""

    value = "package.module:CELL"

    def __init__(self, found: object) -> None:
        self.found = found

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@contextmanager
def added_cells(*found: object) -> Iterator[None]:
    """Let packages have these objects under the entry point, and no others."""

    def entry_points(*, group: str) -> list[Point]:
        assert group == ENTRY_POINT
        return [Point(each) for each in found]

    with patch("gruhw.network.cells.entry_points", entry_points):
        cells.cache_clear()
        yield
    cells.cache_clear()
