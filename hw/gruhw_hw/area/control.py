"""What the area of everything around the operators depends on: sequencer, pipelines, streams."""

from collections.abc import Hashable, Mapping
from functools import lru_cache

from amaranth.utils import bits_for, ceil_log2

from gruhw.network.graph import Linear
from gruhw.network.planning import MULTIPLY_CYCLES
from gruhw.network.schedule import Core, Phase
from gruhw_hw.area.priced import Terms, general
from gruhw_hw.area.terms import Needs
from gruhw_hw.core import emitted_type

STREAM_BITS = 14
"""Registers of both stream buffers, besides those that grow with a size."""

Counts = dict[str, float]
"""How many there are of each term, by its name: all those of control are general."""


def control_cycles(core: Core) -> Hashable:
    """What :func:`control_terms` depends on that follows from the cycles of one core by itself.

    The rest is the interval of the steps, sizes, what is emitted, and types.
    """
    _, emitted = core.emitted
    ready = core.slots[emitted].ready
    return core.step, core.outputs, core.numbered_until, ready, *_state_reads(core)


def control_terms(core: Core) -> Terms:
    """The terms of a core without its operators, and without what carries their results on."""
    phases = [phase for phase in (core.step, core.outputs) if phase]
    found: Counts = {"control": 1, "output bit": emitted_type(core).bits}
    _sequence(found, core, phases)
    _streams(found, core)
    _pipeline(found, core.step, "step", core.numbered_until)
    _positions(found, core)
    if core.head_node and core.outputs:
        ready = core.slots[core.head_node.name].ready
        _pipeline(found, core.outputs, "head", ready)
        found["second phase"] = 1
        found["delay"] += MULTIPLY_CYCLES
        found["held value"] += _carried_numbers(core.outputs, ready, ready)
        if core.marks_last_step:
            _mark_last_step(found, core, core.outputs)
    if core.classifies:
        typed, name = core.emitted
        logit, number = typed[name].bits, ceil_log2(core.emitting.units)
        found |= {"head": 1, "logit bit": logit, "class bit": number}
        found["delay"] += logit + number + 1
    return general(found)


def _sequence(found: Counts, core: Core, phases: list[Phase]) -> None:
    terms = {phase.terms for phase in phases}
    addresses = {phase.groups * phase.terms for phase in phases}
    slot, address = bits_for(max(2, *terms) - 1), bits_for(max(2, *addresses) - 1)
    extra = [phase.extra_cycles for phase in phases]
    longest = max(extra[0] + core.drain_cycles, *extra)
    found |= {
        "slot bit": slot,
        "address bit": address,
        "wait bit": longest.bit_length(),
        "waits": float(longest > 0),
        "two terms": slot * (len(terms) > 1),
        "two addresses": address * (len(addresses) > 1),
        "several groups": address * any(phase.groups > 1 for phase in phases),
        "delay": 3 + (len(phases) > 1) + slot + address + longest.bit_length()
        + MULTIPLY_CYCLES + 1,
    }  # fmt: skip
    if not core.typed.graph.states:
        found["stateless"] = 1
    if _pushes_last_step(core):
        found["only last step"] = 1


def _streams(found: Counts, core: Core) -> None:
    size, depth = core.typed.graph.input.size, core.output_depth
    index = bits_for(max(2, size) - 1)
    places = {core.group_outputs(0), core.group_outputs(core.emitting.groups - 1)}
    found |= {
        "index bit": index,
        "index wraps": float(size & (size - 1) == 0),
        "depth bit": bits_for(depth),
        "depth": depth,
        "pointer bit": ceil_log2(max(1, depth - 1)),
        "pointer wraps": float((depth - 1) & (depth - 2) == 0),
        "places bit": bits_for(max(places)),
        "two places": float(len(places) > 1 and core.emitting.groups > 1),
        "stream delay": STREAM_BITS + index + 2 * bits_for(depth),
    }


def _pipeline(found: Counts, phase: Phase, name: str, ready: int) -> None:
    """Who is where: the flags of lanes and units, and the unit's number."""
    lead = phase.accumulator_cycle - phase.terms
    # In the last group, the lanes beyond its units have a chain of flags of their own.
    unequal = phase.last_lanes < phase.lanes
    lanes = phase.lanes - 1 + (phase.last_lanes - 1 if unequal else 0)
    unit = bits_for(max(2, phase.units) - 1)
    found |= {
        f"{name} lane": phase.lanes,
        f"{name} unequal": float(unequal),
        f"{name} unit bit": unit,
        "delay": found["delay"] + lead * (1 + unequal) + lanes * phase.unit_interval + ready + 1,
        "unit bit": found.get("unit bit", 0) + unit,
        "unit wraps": found.get("unit wraps", 0) + unit * (phase.units & (phase.units - 1) > 0),
    }


def _positions(found: Counts, core: Core) -> None:
    """The unit's number and flags, which are read after the next unit has overwritten them."""
    interval, last = core.step.unit_interval, core.numbered_until
    lead = core.step.accumulator_cycle - core.step.terms
    reads = _state_reads(core)
    held = _carried_numbers(core.step, last, max([last, *(cycle - 1 for cycle in reads)]))
    found["flag"] = (1 if core.typed.graph.states else 0) + (1 + lead if reads else 0)
    if reads:
        held += _registers(interval - 1, max(reads), interval)
    found["held value"] = held
    if core.marks_last_step and not core.outputs:
        _mark_last_step(found, core, core.step)


def _mark_last_step(found: Counts, core: Core, phase: Phase) -> None:
    """The flag that goes with the units of the emitting phase: theirs is a sequence's last step."""
    _, emitted = core.emitted
    # The index of the largest element comes a cycle later.
    ready = core.slots[emitted].ready + core.classifies
    interval = phase.unit_interval
    found["held value"] += _registers(interval - 1, ready, interval)
    found["last flag"] = 1 + phase.accumulator_cycle - phase.terms


def _pushes_last_step(core: Core) -> bool:
    """Whether only some of the results that leave the last operator are pushed."""
    return core.every_step and not core.outputs and not core.emits_every_step


def _state_reads(core: Core) -> list[int]:
    """When the operators behind the accumulators read a state."""
    states = {state.name for state in core.typed.graph.states}
    return [
        core.slots[node.name].read
        for node in core.typed.graph.operators
        if not isinstance(node, Linear) and states.intersection(node.operands)
    ]


def _carried_numbers(phase: Phase, needed_until: int, read: int) -> int:
    """The bits that carry the number of a unit on, until its last reader has read it."""
    unit = bits_for(max(2, phase.units) - 1)
    interval = phase.unit_interval
    return unit * _registers(min(interval - 2, needed_until), read, interval)


def carrying_registers(core: Core) -> Mapping[str, int]:
    """For each operator whose result is read, the registers that carry each of its bits on.

    There are some where the next unit overwrites a result before its last reader has read it.
    """
    graph, interval = core.typed.graph, core.step.unit_interval
    last_read: dict[str, int] = {}
    for node in graph.operators:
        if not isinstance(node, Linear):
            cycle = core.slots[node.name].read
            for name in node.operands:
                last_read[name] = max(cycle, last_read.get(name, cycle))
    return {
        node.name: _registers(
            core.slots[node.name].ready + interval - 1, last_read[node.name], interval
        )
        for node in graph.operators
        if node.name in last_read
    }


@lru_cache(maxsize=1 << 10)
def carried_needs(bits: int) -> Needs:
    """The needs of what carries so many bits on, each for an interval."""
    return Needs(general({"held value": bits}))


def _registers(last: int, cycle: int, interval: int) -> int:
    """How many registers carry a value on from the ``last`` cycle it holds to a later ``cycle``."""
    return max(0, -(-(cycle - last) // interval))
