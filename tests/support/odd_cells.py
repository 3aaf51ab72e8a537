"""Cells that have what none of gruhw's own has, each in another way."""

from gruhw.network.cells import Cell
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def leaky(inputs: int, units: int) -> Graph:
    """No linear operator reads the state: a gate that the input opens, and what it lets through."""
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    kept = step.multiply("kept", step.sigmoid("gate", step.linear("G")), h)
    return step.graph(step.add("add_h", step.tanh("tanh", step.linear("W")), kept))


def late(inputs: int, units: int) -> Graph:
    """Two states that are read after their operators have the next ones, one of them by a product.

    No state keeps what is emitted.
    """
    step = Step(inputs, units)
    before, h = step.state("before", source="W"), step.state("h", source="V")
    tanh = step.tanh("tanh", step.linear("W"))
    shifted = step.add("shifted", tanh, before, rule="rectified")
    step.linear("V", h)
    product = step.multiply("product", step.sigmoid("gate", shifted), before)
    return step.graph(step.add("out", step.add("sum", product, h), step.linear("U", before)))


def shared(inputs: int, units: int) -> Graph:
    """Two states, a product of two signed results, and a result that is no gate and read twice.

    An addition reads a state.
    """
    step = Step(inputs, units)
    h, s = step.state("h", source="add_h"), step.state("s", source="add_s")
    both = step.add("both", step.linear("W_x"), step.linear("W_h", h))
    tanh = step.tanh("tanh", both)
    signed = step.multiply("signed", both, tanh)
    add_s = step.add("add_s", signed, s)
    part = step.multiply("part", step.sigmoid("gate", step.linear("W_s", s)), both)
    return step.graph(step.add("add_h", part, step.tanh("tanh_s", add_s), rule="symmetric"))


def several(inputs: int, units: int) -> Graph:
    """Three states of one result, none of which is emitted; nothing reads the last one."""
    step = Step(inputs, units)
    a, b = step.state("a", source="tanh"), step.state("b", source="tanh")
    step.state("c", source="tanh")
    step.add("sum", step.linear("W"), step.linear("V", a))
    step.tanh("tanh", step.add("more", "sum", b))
    return step.graph(step.multiply("out", "tanh", "tanh", rule="unit"))


LEAKY, LATE, SHARED, SEVERAL = (
    Cell(build.__name__, build, source="this test") for build in (leaky, late, shared, several)
)
ODD_CELLS = (LEAKY, LATE, SHARED, SEVERAL)
