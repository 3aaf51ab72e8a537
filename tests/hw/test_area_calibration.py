"""Calibration of the area model: what synthesis finds, prices fitted from it, and their files."""

import gc
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from gruhw.errors import InputError, ToolError
from gruhw.fixed import Fixed
from gruhw.genome import SEARCHED_BITS
from gruhw.graph import Add, Graph, Input, Linear, Table
from gruhw.schedule import Phase
from gruhw_hw.area import AreaModel, Measures
from gruhw_hw.area.calibrate import synthesise_batch
from gruhw_hw.area.calibration import (
    MODELLED,
    find_calibration,
    format_calibration,
    parse_calibration,
)
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.memory import USUAL_RANGES, TableRom
from gruhw_hw.area.parts import Batch, Part, batches
from gruhw_hw.area.samples import random_network, with_other_output
from gruhw_hw.area.terms import Needs, adder_needs, linear_needs
from gruhw_hw.linear import LinearUnit
from gruhw_hw.operators import Adder, Lookup
from gruhw_hw.synthesis import TARGETS, YosysRun

pytestmark = pytest.mark.usefixtures("pinned_library")

VERSIONS = {"yosys": "1.0", "pyosys": "1.0"}


@pytest.fixture
def cache(fresh_cache: Path) -> Path:
    return fresh_cache / "gruhw"


@pytest.fixture
def components_only() -> Iterator[None]:
    """For tests that make no Verilog of components, of which Amaranth warns when they vanish."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        yield
        gc.collect()


@pytest.fixture
def other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools of a version for which no calibration is shipped."""
    monkeypatch.setattr("gruhw_hw.area.calibration.tool_versions", lambda: VERSIONS)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("used", [[0, 1, 2], [0, 1], [1], []])
def test_lanes_without_weights_compute_nothing(used: Sequence[int]) -> None:
    operand, lanes = Fixed(4, 0), 3
    weights = np.zeros((lanes, 5), dtype=np.int64)
    weights[list(used)] = [-4, 3, 1, -2, 2]
    source = Input(name="x", type=operand, size=5)
    node = Linear(name="linear", type=Fixed(5, 0), weight=Fixed(3, 0), operand="x",
                  accumulator=Fixed(9, 0), inputs=5, outputs=lanes)  # fmt: skip
    graph, phase = Graph((source,), node), Phase(lanes, 5, lanes)
    biases = np.zeros(lanes, dtype=np.int64)
    unit = LinearUnit(node, graph, weights, biases, phase)
    taken = linear_needs(node, operand, weights, biases, phase)
    (sample,) = synthesise_batch(
        Batch({"unit": Part(unit, Measures((taken,)))}), TARGETS["ice40"], None
    )
    estimate = AreaModel.load("ice40").amounts([Measures((taken,))])[0]
    for amount in ("luts", "flip_flops"):
        found = sample.amounts[amount]
        assert estimate[AMOUNTS.index(amount)] == pytest.approx(found, abs=10, rel=0.05)


def tables(*names: str, bits: int = 3) -> Batch:
    """Small tables that are equal, by name."""
    source = Input(name="x", type=Fixed(3, 1), size=1)
    node = Table(name="t", type=Fixed(bits, bits, False), operand="x", function="sigmoid")
    graph = Graph((source,), node)  # type: ignore[arg-type]  # one operator alone
    rom = TableRom("sigmoid", source.type, source.type, bits)
    return Batch(
        {name: Part(Lookup(node, graph), Measures((Needs({}, (rom,)),))) for name in names}
    )


@pytest.mark.usefixtures("cache")
def test_registers_that_are_equal_or_constant_are_no_area() -> None:
    left, right = Fixed(5, 1), Fixed(3, -1)
    expected = {
        Fixed(4, 1): Fixed(4, 1),  # saturated
        Fixed(8, 1): Fixed(6, 1),  # copies of the sign
        Fixed(8, 2): Fixed(6, 1),  # and a zero
        Fixed(7, 4): Fixed(5, 2),  # zeros that become ones together, when it saturates
        Fixed(8, -1): Fixed(5, -1),  # rounded
    }
    parts: dict[str, Part] = {}
    for result, held in expected.items():
        node = Add(name="add", type=result, left="x", right="y")
        operands = (Input(name="x", type=left, size=1), Input(name="y", type=right, size=1))
        graph = Graph(operands, node)  # type: ignore[arg-type]  # one operator alone
        found = adder_needs(left, right, result)
        assert found.held == held
        parts[f"adder{len(parts)}"] = Part(Adder(node, graph), Measures((found,)))
    samples = synthesise_batch(Batch(parts), TARGETS["ice40"], None)
    flip_flops = [sample.amounts["flip_flops"] for sample in samples]
    assert flip_flops == [held.bits for held in expected.values()]


@pytest.mark.usefixtures("cache")
def test_parts_are_counted_alone() -> None:
    """Tables of which one never changes: neither is optimised away, nor shared."""
    samples = synthesise_batch(tables("first", "second"), TARGETS["ice40"], None)
    assert [dict(sample.amounts) for sample in samples] == [samples[0].amounts] * 2
    assert samples[0].amounts["flip_flops"] == 3
    assert 1 <= samples[0].amounts["luts"] <= 3


def test_what_synthesis_found_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was never counted is synthesised: another design, target or version of a tool."""
    found = synthesise_batch(tables("one"), TARGETS["ice40"], None)
    (kept,) = (cache / "area").iterdir()

    def never(*_: object) -> YosysRun:
        raise ToolError("synthesised again")

    monkeypatch.setattr("gruhw_hw.area.kept.run_yosys", never)
    assert synthesise_batch(tables("one"), TARGETS["ice40"], None) == found
    for batch, target in ((tables("two"), "ice40"), (tables("one"), "ecp5")):
        with pytest.raises(ToolError, match="synthesised again"):
            synthesise_batch(batch, TARGETS[target], None)
    with monkeypatch.context() as patched:
        patched.setattr("gruhw_hw.area.calibration.tool_versions", lambda: VERSIONS)
        with pytest.raises(ToolError, match="synthesised again"):
            synthesise_batch(tables("one"), TARGETS["ice40"], None)

    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        synthesise_batch(tables("one"), TARGETS["ice40"], None)
    assert str(caught.value).startswith(
        f"{kept}: must be what Yosys counted; delete it to have it counted anew: "
    )


@pytest.mark.parametrize("target", MODELLED)
def test_every_searched_table_has_a_price(target: str) -> None:
    prices = AreaModel.load(target).prices
    for function, (first, last) in USUAL_RANGES.items():
        for whole, operand, bits in product(range(first, last + 1), SEARCHED_BITS, SEARCHED_BITS):
            assert f"table {function} {operand} {whole} {bits}" in prices


@pytest.mark.usefixtures("components_only")
def test_parts_have_every_searched_width() -> None:
    parts = [part for batch in batches((), ()) for part in batch.parts.values()]
    terms = {term for part in parts for term in part.measures.all_terms("ice40")}
    for first, second in product(SEARCHED_BITS, SEARCHED_BITS):
        assert f"complement {first} {second}" in terms
        assert {f"product {first}{sign} {second}" for sign in "su"} <= terms


@pytest.mark.usefixtures("components_only")
def test_parts_give_either_output() -> None:
    network = random_network(1, 0)
    other = with_other_output(network)
    assert network.genome.output != other.genome.output
    assert with_other_output(other) == network
    before, after = (batches((network,), others) for others in ((), (other,)))
    assert sum(len(b.parts) for b in after) == sum(len(b.parts) for b in before) + 1
    classes, states = (p.measures.all_terms("ecp5") for p in after[-1].parts.values())
    assert "head" in classes
    assert "head" not in states


def test_prices_are_found_again() -> None:
    rng = np.random.default_rng(1)
    prices = {"lane": 30.0, "bit": 1.5, "joint": 12.0}
    samples = []
    for _ in range(60):
        terms = {name: float(rng.integers(1, 9)) for name in prices}
        luts = sum(prices[name] * count for name, count in terms.items())
        samples.append(Sample(terms, dict.fromkeys(AMOUNTS, 0.0) | {"luts": luts}))
    found = fit_prices(samples)
    for name, price in prices.items():
        assert found[name][0] == pytest.approx(price, rel=0.05)
        assert found[name][1:] == [0.0] * (len(AMOUNTS) - 1)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("target", MODELLED)
def test_shipped_calibration_is_of_the_pinned_tools(target: str) -> None:
    def never(*_: object) -> Prices:
        raise AssertionError("the shipped calibration is of other tools")

    assert len(find_calibration(target, calibrate=never)) > 300


@pytest.mark.usefixtures("other_tools")
def test_other_tools_are_calibrated_once(cache: Path) -> None:
    calls: list[str] = []

    def calibrate(target: str, *_: object) -> Prices:
        calls.append(target)
        return {"whole": [float(len(calls))] * len(AMOUNTS)}

    for _ in range(2):
        prices = find_calibration("ice40", calibrate=calibrate)
        assert prices == {"whole": [1.0] * len(AMOUNTS)}
    assert calls == ["ice40"]
    kept = json.loads((cache / "area-ice40.json").read_text())
    assert kept["tools"] == VERSIONS


@pytest.mark.usefixtures("other_tools")
def test_a_cached_calibration_of_yet_other_tools_is_replaced(cache: Path) -> None:
    cache.mkdir()
    old = format_calibration("ice40", {"yosys": "0.9"}, {"whole": [7.0] * len(AMOUNTS)})
    (cache / "area-ice40.json").write_text(old)
    new = {"whole": [8.0] * len(AMOUNTS)}
    assert find_calibration("ice40", calibrate=lambda *_: new) == new
    assert parse_calibration(
        (cache / "area-ice40.json").read_bytes(), "kept", "ice40", VERSIONS
    ) == new  # fmt: skip


@pytest.mark.usefixtures("other_tools")
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("gruhw-area", "something"),
        lambda text: text.replace('"ice40"', '"ecp5"'),
        lambda text: text.replace("7.0", '"many"'),
        lambda text: text.replace("7.0", "NaN"),
        lambda text: text.replace("7.0", "7" * 400),
        lambda text: text.replace("7.0, ", "", 1),
        lambda text: text.replace('"prices"', '"price"'),
        lambda text: "[]",
        lambda text: "\x00",
    ],
)
def test_damaged_cache(damage: Callable[[str], str], cache: Path) -> None:
    cache.mkdir()
    path = cache / "area-ice40.json"
    text = format_calibration("ice40", VERSIONS, {"whole": [7.0] * len(AMOUNTS)})
    path.write_text(damage(text))
    with pytest.raises(InputError) as caught:
        AreaModel.load("ice40")
    assert str(caught.value).startswith(
        f"{path}: must be a calibration of the area model for ice40; "
        "delete it to have it made anew: "
    )
    assert "\n" not in str(caught.value)
