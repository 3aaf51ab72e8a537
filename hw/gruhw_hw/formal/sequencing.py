"""What is claimed of a core's sequencer: terms and groups follow each other as scheduled."""

from amaranth.hdl import Const, Mux, Signal, Value

from gruhw.network.schedule import Core, Phase
from gruhw_hw.formal.solver import Property
from gruhw_hw.sequencer import Sequencer


class Sequence:
    """What a core's sequencer must do, by the schedule: a model beside the hardware.

    Parameters
    ----------
    claim
        Whose module it becomes a part of.
    core
        Says when terms and groups are due.
    full, last
        An input vector is there; it is the last of its sequence.
    available
        There is room for what the group that is next will give.

    Attributes
    ----------
    phases
        That of a step and, if a head rides on the core, of its outputs.
    running
        A term is issued.
    in_head
        By the head; while none is issued, the next one will be.
    group, term
        The one that is issued, or is next.
    emits
        The group that is running, or is next, will give elements to the output.
    starts
        The next cycle issues a group's first term.
    release
        A step has read its input vector for the last time.
    idle, longest
        For how many cycles no group may begin, and the most that this can be.
    """

    def __init__(
        self, claim: Property, core: Core, full: Value, last: Value, available: Value
    ) -> None:
        self.claim, self.core = claim, core
        step, head = core.step, core.outputs
        self.phases = tuple(phase for phase in (step, head) if phase)
        self.running, self.in_head = Signal(name="running"), Signal(name="in_head")
        self.group = Signal(range(max(2, *(each.groups for each in self.phases))), name="group")
        self.term = Signal(range(max(2, *(each.terms for each in self.phases))), name="term")
        self.first_step, self.bank = Signal(init=1, name="first_step"), Signal(name="bank")
        self.ended = Signal(name="ended")  # the step before was the last of its sequence
        # A head computes behind the last step of a sequence alone, or behind every step.
        self.head_at_end = head is not None and not core.emits_every_step
        # A group takes group_cycles; the states of a step can be read after head_start.
        waits = [self.wait(phase) for phase in self.phases]
        done = (step.groups - 1) * step.group_cycles + step.terms
        self._after_step = core.head_start - done - 1
        self.longest = max(self._after_step, *waits)
        self.idle = Signal(range(self.longest + 1), name="idle")
        self.emits: Value = Const(1)
        ready = full & available
        if head:
            self.emits = self.in_head
            ready = Mux(self.in_head, available, full)
        elif core.every_step and not core.emits_every_step:
            self.emits = last
            ready = full & (available | ~last)
        self.starts = Signal(name="starts")
        claim.module.d.comb += self.starts.eq(~self.running & (self.idle == 0) & ready)
        self.release = self.ends(step) & self.last_group(step)
        self._run(last)

    def wait(self, phase: Phase, *, last: bool = False) -> int:
        """Cycles after a group of a phase, or its ``last``, until the next group may begin."""
        if last and phase is self.core.step:
            return self._after_step
        return phase.group_cycles - phase.terms - 1

    def active(self, phase: Phase) -> Value:
        """Whether a phase is the one that is running, or is next."""
        return self.in_head if phase is self.core.outputs else ~self.in_head

    def ends(self, phase: Phase) -> Value:
        """Whether the last term of a phase's group is issued."""
        return self.running & self.active(phase) & (self.term == phase.terms - 1)

    def last_group(self, phase: Phase) -> Value:
        """Whether the group is the last one of a phase."""
        return self.group == phase.groups - 1

    def _run(self, last: Value) -> None:
        m, head = self.claim.module, self.core.outputs
        with m.If(self.idle != 0):
            m.d.sync += self.idle.eq(self.idle - 1)
        with m.If(self.starts):
            m.d.sync += self.running.eq(1)
        for phase in self.phases:
            with m.If(self.running & self.active(phase)):
                m.d.sync += self.term.eq(self.term + 1)
            with m.If(self.ends(phase)):
                m.d.sync += [self.running.eq(0), self.term.eq(0), self.idle.eq(self.wait(phase))]
                m.d.sync += self.group.eq(Mux(self.last_group(phase), 0, self.group + 1))
            if phase is head:
                with m.If(self.ends(phase) & self.last_group(phase)):
                    m.d.sync += self.in_head.eq(0)
                    if self.head_at_end and not self.core.carries:
                        m.d.sync += self.first_step.eq(1)
        begins = 0 if self.head_at_end or self.core.carries else last
        with m.If(self.release):
            m.d.sync += [
                self.idle.eq(self._after_step),
                self.bank.eq(~self.bank),
                self.ended.eq(last),
                self.first_step.eq(begins),
                self.in_head.eq(last if self.head_at_end else int(head is not None)),
            ]

    def compare(self, below: str = "") -> None:
        """Claim that the sequencer whose signals stand ``below`` a path does all that."""
        claim = self.claim

        def shown(name: str, bits: int = 1) -> Signal:
            return claim.probe(f"{below}{name}", bits)

        address = len(Signal(range(max(2, *(each.groups * each.terms for each in self.phases)))))
        flags = ("step_term", "step_end"), ("head_term", "head_end")
        for phase, (term, end) in zip(self.phases, flags, strict=False):
            active, running = self.active(phase), self.running
            claim.holds(shown(term) == (running & active))
            claim.holds(shown(end) == self.ends(phase))
            place = self.group * phase.terms + self.term
            claim.holds(~active | (shown("address", address) == place))
            claim.holds(~active | ((self.group < phase.groups) & (self.term < phase.terms)))
            claim.holds(running | ~active | (shown("last_group") == self.last_group(phase)))
        claim.holds(shown("vector_release") == self.release)
        claim.holds(shown("output_reserve") == (self.starts & self.emits))
        claim.holds(shown("slot", len(self.term)) == self.term)
        claim.holds(self.running | (self.term == 0))
        claim.holds(shown("bank") == self.bank)
        claim.holds(shown("first_step") == self.first_step)
        if self.core.outputs and self.core.marks_last_step:
            claim.holds(shown("ended") == self.ended)
        # How the model stands to the registers.
        claim.holds(shown("active") == self.running)
        claim.holds(~self.running | (self.idle == 0))
        claim.holds(self.idle == (shown("left", len(self.idle)) if self.longest else 0))
        claim.holds(shown("in_head") == self.in_head)
        if self.core.outputs is None:
            claim.holds(~self.in_head)

    def keep(self, full: Value, last: Value) -> tuple[Value, Value]:
        """What must hold of an input vector: that it stays until it is released; and is there.

        Returns
        -------
        tuple
            That it stays, which the sequencer relies on; and that a step's is there to its end,
            which the sequencer sees to.
        """
        m, kept, its_last = self.claim.module, Signal(name="kept"), Signal(name="its_last")
        m.d.sync += [kept.eq(full & ~self.release), its_last.eq(last)]
        there = ~self.release | full
        there &= ~self.running | self.in_head | kept
        there &= ~((self.group != 0) & ~self.in_head) | kept
        return ~kept | (full & (last == its_last)), there


def sequencer_property(name: str, core: Core) -> Property:
    """That terms and groups follow each other as scheduled, begun as soon as they may be."""
    claim = Property(name, "terms come in order, each group as soon as it may, and not before")
    claim.module.submodules.dut = dut = Sequencer(core)
    claim.drive(dut.vector_full, dut.vector_last, dut.output_available)
    model = Sequence(claim, core, dut.vector_full, dut.vector_last, dut.output_available)
    stays, there = model.keep(dut.vector_full, dut.vector_last)
    claim.given(stays)  # a claim about the input buffer
    claim.holds(there)
    model.compare()
    return claim
