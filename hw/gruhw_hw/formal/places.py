"""What is claimed of a core's control as a whole: each reserved place gets its element.

The sequencer, the pipeline and what pushes elements are looked at together, as they are wired in
the core. What a group that has ended will still give is known from how long ago that was. So every
place is filled once, in a cycle of its own, and the count of promises follows.
"""

import operator
from functools import reduce

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from gruhw.network.schedule import Phase
from gruhw_hw.core import CoreUnit
from gruhw_hw.formal.pipelining import numbered_until
from gruhw_hw.formal.sequencing import Sequence
from gruhw_hw.formal.solver import Property
from gruhw_hw.formal.streams import CLOSE_DEPTH
from gruhw_hw.pipeline import Pipeline


class Groups:
    """Which groups of a phase have ended, and how many cycles ago, which is their *age*.

    Parameters
    ----------
    claim, model
        The claim, and the model of the sequencer that ends groups.
    phase
        Whose groups they are.
    oldest
        The greatest age that is of interest.
    """

    def __init__(self, claim: Property, model: Sequence, phase: Phase, oldest: int) -> None:
        self._claim, self._model, self._phase, self._oldest = claim, model, phase, oldest
        self._marks: list[Signal] = []
        self.ended = self.with_mark(Const(1), "ended")
        self.of_last = self.ended
        if phase.groups > 1:
            self.of_last = self.with_mark(model.last_group(phase), "of_last")

    def with_mark(self, mark: Value, name: str) -> Value:
        """By age, whether a group ended then for which ``mark`` was high as it ended."""
        now = self._model.ends(self._phase) & mark
        past = Signal(self._oldest, name=name)
        self._claim.module.d.sync += past.eq(Cat(now, past))
        self._marks.append(past)
        return Cat(now, past)

    def age(self, lane: int, cycle: int) -> int:
        """Of a group whose unit in this lane is in this cycle of its own."""
        return self._phase.unit_cycle(lane) - (self._phase.terms - 1) + cycle

    def used(self, lane: int, age: int) -> Value:
        """Whether a group of this age has a unit in a lane."""
        partly = lane >= self._phase.last_lanes
        return self.ended[age] & (~self.of_last[age] if partly else 1)

    def present(self, cycle: int) -> Value:
        """Whether a unit is in this cycle of its own."""
        lanes = range(self._phase.lanes)
        return Cat(self.used(lane, self.age(lane, cycle)) for lane in lanes).any()

    @property
    def have_left(self) -> Value:
        """Whether all of them have: so it is if none ends for as many cycles as the oldest age."""
        past, *_ = self._marks
        return past == 0

    def claim_spacing(self) -> None:
        """That no two groups ended closer to each other than the schedule says."""
        claim, model, phase = self._claim, self._model, self._phase
        past, *marks = self._marks
        for mark in marks:
            claim.holds((mark & ~past) == 0)
        for groups, last in ((self.ended, False), (self.of_last, True)):
            wait = model.wait(phase, last=last)
            for apart in range(1, min(phase.terms + 1 + wait, self._oldest)):
                claim.holds(~(groups[1:] & (past << apart)).any())
            for age in range(1, self._oldest + 1):
                # It took so long to wait, to start, and to issue the terms so far.
                begun = age - 2 - wait
                since = ~model.running if begun < 0 else ~model.running | (model.term <= begun)
                if age <= wait:
                    since &= model.idle >= wait + 1 - age
                claim.holds(~groups[age] | since)

    def claim_pipeline(self, name: str, ready: int) -> None:
        """That the registers of the core's pipeline of this name say the same, up to a cycle."""
        claim, phase = self._claim, self._phase
        lead, partial = phase.accumulator_cycle - phase.terms, phase.last_lanes < phase.lanes
        for age in range(1, lead + 1):
            claim.holds(claim.probe(f"{name}_group_end_{age}", 1) == self.ended[age])
            if partial:
                shown = claim.probe(f"{name}_last_group_{age}", 1)
                claim.holds(~self.ended[age] | (shown == self.of_last[age]))
        for lane in range(1, phase.lanes):
            for wait in range(1, phase.unit_interval + 1):
                age = lead + (lane - 1) * phase.unit_interval + wait
                claim.holds(claim.probe(f"{name}_lane_{lane}_{wait}", 1) == self.ended[age])
                if partial:
                    shown = claim.probe(f"{name}_lane_{lane}_not_last_{wait}", 1)
                    claim.holds(shown == (self.ended[age] & ~self.of_last[age]))
        for cycle in range(ready + 1):
            shown = claim.probe(f"{name}_token_{cycle}_1", 1)
            claim.holds(shown == self.present(cycle))


class Places:
    """Which places in a core's output are promised, and when each is filled.

    Parameters
    ----------
    claim, model
        The claim about a :class:`CoreUnit`, and the model of its sequencer.
    last
        The input vector is the last of its sequence.

    Attributes
    ----------
    promised
        How many there are, promised and not filled.
    push
        One is filled.
    next
        How many the group that is next needs, if it emits anything.
    oldest
        The greatest age of a group that still fills some.
    groups
        The groups that fill them.
    """

    def __init__(self, claim: Property, model: Sequence, last: Value) -> None:
        self._claim, self._model = claim, model
        core = self._core = model.core
        phase = self._phase = core.emitting
        _, name = core.emitted
        self._ready = core.slots[name].ready
        ages = [phase.unit_cycle(lane) - (phase.terms - 1) for lane in range(phase.lanes)]
        self._ages = [age + self._ready for age in ages]
        self.oldest = self._ages[-1] + core.classifies
        self.groups = groups = Groups(claim, model, phase, self.oldest)
        # The groups of a head behind every step come when the input vector has been released.
        last_step = model.ended if core.outputs else last
        self._of_last_step = groups.with_mark(last_step, "of_last_step")
        # Groups of a phase that emits nothing before its last step; or all of them do.
        self._emitting = self._of_last_step if model.emits is last else groups.ended
        self._outputs = core.group_outputs(0) if phase.groups > 1 else 0
        self._last_outputs = core.group_outputs(phase.groups - 1)
        self.next = Mux(model.last_group(phase), self._last_outputs, self._outputs)
        self._due = [
            self._emitting[age] & groups.used(lane, age) for lane, age in enumerate(self._ages)
        ]
        # The index of the largest element follows the last one.
        self._index_age = self._ages[phase.last_lanes - 1] + 1
        if core.classifies:
            self._due.append(groups.of_last[self._index_age])
        self.push = Signal(name="push_due")
        self.promised = Signal(range(self._most() + 1), name="promised")
        m = claim.module
        m.d.comb += self.push.eq(Cat(*self._due).any())
        promise = Mux(model.starts & model.emits, self.next, 0)
        m.d.sync += self.promised.eq(self.promised + promise - self.push)

    def compare(self) -> None:
        """Claim that the core's hardware does all that."""
        claim, model, core = self._claim, self._model, self._core
        name = "head" if core.outputs else "step"
        self.groups.claim_spacing()
        self.groups.claim_pipeline(name, self._ready)
        self._assume_numbers(name)
        self._claim_last_step()
        if core.classifies:
            claim.holds(claim.probe("class_known", 1) == self._due[-1])
        before = Const(0, 1)
        for due in self._due:
            claim.holds(~(due & before))
            before |= due
        push, reserve = claim.probe("output.push", 1), claim.probe("output.reserve", 1)
        claim.holds(push == self.push)
        claim.holds(reserve == (model.starts & model.emits))
        largest = max(self._outputs, self._last_outputs)
        places = claim.probe("output.places", len(Signal(range(largest + 1))))
        claim.holds(~reserve | (places == self.next))
        if core.output_depth == CLOSE_DEPTH:
            pushed = Signal(name="pushed_before")
            claim.module.d.sync += pushed.eq(self.push)
            claim.holds(~(pushed & self.push))
        claim.holds(self.promised == self._in_flight())
        claim.holds(~push | (self.promised != 0))
        claim.holds(model.running | ~self.groups.have_left | (self.promised == 0))
        claim.holds(~push | (claim.probe("output.last", 1) == self._ends_sequence()))

    def _most(self) -> int:
        """No more places than that can be promised at a time."""
        windows = -(-self.oldest // self._phase.group_cycles)
        return (1 + windows) * max(self._outputs, self._last_outputs)

    def _left(self, age: int, *, last: bool) -> int:
        """How many places a group of this age has not filled yet: this cycle fills one of them."""
        used = self._phase.last_lanes if last else self._phase.lanes
        index = last and self._core.classifies and age <= self._index_age
        return sum(age <= due for due in self._ages[:used]) + index

    def _in_flight(self) -> Value:
        """The promised places, counted: of the group that is running, and of those that ended."""
        model, phase = self._model, self._phase
        running = model.running & model.active(phase) & model.emits
        total: Value = Mux(running, self.next, 0)
        ages = range(1, self.oldest + 1)
        for start in ages[:: phase.group_cycles]:
            # At most one group ended in so many cycles.
            left = [
                Mux(
                    self._emitting[age],
                    Mux(
                        self.groups.of_last[age],
                        self._left(age, last=True),
                        self._left(age, last=False),
                    ),
                    0,
                )
                for age in ages[start - 1 : start - 1 + phase.group_cycles]
            ]
            total += reduce(operator.or_, left)
        return total

    def _ends_sequence(self) -> Value:
        """Whether the element that is pushed is the last of its sequence."""
        core, phase = self._core, self._phase
        lane = phase.last_lanes - 1
        age = self._index_age if core.classifies else self._ages[lane]
        ends = self._due[-1] if core.classifies else self._due[lane] & self.groups.of_last[age]
        return ends & self._of_last_step[age] if core.marks_last_step else ends

    def _assume_numbers(self, name: str) -> None:
        """Units are numbered as they come: a claim about the pipeline by itself."""
        claim, phase = self._claim, self._phase
        pipeline = Pipeline(Module(), phase, Const(0), Const(0), name)
        unit = pipeline.at(pipeline.counter(numbered_until(self._core, phase)), self._ready)
        claim.free(unit.name)
        is_last = claim.probe(unit.name, len(unit)) == phase.units - 1
        for lane, age in enumerate(self._ages):
            last = self.groups.of_last[age] if lane == phase.last_lanes - 1 else Const(0, 1)
            claim.given(~self.groups.used(lane, age) | (is_last == last))

    def _claim_last_step(self) -> None:
        """That units know whether their step is the last of its sequence, where that matters."""
        core, claim, phase = self._core, self._claim, self._phase
        if not core.marks_last_step:
            return
        name = "last_step"
        pipeline = Pipeline(Module(), phase, Const(0), Const(0), "head" if core.outputs else "step")
        flag = pipeline.of_group(Const(0, 1), name)
        for age in range(1, phase.accumulator_cycle - phase.terms + 1):
            shown = claim.probe(f"{name}_{age}", 1)
            claim.holds(~self.groups.ended[age] | (shown == self._of_last_step[age]))
        for cycle in range(self._ready + 1 + core.classifies):
            shown = claim.probe(pipeline.at(flag, cycle).name, 1)
            for lane in range(phase.lanes):
                age = self.groups.age(lane, cycle)
                known = shown == self._of_last_step[age]
                claim.holds(~self.groups.used(lane, age) | known)


def places_property(name: str, unit: CoreUnit) -> Property:
    """That the elements which are pushed are those for which places were reserved."""
    claim = Property(name, "each reserved place gets one element, in its cycle", depth=2)
    claim.memories = False
    claim.module.submodules.dut = unit
    # What the buffers have to say is left open.
    given = ("input.full", "input.last", "output.available")
    for path in given:
        claim.free(path)
    full, last, available = (claim.probe(path, 1) for path in given)
    model = Sequence(claim, unit.core, full, last, available)
    stays, there = model.keep(full, last)
    claim.given(stays)
    claim.holds(there)
    model.compare("sequencer.")
    Places(claim, model, last).compare()
    return claim
