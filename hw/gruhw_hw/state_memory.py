"""The memory of a state: what an operator gave in the step before, for every unit."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory, WritePort
from amaranth.utils import ceil_log2

from gruhw.network.fixed import IntArray
from gruhw.network.graph import Linear, State
from gruhw.network.schedule import Core
from gruhw_hw.arithmetic import shape_of
from gruhw_hw.pipeline import Pipeline, Timed
from gruhw_hw.sequencer import Sequencer
from gruhw_hw.streams import NO_COLLISION


@dataclass(frozen=True)
class Arrival:
    """A result of a time step in a cycle of its unit in which it leaves the pipeline.

    Parameters
    ----------
    value
        The result.
    unit
        The number of its unit.
    known
        High in that cycle.
    last
        High if it is the last unit's.
    """

    value: Signal
    unit: Signal
    known: Signal
    last: Signal


def arrival(
    m: Module, pipeline: Pipeline, unit: Timed, units: int, value: Timed, cycle: int, name: str
) -> Arrival:
    """The arrival of a result in the given cycle of each of the ``units``.

    ``unit`` is their number; ``name`` becomes that of the signal which says that it is there.
    """
    number = pipeline.at(unit, cycle)
    last_unit, known = Signal(), Signal(name=name)
    m.d.comb += [
        known.eq(pipeline.token(cycle)),
        last_unit.eq(number == units - 1),
    ]
    return Arrival(pipeline.at(value, cycle), number, known, last_unit)


def is_vector(core: Core, state: State) -> bool:
    """Whether a linear operator reads the state: all of it, while the next one is computed."""
    readers = (node for node in core.typed.graph.operators if state.name in node.operands)
    return any(isinstance(node, Linear) for node in readers)


class StateMemory:
    """The memory of a state, with what reads and writes it.

    Two banks take turns if a linear operator reads the state. If none does, each unit's is written
    after it was read for the last time, and one bank is enough.

    Parameters
    ----------
    m
        The module that it becomes a part of.
    state, core
        What it keeps, and where.
    sequencer
        Says which element of the vector is addressed.
    initial
        What the state begins with, shape [units]; zero if None.
    """

    def __init__(
        self, m: Module, state: State, core: Core, sequencer: Sequencer, initial: IntArray | None
    ) -> None:
        self._m = m
        self.state = state
        self._core = core
        self._several = len(core.typed.graph.states) > 1
        self._kind = core.typed[state.name]
        self._bits = ceil_log2(state.size)
        self._initial = None if initial is None or not initial.any() else initial
        self._slot = sequencer.slot
        self._is_vector = is_vector(core, state)
        suffix = f"_{state.name}" if self._several else ""
        m.submodules[f"states{suffix}"] = self._memory = Memory(
            shape=shape_of(self._kind),
            depth=(1 + self._is_vector) << self._bits,
            init=[],
            attrs=NO_COLLISION,
        )
        if self._initial is not None:
            # What no operator reads must be a number, too, for products with weights of zero.
            addressed = min(core.step.terms if self._is_vector else 0, 1 << self._bits)
            m.submodules[f"initial{suffix}"] = self._rom = Memory(
                shape=shape_of(self._kind),
                depth=max(state.size, addressed),
                init=self._initial.tolist(),
            )
        if self._is_vector:
            state_vector = self._memory.read_port()
            m.d.comb += state_vector.addr.eq(Cat(sequencer.slot[: self._bits], sequencer.bank))
            self._vector = state_vector

    @property
    def begins_with_zero(self) -> bool:
        """Whether a product with the initial state is zero."""
        return self._initial is None

    def follow(self, pipeline: Pipeline, unit: Timed) -> None:
        """Say by which pipeline units come, and where their number stands."""
        self._pipeline, self._unit = pipeline, unit
        if self._is_vector:
            suffix = f"_{self.state.name}" if self._several else ""
            self._write_bank = Signal(init=1, name=f"write_bank{suffix}")

    def element(self, first_step: Value) -> Value:
        """The element of the vector that was addressed in the cycle before.

        ``first_step`` is high then in a sequence's first step. If the state begins with zero, what
        is read in that step means nothing.
        """
        data: Value = self._vector.data
        if self._initial is None:
            return data
        port = self._rom.read_port()
        self._m.d.comb += port.addr.eq(self._slot)
        return Mux(first_step, port.data, data)

    def last_element(self) -> Value:
        """The same where no step is a sequence's first: in the phase of the head."""
        data: Value = self._vector.data
        return data

    def read_unit(self, cycle: int, first_step: Value, *, product: bool) -> Value:
        """The unit's state of the step before, in the given cycle of the unit.

        ``first_step`` is high then in a sequence's first step. A ``product`` with a state that
        begins with zero is cleared: what is read for it means nothing in that step.
        """
        port = self._memory.read_port()
        unit = self._pipeline.at(self._unit, cycle - 1)[: self._bits]
        bank = [~self._write_bank] if self._is_vector else []
        self._m.d.comb += port.addr.eq(Cat(unit, *bank))
        if self._initial is not None:
            initial = self._rom.read_port()
            self._m.d.comb += initial.addr.eq(self._pipeline.at(self._unit, cycle - 1))
            return Mux(first_step, initial.data, port.data)
        return port.data if product else Mux(first_step, 0, port.data)

    def write(self, new: Arrival) -> None:
        """Keep a result for the next step."""
        m, write = self._m, self._write_port()
        bank = [self._write_bank] if self._is_vector else []
        m.d.comb += [
            write.addr.eq(Cat(new.unit[: self._bits], *bank)),
            write.data.eq(new.value),
            write.en.eq(new.known),
        ]
        if self._is_vector:
            with m.If(new.known & new.last):
                m.d.sync += self._write_bank.eq(~self._write_bank)

    def _write_port(self) -> WritePort:
        return self._memory.write_port()
