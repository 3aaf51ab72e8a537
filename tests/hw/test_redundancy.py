"""What surrounds an operator: faults that nothing there shows, and that hardware keeps to it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator
from own_cells import TWO_STATES, installed_cell
from random_networks import random_network_of, random_sequences

from gruhw.network.architecture import Architecture, Initial
from gruhw.network.bound import Network
from gruhw.network.graph import Linear, Table
from gruhw_hw import core
from gruhw_hw.datapath import datapath
from gruhw_hw.formal import surroundings
from gruhw_hw.formal.reach import possible_operands
from gruhw_hw.formal.redundancy import redundant
from gruhw_hw.operators import Elementwise
from gruhw_hw.placed import Placed, placed_operators
from gruhw_hw.synthesis.mutation import ContentFault, Fault
from gruhw_hw.top import TOP, generate_verilog

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl._ir.UnusedElaboratable")


def network_of(
    seed: int, *layers: str, initial: Initial = "zero", pe: int | tuple[int, ...] = 1
) -> Network:
    architecture = Architecture(inputs=3, layers=layers, outputs=2, initial=initial)
    rng = np.random.default_rng(seed)
    return random_network_of(rng, architecture, low=3, high=5, pe=pe)


@cache
def stacked() -> tuple[Network, str]:
    """A network of two layers, and its Verilog."""
    network = network_of(7, "lstm:2", "gru:3")
    return network, generate_verilog(network).verilog


def verdict(fault: Fault) -> str:
    network, verilog = stacked()
    return redundant(verilog, TOP, fault, network)


def entries(core_name: str) -> tuple[str, int, int]:
    """A table of a core: its module, the code of an entry that is read, and one that is not."""
    network, _ = stacked()
    possible = possible_operands(network)
    for placed in placed_operators(network):
        if isinstance(placed.node, Table) and placed.core.name == core_name:
            (kind,) = placed.scheduled.operands
            mask = (1 << kind.bits) - 1
            used = sorted({code & mask for code in possible[placed.name][:, 0].tolist()})
            unused = sorted({*range(mask + 1)}.difference(used))
            if unused:
                return f"{TOP}.datapath.{placed.path}", used[0], unused[0]
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize("core_name", ["l0", pytest.param("l1", marks=pytest.mark.nightly)])
def test_entries_that_no_operand_reads_are_recognised_in_every_core(core_name: str) -> None:
    module, used, unused = entries(core_name)
    assert module.startswith(f"{TOP}.datapath.{core_name}.")
    assert verdict(ContentFault(module, "table", unused, 0)) == "surroundings"
    if core_name == "l1":
        assert verdict(ContentFault(module, "table", used, 0)) == ""


@pytest.mark.slow
def test_weights_beyond_the_input_are_recognised_in_every_core() -> None:
    # Three elements come in words for four, of which three terms are addressed.
    network = network_of(7, "gru:4", "lstm:5")
    verilog = generate_verilog(network).verilog
    fault = ContentFault(f"{TOP}.datapath.l0.W_ir", "weights", 3, 0)
    assert redundant(verilog, TOP, fault, network) == "surroundings"


@pytest.fixture(params=["two_states", "lstm", "gru", "mgu"])
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "two_states":
        with installed_cell(tmp_path, "two_states", TWO_STATES) as name:
            yield name
    else:
        yield request.param


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("initial", [pytest.param("zero", marks=pytest.mark.nightly), "constant"])
@pytest.mark.parametrize(
    ("units", "pe"), [(3, 1), (3, 3), pytest.param(25, 1, marks=pytest.mark.nightly)]
)
def test_operators_are_offered_what_is_possible_and_for_as_long_as_is_said(
    cell: str, initial: Initial, units: int, pe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(units, f"{cell}:{units}", initial=initial, pe=pe)
    possible, parts = possible_operands(network), dict[str, Elementwise]()
    build = core.component

    def noting(node, *others):  # type: ignore[no-untyped-def]  # as that one is
        part = build(node, *others)
        if isinstance(part, Elementwise):
            parts[node.name] = part
        return part

    monkeypatch.setattr(core, "component", noting)
    hardware = datapath(network)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 4, 4)
    vectors = [
        (int(value), last)
        for codes, length in zip(inputs, lengths, strict=True)
        for step, vector in enumerate(codes[:length])
        for value, last in zip(vector, [0, 0, int(step == length - 1)], strict=True)
    ]
    cycles: list[dict[str, tuple[int, tuple[int, ...]]]] = []

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth has no types
        ctx.set(hardware.source.ready, 1)
        waiting = [*vectors]
        while len(cycles) < 3000 and (waiting or len(cycles) < LEAST):
            ctx.set(hardware.sink.valid, bool(waiting))
            if waiting:
                data, last = waiting[0]
                ctx.set(hardware.sink.payload.data, data)
                ctx.set(hardware.sink.payload.last, last)
                if ctx.get(hardware.sink.ready):
                    waiting.pop(0)
            cycles.append(
                {
                    name: (ctx.get(part.enable), tuple(map(ctx.get, part.operands)))
                    for name, part in parts.items()
                }
            )
            await ctx.tick()

    simulator = Simulator(hardware)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    for placed in placed_operators(network):
        if not isinstance(placed.node, Linear):
            check(placed, possible[placed.name], [found[placed.node.name] for found in cycles])


LEAST = 400
"""Cycles that are looked at, at least."""


def check(placed: Placed, possible: np.ndarray, cycles: list[tuple[int, tuple[int, ...]]]) -> None:
    """Compare an operator's operands with those that surroundings let it have."""
    slot = placed.scheduled.slot
    allowed = set(map(tuple, surroundings._offered(placed.scheduled, possible).tolist()))
    holds = [surroundings._holds(name, placed) for name in placed.node.operands]
    seen = 0
    for cycle, (enabled, _) in enumerate(cycles):
        if enabled:
            start = cycle - (slot.ready - 1 - slot.read)
            _, offered = cycles[start]
            assert offered in allowed, placed.name
            for column, length in enumerate(holds):
                for _, later in cycles[start : start + length]:
                    assert later[column] == offered[column], placed.name
            seen += 1
    assert seen > 10
