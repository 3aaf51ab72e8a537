"""Cells of a user's own, found as those of an installed package are."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gruhw.network.cells import ENTRY_POINT, cells

TWO_STATES = '''
"""Two states, a product of two signed results, and a result that is no gate and read twice."""

from gruhw.network.cells import Cell
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def two_states(inputs: int, units: int) -> Graph:
    step = Step(inputs, units)
    h, s = step.state("h", source="add_h"), step.state("s", source="add_s")
    add_a = step.add("add_a", step.linear("W_ia"), step.linear("W_ha", h))
    tanh_a = step.tanh("tanh_a", add_a)
    mul_a = step.multiply("mul_a", add_a, tanh_a)
    sig_z = step.sigmoid("sig_z", step.add("add_z", step.linear("W_iz"), step.linear("W_sz", s)))
    add_s = step.add("add_s", step.multiply("mul_s", sig_z, s), mul_a)
    mul_h = step.multiply("mul_h", step.complement("sub_z", sig_z), tanh_a)
    tanh_s = step.tanh("tanh_s", add_s)
    return step.graph(step.add("add_h", mul_h, tanh_s, rule="symmetric"))


CELL = Cell("two_states", two_states, source="this test", initial_biases={"W_iz": 1.0})
'''
"""The text of a module with a cell that has what none of gruhw's own has."""


@contextmanager
def installed_cell(folder: Path, name: str, source: str) -> Iterator[str]:
    """Install a package ``name``, whose ``CELL`` is one, in an empty ``folder``; gives its name.

    Processes that are started meanwhile find it, too, if they get ``sys.path``.
    """
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{ENTRY_POINT}]\n{name} = {name}:CELL\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    cells.cache_clear()
    try:
        yield cells()[name].name
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)
        cells.cache_clear()
