"""The schedule against walks over every cycle that know only what the hardware does in one.

A term that is addressed in a cycle stands in the accumulator three cycles later; the next
group's terms may follow once a cycle has passed in which the accumulators restart.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network, random_sequences

from gruhw.genome import Folding, Genes, Output, Sizes, homogeneous
from gruhw.graph import Input, Linear, Multiply, State, build_graph, calibrated_tensors
from gruhw.reference import run_reference
from gruhw.schedule import STREAM_CYCLES, Phase, Schedule, latency

ACCUMULATE_CYCLES = 3
"""From the cycle that addresses a term to the first one whose accumulator holds its product."""

HISTORY = 8
"""Steps, or sequences, that a walk over the output buffer covers."""


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    hidden = draw(st.integers(1, 24))
    inputs = draw(st.integers(1, 24) | st.integers(40, 60))
    sizes = Sizes(input=inputs, hidden=hidden, classes=draw(st.integers(2, 12)))
    genes = Genes({**homogeneous(4), "sig_r": draw(st.integers(1, 12)), "sub_z": 7})
    fractions = dict.fromkeys(calibrated_tensors(genes), 0)
    graph = build_graph(sizes, genes, fractions, input_signed=True)
    folding = Folding(pe=draw(st.sampled_from([1, hidden]) | st.integers(1, hidden)))
    return Schedule(graph, folding, draw(st.sampled_from(["class", "states"])))


def phases(schedule: Schedule) -> list[Phase]:
    return [phase for phase in (schedule.step, schedule.head) if phase]


def addressed(phase: Phase) -> Iterator[tuple[int, int, int]]:
    """The cycle in which each group addresses each term: cycle, group, term."""
    for group in range(phase.groups):
        for term in range(phase.terms):
            yield group * phase.group_cycles + term, group, term


def shortest_step_interval(schedule: Schedule) -> int:
    """The cycles after which a step may follow, tried one by one."""
    phase = schedule.step
    first_reads: dict[int, int] = {}
    for cycle, _, term in addressed(phase):
        first_reads.setdefault(term, cycle)
    restarts = max(cycle for cycle, _, _ in addressed(phase)) + 1
    written = [
        phase.unit_cycle(unit) + schedule.ready[schedule.graph.state.source]
        for unit in range(phase.units)
    ]
    return next(
        interval
        for interval in count(restarts + 1)
        if all(interval + first_reads[unit] > cycle for unit, cycle in enumerate(written))
    )


@given(schedules())
def test_groups_neither_overlap_nor_wait(schedule: Schedule) -> None:
    for phase in phases(schedule):
        cycles = [cycle for cycle, _, _ in addressed(phase)]
        assert len(set(cycles)) == phase.groups * phase.terms
        gaps = Counter(after - before for before, after in pairwise(cycles))
        assert set(gaps) <= {1, phase.group_cycles - phase.terms + 1}
        assert phase.group_cycles > phase.terms
        # Groups follow at once, or as soon as the pipeline has taken the units.
        assert phase.group_cycles in (phase.terms + 1, phase.lanes * phase.unit_interval)


@given(schedules())
def test_lanes_hold_every_unit_once(schedule: Schedule) -> None:
    for phase in phases(schedule):
        lanes = [phase.lanes] * (phase.groups - 1) + [phase.last_lanes]
        assert sum(lanes) == phase.units
        assert 1 <= phase.last_lanes <= phase.lanes <= max(schedule.folding.pe, 1)


@given(schedules())
def test_accumulators_are_read_while_complete(schedule: Schedule) -> None:
    for phase in phases(schedule):
        complete = {
            group: cycle + ACCUMULATE_CYCLES
            for cycle, group, term in addressed(phase)
            if term == phase.terms - 1
        }
        for unit in range(phase.units):
            group, lane = divmod(unit, phase.lanes)
            entered = phase.unit_cycle(unit)
            if phase.lanes == 1:
                # The accumulator restarts in the cycle after.
                assert entered == complete[group]
            else:
                # Copies are loaded when complete, and stay until those of the next group.
                loaded = complete[group] + 1
                assert loaded <= entered < loaded + phase.group_cycles
                assert lane > 0 or entered == loaded


@given(schedules())
def test_units_enter_the_pipeline_in_order_and_apart(schedule: Schedule) -> None:
    for phase in phases(schedule):
        entered = [phase.unit_cycle(unit) for unit in range(phase.units)]
        apart = [after - before for before, after in pairwise(entered)]
        assert all(gap >= phase.unit_interval for gap in apart)


@given(schedules())
def test_results_are_read_once_they_stand(schedule: Schedule) -> None:
    graph, serial = schedule.graph, schedule.serial_products
    for node in (*graph.operators, graph.head):
        reads = schedule.read_cycle(node.name)
        operands = [name for name in node.operands if not isinstance(graph[name], Input | State)]
        if isinstance(node, Linear):
            assert reads == 0
        else:
            assert reads == max((schedule.ready[name] for name in operands), default=0)
        assert schedule.ready[node.name] == reads + latency(node, graph, serial)


@given(schedules())
def test_serial_products_have_the_pipeline_to_themselves(schedule: Schedule) -> None:
    slowest = 0
    arrival: dict[str, int] = {}
    for node in schedule.graph.operators:
        start = max((arrival.get(name, 0) for name in node.operands), default=0)
        bits = schedule.graph[node.left].type.bits if isinstance(node, Multiply) else 0
        arrival[node.name] = start + (2 + bits if isinstance(node, Multiply) else 1)
        slowest = max(slowest, arrival[node.name])
    assert schedule.serial_products == (slowest < schedule.step.unit_interval)


@pytest.mark.parametrize(("inputs", "serial"), [(20, False), (21, True)])
def test_serial_products_need_more_cycles_than_the_pipeline_has(inputs: int, serial: bool) -> None:
    genes = homogeneous(4)
    graph = build_graph(
        Sizes(input=inputs, hidden=3, classes=2),
        Genes({**genes, "sub_z": 7}),
        dict.fromkeys(calibrated_tensors(genes), 0),
        input_signed=True,
    )
    schedule = Schedule(graph, Folding(pe=1))
    # W_hn 1, add_r 2, sig_r 3, mul_rh 9, add_n 10, tanh_n 11, mul_zn 20, add_h 21.
    assert schedule.serial_products is serial
    assert schedule.ready["add_h"] == (21 if serial else 10)


@given(schedules())
def test_steps_follow_as_soon_as_they_may(schedule: Schedule) -> None:
    assert schedule.step_interval == shortest_step_interval(schedule)
    assert schedule.drain_cycles >= 0


@given(schedules())
def test_state_is_kept_until_it_has_been_read(schedule: Schedule) -> None:
    """Steps write the two halves of the memory in turn; each product reads its own element."""
    step, interval = schedule.step, schedule.step_interval
    written = [
        step.unit_cycle(unit) + schedule.ready[schedule.graph.state.source]
        for unit in range(step.units)
    ]
    last_read = max(cycle for cycle, _, _ in addressed(step))
    assert last_read < interval + written[0]
    for unit in range(step.units):
        product_read = step.unit_cycle(unit) + schedule.read_cycle("mul_zh") - 1
        assert written[-1] < interval + product_read
        assert product_read < interval + written[0]


@given(schedules(), st.integers(1, 4))
def test_outputs_follow_the_results(schedule: Schedule, length: int) -> None:
    step, head = schedule.step, schedule.head
    source = schedule.graph.state.source
    assert schedule.cycle(source, 0, 0) == (
        schedule.first_term + step.unit_cycle(0) + schedule.ready[source]
    )
    states = [
        schedule.cycle(source, number, unit)
        for number in range(length)
        for unit in range(step.units)
    ]
    assert states == sorted(set(states))
    found = schedule.output_cycles(length)
    assert found == sorted(set(found))
    if head is None:
        assert found == [cycle + STREAM_CYCLES for cycle in states]
        assert schedule.sequence_interval(length) == length * schedule.step_interval
    else:
        start = schedule.first_term + length * schedule.step_interval
        ready = start + schedule.ready["head"] + STREAM_CYCLES
        logits = [ready + head.unit_cycle(unit) for unit in range(head.units)]
        assert found == [*logits, logits[-1] + 1]
        # The head reads states that are written, and the next sequence starts behind it.
        assert all(start + unit > states[-step.units + unit] for unit in range(step.units))
        after = schedule.sequence_interval(length) + schedule.first_term
        assert after - start > max(cycle for cycle, _, _ in addressed(head))


@given(schedules())
def test_last_states_of_every_step(schedule: Schedule) -> None:
    lengths = np.array([2, 1, 3])
    last = schedule.step.units - 1
    expected = [
        [schedule.cycle("add_h", step, last) if step < length else -1 for step in range(3)]
        for length in lengths
    ]
    assert schedule.state_cycles(lengths).tolist() == expected


@given(schedules())
def test_output_buffer_is_the_smallest_that_never_waits(schedule: Schedule) -> None:
    emitting = schedule.head or schedule.step
    if schedule.head:
        starts = [
            schedule.first_term + schedule.step_interval + number * schedule.sequence_interval(1)
            for number in range(HISTORY)
        ]
        offered = [
            cycle + number * schedule.sequence_interval(1)
            for number in range(HISTORY)
            for cycle in schedule.output_cycles(1)
        ]
    else:
        starts = [
            schedule.first_term + number * schedule.step_interval for number in range(HISTORY)
        ]
        offered = schedule.output_cycles(HISTORY)
    reserved = {
        start + group * emitting.group_cycles - 1: schedule.group_outputs(group)
        for start in starts
        for group in range(emitting.groups)
    }
    assert sum(reserved.values()) == len(offered)
    taken = set(offered)
    held = needed = 0
    for cycle in range(max(taken) + 1):
        held += reserved.get(cycle, 0)
        if cycle in reserved:
            needed = max(needed, held)
        held -= cycle in taken
    assert held == 0
    assert schedule.output_depth == needed


@pytest.mark.parametrize(
    ("units", "terms", "lanes", "expected"),
    [
        # One unit at a time: its terms and a cycle to restart.
        (3, 5, 1, [7, 13, 19]),
        # Two lanes share six cycles.
        (4, 5, 2, [8, 11, 14, 17]),
        # More lanes than terms: the pipeline takes a unit a cycle.
        (4, 2, 4, [5, 6, 7, 8]),
    ],
)
def test_examples(units: int, terms: int, lanes: int, expected: list[int]) -> None:
    phase = Phase(units, terms, lanes)
    assert [phase.unit_cycle(unit) for unit in range(units)] == expected


@pytest.mark.parametrize("output", ["class", "states"])
def test_reference_gives_the_cycle_of_every_output_element(output: Output) -> None:
    random = np.random.default_rng(1)
    network = random_network(random, inputs=3, hidden=4, classes=3, output=output)
    inputs, _ = random_sequences(random, network, 3, 5)
    found = run_reference(network, inputs, np.array([5, 1, 3])).output_cycles
    schedule = Schedule(network.graph, network.genome.folding, output)
    for row, length in zip(found.tolist(), (5, 1, 3), strict=True):
        due = schedule.output_cycles(length)
        assert row == due + [-1] * (len(row) - len(due))
