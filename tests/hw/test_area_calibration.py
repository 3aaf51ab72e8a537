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
from gruhw.network.fixed import Fixed
from gruhw.network.genes import SEARCHED_BITS
from gruhw.network.planning import plan_phase
from gruhw_hw.area import AreaModel, Measures
from gruhw_hw.area.calibrate import synthesise_batch
from gruhw_hw.area.calibration import (
    MODELLED,
    find_calibration,
    format_calibration,
    parse_calibration,
    tools_of,
)
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.kept import Tools
from gruhw_hw.area.memory import USUAL_RANGES, TableRom
from gruhw_hw.area.parts import Batch, Part, batches
from gruhw_hw.area.priced import Terms, exact, general, specific
from gruhw_hw.area.samples import random_network, random_stack, with_other_output
from gruhw_hw.area.terms import Needs, adder_needs, linear_needs, multiplier_needs
from gruhw_hw.linear import LinearUnit
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.operators import Adder, Lookup, Multiplier
from gruhw_hw.synthesis import TARGETS, YosysRun

pytestmark = pytest.mark.usefixtures("pinned_library")

VERSIONS = {"yosys": "1.0", "pyosys": "1.0"}


def synthesised(batch: Batch, target: str = "ice40") -> list[Sample]:
    """What synthesis finds for some parts."""
    return synthesise_batch(batch, TARGETS[target], Tools(tools_of(None)))


def names(terms: Terms) -> set[str]:
    """The names of terms."""
    return {term.name for term in terms}


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


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("used", [[0, 1, 2], [0, 1], [1], []])
def test_lanes_without_weights_compute_nothing(used: Sequence[int]) -> None:
    operand, lanes = Fixed(4, 0), 3
    weights = np.zeros((lanes, 5), dtype=np.int64)
    weights[list(used)] = [-4, 3, 1, -2, 2]
    biases, phase = np.zeros(lanes, dtype=np.int64), plan_phase(lanes, 5, lanes)
    kinds = operand, Fixed(3, 0), Fixed(5, 0)
    plan = LinearPlan(*kinds, frac=0, weights=weights, biases=biases, phase=phase)
    taken = linear_needs(plan)
    (sample,) = synthesised(Batch({"unit": Part(LinearUnit(plan), Measures((taken,)))}))
    estimate = AreaModel.load("ice40").amounts([Measures((taken,))])[0]
    for amount in ("luts", "flip_flops"):
        found = sample.amounts[amount]
        assert estimate[AMOUNTS.index(amount)] == pytest.approx(found, abs=10, rel=0.05)


def tables(*names: str, bits: int = 3) -> Batch:
    """Small tables that are equal, by name."""
    operand, result = Fixed(3, 1), Fixed(bits, bits, signed=False)
    rom = TableRom("sigmoid", operand, operand, bits)
    measures = Measures((Needs({}, (rom,)),))
    return Batch({name: Part(Lookup("sigmoid", operand, result), measures) for name in names})


@pytest.mark.slow
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
        found = adder_needs(left, right, result)
        assert found.held == held
        parts[f"adder{len(parts)}"] = Part(Adder((left, right), result), Measures((found,)))
    flip_flops = [sample.amounts["flip_flops"] for sample in synthesised(Batch(parts))]
    assert flip_flops == [held.bits for held in expected.values()]


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_registers_without_a_sign() -> None:
    """Of unsigned operands, or in an unsigned result, what is below zero is no area either."""
    unsigned, signed = Fixed(4, 2, signed=False), Fixed(5, 2)
    cases = [
        (unsigned, unsigned, Fixed(8, 2), Fixed(5, 2, signed=False)),  # never below zero
        (unsigned, unsigned, Fixed(4, 2), Fixed(4, 2)),  # saturated
        (unsigned, unsigned, Fixed(3, 2, signed=False), Fixed(3, 2, signed=False)),
        (unsigned, signed, Fixed(9, 2), Fixed(6, 2)),
        (signed, signed, Fixed(8, 2, signed=False), Fixed(6, 2, signed=False)),  # rectified
        (signed, signed, Fixed(5, 2, signed=False), Fixed(5, 2, signed=False)),
        (signed, signed, Fixed(3, 2, signed=False), Fixed(3, 2, signed=False)),  # and saturated
        (signed, signed, Fixed(8, 3, signed=False), Fixed(6, 2, signed=False)),  # and a zero
    ]
    parts: dict[str, Part] = {}
    for index, (left, right, result, held) in enumerate(cases):
        found = adder_needs(left, right, result)
        assert found.held == held
        assert ("rectified" in names(found.terms)) == (left.signed and not result.signed)
        parts[f"adder{index}"] = Part(Adder((left, right), result), Measures((found,)))
    # Its product has 8 bits, and is registered before it is rounded.
    square = multiplier_needs(unsigned, unsigned, Fixed(12, 4), serial=False)
    assert square.held == Fixed(8, 4, signed=False)
    hardware = Multiplier((unsigned, unsigned), Fixed(12, 4))
    parts["square"] = Part(hardware, Measures((square,)))
    flip_flops = [sample.amounts["flip_flops"] for sample in synthesised(Batch(parts))]
    assert flip_flops[:-1] == [held.bits for *_, held in cases]
    assert 8 + 8 <= flip_flops[-1] <= 8 + 8 + 1 + 4  # a carry, and what Booth's digits add


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_parts_are_counted_alone() -> None:
    """Tables of which one never changes: neither is optimised away, nor shared."""
    samples = synthesised(tables("first", "second"))
    assert [dict(sample.amounts) for sample in samples] == [samples[0].amounts] * 2
    assert samples[0].amounts["flip_flops"] == 3
    assert 1 <= samples[0].amounts["luts"] <= 3


@pytest.mark.slow
def test_what_synthesis_found_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was never counted is synthesised: another design, target or version of a tool."""
    found = synthesised(tables("one"))
    (kept,) = (cache / "area").iterdir()

    def never(*_: object) -> YosysRun:
        raise ToolError("synthesised again")

    monkeypatch.setattr("gruhw_hw.area.kept.run_yosys", never)
    assert synthesised(tables("one")) == found
    for batch, target in ((tables("two"), "ice40"), (tables("one"), "ecp5")):
        with pytest.raises(ToolError, match="synthesised again"):
            synthesised(batch, target)
    with monkeypatch.context() as patched:
        patched.setattr("gruhw_hw.area.calibration.tool_versions", lambda: VERSIONS)
        with pytest.raises(ToolError, match="synthesised again"):
            synthesised(tables("one"))

    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(InputError) as caught:
        synthesised(tables("one"))
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
    terms = {name for part in parts for name in names(part.measures.all_terms("ice40"))}
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
    classes, states = (names(part.measures.all_terms("ecp5")) for part in after[-1].parts.values())
    assert "head" in classes
    assert "head" not in states


@pytest.mark.usefixtures("components_only")
def test_parts_of_stacks_are_those_of_their_cores() -> None:
    stack = random_stack(1, 2)
    assert len(stack.architecture.layers) == 3
    before, after = (batches((), (), stacks) for stacks in ((), (stack,)))
    assert sum(len(batch.opaque) > 0 for batch in before) == 0
    control = [batch for batch in after if batch.opaque]
    cores = [part for batch in control for part in batch.parts.values()]
    output = stack.genome.output
    assert len(cores) == 3 + (output != "states")
    operators = {node.name for stage in stack.stages for node in stage.graph.operators}
    opaque = {pattern.removeprefix("batch.*.") for batch in control for pattern in batch.opaque}
    assert opaque == operators - ({"head"} if output == "states" else set())


@pytest.mark.usefixtures("components_only")
def test_parts_have_results_and_operands_with_and_without_signs() -> None:
    parts = [part for batch in batches((), ()) for part in batch.parts.values()]
    terms = [names(part.measures.all_terms("ice40")) for part in parts]
    assert sum("rectified" in found for found in terms) >= 40
    assert sum("add" in found for found in terms) >= 60
    assert sum("multiply" in found for found in terms) >= 60


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_the_control_of_a_core_is_synthesised_without_its_operators() -> None:
    *_, control = batches((), (), (random_stack(1, 1),))
    samples = synthesised(control)
    estimate = AreaModel.load("ice40").amounts([part.measures for part in control.parts.values()])
    place = AMOUNTS.index("flip_flops")
    for sample, guess in zip(samples, estimate, strict=True):
        assert guess[place] == pytest.approx(sample.amounts["flip_flops"], rel=0.15)


def priced(counts: Sequence[Terms], prices: dict[str, float]) -> Prices:
    """The prices that are fitted to what these terms take of LUTs."""
    samples = [
        Sample(terms, dict.fromkeys(AMOUNTS, 0.0) | {"luts": sum_of(terms, prices)})
        for terms in counts
    ]
    return fit_prices(samples)


def sum_of(terms: Terms, prices: dict[str, float]) -> float:
    """What terms take of which these are the prices."""
    return sum(prices[term.name] * count for term, count in terms.items())


def test_prices_are_found_again() -> None:
    rng = np.random.default_rng(1)
    prices = {"lane": 30.0, "bit": 1.5, "joint": 12.0}
    counts = [general({name: float(rng.integers(1, 9)) for name in prices}) for _ in range(60)]
    found = priced(counts, prices)
    for name, price in prices.items():
        assert found[name][0] == pytest.approx(price, rel=0.05)
        assert found[name][1:] == [0.0] * (len(AMOUNTS) - 1)


def test_prices_of_what_was_seen_once_are_held_back() -> None:
    """What the sample does not tell apart goes to the more general term, whatever their names."""
    prices = {"a": 10.0, "b": 10.0}
    for first, second in ((general, exact), (exact, specific), (general, specific)):
        found = priced([first({"a": 1}) | second({"b": 1})], prices)
        assert found["a"][0] > 4 * found["b"][0] > 0
        found = priced([first({"b": 1}) | second({"a": 1})], prices)
        assert found["b"][0] > 4 * found["a"][0] > 0


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
