"""The schedule: the clock cycle of every operation, as a table.

Only :func:`gruhw.network.planning.plan` decides cycles. The datapath builds its control from the
table, area model and proofs read it, and the reference predicts its cycles with it. None of them
knows how it came about: another folding is another table.

A network becomes *cores*, which run at the same time. Each computes a stage, and a head rides on
the core of the only layer if it can read the layer's results there. A core works in *phases*: one
computes the units of a time step, the other, if it has a head, the outputs at the end of a
sequence or after every step. ``lanes`` units of a phase are computed at a time. Each such *group*
spends one cycle on each term of its dot products and one more to clear the accumulators; the
accumulators then leave one by one, a *unit interval* apart, through a pipeline that every unit of
the phase shares::

    cycle of the group   0 .. terms-1             a term's operand and weight are addressed
                         2 .. terms+1             its product stands in a register
                         accumulator_cycle        the first lane's accumulator is complete
    slots[op].ready later                         the operator's result stands in its register

All cores begin a time step every ``step_interval`` cycles, which suits the slowest of them, so that
none ever waits for another. Cycles are counted from the one in which the first element of a
sequence is accepted by an idle accelerator, which is cycle 0.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from gruhw.basics.arrays import IntArray, whole_values
from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.values import whole_number
from gruhw.network.fixed import Fixed
from gruhw.network.genome import Output
from gruhw.network.graph import Linear, Node
from gruhw.network.typed import Typed

STREAM_CYCLES = 2
"""From the cycle that pushes an element to the one that offers it on the stream."""

LEAST_DEPTH = 2
"""Elements of the smallest buffer that takes so long."""


@dataclass(frozen=True)
class Phase:
    """``units`` dot products of ``terms`` terms, ``lanes`` at a time.

    Parameters
    ----------
    units, terms, lanes
        How many there are.
    groups
        How often the lanes are used.
    unit_interval
        Cycles between the units of a group in the pipeline behind the accumulators.
    group_cycles
        Cycles from the first term of a group to that of the next.
    accumulator_cycle
        The cycle of the group in which the first lane's accumulator enters the pipeline.
    """

    units: int
    terms: int
    lanes: int
    groups: int
    unit_interval: int
    group_cycles: int
    accumulator_cycle: int

    @property
    def last_lanes(self) -> int:
        """Lanes that the last group uses; those beyond it hold no unit."""
        return self.units - (self.groups - 1) * self.lanes

    @property
    def extra_cycles(self) -> int:
        """Cycles of a group beyond its terms and the one that restarts the accumulators."""
        return self.group_cycles - self.terms - 1

    @property
    def cycles(self) -> int:
        """Cycles of all groups."""
        return self.groups * self.group_cycles

    def unit_cycle(self, unit: int) -> int:
        """The cycle of the phase in which the accumulator of ``unit`` enters the pipeline."""
        group, lane = divmod(unit, self.lanes)
        return group * self.group_cycles + self.accumulator_cycle + lane * self.unit_interval


@dataclass(frozen=True)
class Slot:
    """When an operator works, in cycles from its unit's accumulator.

    Parameters
    ----------
    read
        When it reads its operands.
    ready
        When its result stands in its register.
    """

    read: int
    ready: int


@dataclass(frozen=True)
class Scheduled:
    """An operator of a core: what it computes, for which units, and when.

    Parameters
    ----------
    node
        The operator.
    typed
        The time step that it belongs to, with types.
    phase
        The phase in which it works.
    slot
        When it works in that phase.
    serial
        Whether products are computed bit by bit.
    """

    node: Node
    typed: Typed
    phase: Phase
    slot: Slot
    serial: bool

    @property
    def operands(self) -> tuple[Fixed, ...]:
        """The types of what it reads."""
        return tuple(self.typed[name] for name in self.node.operands)

    @property
    def result(self) -> Fixed:
        """The type of its result."""
        return self.typed[self.node.name]


@dataclass(frozen=True)
class Core:
    """A row of the schedule: everything that one sequencer drives, and when.

    Parameters
    ----------
    name
        Of its stage.
    typed
        The time step of its stage, with types.
    head
        The head that rides on it, if one does.
    step
        The phase that computes the units of a time step.
    outputs
        The phase that computes the outputs behind a step; None if no head rides on it.
    slots
        When each operator works, by name.
    kept
        The cycle of a unit in which each state is written, by name: nobody reads the one before any
        more.
    serial_products
        Whether products are computed bit by bit.
    least_interval
        Cycles that a time step would take if no other core were slower.
    step_interval
        Cycles from the first term of a step to that of the next step. A head that computes outputs
        after every step is through by then.
    first_term
        The cycle of a sequence's first term, if the accelerator was idle.
    every_step
        Whether it computes every time step, or the last one of a sequence alone.
    emits_every_step
        Whether it emits what every step gives, or that of a sequence's last one.
    classifies
        Whether the index of the largest element follows what it emits.
    carries
        Whether states go on from sequence to sequence.
    """

    name: str
    typed: Typed
    head: Typed | None
    step: Phase
    outputs: Phase | None
    slots: Mapping[str, Slot]
    kept: Mapping[str, int]
    serial_products: bool
    least_interval: int
    step_interval: int
    first_term: int
    every_step: bool
    emits_every_step: bool
    classifies: bool
    carries: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "slots", FrozenMapping(self.slots))
        object.__setattr__(self, "kept", FrozenMapping(self.kept))

    @property
    def head_node(self) -> Linear | None:
        """The operator of the head that rides on it."""
        return self.head.graph.linears[0] if self.head else None

    @property
    def emitting(self) -> Phase:
        """The phase whose results leave the core."""
        return self.outputs or self.step

    @property
    def emitted(self) -> tuple[Typed, str]:
        """The results that leave the core: of which operator, and its types."""
        found = self.head or self.typed
        return found, found.graph.emits

    @cached_property
    def operators(self) -> tuple[Scheduled, ...]:
        """Every operator, those of the head that rides on it last."""
        found = [(node, self.typed, self.step) for node in self.typed.graph.operators]
        if self.head and self.outputs:
            found += [(node, self.head, self.outputs) for node in self.head.graph.operators]
        return tuple(
            Scheduled(node, typed, phase, self.slots[node.name], self.serial_products)
            for node, typed, phase in found
        )

    def operator(self, name: str) -> Scheduled | None:
        """The operator of this name; None if there is none."""
        return next((each for each in self.operators if each.node.name == name), None)

    @property
    def head_start(self) -> int:
        """Cycles from the first term of a step to that of what follows: of a head, or a step."""
        rides = self.outputs and self.emits_every_step
        return self.step_interval - (self.outputs.cycles if self.outputs and rides else 0)

    @property
    def drain_cycles(self) -> int:
        """Idle cycles after the last group of a step, until what follows it may begin."""
        return self.head_start - self.step.cycles

    @property
    def marks_last_step(self) -> bool:
        """Whether what leaves the core must know if its step is the last of a sequence."""
        return self.emits_every_step if self.outputs else self.every_step

    @property
    def numbered_until(self) -> int:
        """The last cycle of a step's unit in which something asks for its number."""
        # A result that leaves through the head is read there, out of the state's memory.
        found = list(self.kept.values())
        if not self.outputs:
            found.append(self.slots[self.typed.graph.emits].ready)
        return max(found)

    @property
    def sequence_cycles(self) -> int:
        """Cycles that a sequence takes beside its steps."""
        return self.outputs.cycles if self.outputs and not self.emits_every_step else 0

    def cycle(self, name: str, step: int, unit: int) -> int:
        """The cycle in which an operator of a time step has its result for ``unit``."""
        start = self.first_term + step * self.step_interval
        return start + self.step.unit_cycle(unit) + self.slots[name].ready

    def pushes(self, length: int) -> list[int]:
        """The cycles in which a sequence's elements enter the output buffer."""
        found: list[int] = []
        for step in range(0 if self.emits_every_step else max(0, length - 1), length):
            found += [self.emission(step, unit) for unit in range(self.emitting.units)]
            if self.classifies:
                found.append(found[-1] + 1)
        return found

    def emission(self, step: int, unit: int) -> int:
        """The cycle in which a result that leaves the core stands in its register."""
        _, name = self.emitted
        if not self.outputs:
            return self.cycle(name, step, unit)
        start = self.first_term + step * self.step_interval + self.head_start
        return start + self.outputs.unit_cycle(unit) + self.slots[name].ready

    def group_outputs(self, group: int) -> int:
        """How many elements a group of the emitting phase gives."""
        phase = self.emitting
        if group < phase.groups - 1:
            return phase.lanes
        return phase.last_lanes + self.classifies

    @cached_property
    def output_depth(self) -> int:
        """Elements that the output buffer must hold so that an unstalled stream never waits.

        A group is launched only once all its output elements have a place. A buffer for a single
        one would be a register, which offers it a cycle earlier than others.
        """
        phase = self.emitting
        # Sequences of one step are those that emit most often.
        period = self.step_interval + self.sequence_cycles
        start = self.first_term + (self.head_start if self.outputs else 0)
        pushes = self.pushes(1)
        # Those that have been launched before the first one's last element is offered, and one.
        rounds = 2 + (pushes[-1] + STREAM_CYCLES - start) // period
        cycles = [
            push + STREAM_CYCLES + number * period for number in range(rounds) for push in pushes
        ]
        depth, launched = LEAST_DEPTH, 0
        for number in range(rounds):
            for group in range(phase.groups):
                launch = start + number * period + group * phase.group_cycles - 1
                launched += self.group_outputs(group)
                depth = max(depth, launched - bisect_left(cycles, launch))
        # Amaranth's buffer of two elements loses one that comes in the cycle after another.
        close = any(later - earlier == 1 for earlier, later in pairwise(cycles))
        return 3 if depth == 2 and close else depth


@dataclass(frozen=True)
class Schedule:
    """The table: every cycle of a network, for a folding and a kind of output stream.

    Parameters
    ----------
    cores
        In the order of the data.
    output
        What the last one gives.
    """

    cores: tuple[Core, ...]
    output: Output

    def core_of(self, stage: str) -> Core | None:
        """The core that computes a stage; None if no hardware does, as a head beside states."""
        for core in self.cores:
            if core.name == stage or (core.head and stage == "head"):
                return core
        return None

    @property
    def first(self) -> Core:
        """The core that takes the network's input."""
        return self.cores[0]

    @property
    def last(self) -> Core:
        """The core that gives the network's output."""
        return self.cores[-1]

    @property
    def step_interval(self) -> int:
        """Cycles from a time step to the next, in every core."""
        return self.first.step_interval

    @cached_property
    def stepping(self) -> Core:
        """The last core that computes every time step."""
        return next(core for core in reversed(self.cores) if core.every_step)

    def state_cycles(self, lengths: ArrayLike) -> IntArray:
        """The cycle in which the last unit of each time step is computed; shape [N, T].

        It is that of the last core that computes every step. -1 past the end of a sequence.
        """
        lengths = whole_values("lengths", lengths, ("sequences",), 0)
        steps = np.arange(int(lengths.max(initial=0)))
        core = self.stepping
        last = core.cycle(core.typed.graph.emits, 0, core.step.units - 1)
        cycles = last + steps * core.step_interval
        return np.where(steps[None, :] < lengths[:, None], cycles[None, :], -1)

    def sequence_interval(self, length: int) -> int:
        """Cycles from the first term of a sequence to that of the next, if no stream stalls."""
        found = whole_number("length", length, 0) * self.step_interval
        return found + self.first.sequence_cycles

    def output_cycles(self, length: int) -> list[int]:
        """The cycles in which a sequence's output elements are offered, if no stream stalls.

        In their order: logits and then the class; values; or the states of every step.
        """
        length = whole_number("length", length, 0)
        return [cycle + STREAM_CYCLES for cycle in self.last.pushes(length)]
