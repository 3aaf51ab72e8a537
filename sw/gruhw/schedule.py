"""The schedule: the clock cycle of every operation, for a graph and a folding.

Nothing else counts cycles. The datapath builds its control from this module, and the
reference reads its predicted cycles here.

A *phase* computes some units (the hidden units of a time step, or the classes of the head),
``pe`` of them at a time. Each such *group* spends one cycle on each term of its dot products
and one more to clear the accumulators; the accumulators then leave one by one, a *unit
interval* apart, through a pipeline that every unit of the phase shares::

    cycle of the group   0 .. terms-1             a term's operand and weight are addressed
                         2 .. terms+1             its product stands in a register
                         accumulator_cycle        the first lane's accumulator is complete
    ready[op] later                               the operator's result stands in its register

Cycles are counted from the one in which the first element of a sequence is accepted by an
idle accelerator, which is cycle 0.
"""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, singledispatch

import numpy as np
from numpy.typing import ArrayLike

from gruhw.arrays import IntArray, whole_values
from gruhw.errors import InputError
from gruhw.genome import OUTPUTS, Folding, Output
from gruhw.graph import Add, Complement, Graph, Input, Linear, Multiply, Node, State, Table
from gruhw.values import instance, whole_number

MULTIPLY_CYCLES = 2
"""From the cycle in which a term is addressed to the one in which its product is registered."""

LAUNCH_CYCLES = 2
"""From the cycle that accepts a step's last element to the first term of an idle accelerator."""

STREAM_CYCLES = 2
"""From the cycle that pushes an output element to the one that offers it on the stream."""


@singledispatch
def latency(node: Node, graph: Graph, serial: bool) -> int:
    """Cycles from the one in which ``node`` reads its operands to that of its result.

    ``serial`` selects products that take a cycle for each bit of their first operand.
    """
    raise TypeError(f"no latency for {type(node).__name__}")


@latency.register
def _(node: Linear, graph: Graph, serial: bool) -> int:
    return 1  # bias, rounding and saturation; the products are counted by the phase


@latency.register
def _(node: Add, graph: Graph, serial: bool) -> int:
    return 1


@latency.register
def _(node: Multiply, graph: Graph, serial: bool) -> int:
    # The product, or the first operand, is registered; then rounding and saturation.
    return 2 + (graph[node.left].type.bits if serial else 0)


@latency.register
def _(node: Complement, graph: Graph, serial: bool) -> int:
    return 1


@latency.register
def _(node: Table, graph: Graph, serial: bool) -> int:
    return 1


@dataclass(frozen=True)
class Phase:
    """``units`` dot products of ``terms`` terms, ``lanes`` at a time."""

    units: int
    terms: int
    lanes: int

    @cached_property
    def groups(self) -> int:
        """How often the lanes are used."""
        return -(-self.units // self.lanes)

    @property
    def last_lanes(self) -> int:
        """Lanes that the last group uses; those beyond it hold no unit."""
        return self.units - (self.groups - 1) * self.lanes

    @cached_property
    def unit_interval(self) -> int:
        """Cycles between the units of a group in the pipeline behind the accumulators."""
        return max(1, (self.terms + 1) // self.lanes)

    @cached_property
    def group_cycles(self) -> int:
        """Cycles from the first term of a group to that of the next."""
        return max(self.terms + 1, self.lanes * self.unit_interval)

    @cached_property
    def accumulator_cycle(self) -> int:
        """The cycle of the group in which the first lane's accumulator enters the pipeline.

        Several lanes are first copied aside, because the accumulators are needed again.
        """
        return self.terms + MULTIPLY_CYCLES + (self.lanes > 1)

    def unit_cycle(self, unit: int) -> int:
        """The cycle of the phase in which the accumulator of ``unit`` enters the pipeline."""
        group, lane = divmod(unit, self.lanes)
        return group * self.group_cycles + self.accumulator_cycle + lane * self.unit_interval


@dataclass(frozen=True)
class Schedule:
    """Every cycle of a graph, for a folding and a kind of output stream.

    Raises
    ------
    InputError
        If the folding does not suit the graph, or there is no such kind of output.
    """

    graph: Graph
    folding: Folding
    output: Output = "class"

    def __post_init__(self) -> None:
        graph = instance("graph", self.graph, Graph)
        Folding.checked(instance("folding", self.folding, Folding).pe, graph.state.size)
        if self.output not in OUTPUTS:
            raise InputError(f"output must be {' or '.join(OUTPUTS)}, not {self.output!r}")

    @cached_property
    def step(self) -> Phase:
        """The phase that computes the hidden units of one time step."""
        state = self.graph.state.size
        return Phase(state, max(self.graph.input.size, state), min(self.folding.pe, state))

    @cached_property
    def head(self) -> Phase | None:
        """The phase that computes the classes of a sequence; None if states are streamed."""
        if self.output == "states":
            return None
        head = self.graph.head
        return Phase(head.outputs, head.inputs, min(self.folding.pe, head.outputs))

    def phase_of(self, node: Linear) -> Phase:
        """The phase in which a linear operator works."""
        return self.head if self.head and node.name == self.graph.head.name else self.step

    @cached_property
    def serial_products(self) -> bool:
        """Whether units are so far apart that products can be computed bit by bit.

        The pipeline then holds one unit at a time, and no operand changes while it is read.
        """
        multiplications = [node for node in self.graph.operators if isinstance(node, Multiply)]
        unsigned = all(not self.graph[node.left].type.signed for node in multiplications)
        return unsigned and max(self._serial_ready.values()) < self.step.unit_interval

    @cached_property
    def _serial_ready(self) -> dict[str, int]:
        return self._ready(serial=True)

    @cached_property
    def ready(self) -> dict[str, int]:
        """For each operator, cycles from its unit's accumulator to its registered result."""
        return self._serial_ready if self.serial_products else self._ready(serial=False)

    def _ready(self, serial: bool) -> dict[str, int]:
        found: dict[str, int] = {}
        for node in (*self.graph.operators, self.graph.head):
            found[node.name] = self._read_cycle(node, found) + latency(node, self.graph, serial)
        return found

    def read_cycle(self, name: str) -> int:
        """Cycles from a unit's accumulator to that in which operator ``name`` reads operands."""
        return self._read_cycle(self.graph[name], self.ready)

    def _read_cycle(self, node: Node, ready: dict[str, int]) -> int:
        if isinstance(node, Linear):
            return 0
        return max(
            (ready[name] for name in node.operands if not self._is_leaf(name)),
            default=0,
        )

    def _is_leaf(self, name: str) -> bool:
        return isinstance(self.graph[name], Input | State)

    @cached_property
    def step_interval(self) -> int:
        """Cycles from the first term of a step to that of the next step, or of the head.

        A state element may be addressed in the cycle after that in which it is written, which
        is the one in which it stands in its register.
        """
        # Units are written at least a cycle apart, and read a cycle apart: the last is critical.
        last = self.step.units - 1
        written = self.step.unit_cycle(last) + self.ready[self.graph.state.source]
        return max(self.step.groups * self.step.group_cycles, written + 1 - last)

    @property
    def drain_cycles(self) -> int:
        """Idle cycles after the last group of a step, until its states can be read."""
        return self.step_interval - self.step.groups * self.step.group_cycles

    @property
    def first_term(self) -> int:
        """The cycle of a sequence's first term, if the accelerator was idle."""
        return self.graph.input.size - 1 + LAUNCH_CYCLES

    def cycle(self, name: str, step: int, unit: int) -> int:
        """The cycle in which operator ``name`` has its result for ``unit`` in its register."""
        start = self.first_term + step * self.step_interval
        return start + self.step.unit_cycle(unit) + self.ready[name]

    def state_cycles(self, lengths: ArrayLike) -> IntArray:
        """The cycle of each step's last state, shape [N, T]; -1 past the end of a sequence."""
        lengths = whole_values("lengths", lengths, ("sequences",), 0)
        steps = np.arange(int(lengths.max(initial=0)))
        last = self.cycle(self.graph.state.source, 0, self.step.units - 1)
        cycles = last + steps * self.step_interval
        return np.where(steps[None, :] < lengths[:, None], cycles[None, :], -1)

    def sequence_interval(self, length: int) -> int:
        """Cycles from the first term of a sequence to that of the next, if no stream stalls."""
        head = self.head.groups * self.head.group_cycles if self.head else 0
        return whole_number("length", length, 0) * self.step_interval + head

    def output_cycles(self, length: int) -> list[int]:
        """The cycles in which a sequence's output elements are offered, if no stream stalls.

        In their order: logits and then the class; or the states of every step.
        """
        length = whole_number("length", length, 0)
        if self.head is None:
            source = self.graph.state.source
            return [
                self.cycle(source, step, unit) + STREAM_CYCLES
                for step in range(length)
                for unit in range(self.step.units)
            ]
        start = self.first_term + length * self.step_interval
        offered = self.ready[self.graph.head.name] + STREAM_CYCLES
        logits = [start + self.head.unit_cycle(unit) + offered for unit in range(self.head.units)]
        return [*logits, logits[-1] + 1]

    def group_outputs(self, group: int) -> int:
        """How many output elements a group of the emitting phase gives."""
        phase = self.head or self.step
        if group < phase.groups - 1:
            return phase.lanes
        return phase.last_lanes + (1 if self.head else 0)

    @cached_property
    def output_depth(self) -> int:
        """Elements that the output buffer must hold so that an unstalled stream never waits.

        A group is launched only once all its output elements have a place.
        """
        phase, length = self.head or self.step, 1 if self.head else 3
        cycles = self.output_cycles(length)
        start = self.first_term + (self.step_interval if self.head else 0)
        depth = launched = 0
        for step in range(length):
            for group in range(phase.groups):
                launch = start + step * self.step_interval + group * phase.group_cycles - 1
                launched += self.group_outputs(group)
                depth = max(depth, launched - bisect_left(cycles, launch))
        return depth
