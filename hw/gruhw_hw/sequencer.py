"""The control of a core, built from the schedule."""

from collections.abc import Callable

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gruhw.network.schedule import Core, Phase


class Sequencer(wiring.Component):
    """Issues one term a cycle, group after group: the steps of a sequence, then its head.

    A group starts once its input vector is there, the state it reads is written, and there is
    room for all its results; it then runs to its end without ever waiting. So back-pressure
    needs no stall logic in the datapath.

    Members
    -------
    vector_full, vector_last : In(1)
        An input vector is there; it is the last of its sequence.
    vector_release : Out(1)
        The step has read its input vector for the last time.
    output_available : In(1)
        There is room for the results of the group that is next.
    output_reserve : Out(1)
        A group starts that will give results.
    last_group : Out(1)
        While no term is issued: the group that is next is the last of its phase.
    slot : Out(range(terms))
        The element of the input and of the state that is addressed.
    address : Out(range(groups * terms))
        The term of the whole phase that is addressed.
    bank : Out(1)
        The half of the state memory that holds the state to be read.
    first_step : Out(1)
        The step is the first of its sequence, and its state is that which a sequence begins with;
        or the first since a reset, if states go on from sequence to sequence.
    ended : Out(1)
        The step before the head was the last of its sequence. Only a head behind every step has it.
    step_term, head_term : Out(1)
        A term of a step, or of the head, is addressed.
    step_end, head_end : Out(1)
        It is the last of its group.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        phases = [phase for phase in (core.step, core.outputs) if phase]
        super().__init__(
            {
                "vector_full": In(1),
                "vector_last": In(1),
                "vector_release": Out(1),
                "output_available": In(1),
                "output_reserve": Out(1),
                "last_group": Out(1),
                "slot": Out(range(max(2, *(phase.terms for phase in phases)))),
                "address": Out(range(max(2, *(phase.groups * phase.terms for phase in phases)))),
                "bank": Out(1),
                "first_step": Out(1, init=1),
                **({"ended": Out(1)} if core.outputs and core.marks_last_step else {}),
                "step_term": Out(1),
                "head_term": Out(1),
                "step_end": Out(1),
                "head_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step, head = self._core.step, self._core.outputs
        # A head at the end of a sequence; one behind every step follows as another step does.
        at_end = head if not self._core.emits_every_step else None
        active = Signal()  # a term is issued
        in_head = Signal()  # by the head; while no term is issued, the next one will be

        def of_phase(figure: Callable[[Phase], int]) -> Value | int:
            """A figure of the running phase; a constant where step and head agree."""
            of_step, of_head = figure(step), figure(head or step)
            return of_step if of_step == of_head else Mux(in_head, of_head, of_step)

        several = any(phase.groups > 1 for phase in (step, head or step))
        start_of_last = of_phase(lambda phase: (phase.groups - 1) * phase.terms)
        last_term = Signal()
        last_of_phase = Signal()
        may_start = Signal()
        m.d.comb += [
            last_term.eq(active & (self.slot == of_phase(lambda phase: phase.terms - 1))),
            last_of_phase.eq(
                self.address == of_phase(lambda phase: phase.groups * phase.terms - 1)
            ),
            self.last_group.eq(
                # "== 0" would become "! address", which Verilator takes for a truncation.
                self.address == start_of_last if several else ~self.address.any()
            ),
            self.step_term.eq(active & ~in_head),
            self.head_term.eq(active & in_head),
            self.step_end.eq(last_term & ~in_head),
            self.head_end.eq(last_term & in_head),
            self.vector_release.eq(self.step_end & last_of_phase),
        ]
        with m.If(active):
            m.d.sync += [self.slot.eq(self.slot + 1), self.address.eq(self.address + 1)]
        with m.If(last_term):
            m.d.sync += [active.eq(0), self.slot.eq(0)]
            with m.If(last_of_phase):
                m.d.sync += self.address.eq(0)
        with m.If(self.vector_release):
            begins = 0 if at_end or self._core.carries else self.vector_last
            m.d.sync += [
                self.bank.eq(~self.bank),
                self.first_step.eq(begins),
                in_head.eq(self.vector_last if at_end else int(head is not None)),
            ]
            if head and not at_end:
                m.d.sync += self.ended.eq(self.vector_last)
        with m.If(self.head_end & last_of_phase):
            m.d.sync += in_head.eq(0)
            if (head is None or at_end) and not self._core.carries:
                m.d.sync += self.first_step.eq(1)

        waited = self._wait(m, last_term, of_phase(lambda phase: phase.extra_cycles))
        ready = Mux(in_head, self.output_available, self.vector_full)
        emits: Value | int = in_head if head else 1
        if not head:
            ready = self.vector_full & self.output_available
            if self._core.every_step and not self._core.emits_every_step:
                emits = self.vector_last
                ready = self.vector_full & (self.output_available | ~self.vector_last)
        m.d.comb += may_start.eq(~active & waited & ready)
        m.d.comb += self.output_reserve.eq(may_start & emits)
        with m.If(may_start):
            m.d.sync += active.eq(1)
        return m

    def _wait(self, m: Module, last_term: Signal, after_group: Value | int) -> Value | int:
        """Whether the next group may follow; its first idle cycle suffices if no more are due."""
        step, head = self._core.step, self._core.outputs
        after_step = step.extra_cycles + self._core.drain_cycles
        longest = max(after_step, (head or step).extra_cycles)
        if longest == 0:
            return 1
        left = Signal(range(longest + 1))
        with m.If(self.vector_release):
            m.d.sync += left.eq(after_step)
        with m.Elif(last_term):
            m.d.sync += left.eq(after_group)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        return ~left.any()
