"""What is claimed of the streams and the control: nothing is lost, added, reordered or late.

Data are followed by watching one element, any one: the solver chooses which. What holds for it
holds for all of them. A claim that needs to know of registers inside a buffer reads them as
probes; what it says of them is proved along with the rest.
"""

import itertools
from collections.abc import Iterator

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.utils import ceil_log2

from gruhw.model import Network
from gruhw.schedule import Phase, Schedule
from gruhw_hw.datapath import output_type
from gruhw_hw.formal.solver import Property
from gruhw_hw.pipeline import Pipeline
from gruhw_hw.sequencer import Sequencer
from gruhw_hw.streams import InputBuffer, OutputBuffer


def stream_properties(network: Network) -> Iterator[Property]:
    """The claims about the buffers and the control of a network's accelerator."""
    schedule = Schedule(network.graph, network.genome.folding, network.genome.output)
    yield input_buffer_property(network, schedule)
    yield output_buffer_property(network, schedule)
    yield sequencer_property(schedule)
    ready = schedule.ready
    yield pipeline_property("step", schedule.step, ready[network.graph.state.source])
    if schedule.head:
        yield pipeline_property("head", schedule.head, ready[network.graph.head.name])


def input_buffer_property(network: Network, schedule: Schedule) -> Property:
    """That the oldest whole vector can be read, each element at its place, until it is released."""
    kind, size = network.graph.input.type, network.graph.input.size
    claim = Property("input", "every element is kept, in its place, until its vector is released")
    m = claim.module
    m.submodules.dut = dut = InputBuffer(kind, size, schedule.step.terms)
    claim.drive(dut.sink.valid, dut.address)
    data, last = claim.input(kind.bits, "data"), claim.input(1, "last")
    release = claim.input(1, "release")
    m.d.comb += [
        dut.sink.payload.data.eq(data),
        dut.sink.payload.last.eq(last),
        dut.release.eq(release),
    ]
    claim.given(~release | dut.full)  # the sequencer has a claim of its own that says so

    # The model: how many whole vectors there are, and where the next element goes.
    accepted, whole = Signal(), Signal()
    stored, place = Signal(range(3)), Signal(range(max(2, size)))
    write_bank, read_bank = Signal(), Signal()
    m.d.comb += [
        accepted.eq(dut.sink.valid & dut.sink.ready),
        whole.eq(accepted & (place == size - 1)),
    ]
    with m.If(accepted):
        m.d.sync += place.eq(Mux(whole, 0, place + 1))
    m.d.sync += [
        stored.eq(stored + whole - release),
        write_bank.eq(write_bank ^ whole),
        read_bank.eq(read_bank ^ release),
    ]
    claim.holds(dut.full == (stored != 0))
    claim.holds(dut.sink.ready == (stored != 2))

    # The element that is watched.
    watch = claim.input(1, "watch")
    watching, complete, its_bank, its_last = Signal(), Signal(), Signal(), Signal()
    its_place, its_data = Signal(place.shape()), Signal(kind.bits)
    oldest = Signal()
    m.d.comb += oldest.eq(watching & complete & (its_bank == read_bank))
    with m.If(watching):
        with m.If(whole & ~complete):
            m.d.sync += [complete.eq(1), its_last.eq(last)]
        with m.If(oldest & release):
            m.d.sync += watching.eq(0)
    with m.Elif(accepted & watch):
        m.d.sync += [watching.eq(1), its_place.eq(place), its_data.eq(data)]
        m.d.sync += [complete.eq(whole), its_bank.eq(write_bank), its_last.eq(last)]
    read = Signal()
    m.d.sync += read.eq(oldest & (dut.address == its_place))
    claim.holds(~read | (dut.element.as_unsigned() == its_data))
    claim.holds(~oldest | (dut.last == its_last))

    # How the model stands to the registers.
    full, lasts = claim.probe("whole", 2), claim.probe("ends", 2)
    claim.holds(claim.probe("index", place.shape()) == place)
    claim.holds(place < size)
    claim.holds(claim.probe("write_bank", 1) == write_bank)
    claim.holds(claim.probe("read_bank", 1) == read_bank)
    claim.holds(full.bit_select(read_bank, 1) == (stored != 0))
    claim.holds(full.bit_select(~read_bank, 1) == (stored == 2))
    claim.holds((write_bank == read_bank) == (stored != 1))
    claim.holds(stored <= 2)
    bank_bits = ceil_log2(size)
    words = Array(claim.probe(f"vectors[{word}]", kind.bits) for word in range(2 << bank_bits))
    with m.If(watching):
        claim.holds(words[Cat(its_place[:bank_bits], its_bank)] == its_data)
        claim.holds(its_place < size)
        claim.holds(full.bit_select(its_bank, 1) == complete)
        claim.holds(complete | ((its_bank == write_bank) & (its_place < place)))
        claim.holds(~complete | (lasts.bit_select(its_bank, 1) == its_last))
    return claim


def output_buffer_property(network: Network, schedule: Schedule) -> Property:
    """That elements come out in the order in which they went in, and stay until they are taken."""
    kind, depth = output_type(network), schedule.output_depth
    groups = (schedule.head or schedule.step).groups
    places = max(schedule.group_outputs(0), schedule.group_outputs(groups - 1))
    claim = Property("output", "elements leave in order, none is lost, and promises are kept")
    m = claim.module
    m.submodules.dut = dut = OutputBuffer(kind, depth, places)
    claim.drive(dut.places, dut.reserve, dut.push, dut.last)
    ready, data = claim.input(1, "ready"), claim.input(kind.bits, "data")
    m.d.comb += [dut.source.ready.eq(ready), dut.element.eq(data)]
    valid, payload = dut.source.valid, dut.source.payload.as_value()

    count = range(depth + 1)
    promised, held, taken = Signal(count), Signal(count), Signal()
    m.d.comb += taken.eq(valid & ready)
    m.d.sync += [
        promised.eq(promised + Mux(dut.reserve, dut.places, 0) - dut.push),
        held.eq(held + dut.push - taken),
    ]
    # What the pipeline and the sequencer keep to.
    claim.given(dut.places <= places)
    claim.given(~dut.reserve | dut.available)
    claim.given(~dut.push | (promised != 0))
    claim.holds(dut.available == (promised + held + dut.places <= depth))
    claim.holds(promised + held <= depth)
    claim.holds(~valid | (held != 0))

    offered, before = Signal(), Signal(payload.shape())
    waiting = Signal()
    m.d.sync += [offered.eq(valid & ~ready), before.eq(payload), waiting.eq(~valid & (held != 0))]
    claim.holds(~offered | (valid & (payload == before)))
    claim.holds(~waiting | valid)

    watch = claim.input(1, "watch")
    watching, ahead, its_data = Signal(), Signal(count), Signal(kind.bits + 1)
    with m.If(watching & taken):
        m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
    with m.Elif(~watching & dut.push & watch):
        m.d.sync += [watching.eq(1), ahead.eq(held - taken), its_data.eq(Cat(data, dut.last))]
    first = watching & (ahead == 0)
    claim.holds(~(first & valid) | (payload == its_data))

    # How the model stands to the registers of Amaranth's FIFO.
    claim.holds(claim.probe("reserved", count) == promised + held)
    claim.holds(~watching | (ahead < held))
    inner = depth - 1
    if inner == 0:
        claim.holds(valid == (held != 0))
        return claim
    level = claim.probe("fifo.inner_level", range(inner + 1))
    produce = claim.probe("fifo.produce", range(inner)) if inner > 1 else Const(0)
    consume = claim.probe("fifo.consume", range(inner)) if inner > 1 else Const(0)
    claim.holds(held == level + valid)
    claim.holds(valid | (level <= 1))
    claim.holds((produce < inner) & (consume < inner))
    claim.holds(produce == _wrapped(consume + level, inner))
    words = Array(claim.probe(f"fifo.storage[{word}]", kind.bits + 1) for word in range(inner))
    with m.If(watching & ~(first & valid)):
        claim.holds(words[_wrapped(consume + ahead - valid, inner)] == its_data)
    return claim


def _wrapped(position: Value, size: int) -> Value:
    """A position of less than twice the size, counted around."""
    return Mux(position >= size, position - size, position)[: max(1, (size - 1).bit_length())]


def sequencer_property(schedule: Schedule) -> Property:
    """That terms and groups follow each other as scheduled, begun as soon as they may be."""
    claim = Property(
        "sequencer", "terms come in order, each group as soon as it may, and not before"
    )
    m = claim.module
    m.submodules.dut = dut = Sequencer(schedule)
    claim.drive(dut.vector_full, dut.vector_last, dut.output_available)
    step, head = schedule.step, schedule.head
    # A vector stays until it is released: a claim about the input buffer.
    kept, its_last = Signal(), Signal()
    m.d.sync += [kept.eq(dut.vector_full & ~dut.vector_release), its_last.eq(dut.vector_last)]
    claim.given(~kept | (dut.vector_full & (dut.vector_last == its_last)))
    claim.holds(~dut.vector_release | dut.vector_full)

    phases = [phase for phase in (step, head) if phase]
    running, in_head = Signal(), Signal()
    group = Signal(range(max(2, *(phase.groups for phase in phases))))
    term = Signal(range(max(2, *(phase.terms for phase in phases))))
    first_step, bank = Signal(init=1), Signal()
    # A group takes group_cycles; the states of a step can be read after step_interval.
    after_group = {phase: phase.group_cycles - phase.terms - 1 for phase in phases}
    done = (step.groups - 1) * step.group_cycles + step.terms
    after_step = schedule.step_interval - done - 1
    longest = max(after_step, *after_group.values())
    idle = Signal(range(longest + 1))  # cycles until the next group may begin
    starts = Signal()
    phase_starts = dut.vector_full if head else dut.vector_full & dut.output_available
    m.d.comb += starts.eq(~running & (idle == 0) & Mux(in_head, dut.output_available, phase_starts))
    with m.If(idle != 0):
        m.d.sync += idle.eq(idle - 1)
    with m.If(starts):
        m.d.sync += running.eq(1)
    for phase, active in ((step, ~in_head), (head, in_head)):
        if phase is None:
            continue
        with m.If(running & active):
            last_term, last_group = term == phase.terms - 1, group == phase.groups - 1
            m.d.sync += term.eq(term + 1)
            with m.If(last_term):
                m.d.sync += [running.eq(0), term.eq(0), group.eq(group + 1)]
                m.d.sync += idle.eq(after_group[phase])
            with m.If(last_term & last_group):
                m.d.sync += group.eq(0)
                if phase is step:
                    m.d.sync += idle.eq(after_step)
                    m.d.sync += [bank.eq(~bank), first_step.eq(0)]
                    m.d.sync += in_head.eq(dut.vector_last if head else 0)
                    if head is None:
                        m.d.sync += first_step.eq(dut.vector_last)
                else:
                    m.d.sync += [in_head.eq(0), first_step.eq(1)]
        ends = running & active & (term == phase.terms - 1)
        shown, end = (
            (dut.step_term, dut.step_end) if phase is step else (dut.head_term, dut.head_end)
        )
        claim.holds(shown == (running & active))
        claim.holds(end == ends)
        claim.holds(~active | (dut.address == group * phase.terms + term))
        claim.holds(~active | ((group < phase.groups) & (term < phase.terms)))
        claim.holds(running | ~active | (dut.last_group == (group == phase.groups - 1)))
        if phase is step:
            claim.holds(dut.vector_release == (ends & (group == phase.groups - 1)))
    emits = in_head if head else Const(1)
    claim.holds(dut.output_reserve == (starts & emits))
    claim.holds(dut.slot == term)
    claim.holds(running | (term == 0))
    claim.holds(dut.bank == bank)
    claim.holds(dut.first_step == first_step)

    # How the model stands to the registers, and that a step's vector is there to its end.
    claim.holds(claim.probe("active", 1) == running)
    claim.holds(~running | in_head | kept)
    claim.holds(~((group != 0) & ~in_head) | kept)
    claim.holds(idle == (claim.probe("left", range(longest + 1)) if longest else 0))
    claim.holds(claim.probe("in_head", 1) == in_head)
    if head is None:
        claim.holds(~in_head)
    return claim


def pipeline_property(name: str, phase: Phase, ready: int) -> Property:
    """That a phase's units leave the pipeline in order, in the cycles of the schedule."""
    claim = Property(name, "each group gives its units, in order, in the cycles of the schedule")
    m = claim.module
    m.submodules.dut = inner = Module()
    group_end, last_group = claim.input(1, "group_end"), claim.input(1, "last_group")
    pipeline = Pipeline(inner, phase, group_end, last_group, name)
    unit = pipeline.counter(ready)
    shown = [pipeline.token(cycle) for cycle in range(ready + 1)]
    numbers = [pipeline.at(unit, cycle) for cycle in range(ready + 1)]

    # What ended how long ago, from which the schedule says who is where.
    longest = phase.unit_cycle(phase.lanes - 1) - (phase.terms - 1) + ready
    ended = Signal(longest + 1)
    of_last = Signal(longest + 1)
    all_ended, all_last = Cat(group_end, ended), Cat(last_group, of_last)
    m.d.sync += [ended.eq(all_ended), of_last.eq(all_last)]

    def present(cycle: int) -> Value:
        """Whether a unit is in this cycle of its own."""
        found = []
        for lane in range(phase.lanes):
            age = phase.unit_cycle(lane) - (phase.terms - 1) + cycle
            used = Const(1) if lane < phase.last_lanes else ~all_last[age]
            found.append(all_ended[age] & used)
        return Cat(*found).any()

    # The sequencer's claims: groups do not come faster than that, and the last one is marked.
    group = Signal(range(max(2, phase.groups)))
    claim.given(~group_end | (last_group == (group == phase.groups - 1)))
    claim.given(~(group_end & ended[: phase.group_cycles - 1].any()))
    with m.If(group_end):
        m.d.sync += group.eq(Mux(group == phase.groups - 1, 0, group + 1))

    # Units that have left, of the phase that is leaving.
    left = Signal(range(max(2, phase.units)))
    with m.If(present(ready)):
        m.d.sync += left.eq(Mux(left == phase.units - 1, 0, left + 1))

    def counted(units: Value) -> Value:
        """The number of the unit behind so many that have not left."""
        return (left + units) % phase.units

    behind: Value = Const(0, unsigned(1))
    for cycle in reversed(range(-1, ready + 1)):
        if cycle == unit.last_cycle:
            claim.holds(unit.signal == counted(behind))
        if cycle < 0:
            break
        claim.holds(shown[cycle] == present(cycle))
        claim.holds(~present(cycle) | (numbers[cycle] == counted(behind)))
        behind = behind + present(cycle)

    # How the model stands to the registers that carry the ends of groups to each lane.
    lead, interval = phase.accumulator_cycle - phase.terms, phase.unit_interval
    partial = phase.last_lanes < phase.lanes
    claim.holds(left < phase.units)
    for apart in range(1, min(phase.group_cycles, longest)):
        claim.holds(~(ended & (ended >> apart)).any())
    for age in range(1, lead + 1):
        claim.holds(claim.probe(f"{name}_group_end_{age}", 1) == all_ended[age])
        if partial:
            claim.holds(claim.probe(f"{name}_last_group_{age}", 1) == all_last[age])
    for lane, wait in itertools.product(range(1, phase.lanes), range(1, interval + 1)):
        age = lead + (lane - 1) * interval + wait
        claim.holds(claim.probe(f"{name}_lane_{lane}_{wait}", 1) == all_ended[age])
        if partial:
            beyond = claim.probe(f"{name}_lane_{lane}_not_last_{wait}", 1)
            claim.holds(beyond == (all_ended[age] & ~all_last[age]))
    claim.depth = 2
    return claim
