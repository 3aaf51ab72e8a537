"""What the area of everything around the operators depends on: sequencer, pipelines, streams."""

from collections.abc import Iterator

from amaranth.utils import bits_for, ceil_log2

from gruhw.fixed import Fixed
from gruhw.graph import Linear
from gruhw.schedule import MULTIPLY_CYCLES, Phase, Schedule
from gruhw_hw.area.terms import Needs, Terms, Types

STREAM_BITS = 14
"""Registers of both stream buffers, besides those that grow with a size."""


def control_needs(schedule: Schedule, output: Fixed, read: Types) -> Needs:
    """The needs of a datapath without its operators.

    Parameters
    ----------
    schedule
        Of the network.
    output
        The type of an element of the output stream.
    read
        The types of the operators' results.
    """
    found: Terms = {"control": 1, "output bit": output.bits}
    phases = [phase for phase in (schedule.step, schedule.head) if phase]
    _sequence(found, schedule, phases)
    _streams(found, schedule, output)
    _pipeline(found, schedule.step, "step", schedule.ready[schedule.graph.state.source])
    _held_values(found, schedule, read)
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
    return Needs(found)


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


def _held_values(found: Terms, schedule: Schedule, read: Types) -> None:
    """Values that are read after the next unit has overwritten their register."""
    interval = schedule.step.unit_interval
    bits = sum(
        width * _registers(last, cycle, interval) for width, last, cycle in _reads(schedule, read)
    )
    found["held value"] = found.get("held value", 0) + bits
    found["flag"] = 2 + schedule.step.accumulator_cycle - schedule.step.terms


def _reads(schedule: Schedule, read: Types) -> Iterator[tuple[int, int, int]]:
    """Of each value in the pipeline: its width, the last cycle it holds, the last it is read."""
    graph, interval = schedule.graph, schedule.step.unit_interval
    written = schedule.ready[graph.state.source]
    unit = bits_for(max(2, schedule.step.units) - 1)
    yield unit, min(interval - 2, written), written
    consumers = [node for node in graph.operators if not isinstance(node, Linear)]
    cycles = {node.name: schedule.read_cycle(node.name) for node in consumers}
    users: dict[str, list[int]] = {}
    for node in consumers:
        for name in node.operands:
            users.setdefault(name, []).append(cycles[node.name])
        if graph.state.name in node.operands:
            yield 1, interval - 1, cycles[node.name]
    if schedule.head is None:
        yield 1, interval - 1, written
    for node in graph.operators:
        if reads := users.get(node.name):
            yield read[node.name].bits, schedule.ready[node.name] + interval - 1, max(reads)


def _registers(last: int, cycle: int, interval: int) -> int:
    """How many registers carry a value on, each for an interval."""
    return max(0, -(-(cycle - last) // interval))
