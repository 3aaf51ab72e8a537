"""The schedule against walks over every cycle that know only what the hardware does in one.

A term that is addressed in a cycle stands in the accumulator three cycles later; the next
group's terms may follow once a cycle has passed in which the accumulators restart.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest
from added_cells import added_cells
from hypothesis import given
from hypothesis import strategies as st
from odd_cells import LATE, LEAKY, ODD_CELLS
from random_networks import (
    random_architecture,
    random_genes,
    random_network_of,
    random_pe,
    random_sequences,
)

from gruhw.network.architecture import Architecture
from gruhw.network.fixed import Fixed
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.genome import OUTPUTS, Folding, Genome, Output
from gruhw.network.graph import Input, Linear, Multiply, State
from gruhw.network.planning import LAUNCH_CYCLES, latency, plan, plan_phase, schedule_of
from gruhw.network.reference import run_reference
from gruhw.network.schedule import LEAST_DEPTH, STREAM_CYCLES, Core, Phase, Schedule
from gruhw.network.typed import type_stages

ACCUMULATE_CYCLES = 3
"""From the cycle that addresses a term to the first one whose accumulator holds its product."""

HISTORY = 40
"""Steps, or sequences, that a walk over the output buffer covers."""


@pytest.fixture(autouse=True, scope="module")
def odd_cells() -> Iterator[None]:
    """Random networks have them, too."""
    with added_cells(*ODD_CELLS):
        yield


def planned(genes: Genes, output: Output, pe: int | tuple[int, ...] = 1) -> Schedule:
    network = genes.network
    genome = Genome(
        network=network, genes=genes, folding=Folding.checked(pe, network), output=output
    )
    fractions = dict.fromkeys((gene.name for gene in network.calibrated), 0)
    return plan(genome, type_stages(genes, fractions, input_signed=True))


@st.composite
def one_gru(draw: st.DrawFn) -> Schedule:
    """Of one GRU, whose sizes reach what is rare: many inputs, all lanes."""
    hidden = draw(st.integers(1, 24))
    network = Architecture(
        inputs=draw(st.integers(1, 24) | st.integers(40, 60)),
        layers=[f"gru:{hidden}"],
        outputs=draw(st.integers(2, 12)),
    )
    genes = homogeneous(network, 4).changed({"sig_r": draw(st.integers(1, 12)), "sub_z": 7})
    pe = draw(st.sampled_from([1, hidden]) | st.integers(1, hidden))
    return planned(genes, draw(st.sampled_from(OUTPUTS)), pe)


@st.composite
def several_layers(draw: st.DrawFn) -> Schedule:
    """Of any layers, most of whose widths are small."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    network = random_architecture(rng, largest=draw(st.sampled_from([2, 8, 24])))
    if draw(st.booleans()):  # long enough for products bit by bit
        network = network.model_copy(update={"inputs": draw(st.integers(30, 90))})
    return planned(
        random_genes(rng, network, 1, 8), draw(st.sampled_from(OUTPUTS)), random_pe(rng, network)
    )


schedules = one_gru() | several_layers()
cores = schedules.flatmap(lambda schedule: st.sampled_from(schedule.cores))


def phases(core: Core) -> list[Phase]:
    return [phase for phase in (core.step, core.outputs) if phase]


def addressed(phase: Phase) -> Iterator[tuple[int, int, int]]:
    """The cycle in which each group addresses each term: cycle, group, term."""
    for group in range(phase.groups):
        for term in range(phase.terms):
            yield group * phase.group_cycles + term, group, term


def vectors(core: Core) -> set[str]:
    """The states that linear operators read."""
    read = {node.operand for node in core.typed.graph.linears}
    return {state.name for state in core.typed.graph.states if state.name in read}


def reads_of(core: Core, state: State) -> list[tuple[int, int]]:
    """The cycles of a unit in which other operators address its state, first and last.

    The memory answers in the cycle after.
    """
    graph, slots = core.typed.graph, core.slots
    readers = [node for node in graph.operators if state.name in node.operands]
    return [
        (slots[node.name].read - 1, slots[node.name].ready - 2)
        for node in readers
        if not isinstance(node, Linear)
    ]


def written(core: Core, state: State) -> list[int]:
    """The cycles of a step in which the units of a state are written.

    They are when the result is there, if it is not needed for longer what was there before.
    """
    due = [core.slots[state.source].ready, *(last + 2 for _, last in reads_of(core, state))]
    return [core.step.unit_cycle(unit) + max(due) for unit in range(core.step.units)]


def shortest_step_interval(core: Core) -> int:
    """The cycles after which a step may follow, tried one by one."""
    phase = core.step
    first_reads: dict[int, int] = {}
    for cycle, _, term in addressed(phase):
        first_reads.setdefault(term, cycle)
    units = range(phase.units)

    # The index of the largest takes a cycle of the output, too.
    index = core.classifies and not core.outputs
    leaving = phase.unit_cycle(phase.units - 1) + index - phase.unit_cycle(0)

    def suits(interval: int) -> bool:
        if interval <= leaving:
            return False
        for state in core.typed.graph.states:
            new = written(core, state)
            if state.name in vectors(core) and any(
                interval + first_reads[unit] <= new[unit] for unit in units
            ):
                return False
            for first, _ in reads_of(core, state):
                read = [interval + phase.unit_cycle(unit) + first for unit in units]
                # With two halves of the memory, all of one is written before another is read.
                behind = [new[-1]] * phase.units if state.name in vectors(core) else new
                if any(read[unit] <= behind[unit] for unit in units):
                    return False
        return True

    # Groups follow each other at once.
    return next(filter(suits, count(phase.groups * phase.group_cycles)))


@given(cores)
def test_groups_neither_overlap_nor_wait(core: Core) -> None:
    for phase in phases(core):
        cycles = [cycle for cycle, _, _ in addressed(phase)]
        assert len(set(cycles)) == phase.groups * phase.terms
        gaps = Counter(after - before for before, after in pairwise(cycles))
        assert set(gaps) <= {1, phase.group_cycles - phase.terms + 1}
        assert phase.group_cycles > phase.terms
        # Groups follow at once, or as soon as the pipeline has taken the units.
        assert phase.group_cycles in (phase.terms + 1, phase.lanes * phase.unit_interval)


@given(cores)
def test_lanes_hold_every_unit_once(core: Core) -> None:
    for phase in phases(core):
        lanes = [phase.lanes] * (phase.groups - 1) + [phase.last_lanes]
        assert sum(lanes) == phase.units
        assert 1 <= phase.last_lanes <= phase.lanes


@given(cores)
def test_phases_have_the_sizes_of_their_graphs(core: Core) -> None:
    graph = core.typed.graph
    assert core.step.units == graph.units
    assert core.step.terms == max(node.inputs for node in graph.linears)
    assert core.step.terms >= graph.input.size
    assert (core.head is None) == (core.outputs is None)
    if core.head and core.outputs:
        assert core.outputs.units == core.head.graph.units
        assert core.outputs.terms == core.head.graph.input.size == graph.units


@given(cores)
def test_accumulators_are_read_while_complete(core: Core) -> None:
    for phase in phases(core):
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


@given(cores)
def test_units_enter_the_pipeline_in_order_and_apart(core: Core) -> None:
    for phase in phases(core):
        entered = [phase.unit_cycle(unit) for unit in range(phase.units)]
        if phase is core.step:  # those of the next step, too
            entered += [core.step_interval + cycle for cycle in entered]
        assert all(after - before >= phase.unit_interval for before, after in pairwise(entered))


@given(cores)
def test_results_are_read_once_they_stand(core: Core) -> None:
    for scheduled in core.operators:
        node, slot, graph = scheduled.node, scheduled.slot, scheduled.typed.graph
        operands = [name for name in node.operands if not isinstance(graph[name], Input | State)]
        if isinstance(node, Linear):
            assert slot.read == 0
        else:
            assert slot.read == max((core.slots[name].ready for name in operands), default=0)
        assert slot.ready == slot.read + latency(node, scheduled.typed, core.serial_products)
        assert scheduled.serial == core.serial_products
        assert core.slots[node.name] == slot


@given(cores)
def test_operators_are_those_of_the_stage_and_of_its_head(core: Core) -> None:
    nodes = [*core.typed.graph.operators, *(core.head.graph.operators if core.head else ())]
    assert [scheduled.node for scheduled in core.operators] == nodes
    assert core.operator("another") is None
    for scheduled in core.operators:
        assert core.operator(scheduled.node.name) == scheduled
        typed = core.head if scheduled.node.name == "head" and core.head else core.typed
        assert scheduled.typed is typed
        assert scheduled.phase is (core.step if typed is core.typed else core.outputs)
        assert scheduled.operands == tuple(typed[name] for name in scheduled.node.operands)
        assert scheduled.result == typed[scheduled.node.name]


@given(cores)
def test_serial_products_have_the_pipeline_to_themselves(core: Core) -> None:
    slowest, unsigned = 0, True
    arrived: dict[str, int] = {}
    for node in core.typed.graph.operators:
        start = max((arrived.get(name, 0) for name in node.operands), default=0)
        if isinstance(node, Multiply):
            start += 1 + core.typed[node.left].bits
            # A product takes the bits of its first operand one by one, and none is a sign.
            unsigned &= not core.typed[node.left].signed
        arrived[node.name] = start + 1
        slowest = max(slowest, arrived[node.name])
    assert core.serial_products == (unsigned and slowest < core.step.unit_interval)


@pytest.mark.parametrize(("inputs", "serial"), [(20, False), (21, True)])
def test_serial_products_need_more_cycles_than_the_pipeline_has(inputs: int, serial: bool) -> None:
    network = Architecture(inputs=inputs, layers=["gru:3"], outputs=2)
    (core,) = planned(homogeneous(network, 4).changed({"sub_z": 7}), "class").cores
    # W_hn 1, add_r 2, sig_r 3, mul_rh 9, add_n 10, tanh_n 11, mul_zn 20, add_h 21.
    assert core.serial_products is serial
    assert core.slots["add_h"].ready == (21 if serial else 10)


@given(cores)
def test_steps_follow_as_soon_as_they_may(core: Core) -> None:
    behind_each = core.outputs.cycles if core.outputs and core.emits_every_step else 0
    assert core.least_interval == shortest_step_interval(core) + behind_each
    assert core.drain_cycles >= 0


@given(cores)
def test_states_are_kept_until_they_have_been_read(core: Core) -> None:
    """Steps write the two halves of a memory in turn, if linear operators read it.

    Otherwise there is one, of which each unit is read before it is written.
    """
    step, interval = core.step, core.step_interval
    last_read = max(cycle for cycle, _, _ in addressed(step))
    for state in core.typed.graph.states:
        new = written(core, state)
        assert new == [step.unit_cycle(unit) + core.kept[state.name] for unit in range(step.units)]
        if state.name in vectors(core):
            assert last_read < interval + new[0]
        for first, last in reads_of(core, state):
            for unit, entered in enumerate(map(step.unit_cycle, range(step.units))):
                if state.name in vectors(core):
                    assert new[-1] < interval + entered + first
                    assert entered + last <= new[-1]
                    assert entered + last < interval + new[0]
                else:
                    assert entered + last < new[unit] < interval + entered + first


@given(cores)
def test_units_are_counted_until_nobody_asks(core: Core) -> None:
    leaves = [core.kept[state.name] for state in core.typed.graph.states]
    if not core.outputs:
        leaves.append(core.slots[core.typed.graph.emits].ready)
    assert core.numbered_until == max(leaves)


@given(schedules)
def test_all_cores_run_at_the_interval_of_the_slowest(schedule: Schedule) -> None:
    slowest = max(core.least_interval for core in schedule.cores)
    assert {core.step_interval for core in schedule.cores} == {slowest} == {schedule.step_interval}
    assert schedule.first is schedule.cores[0]
    assert schedule.last is schedule.cores[-1]


@given(schedules)
def test_each_stage_has_a_core(schedule: Schedule) -> None:
    names = [core.name for core in schedule.cores]
    for name, core in zip(names, schedule.cores, strict=True):
        assert schedule.core_of(name) is core
    assert schedule.core_of("l9") is None
    head = schedule.core_of("head")
    if schedule.output == "states":
        assert head is None
    else:
        assert head is schedule.last
        assert head.head or head.name == "head"
    assert [core.classifies for core in schedule.cores] == [
        core is schedule.last and schedule.output == "class" for core in schedule.cores
    ]


@pytest.mark.parametrize(
    ("layers", "output", "names"),
    [
        ("gru:4", "class", ["l0"]),
        ("lstm:4", "values", ["l0"]),
        ("gru:4", "states", ["l0"]),
        ("gru:4,gru:3", "class", ["l0", "l1", "head"]),
        ("dense:4,gru:3", "values", ["l0", "l1", "head"]),
        ("gru:4,dense:3", "states", ["l0", "l1"]),
        # The head cannot read what is emitted out of a state, all of whose elements are there.
        ("leaky:4", "class", ["l0", "head"]),
        ("late:4", "class", ["l0", "head"]),
        ("shared:4", "class", ["l0"]),
    ],
)
def test_a_head_rides_where_it_finds_its_input(
    layers: str, output: Output, names: list[str]
) -> None:
    network = Architecture(inputs=3, layers=layers, outputs=2)
    schedule = planned(homogeneous(network, 4), output)
    assert [core.name for core in schedule.cores] == names
    rides = len(names) == 1 and output != "states"
    assert bool(schedule.first.head) == bool(schedule.first.head_node) == rides


def test_only_the_last_step_of_a_sequence_leaves_the_last_recurrent_layer() -> None:
    network = Architecture(inputs=3, layers="dense:4,gru:3,dense:4,dense:2", outputs=2)

    def steps(output: Output) -> list[tuple[bool, bool]]:
        found = planned(homogeneous(network, 4), output).cores
        return [(core.every_step, core.emits_every_step) for core in found]

    assert steps("class") == [(True, True), (True, False), *[(False, False)] * 3]
    assert steps("values") == steps("class")
    assert steps("states") == [(True, True)] * 4


def test_each_layer_has_its_own_lanes() -> None:
    network = Architecture(inputs=3, layers="dense:4,gru:3,dense:6", outputs=2)

    def lanes(pe: int | tuple[int, ...]) -> list[int]:
        return [core.step.lanes for core in planned(homogeneous(network, 4), "class", pe).cores]

    assert lanes(1) == [1, 1, 1, 1]
    assert lanes(5) == [4, 3, 5, 2]  # as many as there are units
    assert lanes((1, 2, 6)) == [1, 2, 6, 2]  # the head has those of the last layer


def starts_of(schedule: Schedule, lengths: Sequence[int]) -> list[list[int]]:
    """For each core, the cycles in which its steps begin, sequence after sequence.

    Found step by step: a core begins when its whole input is there, and its last step is over. It
    begins a head where the next step would begin, if one rides on it for the end of a sequence, and
    the next one behind that.
    """
    size = schedule.first.typed.graph.input.size
    # The network's input never lets a core wait, but at first.
    arrived = [[size - 1] * length for length in lengths]
    found = []
    for core in schedule.cores:
        free, starts, leaving = 0, list[int](), list[list[int]]()
        for steps in arrived:
            ends: list[int] = []
            for arrival in steps:
                start = max(arrival + LAUNCH_CYCLES, free)
                starts.append(start)
                free = start + core.step_interval
                last = core.step.unit_cycle(core.step.units - 1)
                end = start + last + core.slots[core.typed.graph.emits].ready
                ends.append(end + STREAM_CYCLES)
            if core.outputs and not core.emits_every_step:
                free += core.outputs.groups * core.outputs.group_cycles
            leaving.append(ends if core.emits_every_step else ends[-1:])
        arrived = leaving
        found.append(starts)
    return found


@given(schedules, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_cycles_in_closed_form_are_those_of_a_walk(schedule: Schedule, lengths: list[int]) -> None:
    offsets = np.cumsum([0, *(schedule.sequence_interval(length) for length in lengths)]).tolist()
    for core, starts in zip(schedule.cores, starts_of(schedule, lengths), strict=True):
        expected = [
            offset + core.first_term + step * core.step_interval
            for offset, length in zip(offsets, lengths, strict=False)
            for step in range(0 if core.every_step else length - 1, length)
        ]
        assert starts == expected


@given(cores, st.integers(0, 3))
def test_the_cycle_of_each_result(core: Core, step: int) -> None:
    start = core.first_term + step * core.step_interval
    for name in (node.name for node in core.typed.graph.operators):
        assert [core.cycle(name, step, unit) for unit in range(core.step.units)] == [
            start + core.step.unit_cycle(unit) + core.slots[name].ready
            for unit in range(core.step.units)
        ]


def offered(schedule: Schedule, length: int) -> list[int]:
    """When the elements of a sequence are offered, found phase by phase."""
    core = schedule.last
    typed, name = core.emitted
    assert name == typed.graph.emits
    ready = core.slots[name].ready + STREAM_CYCLES
    found = []
    for step in range(0 if core.emits_every_step else length - 1, length):
        start = core.first_term + step * core.step_interval
        if core.outputs and core.emits_every_step:
            # The head is through when the next step begins.
            start += core.step_interval - core.outputs.cycles
        elif core.outputs:
            start += core.step_interval
        phase = core.outputs or core.step
        found += [start + phase.unit_cycle(unit) + ready for unit in range(phase.units)]
        found += [found[-1] + 1] if schedule.output == "class" else []
    return found


@given(schedules, st.integers(1, 4))
def test_outputs_follow_the_results(schedule: Schedule, length: int) -> None:
    found = schedule.output_cycles(length)
    assert found == offered(schedule, length)
    assert found == sorted(set(found))
    assert found[-1] < schedule.output_cycles(length + 1)[-1]
    # Those of the next sequence come behind them.
    assert found[-1] < schedule.sequence_interval(length) + schedule.output_cycles(1)[0]
    core = schedule.last
    if core.outputs:
        # The head reads states that are written, and the next sequence starts behind it.
        (state, *_) = (s for s in core.typed.graph.states if s.source == core.typed.graph.emits)
        before = core.first_term + (length - 1) * core.step_interval
        start = before + core.head_start
        assert all(start + unit > before + cycle for unit, cycle in enumerate(written(core, state)))
        after = schedule.sequence_interval(length) + core.first_term
        assert after - start > max(cycle for cycle, _, _ in addressed(core.outputs))
    else:
        assert schedule.sequence_interval(length) == length * schedule.step_interval


@given(schedules)
def test_an_empty_sequence_gives_nothing_before_its_head(schedule: Schedule) -> None:
    core = schedule.last
    assert schedule.sequence_interval(0) == core.sequence_cycles == schedule.first.sequence_cycles
    if schedule.output == "states":
        assert schedule.output_cycles(0) == []


@given(schedules)
def test_last_results_of_every_step(schedule: Schedule) -> None:
    lengths = np.array([2, 1, 3])
    (core,) = [core for core in schedule.cores if core.every_step][-1:]
    assert schedule.stepping is core
    last, emits = core.step.units - 1, core.typed.graph.emits
    expected = [
        [core.cycle(emits, step, last) if step < length else -1 for step in range(3)]
        for length in lengths
    ]
    assert schedule.state_cycles(lengths).tolist() == expected


@given(cores)
def test_output_buffers_are_the_smallest_that_never_wait(core: Core) -> None:
    """Of a core that emits as often as it can: after every step, of sequences of one step."""
    emitting, period = core.emitting, core.step_interval
    start = core.first_term
    if core.outputs:
        behind = core.outputs.groups * core.outputs.group_cycles
        start += period - behind if core.emits_every_step else period
        period += 0 if core.emits_every_step else behind
    pushes = [cycle + number * period for number in range(HISTORY) for cycle in core.pushes(1)]
    assert len(set(pushes)) == len(pushes)  # one at a time
    reserved = {
        start + number * period + group * emitting.group_cycles - 1: core.group_outputs(group)
        for number in range(HISTORY)
        for group in range(emitting.groups)
    }
    assert sum(reserved.values()) == len(pushes)
    taken = {cycle + STREAM_CYCLES for cycle in pushes}
    held = needed = 0
    for cycle in range(min(reserved), max(taken) + 1):
        held += reserved.get(cycle, 0)
        if cycle in reserved:
            needed = max(needed, held)
        held -= cycle in taken
    assert held == 0
    if needed <= LEAST_DEPTH:
        close = any(cycle + 1 in taken for cycle in taken)
        needed = 3 if close else LEAST_DEPTH
    assert core.output_depth == needed


@given(cores)
def test_what_a_group_gives(core: Core) -> None:
    emitting = core.emitting
    found = [core.group_outputs(group) for group in range(emitting.groups)]
    assert sum(found) == emitting.units + core.classifies == len(core.pushes(1))
    assert all(size == emitting.lanes for size in found[:-1])


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
    phase = plan_phase(units, terms, lanes)
    assert [phase.unit_cycle(unit) for unit in range(units)] == expected


def test_a_state_is_written_once_its_readers_have_read_it() -> None:
    network = Architecture(inputs=3, layers=[f"{LATE.name}:2"], outputs=2)
    core = planned(homogeneous(network, 4), "states").first
    before, h = core.typed.graph.states
    # W and V 1, tanh 2, shifted 3, gate 4, product 6, sum 7.
    assert (core.slots["product"].read, core.slots["product"].ready) == (4, 6)
    assert (core.kept[before.name], core.kept[h.name]) == (6, 7)
    assert core.numbered_until == 8


def test_a_core_without_a_vector_of_states_is_as_fast_as_its_groups() -> None:
    network = Architecture(inputs=3, layers=[f"{LEAKY.name}:4"], outputs=2)
    for pe, interval in ((1, 4 * 4), (2, 2 * 4)):
        core = planned(homogeneous(network, 4), "states", pe).first
        assert core.step_interval == interval
    # Unless a unit's own state takes longer, from its product with it to the sum.
    core = planned(homogeneous(network, 4), "states", 4).first
    assert (core.slots["kept"].read, core.slots["add_h"].ready) == (2, 5)
    assert core.step.cycles == 4
    assert core.step_interval == 5
    # Three steps are on their way when the next begins, less one element that was taken.
    assert core.output_depth == 4 * 4 - 1


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("layers", ["gru:4", "lstm:3,dense:2:relu"])
def test_reference_gives_the_cycle_of_every_output_element(output: Output, layers: Any) -> None:
    random = np.random.default_rng(1)
    architecture = Architecture(inputs=3, layers=layers, outputs=3)
    network = random_network_of(random, architecture, output=output)
    inputs, _ = random_sequences(random, network, 3, 5)
    found = run_reference(network, inputs, np.array([5, 1, 3])).output_cycles
    schedule = schedule_of(network)
    for row, length in zip(found.tolist(), (5, 1, 3), strict=True):
        due = schedule.output_cycles(length)
        assert row == due + [-1] * (len(row) - len(due))


def test_types_are_those_of_the_network() -> None:
    rng = np.random.default_rng(1)
    network = random_network_of(rng, Architecture(inputs=3, layers="gru:4,mgu:2", outputs=3))
    found = schedule_of(network).cores
    assert [core.typed for core in found] == [stage.typed for stage in network.stages]
    assert (
        found[1].typed["input"]
        == found[0].typed.emitted
        == Fixed(network.genome.genes["l0.add_h"], network.genome.genes["l0.add_h"] - 1)
    )
