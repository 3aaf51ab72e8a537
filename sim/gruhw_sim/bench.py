"""The cocotb tests. What they send and expect comes from the files that the runner wrote."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import First, RisingEdge, Timer

from gruhw_sim.drivers import (
    PERIOD,
    Rules,
    Sink,
    Source,
    Stall,
    Timebase,
    UnknownValueError,
    power_on,
    read,
    reset,
    start,
)

JOB = json.loads(Path("job.json").read_text())
REPORTED = 10
"""Mismatches of a test that are reported one by one."""

STATE_COLUMNS = ("value", "sequence", "step", "unit")
"""What is expected of a state."""

RESETS = 3
"""How often sequences are interrupted anywhere."""

EARLY_RESETS = 60
"""How often, at most, one is interrupted in a core's second group, in one cycle after the other:
much of what a reset must clear is there in a single cycle of a group."""


def load(name: str) -> dict[str, list[int]]:
    """The arrays of a scenario, as lists: Python reads those several times faster."""
    with np.load(f"{name}.npz", allow_pickle=False) as archive:
        return {key: archive[key].tolist() for key in archive.files}


class Checker:
    """Compares what the hardware gives with what was expected, and writes down the result."""

    def __init__(self, test: str, scenario: dict[str, list[int]], first: int = 0) -> None:
        self.test = test
        self.scenario = scenario
        self.origin = 0
        self.cycles = 0
        self.mismatches: list[dict[str, Any]] = []
        self.count = 0
        self.given: dict[int, list[str]] = defaultdict(list)
        self.timed = True
        self.expect_from(first)

    def expect_from(self, sequence: int) -> None:
        """Expect the outputs of this sequence and those that follow it."""
        self._first = sequence
        self.next_output = self.scenario["sequence_outputs"][sequence]
        self._sequence = sequence

    def report(
        self,
        quantity: str,
        operator: str,
        place: tuple[int, int, int],
        cycle: int,
        expected: object,
        found: object,
    ) -> None:
        """Note a mismatch; ``place`` is sequence, step and unit. A brief job ends with it."""
        self.count += 1
        if self.count <= REPORTED:
            names = ("sequence", "step", "unit")
            self.mismatches.append(
                {
                    "test": self.test,
                    "quantity": quantity,
                    "operator": operator,
                    **dict(zip(names, place, strict=True)),
                    "cycle": cycle,
                    "expected": str(expected),
                    "found": str(found),
                }
            )
        if JOB["brief"]:
            self.finish(cycle)

    def output(self, cycle: int, value: str, last: str) -> None:
        """Compare the next output element."""
        arrays, index, cycle = self.scenario, self.next_output, cycle - self.origin
        self.next_output += 1
        if index >= len(arrays["output_value"]):
            self.report("extra", "", (-1, -1, -1), cycle, "no more elements", value)
            return
        while index >= arrays["sequence_outputs"][self._sequence + 1]:
            self._sequence += 1
        operator = JOB["operators"][arrays["output_operator"][index]]
        place = (self._sequence, arrays["output_step"][index], arrays["output_unit"][index])
        starts = arrays["sequence_start"]
        due = arrays["output_cycle"][index] + starts[self._sequence] - starts[self._first]
        if arrays["output_operator"][index] in JOB["given"]:
            self.given[self._sequence].append(value)
        for quantity, expected, found in (
            ("value", str(arrays["output_value"][index]), value),
            ("last", str(arrays["output_last"][index]), last),
            ("cycle", due, cycle if self.timed else due),
        ):
            if expected != found:
                self.report(quantity, operator, place, cycle, expected, found)

    def rule(self, cycle: int, offered: str, found: str) -> None:
        """Note that an element did not stay until it was taken."""
        self.report("rule", "m_axis", (-1, -1, -1), cycle - self.origin, offered, found)

    def missing(self, end: int, cycle: int) -> None:
        """Note the output elements before ``end`` that never came."""
        arrays = self.scenario
        for index in range(self.next_output, end):
            sequence = int(np.searchsorted(arrays["sequence_outputs"], index, "right")) - 1
            place = (sequence, arrays["output_step"][index], arrays["output_unit"][index])
            operator = JOB["operators"][arrays["output_operator"][index]]
            expected = arrays["output_value"][index]
            self.report("missing", operator, place, cycle - self.origin, expected, "nothing")

    def finish(self, cycles: int) -> None:
        """Write the result file and fail the test if there was a mismatch."""
        count = len(self.scenario["sequence_start"]) - 1
        result = {
            "cycles": cycles,
            "count": self.count,
            "mismatches": self.mismatches,
            "given": [self.given[sequence] for sequence in range(count)],
        }
        Path(f"result-{self.test}.json").write_text(json.dumps(result))
        if self.count:
            raise AssertionError(f"{self.count} mismatches")


async def begin(dut: Any) -> Timebase:
    """Start the clock and reset."""
    time = await power_on(dut)
    await time.middle(time.now + 1)
    return time


def make_source(dut: Any, time: Timebase, random: Random, gaps: Iterator[int] | None) -> Source:
    """A source of the accelerator's input."""
    return Source(dut, time, JOB["input_bits"], random, gaps)


async def first_accepted(source: Source, time: Timebase, check: Checker) -> None:
    """Wait until the first element is accepted; the test ends here if it never is."""
    await First(source.first.wait(), Timer(JOB["quiet_cycles"] * PERIOD, "step"))
    if not source.accepted:
        check.report("missing", "s_axis", (-1, -1, -1), time.now, "ready", "nothing")
        check.finish(time.now)


@cocotb.test()
async def streams_never_stall(dut: Any) -> None:
    """All sequences back to back: every output, and operators inside, in their exact cycles."""
    scenario = load("scenario")
    check = Checker("streams_never_stall", scenario)
    time = await begin(dut)
    source = make_source(dut, time, Random(JOB["seed"]), None)
    sink = Sink(dut, time, JOB["output_signed"], check.output)
    start(source.send(scenario["element"], scenario["element_last"]))
    await first_accepted(source, time, check)
    check.origin = origin = source.first_cycle
    start(sink.run())

    probed = JOB["probes"] if scenario["probe_value"] else []
    results = {each["operator"]: (inside(dut, each["path"]).result, each) for each in probed}
    columns = ("cycle", "operator", "value", "sequence", "step", "unit")
    probes = zip(*(scenario[f"probe_{column}"] for column in columns), strict=True)
    for due, group in itertools.groupby(probes, key=lambda probe: probe[0]):
        await time.middle(origin + due)
        for _, operator, expected, *place in group:
            result, about = results[operator]
            found = read_result(result, about["signed"])
            if found != expected:
                sequence, step, unit = place
                name = JOB["operators"][operator]
                check.report("value", name, (sequence, step, unit), due, expected, found)
    end = max(time.now, origin + scenario["sequence_start"][-1])
    await time.middle(end + JOB["quiet_cycles"])
    check.missing(len(scenario["output_value"]), time.now)
    check.finish(time.now)


def lengths(random: Random, usual: tuple[float, ...], count: int) -> Iterator[int]:
    """Random waiting times: of one kind for a while, then of another; ``usual`` are the means."""
    left, mean = 0, 0.0
    for _ in range(count):
        if not left:
            left = random.randint(1, 2 * JOB["vector_size"])
            mean = random.choice((0.0, *usual))
        left -= 1
        yield int(random.expovariate(1 / mean)) if mean else 0


@cocotb.test()
async def random_gaps_and_backpressure(dut: Any) -> None:
    """Gaps and back-pressure at random cycles: nothing is lost, added or changed."""
    scenario, random = load("stalled"), Random(JOB["seed"])
    check = Checker("random_gaps_and_backpressure", scenario)
    check.timed = False
    # Short waits, and such as let the accelerator run empty or full.
    step, total = JOB["step_interval"], len(scenario["output_value"])
    starve = step / JOB["vector_size"]
    gaps = list(lengths(random, (0.5, 2.0, 1.5 * starve), len(scenario["element"])))
    waits = list(lengths(random, (0.5, 2.0, 1.5 * JOB["output_interval"]), total))
    stalls = itertools.chain(
        (Stall(wait, random.random() < 0.5) for wait in waits), itertools.repeat(Stall(0, False))
    )
    # No wait can cost more than itself.
    latest = 2 * (scenario["sequence_start"][-1] + sum(gaps) + sum(waits)) + JOB["quiet_cycles"]

    time = await begin(dut)
    source = make_source(dut, time, random, iter(gaps))
    sink = Sink(dut, time, JOB["output_signed"], check.output, stalls)
    check.origin = time.now
    start(source.send(scenario["element"], scenario["element_last"]))
    start(sink.run())
    start(Rules(dut, time, sink, check.rule).run())
    watched = [state for state in JOB["states"] if scenario[f"{state['key']}_value"]]
    seen: set[str] = set()
    for state in watched:
        start(check_states(dut, time, check, state, seen))
    while sink.taken < total and time.now - check.origin < latest:
        await time.middle(time.now + JOB["quiet_cycles"])
    await time.middle(time.now + JOB["quiet_cycles"])
    check.missing(total, time.now)
    for state in watched:
        if state["key"] not in seen:
            nobody = (-1, -1, -1)
            check.report("missing", state["operator"], nobody, time.now, "every state", "fewer")
    check.finish(time.now)


def inside(dut: Any, path: str) -> Any:
    """What stands at a path below the datapath."""
    return reduce(lambda module, name: module[name], path.split("."), dut.datapath)


def read_result(handle: Any, signed: bool) -> int | str:
    """The integer of a signal; as text, if a bit of it is neither 0 nor 1."""
    try:
        return read(handle, signed)
    except UnknownValueError as error:
        return str(error)


async def check_states(
    dut: Any, time: Timebase, check: Checker, state: dict[str, Any], seen: set[str]
) -> None:
    """Compare what is written into the memory of a state; note in ``seen`` that all was."""
    arrays, name = check.scenario, state["operator"]
    result, written = inside(dut, state["path"]).result, inside(dut, state["written"])
    columns = (arrays[f"{state['key']}_{column}"] for column in STATE_COLUMNS)
    for expected, *place in zip(*columns, strict=True):
        if not read(written):
            await RisingEdge(written)
            await time.middle(time.now)
        found = read_result(result, state["signed"])
        if found != expected:
            sequence, step, unit = place
            cycle = time.now - check.origin
            check.report("value", name, (sequence, step, unit), cycle, expected, found)
        await time.middle(time.now + 1)
    seen.add(state["key"])
    if not read(written):
        await RisingEdge(written)
    check.report("extra", name, (-1, -1, -1), time.now - check.origin, "no more", "a state")


def episodes(
    random: Random, starts: list[int], latency: int
) -> Iterator[tuple[int, int, int | None]]:
    """What is sent between resets: the first sequence, the end, and how many cycles until the cut.

    After each one that is cut, another is sent to its end: two sequences, or the shortest one. Of
    several cores, the last one works for a ``latency`` after the first. Where states are carried
    on, all begin with the first sequence, which finds no other's.
    """
    count = 1 if JOB["carries"] else len(starts) - 1
    last = len(starts) - 1
    for _ in range(RESETS):
        for whole in (False, True):
            first = random.randrange(count)
            end = min(first + 2, last)
            duration = starts[end] - starts[first] + latency
            yield first, end, None if whole else random.randrange(1, duration)
    durations = [end - start for start, end in itertools.pairwise(starts[: count + 1])]
    shortest = durations.index(min(durations))
    # Together, no longer than the first test.
    affordable = starts[-1] // (durations[shortest] + JOB["quiet_cycles"])
    cuts = (
        (begins, cycle)
        for cycle in range(EARLY_RESETS)
        for group_cycles, *begins in JOB["second_groups"]
        if cycle < group_cycles
    )
    for begins, cycle in itertools.islice(cuts, affordable):
        first = random.randrange(count)
        yield first, first + 1, begins[first] + cycle
        yield shortest, shortest + 1, None


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """A reset at any cycle forgets everything: the next sequences come out right again."""
    scenario, random = load("stalled"), Random(JOB["seed"])
    check = Checker("reset_in_the_middle", scenario)
    starts, outputs = scenario["sequence_start"], scenario["sequence_outputs"]
    elements = scenario["sequence_elements"]
    time = await begin(dut)
    for first, end, cut in episodes(random, starts, JOB["latency"]):
        check.expect_from(first)
        source = make_source(dut, time, random, None)
        sink = Sink(dut, time, JOB["output_signed"], check.output)
        part = slice(elements[first], elements[end])
        tasks = [start(source.send(scenario["element"][part], scenario["element_last"][part]))]
        await first_accepted(source, time, check)
        check.origin = source.first_cycle
        tasks.append(start(sink.run()))
        duration = starts[end] - starts[first]
        if cut is None:
            await time.middle(time.now + duration + JOB["quiet_cycles"])
            check.missing(outputs[end], time.now)
            if check.next_output > outputs[end]:
                check.report("extra", "", (-1, -1, -1), duration, "no more elements", "some")
        else:
            await time.middle(time.now + cut)
        for task in tasks:
            task.cancel()
        await reset(dut, time)
        await time.middle(time.now + 1)
        if read(dut.m_axis_tvalid):
            check.report("extra", "", (-1, -1, -1), time.now, "nothing after a reset", "an element")
    check.finish(time.now)
