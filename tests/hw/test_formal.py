"""Proofs succeed on what is right and fail on what is not; definitions are the reference's."""

from types import ModuleType

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from broken_module import broken, use_instead
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network

from gruhw.fixed import Fixed, requantise
from gruhw.genome import Output
from gruhw.graph import Table
from gruhw.model import Network
from gruhw_hw import arithmetic, linear, operators, pipeline, registers, sequencer, streams
from gruhw_hw.formal import definitions, prove_network
from gruhw_hw.formal import operators as operator_claims
from gruhw_hw.formal import streams as stream_claims
from gruhw_hw.formal.solver import Outcome, Property, problem, prove
from gruhw_hw.formal.tables import check_table

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl._ir.UnusedElaboratable")


def network(seed: int = 0, hidden: int = 25, pe: int = 1, **options: int | Output) -> Network:
    """A small network; with more than 24 hidden units and one lane, its products are serial."""
    rng = np.random.default_rng(seed)
    sizes = {"inputs": 3, "hidden": hidden, "classes": 3}
    return random_network(rng, pe=pe, **(sizes | {"low": 2, "high": 5} | options))  # type: ignore[arg-type]


def claims(of: Network) -> list[Property]:
    return [*operator_claims.operator_properties(of), *stream_claims.stream_properties(of)]


def proved(of: Network, name: str, claim: str) -> Outcome:
    """The outcome of the one claim of this name that contains these words."""
    chosen = [found for found in claims(of) if found.name == name and claim in found.claim]
    assert len(chosen) == 1
    return prove(problem(chosen[0]))


@pytest.mark.parametrize(
    ("seed", "hidden", "pe", "inputs", "output", "low", "high"),
    [
        pytest.param(1, 25, 1, 3, "class", 2, 5, marks=pytest.mark.slow),
        pytest.param(2, 5, 2, 9, "class", 1, 6, marks=pytest.mark.slow),
        pytest.param(3, 3, 3, 1, "states", 2, 4, marks=pytest.mark.slow),
        pytest.param(4, 13, 5, 4, "states", 1, 1, marks=pytest.mark.slow),
        (5, 1, 1, 1, "class", 1, 2),
    ],
)
def test_every_claim_is_proved(
    seed: int, hidden: int, pe: int, inputs: int, output: Output, low: int, high: int
) -> None:
    of = network(seed, hidden, pe, inputs=inputs, output=output, low=low, high=high)
    proof = prove_network(of)
    assert [f"{found.name}: {found.claim}: {found.failure}" for found in proof.failures] == []
    names = {found.name for found in proof.outcomes}
    assert {node.name for node in of.graph.operators} <= names
    assert proof.to_json()["proved"]


NO_ROUNDING = (arithmetic, "value + constant if constant else value", "value")
SERIAL, PARALLEL = {"hidden": 25, "pe": 1}, {"hidden": 9, "pe": 2}

FAULTS = [
    (operators, "left + right, finest", "left - right, finest", SERIAL, "add_r", "the sum"),
    (registers, "with m.If(component.enable):", "with m.If(1):", SERIAL, "add_n", "the sum"),
    (operators, "(1 << kind.frac) - self", "(1 << kind.frac) + self", SERIAL, "sub_z", "one minus"),
    (operators, "total >> 1", "total >> 2", SERIAL, "mul_rh", "the product"),
    (operators, "Mux(self.clear, 0, left)", "left", SERIAL, "mul_zh", "the product"),
    (operators, "m.d.sync += product.eq(0)", "m.d.comb += []", PARALLEL, "mul_zh", "the product"),
    (operators, "table_values(node).tolist()", "table_values(node).tolist()[::-1]",
     SERIAL, "tanh_n", "as tabulated"),
    (linear, "codes[group, :, term]", "codes[group, :, term - 1]", PARALLEL, "W_hn", "reads"),
    (linear, "m.d.sync += [product.eq(0), carry.eq(0)]", "m.d.sync += product.eq(0)",
     PARALLEL, "W_hr", "multiplies"),
    (linear, "m.d.sync += accumulator.eq(self.start)", "m.d.sync += accumulator.eq(0)",
     SERIAL, "W_in", "adds products"),
    (linear, "copy.eq(following)", "copy.eq(copy)", PARALLEL, "W_in", "adds products"),
    (linear, "self.start + total for", "total // 2 for", SERIAL, "W_in", "adds products"),
    (linear, "total + bias.data", "total - bias.data", SERIAL, "W_in", "adds the bias"),
    (streams, "index == self._size - 1", "index == self._size", SERIAL, "input", "every element"),
    (streams, "self.full.eq(Mux(read_bank", "self.full.eq(Mux(write_bank",
     SERIAL, "input", "every element"),
    (streams, "Cat(index[:bank_bits], write_bank)", "Cat(index[:bank_bits], read_bank)",
     SERIAL, "input", "every element"),
    (streams, "reserved + self.places <= self._depth", "reserved <= self._depth",
     SERIAL, "output", "elements leave"),
    (streams, "reserved + self.places - popped", "reserved + self.places",
     SERIAL, "output", "elements leave"),
    (streams, "fifo.r_en.eq(self.source.ready)", "fifo.r_en.eq(1)",
     SERIAL, "output", "elements leave"),
    (sequencer, "~active & waited & ready", "~active & ready", {"hidden": 9, "pe": 9},
     "sequencer", "terms come"),
    (sequencer, "self.bank.eq(~self.bank)", "self.bank.eq(self.bank)",
     SERIAL, "sequencer", "terms come"),
    (sequencer, "self.slot == of_phase(lambda phase: phase.terms - 1)", "self.slot == 1",
     SERIAL, "sequencer", "terms come"),
    (pipeline, "unit == phase.units - 1", "unit == phase.units", SERIAL, "step", "each group"),
    (pipeline, "lane < phase.last_lanes else beyond", "True else beyond",
     PARALLEL, "step", "each group"),
    (pipeline, "signal, last = self._held[key], last + interval", "last += interval",
     PARALLEL, "step", "each group"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "find", "replacement", "sizes", "name", "claim"),
    FAULTS,
    ids=[f"{fault[4]}-{fault[2]}" for fault in FAULTS],
)
def test_a_fault_is_found(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    find: str,
    replacement: str,
    sizes: dict[str, int],
    name: str,
    claim: str,
) -> None:
    of = network(7, **sizes)
    assert proved(of, name, claim).proved
    faulty = broken(module, find, replacement)
    for user in (operators, operator_claims, stream_claims):
        use_instead(monkeypatch, user, faulty)
    found = proved(of, name, claim)
    assert not found.proved
    assert found.counterexample.startswith("Time Signal Name")


@pytest.mark.parametrize("serial", [False, True])
def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch, serial: bool) -> None:
    if serial:
        faulty = broken(operator_claims, "left << place", "left << (place // 2)")
        lemma = faulty.long_multiplication_property
    else:
        wrong = broken(arithmetic, "twice & is_two", "once & is_two")
        monkeypatch.setattr(definitions, "booth_product", wrong.booth_product)
        lemma = operator_claims.booth_property
    found = prove(problem(lemma("product", Fixed(6, 3), Fixed(6, 2))))
    assert found.failure.startswith("does not hold, with case ")


def test_rounding_is_part_of_the_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    of = network(7)
    inexact = next(
        node.name
        for node in of.graph.operators
        if node.name.startswith("add_")
        and max(of.graph[name].type.frac for name in node.operands) > node.type.frac
    )
    wrong = broken(*NO_ROUNDING)
    monkeypatch.setattr(operators, "requantise", wrong.requantise)
    assert proved(of, inexact, "the sum").failure == "does not hold"


@given(
    value=st.integers(-(1 << 20), (1 << 20) - 1),
    from_frac=st.integers(-8, 12),
    to=st.builds(Fixed, st.integers(1, 12), st.integers(-8, 12), st.booleans()),
)
@settings(max_examples=examples(200))
def test_the_definition_is_the_references(value: int, from_frac: int, to: Fixed) -> None:
    m = Module()
    source, result = Signal(signed(21)), Signal(signed(14))
    m.d.comb += result.eq(definitions.requantised(source, from_frac, to))
    found = []

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth has no types
        ctx.set(source, value)
        found.append(ctx.get(result))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [int(requantise(np.array(value), from_frac, to))]


def test_a_wrong_entry_of_a_table_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network().graph
    assert all(check_table(table, graph).proved for table in graph.tables)
    right = Table.values

    def wrong(table: Table, operand: Fixed) -> np.ndarray:
        return right(table, operand) + (operand.codes() == -1)

    monkeypatch.setattr(Table, "values", wrong)
    failures = [check_table(table, graph).failure for table in graph.tables]
    assert all(failure.startswith("entry of code -1 must be ") for failure in failures)
