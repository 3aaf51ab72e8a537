"""Attributing the cells of a hierarchical netlist to the operators they belong to."""

from collections import Counter
from collections.abc import Collection, Mapping

REST = "control and streams"
"""The row for everything that belongs to no operator."""

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


def cells_by_operator(
    hierarchy: Hierarchy, top: str, operators: Collection[str], parent: str | None = None
) -> dict[str, Counter[str]]:
    """The leaf cells of every operator, all its submodules added up, and of the rest.

    An operator's modules are those whose name ends with ``.OPERATOR``: Amaranth names each
    module by the path of its instance. An operator inside another belongs to the outer one.

    Parameters
    ----------
    hierarchy
        The modules of a netlist that was not flattened.
    top
        Its top module.
    operators
        The operators' names.
    parent
        If given, only the direct children of modules of this name, and of names that go on
        with a dot, are operators: ``TOP.datapath``.

    Returns
    -------
    dict
        A count for each cell type by operator, in the order of ``operators``, without those
        that have no module; then :data:`REST`. Together they have every leaf cell of ``top``.
    """
    found: dict[str, Counter[str]] = {}

    def row(module: str) -> str:
        path, _, name = module.rpartition(".")
        inside = parent is None or path == parent or path.startswith(f"{parent}.")
        return name if name in operators and inside else REST

    def visit(module: str, copies: int, owner: str) -> None:
        cells = found.setdefault(owner, Counter())
        for cell, count in hierarchy[module].items():
            if cell in hierarchy:
                visit(cell, copies * count, row(cell) if owner == REST else owner)
            else:
                cells[cell] += copies * count

    visit(top, 1, REST)
    return {name: found[name] for name in (*operators, REST) if name in found}
