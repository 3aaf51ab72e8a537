"""What the area of everything around the operators depends on: sequencer, pipelines, streams."""

from collections.abc import Mapping
from functools import lru_cache

from amaranth.utils import bits_for, ceil_log2

from gruhw.fixed import Fixed
from gruhw.graph import Linear
from gruhw.schedule import MULTIPLY_CYCLES, Phase, Schedule
from gruhw_hw.area.terms import Needs, Terms

STREAM_BITS = 14
"""Registers of both stream buffers, besides those that grow with a size."""


def control_cycles(schedule: Schedule) -> tuple[int, ...]:
    """All that :func:`control_terms` depends on besides sizes, the output and types.

    These are the folding, when the new state and the logits are ready, and when the state is read.
    """
    graph, ready = schedule.graph, schedule.ready
    written, logit = ready[graph.state.source], ready[graph.head.name]
    return schedule.folding.pe, written, logit, *_state_reads(schedule)


def control_terms(schedule: Schedule, output: Fixed) -> Terms:
    """The terms of a datapath without its operators, and without what carries their results on.

    ``output`` is the type of an element of the output stream.
    """
    found: Terms = {"control": 1, "output bit": output.bits}
    phases = [phase for phase in (schedule.step, schedule.head) if phase]
    _sequence(found, schedule, phases)
    _streams(found, schedule, output)
    _pipeline(found, schedule.step, "step", schedule.ready[schedule.graph.state.source])
    _positions(found, schedule)
    if schedule.head:
        logit = schedule.graph.head.type.bits
        ready = schedule.ready[schedule.graph.head.name]
        _pipeline(found, schedule.head, "head", ready)
        found |= {"head": 1, "logit bit": logit, "class bit": ceil_log2(schedule.head.units)}
        unit_bits = bits_for(schedule.head.units - 1)
        found["held value"] = found.get("held value", 0) + unit_bits * _registers(
            min(schedule.head.unit_interval - 2, ready), ready, schedule.head.unit_interval
        )
        found["delay"] += 2 + logit + ceil_log2(schedule.head.units) + 1
    return found


def _sequence(found: Terms, schedule: Schedule, phases: list[Phase]) -> None:
    terms = {phase.terms for phase in phases}
    addresses = {phase.groups * phase.terms for phase in phases}
    slot, address = bits_for(max(2, *terms) - 1), bits_for(max(2, *addresses) - 1)
    extra = [phase.group_cycles - phase.terms - 1 for phase in phases]
    longest = max(extra[0] + schedule.drain_cycles, *extra)
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


def _streams(found: Terms, schedule: Schedule, output: Fixed) -> None:
    size, depth = schedule.graph.input.size, schedule.output_depth
    index = bits_for(max(2, size) - 1)
    emitting = schedule.head or schedule.step
    places = {schedule.group_outputs(0), schedule.group_outputs(emitting.groups - 1)}
    found |= {
        "index bit": index,
        "index wraps": float(size & (size - 1) == 0),
        "depth bit": bits_for(depth),
        "depth": depth,
        "pointer bit": ceil_log2(max(1, depth - 1)),
        "pointer wraps": float((depth - 1) & (depth - 2) == 0),
        "places bit": bits_for(max(places)),
        "two places": float(len(places) > 1 and emitting.groups > 1),
        "stream delay": STREAM_BITS + index + 2 * bits_for(depth),
    }


def _pipeline(found: Terms, phase: Phase, name: str, ready: int) -> None:
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


def _positions(found: Terms, schedule: Schedule) -> None:
    """The unit's number and flags, which are read after the next unit has overwritten them."""
    graph, interval = schedule.graph, schedule.step.unit_interval
    written = schedule.ready[graph.state.source]
    unit = bits_for(max(2, schedule.step.units) - 1)
    bits = unit * _registers(min(interval - 2, written), written, interval)
    for cycle in _state_reads(schedule):
        bits += _registers(interval - 1, cycle, interval)
    if schedule.head is None:
        bits += _registers(interval - 1, written, interval)
    found["held value"] = bits
    found["flag"] = 2 + schedule.step.accumulator_cycle - schedule.step.terms


def _state_reads(schedule: Schedule) -> list[int]:
    """When the operators behind the accumulators read the state."""
    return [
        schedule.read_cycle(node.name)
        for node in schedule.graph.operators
        if not isinstance(node, Linear) and schedule.graph.state.name in node.operands
    ]


def carrying_registers(schedule: Schedule) -> Mapping[str, int]:
    """For each operator whose result is read, the registers that carry each of its bits on.

    There are some where the next unit overwrites a result before its last reader has read it.
    """
    interval = schedule.step.unit_interval
    last_read: dict[str, int] = {}
    for node in schedule.graph.operators:
        if not isinstance(node, Linear):
            cycle = schedule.read_cycle(node.name)
            for name in node.operands:
                last_read[name] = max(cycle, last_read.get(name, cycle))
    return {
        node.name: _registers(
            schedule.ready[node.name] + interval - 1, last_read[node.name], interval
        )
        for node in schedule.graph.operators
        if node.name in last_read
    }


@lru_cache(maxsize=1 << 10)
def carried_needs(bits: int) -> Needs:
    """The needs of what carries so many bits on, each for an interval."""
    return Needs({"held value": bits})


def _registers(last: int, cycle: int, interval: int) -> int:
    """How many registers carry a value on from the ``last`` cycle it holds to a later ``cycle``."""
    return max(0, -(-(cycle - last) // interval))
