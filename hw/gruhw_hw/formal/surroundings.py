"""What an operator's surroundings in a design offer it, and what they look at.

A fault in an operator cannot be seen if it shows only for operands that never come, while the
result waits for the next unit, or in products of words that are never written. The module made
here lets an operator see all that the others may offer it and nothing else, and shows its result
only while they read it. Which values these are is :mod:`gruhw_hw.formal.reach`'s business, and in
which cycles they come is the schedule's; all other checks are for that the design keeps to both.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import (
    Assume,
    Cat,
    ClockSignal,
    Instance,
    Module,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.utils import ceil_log2

from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import Input, Linear, Multiply, State
from gruhw.network.schedule import Scheduled
from gruhw_hw.arithmetic import shape_of
from gruhw_hw.formal.reach import possible_operands
from gruhw_hw.pipeline import delayed
from gruhw_hw.placed import Placed

SURROUNDINGS = "surroundings"
"""The name of the module."""

_INSIDE = {
    "port__addr": "operand_0",
    "port__en": "enable",
    "port__data": "result",
    "register": "result",
    "address": "weight__addr",
}
"""Ports that are named after what they are connected with inside, and what they stand for."""

_ROWS = 2
"""The registers of a product, which may be complements of each other, stand in two rows."""

_PRODUCT_CYCLES = 3
"""From a weight's address to its product."""


@dataclass(frozen=True)
class Surroundings:
    """The module, and how far a proof about it may have to look back.

    Parameters
    ----------
    design
        The module :data:`SURROUNDINGS` in RTLIL, with an instance of the operator.
    cycles
        As many as a unit, or a group of them, is under way.
    rows
        How many rows of registers a result passes through on its way out.
    """

    design: str
    cycles: int
    rows: int


def surroundings(
    network: Network, verilog: str, placed: Placed, module: str, *, contents: bool
) -> Surroundings | None:
    """What surrounds an operator in a design; None if nothing is known of it.

    Parameters
    ----------
    verilog
        The design.
    placed, module
        The operator, and the name of its module there.
    contents
        Whether the question is about weights or tables.
    """
    node, scheduled = placed.node, placed.scheduled
    types = {f"operand_{i}": kind for i, kind in enumerate(scheduled.operands)}
    ports = _ports(verilog, module, types)
    signals = {_INSIDE.get(name, name): signal for name, (_, signal) in ports.items()}
    m, rows = Module(), _ROWS
    if not isinstance(node, Linear):
        possible = possible_operands(network).get(placed.name)
        ends, cycles = _units(m, placed, signals, possible)
    elif not contents:
        ends, cycles = _groups(m, placed, signals)
        rows += scheduled.phase.lanes
    elif isinstance(source := scheduled.typed.graph[node.operand], Input):
        ends, cycles = _padding(m, scheduled, source.size, signals)
    else:
        return None
    m.submodules.part = Instance(
        module,
        i_clk=ClockSignal(),
        i_rst=ResetSignal(),
        **{f"{direction}_{name}": signal for name, (direction, signal) in ports.items()},
    )
    return Surroundings(
        rtlil.convert(m, name=SURROUNDINGS, ports=ends, emit_src=False), cycles, rows
    )


def _ports(verilog: str, module: str, types: Mapping[str, Fixed]) -> dict[str, tuple[str, Signal]]:
    """The ports of a module but clock and reset: ``i`` or ``o``, and a signal for each."""
    start = verilog.index(f"module \\{module} (")
    text = verilog[start : verilog.index("endmodule", start)]
    declaration = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)
    found = {}
    for direction, last, name in declaration.findall(text):
        if name not in ("clk", "rst"):
            kind = types.get(_INSIDE.get(name, name))
            shape = shape_of(kind) if kind else int(last or 0) + 1
            found[name] = direction[0], Signal(shape, name=name)
    return found


def _units(
    m: Module, placed: Placed, signals: Mapping[str, Signal], possible: IntArray | None
) -> tuple[Sequence[Signal], int]:
    """Units come as the schedule says, with possible operands, and wait until they are read."""
    node, scheduled = placed.node, placed.scheduled
    interval, slot = scheduled.phase.unit_interval, scheduled.slot
    operands = [signals[f"operand_{i}"] for i in range(len(node.operands))]
    start = Signal(name="start_any")
    since = _spaced(m, start, interval)
    if "start" in signals:
        m.d.comb += signals["start"].eq(start)
    enable = delayed(m, start, slot.ready - 1 - slot.read, "enable")
    m.d.comb += signals["enable"].eq(enable)

    for operand, name in zip(operands, node.operands, strict=True):
        before = Signal(operand.shape(), name=f"{operand.name}_before")
        m.d.sync += before.eq(operand)
        steady = since < _holds(name, placed)
        m.d.comb += Assume(start | ~steady | (operand == before))
    if possible is not None:
        offered = _offered(scheduled, possible)
        m.d.comb += Assume(~start | _is_possible(m, operands, offered))

    looks = _looks(placed)
    seen = _seen(m, signals["result"], enable, looks)
    clear = [signals["clear"]] if "clear" in signals else []
    return [start, *operands, *clear, seen], slot.ready - slot.read + max(looks) + 2


def _offered(scheduled: Scheduled, possible: IntArray) -> IntArray:
    """What an operator's ports may be offered where these operands are possible.

    A product with a state is cleared in a sequence's first step, in which the state's memory
    offers what stands there from the sequence before, whatever the other operand is.
    """
    node, graph = scheduled.node, scheduled.typed.graph
    reads_state = any(isinstance(graph[name], State) for name in node.operands)
    if not isinstance(node, Multiply) or not reads_state:
        return possible
    axes = np.meshgrid(*(np.unique(column) for column in possible.T), indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def _groups(
    m: Module, placed: Placed, signals: Mapping[str, Signal]
) -> tuple[Sequence[Signal], int]:
    """Accumulators leave as the schedule says: a group at a time, which may be a short one."""
    phase = placed.scheduled.phase
    start, short = Signal(name="start_any"), Signal(name="short_any")
    since = _spaced(m, start, phase.group_cycles)
    is_short = Signal()
    with m.If(start):
        m.d.sync += is_short.eq(short)
    # Counted, because tokens that are passed on would have to be followed over two groups.
    entering = [since == lane * phase.unit_interval for lane in range(1, phase.lanes)]
    token = (
        start
        | Cat(
            arrives & ~(is_short & (lane >= phase.last_lanes))
            for lane, arrives in enumerate(entering, start=1)
        ).any()
    )
    enable = delayed(m, token, 1, "enable")
    driven = {"load": start, "shift": token, "enable": enable}
    m.d.comb += [signals[name].eq(value) for name, value in driven.items() if name in signals]
    looks = _looks(placed)
    seen = _seen(m, signals["result"], enable, looks)
    free = [signal for name, signal in signals.items() if name not in (*driven, "result")]
    return [start, short, *free, seen], phase.lanes * phase.unit_interval + max(looks) + 3


def _spaced(m: Module, start: Signal, interval: int) -> Signal:
    """Let ``start`` be high every ``interval`` cycles at most; returns how long ago that was."""
    since = Signal(range(interval + 1), init=interval)
    with m.If(start):
        m.d.sync += since.eq(1)
    with m.Elif(since < interval):
        m.d.sync += since.eq(since + 1)
    m.d.comb += Assume(~start | (since >= interval))
    return since


def _seen(m: Module, result: Signal, enable: Value, looks: Set[int]) -> Signal:
    """The result while something reads it: so many cycles after it is there."""
    seen = Signal.like(result, name="seen")
    age = Signal(range(max(looks) + 2), init=max(looks) + 1)
    with m.If(enable):
        m.d.sync += age.eq(0)
    with m.Elif(age <= max(looks)):
        m.d.sync += age.eq(age + 1)
    with m.If(Cat(age == cycle for cycle in sorted(looks)).any()):
        m.d.comb += seen.eq(result)
    return seen


def _holds(operand: str, placed: Placed) -> int:
    """For how many cycles, from that in which it is read, an operand belongs to its unit."""
    scheduled, slots = placed.scheduled, placed.core.slots
    slot = scheduled.slot
    if isinstance(scheduled.typed.graph[operand], State):
        # Only a serial product needs it longer.
        return slot.ready - slot.read if scheduled.serial else 1
    return scheduled.phase.unit_interval - (slot.read - slots[operand].ready)


def _looks(placed: Placed) -> Set[int]:
    """In which cycles something reads a result, counted from that in which it is there.

    At once, for the output; when states are written; and when its readers do, of which serial
    products take their second operand until they are complete. What is read when the next unit is
    there has been carried on in the cycle before.
    """
    scheduled, slots = placed.scheduled, placed.core.slots
    states = [state for state in scheduled.typed.graph.states if state.source == placed.node.name]
    looks = {0} | {placed.core.kept[state.name] - scheduled.slot.ready for state in states}
    for reader in scheduled.typed.graph.operators:
        if placed.node.name in reader.operands:
            first = last = slots[reader.name].read
            if isinstance(reader, Multiply) and scheduled.serial:
                last = slots[reader.name].ready - 1
            looks |= {cycle - scheduled.slot.ready for cycle in range(first, last + 1)}
    return {min(age, scheduled.phase.unit_interval - 1) for age in looks}


def _is_possible(m: Module, operands: Sequence[Signal], possible: IntArray) -> Signal:
    """Whether operands are among those that are possible, or, if there are two, between them."""
    found = Signal(name="possible")
    first = operands[0]
    with m.Switch(first):
        for code in np.unique(possible[:, 0]).tolist():
            with m.Case(code):
                with_it = possible[possible[:, 0] == code]
                between = [
                    (operand >= int(values.min())) & (operand <= int(values.max()))
                    for operand, values in zip(operands[1:], with_it.T[1:], strict=True)
                ]
                m.d.comb += found.eq(between[0] if between else 1)
    return found


def _padding(
    m: Module, scheduled: Scheduled, size: int, signals: Mapping[str, Signal]
) -> tuple[Sequence[Signal], int]:
    """The operand is zero where it stands in a word that none of ``size`` elements is written to.

    So it is where memories begin with zero; elsewhere such a weight's product may be seen.
    """
    phase = scheduled.phase
    address, operand = signals["weight__addr"], signals["operand"]
    before = Signal(address.shape(), reset_less=True)
    m.d.sync += before.eq(address)
    words = np.arange(phase.groups * phase.terms) % phase.terms % (1 << ceil_log2(size))
    with m.Switch(before):
        for code in np.flatnonzero(words >= size).tolist():
            with m.Case(code):
                m.d.comb += Assume(operand == 0)
    return [*signals.values()], _PRODUCT_CYCLES
