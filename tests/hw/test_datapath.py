"""RTL against reference: every output element, and every cycle where no stream stalls."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from added_cells import added_cells
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from odd_cells import ODD_CELLS
from random_networks import (
    random_architecture,
    random_network,
    random_network_of,
    random_output,
    random_pe,
    random_sequences,
)

from gruhw.network.architecture import Architecture, Initial
from gruhw.network.bound import Network
from gruhw.network.cells import Cell
from gruhw.network.fixed import IntArray
from gruhw.network.genome import OUTPUTS, Output
from gruhw.network.graph import Graph
from gruhw.network.planning import schedule_of
from gruhw.network.reference import Reference, run_reference
from gruhw.network.schedule import Core
from gruhw.network.step import Step
from gruhw_hw.core import CoreUnit
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


class Probed(CoreUnit):
    """A core whose operators' results can be read in a simulation."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        self.results: dict[str, Signal] = {
            each.node.name: m.submodules[each.node.name].result for each in self.core.operators
        }
        return m


def results_of(accelerator: Accelerator) -> dict[str, Signal]:
    """The results of all operators, by the names of files; the cores are :class:`Probed`."""
    whole = accelerator.datapath
    units = [whole] if isinstance(whole, CoreUnit) else whole.units
    stages = {stage.name: stage for stage in accelerator.network.architecture.stages}
    found = {}
    for unit in units:
        assert isinstance(unit, Probed)
        for name, signal in unit.results.items():
            found[stages[unit.core.name].spell(name) if name != "head" else name] = signal
    return found


def input_elements(network: Network, inputs: IntArray, lengths: IntArray) -> list[Element]:
    size = network.architecture.inputs
    return [
        (int(value), int(step == length - 1 and index == size - 1))
        for sequence, length in zip(inputs, lengths, strict=True)
        for step in range(length)
        for index, value in enumerate(sequence[step])
    ]


def expected_elements(network: Network, found: Reference, lengths: IntArray) -> list[Element]:
    elements: list[Element] = []
    emits = network.layers[-1].stage.spell(network.layers[-1].graph.emits)
    for sequence, length in enumerate(lengths):
        if network.genome.output == "states":
            values = found.operators[emits][sequence, :length].ravel().tolist()
        else:
            given = found.logits[sequence], found.classes[sequence]
            if network.architecture.every_step:
                steps = list(zip(given[0][:length], given[1][:length], strict=True))
            else:
                steps = [given]
            values = []
            for logits, chosen in steps:
                values += logits.tolist()
                values += [int(chosen)] if network.genome.output == "class" else []
        elements += [(value, 0) for value in values[:-1]] + [(values[-1], 1)]
    return elements


def expected_cycles(accelerator: Accelerator, lengths: IntArray) -> list[int]:
    schedule = accelerator.schedule
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
        parts = results_of(accelerator) if by_cycle else {}
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
                negative = accelerator.output_type.signed and code >> (width - 1)
                value = code - (1 << width) if negative else code
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


@pytest.fixture(autouse=True, scope="module")
def odd_cells() -> Iterator[None]:
    """Random networks have them, too."""
    with added_cells(*ODD_CELLS):
        yield


@st.composite
def networks(draw: st.DrawFn) -> Network:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.sampled_from([None, ("gru",)]))
    architecture = random_architecture(rng, depth=1 if kinds else None, kinds=kinds, largest=7)
    low, high = draw(st.sampled_from([(1, 4), (2, 8), (1, 12)]))
    return random_network_of(
        rng,
        architecture,
        pe=random_pe(rng, architecture),
        output=random_output(rng),
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


STACKS: list[tuple[str, Initial, int | tuple[int, ...], Output]] = [
    ("ugrnn:3", "constant", 1, "class"),
    ("mgu:3", "zero", 2, "values"),
    ("lstm:3", "zero", 3, "states"),
    ("lstm:3", "constant", 2, "class"),
    ("dense:3:relu,gru:2", "zero", (1, 2), "states"),
    ("gru:2,dense:3:tanh", "constant", 2, "values"),
    ("mgu:3,ugrnn:2", "constant", (3, 1), "class"),
    ("dense:2,mgu:2,dense:2,dense:3:relu", "zero", 2, "class"),
    ("ugrnn:2,dense:2:relu,ugrnn:2", "constant", (1, 2, 1), "states"),
]
"""Layers, initial states, pe, output."""
LONG_STACKS = (3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize(
    ("layers", "initial", "pe", "output"),
    [
        pytest.param(*each, marks=pytest.mark.slow if index in LONG_STACKS else ())
        for index, each in enumerate(STACKS)
    ],
)
def test_cells_and_layers(layers: str, initial: Initial, pe: Any, output: Output) -> None:
    architecture = Architecture(inputs=3, layers=layers, outputs=3, initial=initial)
    network = random_network_of(
        np.random.default_rng(1), architecture, pe=pe, output=output, high=5
    )
    check(network, 2, count=3, steps=3, stalls=Stalls(4, gaps=0.5, back_pressure=0.5))


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("cell", [cell.name for cell in ODD_CELLS])
def test_cells_that_are_odd(cell: str, output: Output) -> None:
    architecture = Architecture(inputs=2, layers=f"{cell}:3", outputs=2, initial="constant")
    pe = 1 + OUTPUTS.index(output)
    network = random_network_of(
        np.random.default_rng(1), architecture, pe=pe, output=output, high=6
    )
    check(network, 2, count=3, steps=3, stalls=Stalls(4, gaps=0.3, back_pressure=0.3))


def own(inputs: int, units: int) -> Graph:
    """A cell of a user's, which has what none of gruhw's own has.

    Two states; a product of two signed results; a result, no gate, that two operators read; and a
    state that an addition reads.
    """
    step = Step(inputs, units)
    h, s = step.state("h", source="add_h"), step.state("s", source="add_s")
    a = step.add("a", step.linear("W_x"), step.linear("W_h", h))
    square = step.multiply("square", a, step.tanh("tanh_a", a))
    add_s = step.add("add_s", square, s)
    gate = step.sigmoid("gate", step.linear("W_s", s))
    mul_h = step.multiply("mul_h", gate, step.tanh("tanh_s", add_s))
    return step.graph(step.add("add_h", mul_h, a, rule="symmetric"))


@pytest.mark.parametrize("layers", ["own:3", pytest.param("own:2,own:3", marks=pytest.mark.slow)])
def test_a_cell_is_one_function(layers: str) -> None:
    with added_cells(Cell("own", own, source="this test")):
        architecture = Architecture(inputs=2, layers=layers, outputs=3, initial="constant")
        network = random_network_of(np.random.default_rng(1), architecture, high=6)
        check(network, 2, count=3, steps=4, stalls=Stalls(4, gaps=0.5, back_pressure=0.5))


CORNERS = {
    "one of everything": {"inputs": 1, "hidden": 1, "classes": 2},
    "more inputs than units": {"inputs": 8, "hidden": 3, "classes": 2},
    "more classes than units": {"inputs": 2, "hidden": 2, "classes": 7, "pe": 2},
    "incomplete last group": {"inputs": 3, "hidden": 5, "classes": 3, "pe": 3},
    "all units at once": {"inputs": 4, "hidden": 6, "classes": 5, "pe": 6},
    "1 bit": {"inputs": 3, "hidden": 4, "classes": 3, "low": 1, "high": 1},
    "12 bits": {"inputs": 3, "hidden": 4, "classes": 3, "low": 12, "high": 12},
}
SHORT_CORNERS = ("one of everything", "1 bit")


@pytest.mark.parametrize("output", ["class", "states"])
@pytest.mark.parametrize(
    "corner",
    [pytest.param(c, marks=() if c in SHORT_CORNERS else pytest.mark.slow) for c in CORNERS],
)
def test_corners(corner: str, output: Output) -> None:
    network = random_network(np.random.default_rng(1), output=output, **CORNERS[corner])
    check(network, 2, count=3, steps=2, stalls=Stalls(4, gaps=0.5, back_pressure=0.5))


@pytest.mark.slow
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


@pytest.mark.parametrize(("low", "high"), [(2, 4), pytest.param(5, 8, marks=pytest.mark.slow)])
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
    assert schedule_of(network).first.serial_products
    check(network, 2, count=1, steps=2)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("layers", ["lstm:2", "mgu:2", "leaky:2", "late:2", "dense:30,ugrnn:2"])
def test_serial_products_of_other_cells(layers: str) -> None:
    architecture = Architecture(inputs=50, layers=layers, outputs=2, initial="constant")
    network = random_network_of(np.random.default_rng(1), architecture, high=4)
    assert all(core.serial_products for core in schedule_of(network).cores)
    check(network, 2, count=2, steps=3)


def cycles_of(network: Network, core: Core, length: int) -> dict[tuple[str, int, int], int]:
    """When each result of a core stands in its register: operator, step and unit."""
    stages = {stage.name: stage for stage in network.architecture.stages}
    found = {
        (stages[core.name].spell(node.name), step, unit): core.cycle(node.name, step, unit)
        for node in core.typed.graph.operators
        for step in range(0 if core.every_step else length - 1, length)
        for unit in range(core.step.units)
    }
    if core.outputs:
        start = core.first_term + length * core.step_interval + core.slots["head"].ready
        for unit in range(core.outputs.units):
            found["head", length - 1, unit] = start + core.outputs.unit_cycle(unit)
    return found


OPERATORS: list[tuple[int, str, int | tuple[int, ...], Output]] = [
    *(
        (*shape, output)
        for output in ("class", "states")
        for shape in ((5, "gru:4", 1), (2, "gru:5", 3), (3, "gru:4", 4), (35, "gru:3", 1))
    ),
    (2, "dense:3:relu,mgu:2", (3, 1), "class"),
    (3, "ugrnn:2,dense:2:tanh", 1, "class"),
    (2, "late:3", 1, "class"),
    (3, "lstm:3", 2, "values"),
]
"""Inputs, layers, pe, output."""
SHORT_OPERATORS = ((3, "gru:4"), (3, "ugrnn:2,dense:2:tanh"), (2, "late:3"))


@pytest.mark.parametrize(
    ("inputs", "layers", "pe", "output"),
    [
        pytest.param(*each, marks=() if each[:2] in SHORT_OPERATORS else pytest.mark.slow)
        for each in OPERATORS
    ],
)
def test_every_operator_in_its_cycle(
    inputs: int, layers: str, pe: Any, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gruhw_hw.datapath.CoreUnit", Probed)
    architecture = Architecture(inputs=inputs, layers=layers, outputs=3)
    network = random_network_of(np.random.default_rng(5), architecture, pe=pe, output=output)
    codes, lengths = random_sequences(np.random.default_rng(6), network, 2, 3)
    codes, lengths = codes[1:], lengths[1:]
    accelerator = Accelerator(network)
    reference = run_reference(network, codes, lengths)
    length = int(lengths[0])
    due = {
        key: cycle
        for core in accelerator.schedule.cores
        for key, cycle in cycles_of(network, core, length).items()
    }
    # The head's are beside the others, and there only where hardware computes them.
    values = {**reference.operators, "head": np.repeat(reference.logits[:, None], length, axis=1)}
    assert {name for name, _, _ in due} == values.keys() - ({"head"} if output == "states" else ())
    expected = {
        (name, due[name, step, unit]): int(values[name][0, step, unit]) for name, step, unit in due
    }
    count = len(expected_elements(network, reference, lengths))
    elements = input_elements(network, codes, lengths)
    found = Simulation(accelerator).run(elements, count, Stalls(), frozenset(expected))
    assert found.probes == expected
    stepping = accelerator.schedule.stepping
    last, emits = stepping.step.units - 1, stepping.typed.graph.emits
    assert reference.cycles[0].tolist() == [stepping.cycle(emits, s, last) for s in range(length)]


def test_largest_logit_that_comes_first_wins() -> None:
    network = random_network(
        np.random.default_rng(3), inputs=2, hidden=2, classes=6, pe=2, low=1, high=1
    )
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 6, 3)
    logits = run_reference(network, inputs, lengths).logits
    assert ((logits == logits.max(1, keepdims=True)).sum(1) > 1).any()
    check(network, 1, count=6, steps=3)
