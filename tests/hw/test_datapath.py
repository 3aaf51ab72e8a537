"""RTL against reference: every output element, and every cycle where no stream stalls."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_networks import random_network, random_sequences

from gruhw.fixed import IntArray
from gruhw.genome import Output
from gruhw.model import Network
from gruhw.reference import Reference, run_reference
from gruhw.schedule import Schedule
from gruhw_hw.datapath import Datapath
from gruhw_hw.top import Accelerator

TIME_OUT = 20_000
"""Cycles that no run of this file comes near."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Failing cases are small as they are; shrinking them would take minutes."""

Element = tuple[int, int]
"""A value, and whether it is the last of its sequence."""


@dataclass
class Run:
    """What the accelerator gave, and when; cycle 0 accepted the first input element."""

    elements: list[Element] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    probes: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stalls:
    """The probabilities with which the source has no element and the sink is not ready."""

    seed: int = 0
    gaps: float = 0.0
    back_pressure: float = 0.0


class Probed(Datapath):
    """A datapath whose operators' results can be read in a simulation."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        self.results: dict[str, Signal] = {
            node.name: m.submodules[node.name].result for node in self.graph.operators
        }
        return m


def input_elements(network: Network, inputs: IntArray, lengths: IntArray) -> list[Element]:
    size = network.graph.input.size
    return [
        (int(value), int(step == length - 1 and index == size - 1))
        for sequence, length in zip(inputs, lengths, strict=True)
        for step in range(length)
        for index, value in enumerate(sequence[step])
    ]


def expected_elements(network: Network, found: Reference, lengths: IntArray) -> list[Element]:
    elements: list[Element] = []
    for sequence, length in enumerate(lengths):
        if network.genome.output == "class":
            elements += [(int(logit), 0) for logit in found.logits[sequence]]
            elements.append((int(found.classes[sequence]), 1))
        else:
            states = found.operators["add_h"][sequence, :length].ravel()
            elements += [(int(state), 0) for state in states[:-1]] + [(int(states[-1]), 1)]
    return elements


def expected_cycles(accelerator: Accelerator, lengths: IntArray) -> list[int]:
    schedule = accelerator.datapath.schedule
    offsets = np.cumsum([0, *(schedule.sequence_interval(int(n)) for n in lengths[:-1])])
    return [
        int(offset) + cycle
        for offset, length in zip(offsets, lengths, strict=True)
        for cycle in schedule.output_cycles(int(length))
    ]


class Simulation:
    """An accelerator in Amaranth's simulator, compiled once; each run begins in its first cycle."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._simulator = Simulator(accelerator)
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._bench)
        self._used = False

    def run(
        self,
        elements: list[Element],
        expected: int,
        stalls: Stalls,
        probes: frozenset[tuple[str, int]] = frozenset(),
    ) -> Run:
        """Run until ``expected`` elements have come and nothing more does.

        ``probes`` are results of operators to read in given cycles: operator, cycle.
        """
        self._elements, self._expected = elements, expected
        self._stalls, self._probes = stalls, probes
        self._found = Run()
        if self._used:
            self._simulator.reset()
        self._used = True
        self._simulator.run()
        return self._found

    async def _bench(self, context) -> None:  # type: ignore[no-untyped-def]  # Amaranth's, untyped
        accelerator, elements, found = self._accelerator, self._elements, self._found
        random = np.random.default_rng(self._stalls.seed)
        width = len(accelerator.m_axis_tdata)
        by_cycle: dict[int, list[str]] = {}
        for name, cycle in self._probes:
            by_cycle.setdefault(cycle, []).append(name)
        sent, valid, start, quiet = 0, False, None, 0
        parts = accelerator.datapath.results if by_cycle else {}
        for cycle in range(TIME_OUT):
            # Once valid, an element stays until it has moved.
            valid = sent < len(elements) and (valid or random.random() >= self._stalls.gaps)
            ready = random.random() >= self._stalls.back_pressure
            context.set(accelerator.s_axis_tvalid, valid)
            context.set(accelerator.m_axis_tready, ready)
            value, last = elements[sent] if valid else (int(random.integers(256)), 1)
            context.set(
                accelerator.s_axis_tdata, value & ((1 << len(accelerator.s_axis_tdata)) - 1)
            )
            context.set(accelerator.s_axis_tlast, last)
            if valid and context.get(accelerator.s_axis_tready):
                start = cycle if start is None else start
                sent, valid = sent + 1, False
            if context.get(accelerator.m_axis_tvalid) and ready:
                code = context.get(accelerator.m_axis_tdata)
                value = code - (1 << width) if code >> (width - 1) else code
                found.elements.append((value, context.get(accelerator.m_axis_tlast)))
                found.cycles.append(cycle - (start or 0))
            for name in by_cycle.get(cycle, ()):
                found.probes[name, cycle] = context.get(parts[name])
            quiet += len(found.elements) >= self._expected
            if quiet > 50:
                return
            await context.tick()
        pytest.fail(f"{len(found.elements)} of {self._expected} elements after {TIME_OUT} cycles")


def check(
    network: Network,
    seed: int,
    *,
    count: int,
    steps: int,
    stalls: Stalls | None = None,
    blocks: bool = False,
) -> None:
    """Compare a run without stalls, and one with those that are given, with the reference."""
    inputs, lengths = random_sequences(np.random.default_rng(seed), network, count, steps)
    accelerator = Accelerator(network, blocks=blocks)
    expected = expected_elements(network, run_reference(network, inputs, lengths), lengths)
    elements = input_elements(network, inputs, lengths)
    simulation = Simulation(accelerator)
    found = simulation.run(elements, len(expected), Stalls())
    assert found.elements == expected
    assert found.cycles == expected_cycles(accelerator, lengths)
    if stalls is not None:
        assert simulation.run(elements, len(expected), stalls).elements == expected


@st.composite
def networks(draw: st.DrawFn) -> Network:
    hidden = draw(st.integers(1, 7))
    low, high = draw(st.sampled_from([(1, 4), (2, 8), (1, 12)]))
    return random_network(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        inputs=draw(st.integers(1, 9)),
        hidden=hidden,
        classes=draw(st.integers(2, 6)),
        pe=draw(st.sampled_from([1, hidden]) | st.integers(1, hidden)),
        output=draw(st.sampled_from(["class", "states"])),
        low=low,
        high=high,
    )


@pytest.mark.slow
@settings(max_examples=examples(12), phases=PHASES)
@given(
    networks(),
    st.integers(0, 2**32),
    st.builds(
        Stalls,
        seed=st.integers(0, 2**32),
        gaps=st.sampled_from([0.0, 0.4, 0.9]),
        back_pressure=st.sampled_from([0.0, 0.5, 0.9]),
    ),
    st.booleans(),
)
def test_elements_and_cycles(network: Network, seed: int, stalls: Stalls, blocks: bool) -> None:
    check(network, seed, count=3, steps=3, stalls=stalls, blocks=blocks)


CORNERS = {
    "one of everything": {"inputs": 1, "hidden": 1, "classes": 2},
    "more inputs than units": {"inputs": 8, "hidden": 3, "classes": 2},
    "more classes than units": {"inputs": 2, "hidden": 2, "classes": 7, "pe": 2},
    "incomplete last group": {"inputs": 3, "hidden": 5, "classes": 3, "pe": 3},
    "all units at once": {"inputs": 4, "hidden": 6, "classes": 5, "pe": 6},
    "1 bit": {"inputs": 3, "hidden": 4, "classes": 3, "low": 1, "high": 1},
    "12 bits": {"inputs": 3, "hidden": 4, "classes": 3, "low": 12, "high": 12},
}
LONG_CORNERS = ("all units at once", "12 bits")


@pytest.mark.parametrize("output", ["class", "states"])
@pytest.mark.parametrize(
    "corner",
    [pytest.param(c, marks=pytest.mark.slow if c in LONG_CORNERS else ()) for c in CORNERS],
)
def test_corners(corner: str, output: Output) -> None:
    network = random_network(np.random.default_rng(1), output=output, **CORNERS[corner])
    check(network, 2, count=3, steps=2, stalls=Stalls(4, gaps=0.5, back_pressure=0.5))


@pytest.mark.parametrize(
    ("low", "high", "blocks"),
    # Out of gates, a multiplier of 12 bits is among the corners; it takes long to compile.
    [
        (1, 4, False),
        (1, 4, True),
        pytest.param(6, 9, False, marks=pytest.mark.slow),
        (6, 12, True),
    ],
)
def test_both_kinds_of_multiplier(low: int, high: int, blocks: bool) -> None:
    shape = {"inputs": 4, "hidden": 4, "classes": 3, "pe": 2, "low": low, "high": high}
    for seed in range(2):
        network = random_network(np.random.default_rng(seed), **shape)
        check(network, seed, count=2, steps=3, blocks=blocks)


@pytest.mark.parametrize(("low", "high"), [(2, 4), (5, 8)])
@pytest.mark.parametrize("output", ["class", "states"])
def test_serial_products(low: int, high: int, output: Output) -> None:
    network = random_network(
        np.random.default_rng(1),
        inputs=3,
        hidden=40,
        classes=2,
        output=output,
        low=low,
        high=high,
    )
    assert Schedule(network.graph, network.genome.folding).serial_products
    check(network, 2, count=1, steps=2)


@pytest.mark.parametrize("output", ["class", "states"])
@pytest.mark.parametrize(
    "shape",
    [
        {"inputs": 5, "hidden": 4, "pe": 1},
        {"inputs": 2, "hidden": 5, "pe": 3},
        {"inputs": 3, "hidden": 4, "pe": 4},
        {"inputs": 35, "hidden": 3, "pe": 1},
    ],
)
def test_every_operator_in_its_cycle(
    shape: dict[str, int], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gruhw_hw.top.Datapath", Probed)
    network = random_network(np.random.default_rng(5), classes=3, output=output, **shape)
    inputs, lengths = random_sequences(np.random.default_rng(6), network, 2, 3)
    inputs, lengths = inputs[1:], lengths[1:]
    accelerator = Accelerator(network)
    schedule = accelerator.datapath.schedule
    reference = run_reference(network, inputs, lengths)
    expected = {
        (name, schedule.cycle(name, step, unit)): int(values[0, step, unit])
        for name, values in reference.operators.items()
        for step in range(3)
        for unit in range(shape["hidden"])
    }
    assert len(expected) == 17 * 3 * shape["hidden"]
    count = len(expected_elements(network, reference, lengths))
    elements = input_elements(network, inputs, lengths)
    found = Simulation(accelerator).run(elements, count, Stalls(), frozenset(expected))
    assert found.probes == expected
    last = shape["hidden"] - 1
    assert reference.cycles[0].tolist() == [schedule.cycle("add_h", s, last) for s in range(3)]


def test_largest_logit_that_comes_first_wins() -> None:
    network = random_network(
        np.random.default_rng(3), inputs=2, hidden=2, classes=6, pe=2, low=1, high=1
    )
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 6, 3)
    logits = run_reference(network, inputs, lengths).logits
    assert ((logits == logits.max(1, keepdims=True)).sum(1) > 1).any()
    check(network, 1, count=6, steps=3)
