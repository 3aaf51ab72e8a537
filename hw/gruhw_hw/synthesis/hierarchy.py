"""Attributing the cells of a hierarchical netlist to the operators they belong to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gruhw.network.graph import RESERVED
from gruhw_hw.identifiers import DATAPATH

# The command line offers the targets of synthesis: what brings NumPy and Amaranth is imported late.
if TYPE_CHECKING:
    from gruhw.network.bound import Network

REST = "control and streams"
"""The row for everything that belongs to no operator."""

CONTROL = "sequencer"
"""The instance that every core has, and no operator."""

Hierarchy = Mapping[str, Mapping[str, int]]
"""For each module, how many cells it has of each type; a type may be a module again."""


def inclusive_cells(hierarchy: Hierarchy, module: str) -> Counter[str]:
    """The leaf cells of ``module`` and of all modules below it, a count for each type."""
    total: Counter[str] = Counter()
    for cell, count in hierarchy[module].items():
        if cell not in hierarchy:
            total[cell] += count
            continue
        for leaf, leaves in inclusive_cells(hierarchy, cell).items():
            total[leaf] += leaves * count
    return total


def operator_modules(network: "Network", top: str) -> dict[str, str]:
    """The module of every operator of an accelerator, and the operator's name in files.

    They come in the order of the stages, and of each graph.
    """
    from gruhw_hw.placed import placed_operators

    return {f"{top}.{DATAPATH}.{each.path}": each.name for each in placed_operators(network)}


def named_operators(modules: Iterable[str], top: str) -> dict[str, str]:
    """The same as names of modules say it, which Amaranth makes of the paths of instances.

    Each module ``PATH.sequencer`` belongs to a core, whose operators stand beside it. Here they
    are called as their instances are, behind the core's name if there are several cores.
    """
    known = sorted(modules)
    root = f"{top}.{DATAPATH}"
    cores = [
        path
        for path, _, instance in (module.rpartition(".") for module in known)
        if instance == CONTROL and (path == root or path.rpartition(".")[0] == root)
    ]
    found = {}
    for core in cores:
        for module in known:
            path, _, instance = module.rpartition(".")
            if path == core and instance not in RESERVED:
                found[module] = module.removeprefix(f"{root}.")
    return found


def cells_by_operator(
    hierarchy: Hierarchy, top: str, operators: Mapping[str, str]
) -> dict[str, Counter[str]]:
    """The leaf cells of every operator, all its submodules added up, and of the rest.

    Parameters
    ----------
    hierarchy
        The modules of a netlist that was not flattened.
    top
        Its top module.
    operators
        The operators' modules, and what each is called. One inside another belongs to the outer
        one.

    Returns
    -------
    dict
        A count for each cell type by operator, in the order of ``operators``, without those
        that have no module; then :data:`REST`. Together they have every leaf cell of ``top``.
    """
    found: dict[str, Counter[str]] = {}

    def visit(module: str, copies: int, owner: str) -> None:
        cells = found.setdefault(owner, Counter())
        for cell, count in hierarchy[module].items():
            if cell in hierarchy:
                below = operators.get(cell, REST) if owner == REST else owner
                visit(cell, copies * count, below)
            else:
                cells[cell] += copies * count

    visit(top, 1, REST)
    return {name: found[name] for name in (*operators.values(), REST) if name in found}
