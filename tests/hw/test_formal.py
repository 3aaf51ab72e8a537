"""Proofs succeed on what is right and fail on what is not; definitions are the reference's."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.sim import Simulator
from broken_module import broken, use_instead
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from own_cells import TWO_STATES, installed_cell
from random_networks import (
    random_architecture,
    random_network,
    random_network_of,
    random_output,
    random_pe,
)

from gruhw.network.architecture import Architecture, Initial
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray, requantise
from gruhw.network.genome import Output
from gruhw.network.graph import Multiply, Table
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Core
from gruhw.network.typed import Typed
from gruhw_hw import (
    arithmetic,
    core,
    datapath,
    linear,
    linear_plan,
    operators,
    pipeline,
    registers,
    sequencer,
    streams,
)
from gruhw_hw.formal import (
    control,
    definitions,
    pipelining,
    places,
    prove_network,
    sequencing,
)
from gruhw_hw.formal import operators as operator_claims
from gruhw_hw.formal import streams as stream_claims
from gruhw_hw.formal.solver import Outcome, Property, problem, prove
from gruhw_hw.formal.tables import check_table
from gruhw_hw.placed import placed_operators

pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl._ir.UnusedElaboratable")

USERS = (
    control, core, datapath, linear, operator_claims, operators, pipelining, places,
    sequencing, stream_claims,
)  # fmt: skip
"""The modules that use those which are broken here."""


def network(seed: int = 0, hidden: int = 25, pe: int = 1, **options: int | Output) -> Network:
    """A small network; with more than 24 hidden units and one lane, its products are serial."""
    rng = np.random.default_rng(seed)
    sizes = {"inputs": 3, "hidden": hidden, "classes": 3}
    return random_network(rng, pe=pe, **(sizes | {"low": 2, "high": 5} | options))  # type: ignore[arg-type]


def network_of(
    seed: int,
    *layers: str,
    inputs: int = 3,
    outputs: int = 3,
    initial: Initial = "zero",
    every_step: bool = False,
    **options: Any,
) -> Network:
    """A small network of these layers."""
    rng = np.random.default_rng(seed)
    architecture = Architecture(
        inputs=inputs, layers=layers, outputs=outputs, initial=initial, every_step=every_step
    )
    return random_network_of(rng, architecture, **({"low": 2, "high": 4} | options))


def claims(of: Network) -> list[Property]:
    return [*operator_claims.operator_properties(of), *control.control_properties(of)]


def proved(of: Network, name: str, claim: str) -> Outcome:
    """The outcome of the one claim of this name that contains these words."""
    chosen = [found for found in claims(of) if found.name == name and claim in found.claim]
    assert len(chosen) == 1
    return prove(problem(chosen[0]))


def check(of: Network) -> None:
    """Prove all claims; and there are some of every operator, core and joint."""
    proof = prove_network(of)
    assert [f"{found.name}: {found.claim}: {found.failure}" for found in proof.failures] == []
    names = {found.name for found in proof.outcomes}
    assert {placed.name for placed in placed_operators(of)} <= names
    cores = schedule_of(of).cores
    for prefix in ("",) if len(cores) == 1 else (f"{each.name}." for each in cores):
        parts = ("input", "output", "sequencer", "step", "places", "progress")
        assert {f"{prefix}{part}" for part in parts} <= names
    assert ("joints" in names) == (len(cores) > 1)
    assert proof.to_json()["proved"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "hidden", "pe", "inputs", "output", "low", "high"),
    [
        (1, 25, 1, 3, "class", 2, 5),
        pytest.param(2, 5, 2, 9, "class", 1, 6, marks=pytest.mark.nightly),
        (3, 3, 3, 1, "states", 2, 4),
        pytest.param(4, 13, 5, 4, "states", 1, 1, marks=pytest.mark.nightly),
        (5, 1, 1, 1, "class", 1, 2),
        pytest.param(6, 2, 2, 2, "values", 2, 4, marks=pytest.mark.nightly),
    ],
)
def test_every_claim_is_proved(
    seed: int, hidden: int, pe: int, inputs: int, output: Output, low: int, high: int
) -> None:
    check(network(seed, hidden, pe, inputs=inputs, output=output, low=low, high=high))


NETWORKS: dict[str, dict[str, Any]] = {
    "lstm": {"layers": ("lstm:4",), "pe": 2, "output": "values", "initial": "constant"},
    "ugrnn": {"layers": ("ugrnn:3",), "pe": 2, "output": "states", "initial": "constant"},
    "two layers": {"layers": ("gru:3", "lstm:2"), "pe": (2, 1), "outputs": 1, "output": "values"},
    "dense layers": {
        "layers": ("dense:2:relu", "mgu:3", "dense:2:tanh"), "pe": 2, "output": "class",
    },
    "every step": {"layers": ("gru:8",), "pe": 3, "outputs": 2, "every_step": True},
    "carried": {"layers": ("gru:8",), "outputs": 2, "every_step": True, "initial": "carry"},
    "carried, two layers": {"layers": ("lstm:2", "ugrnn:3"), "pe": (1, 2), "initial": "carry"},
    "every step, a core of its own": {"layers": ("ugrnn:3",), "pe": (2,), "every_step": True},
    "every step, values": {
        "layers": ("mgu:9",), "pe": 3, "outputs": 2, "output": "values", "every_step": True,
    },
    "every step, dense layers": {
        "layers": ("mgu:2", "dense:3"), "output": "values", "every_step": True,
    },
    "dense layers, states": {
        "layers": ("mgu:2", "dense:3"), "pe": (1, 3), "output": "states", "initial": "constant",
    },
    "index right behind logits": {
        "layers": ("gru:2", "dense:1"), "inputs": 2, "outputs": 20, "pe": (2, 1),
    },
}  # fmt: skip


ENOUGH = ("two layers", "dense layers, states", "index right behind logits", "every step")
"""One of each kind; the others are for the night."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [n if n in ENOUGH else pytest.param(n, marks=pytest.mark.nightly) for n in NETWORKS],
)
def test_every_claim_is_proved_of_other_networks(kind: str) -> None:
    options = dict(NETWORKS[kind])
    check(network_of(len(kind), *options.pop("layers"), **options))


@pytest.fixture
def own_cell(tmp_path: Path) -> Iterator[str]:
    with installed_cell(tmp_path, "two_states", TWO_STATES) as cell:
        yield cell


@pytest.mark.slow
@pytest.mark.parametrize("initial", [pytest.param("zero", marks=pytest.mark.nightly), "constant"])
def test_every_claim_is_proved_of_a_cell_of_ones_own(own_cell: str, initial: Initial) -> None:
    of = network_of(3, f"{own_cell}:2", pe=2, initial=initial, outputs=2)
    (bound,) = of.layers
    node = bound.graph["mul_a"]
    assert isinstance(node, Multiply)
    assert bound.typed[node.left].signed
    assert bound.typed[node.right].signed
    check(of)


@pytest.mark.nightly
@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(1))
def test_every_claim_is_proved_of_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=5)
    options: dict[str, Any] = {"output": random_output(rng), "pe": random_pe(rng, architecture)}
    check(random_network_of(rng, architecture, low=1, high=4, **options))


NO_ROUNDING = (arithmetic, "value + constant if constant else value", "value")
SERIAL, PARALLEL = {"hidden": 25, "pe": 1}, {"hidden": 9, "pe": 2}
RIDING = {"hidden": 8, "pe": 1, "classes": 2, "every_step": True}
"""With a head that computes on the layer's core after every step."""

FAULTS = [
    (operators, "left + right, finest", "left - right, finest", SERIAL, "add_r", "the sum"),
    (registers, "with m.If(component.enable):", "with m.If(1):", SERIAL, "add_n", "the sum"),
    (operators, "(1 << kind.frac) - self", "(1 << kind.frac) + self", SERIAL, "sub_z", "one minus"),
    (operators, "total >> 1", "total >> 2", SERIAL, "mul_rh", "the product"),
    (operators, "Mux(self.clear, 0, left)", "left", SERIAL, "mul_zh", "the product"),
    (operators, "m.d.sync += product.eq(0)", "m.d.comb += []", PARALLEL, "mul_zh", "the product"),
    (operators, "operand, result).tolist()", "operand, result).tolist()[::-1]",
     SERIAL, "tanh_n", "as tabulated"),
    (linear_plan, "lanes.transpose(0, 2, 1)", "lanes.transpose(0, 2, 1)[:, ::-1]",
     PARALLEL, "W_hn", "reads"),
    (linear, "m.d.sync += [product.eq(0), carry.eq(0)]", "m.d.sync += product.eq(0)",
     PARALLEL, "W_hr", "multiplies"),
    (linear, "m.d.sync += accumulator.eq(plan.start)", "m.d.sync += accumulator.eq(0)",
     SERIAL, "W_in", "adds products"),
    (linear, "copy.eq(following)", "copy.eq(copy)", PARALLEL, "W_in", "adds products"),
    (linear_plan, "self.start + end for", "end // 2 for", SERIAL, "W_in", "adds products"),
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
    (core, "output.push.eq(known | class_known)", "output.push.eq(known)",
     PARALLEL, "places", "each reserved"),
    (core, "sequencer.last_group, last_outputs, outputs", "sequencer.last_group, outputs, outputs",
     PARALLEL | {"classes": 4}, "places", "each reserved"),
    (core, "_only_where(ends, class_known)", "known", PARALLEL, "places", "each reserved"),
    (core, "return signal if flag is None else signal & flag", "return signal", RIDING,
     "places", "each reserved"),
    (core, 'sequencer.ended, "last_step"', 'sequencer.bank, "last_step"',
     RIDING, "places", "each reserved"),
    (sequencer, "(head is None or at_end) and", "1 and", RIDING, "sequencer", "terms come"),
    (sequencer, "at_end or self._core.carries", "at_end", RIDING | {"initial": "carry"},
     "sequencer", "terms come"),
    (sequencer, "and not self._core.carries", "and 1", SERIAL | {"initial": "carry"},
     "sequencer", "terms come"),
    (sequencer, "int(head is not None)", "self.vector_last", RIDING, "sequencer", "terms come"),
    (core, "last = last & of_last_step", "last = of_last_step", {"hidden": 4, "output": "states"},
     "places", "each reserved"),
    (core, "last = last & of_last_step", "pass", {"hidden": 4, "output": "states"},
     "places", "each reserved"),
]  # fmt: skip
FAST_CLAIMS = ("add_r", "mul_zh", "W_hn", "output")


@pytest.mark.parametrize(
    ("module", "find", "replacement", "sizes", "name", "claim"),
    [
        pytest.param(
            *fault,
            id=f"{fault[4]}-{fault[2]}",
            marks=() if fault[4] in FAST_CLAIMS else pytest.mark.slow,
        )
        for fault in FAULTS
    ],
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
    break_it(monkeypatch, module, find, replacement)
    found = proved(of, name, claim)
    assert not found.proved
    assert found.counterexample.startswith("Time Signal Name")


def break_it(patch: pytest.MonkeyPatch, module: ModuleType, find: str, replacement: str) -> None:
    """Let all that use a module use one in whose source something is replaced."""
    faulty = broken(module, find, replacement)
    for user in USERS:
        use_instead(patch, user, faulty)


CONNECT = "wiring.connect(m, before, unit.sink)"

ONLY_LAST = ("gru:2", "dense:3")
"""The first of these layers emits only the last step of a sequence."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "find", "replacement", "name"),
    [
        (core, "push = push & of_last_step", "pass", "l0.places"),
        (sequencer, "emits = self.vector_last", "emits = 1", "l0.sequencer"),
        (sequencer, "self.output_available | ~self.vector_last", "1", "l0.places"),
        (datapath, CONNECT, f"{CONNECT}\n            m.d.comb += before.ready.eq(1)", "joints"),
        (datapath, CONNECT, f"{CONNECT}\n            m.d.comb += unit.sink.p.last.eq(0)", "joints"),
    ],
)  # fmt: skip
def test_a_fault_between_cores_is_found(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, find: str, replacement: str, name: str
) -> None:
    of = network_of(7, *ONLY_LAST, inputs=2)
    assert proved(of, name, "").proved
    break_it(monkeypatch, module, find, replacement)
    assert not proved(of, name, "").proved


PARTS = ("input", "output", "sequencer", "step", "head")
"""What has claims of its own, which do not speak of the core as a whole."""

DEADLOCKS = {
    "its sequencer never starts": (
        core, "sequencer.vector_full.eq(vectors.full)",
        "sequencer.vector_full.eq(vectors.full & output.source.valid)",
    ),
    "it fills fewer places than it reserves": (
        core, "output.push.eq(known | class_known)", "output.push.eq(known)",
    ),
}  # fmt: skip
"""Cores that stop for ever, though all their parts do what is claimed of them."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEADLOCKS)
def test_a_deadlock_is_not_proved(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    of = network(7, hidden=4, pe=2)
    assert proved(of, "progress", "").proved
    break_it(monkeypatch, *DEADLOCKS[kind])
    found = {
        claim.name: prove(problem(claim))
        for claim in control.control_properties(of)
        if claim.name in (*PARTS, "progress")
    }
    assert [name for name in PARTS if not found[name].proved] == []
    assert not found["progress"].proved


@pytest.mark.slow
def test_a_buffer_that_no_group_fits_into_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    of = network(7, hidden=4, pe=2)
    monkeypatch.setattr(Core, "output_depth", 2)  # three classes, on two lanes, and the index
    found = {
        claim.name: prove(problem(claim))
        for claim in control.control_properties(of)
        if claim.name in (*PARTS, "progress")
    }
    assert [name for name in PARTS if not found[name].proved] == []
    assert not found["progress"].proved


@pytest.mark.slow
def test_a_group_that_never_ends_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(monkeypatch, sequencer, "m.d.sync += [active.eq(0), self.slot.eq(0)]",
             "m.d.sync += self.slot.eq(0)")  # fmt: skip
    assert not proved(network(7, hidden=4, pe=2), "progress", "").proved


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
    (bound,) = of.layers
    inexact = next(
        node.name
        for node in bound.graph.operators
        if node.name.startswith("add_")
        and max(bound.typed[name].frac for name in node.operands) > bound.typed[node.name].frac
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
    of = network_of(3, "lstm:2", "gru:2")
    tables = [(table, bound) for bound in of.stages for table in bound.graph.tables]
    assert [check_table(*each).name for each in tables] == [
        "l0.sig_i", "l0.sig_f", "l0.tanh_g", "l0.sig_o", "l0.tanh_c",
        "l1.sig_r", "l1.sig_z", "l1.tanh_n",
    ]  # fmt: skip
    assert all(check_table(*each).proved for each in tables)
    right = Typed.table_values

    def wrong(typed: Typed, table: Table) -> IntArray:
        return right(typed, table) + (typed[table.operand].codes() == -1)

    monkeypatch.setattr(Typed, "table_values", wrong)
    failures = [check_table(*each).failure for each in tables]
    assert all(failure.startswith("entry of code -1 must be ") for failure in failures)
