"""The area model: against synthesis, its calibration files, and the memories that it counts."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gruhw.errors import InputError, ToolError
from gruhw.fixed import Fixed
from gruhw.genome import GENES, SEARCHED_BITS, Folding, Genome, Sizes
from gruhw.graph import Add, Graph, Input, Linear, Table, calibrated_tensors
from gruhw.model import LAYERS, Model, Network, Normalisation, layer_shapes
from gruhw.schedule import Phase
from gruhw_hw.area import AreaModel, Measures, measure, memory_bits
from gruhw_hw.area.calibrate import synthesise_batch
from gruhw_hw.area.calibration import (
    MODELLED,
    find_calibration,
    format_calibration,
    parse_calibration,
)
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.memory import USUAL_RANGES, Rom, TableRom, block_rams, memory_terms
from gruhw_hw.area.parts import Batch, Part
from gruhw_hw.area.samples import random_network
from gruhw_hw.area.terms import Needs, adder_needs, linear_needs
from gruhw_hw.linear import LinearUnit
from gruhw_hw.operators import Adder, Lookup
from gruhw_hw.pdk import SG13G2
from gruhw_hw.synthesis import TARGETS, YosysRun, library_of, synthesise
from gruhw_hw.top import TOP, generate_verilog

SEED = 5
"""Of networks that neither calibrated the model nor judge it in the benchmark."""

WORST = {"luts": 0.10, "flip_flops": 0.06}
"""The relative errors that are allowed here; ``bench/area.py`` measures more networks."""

VERSIONS = {"yosys": "1.0", "pyosys": "1.0"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gruhw"


@pytest.fixture
def other_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools of a version for which no calibration is shipped."""
    monkeypatch.setattr("gruhw_hw.area.calibration.tool_versions", lambda: VERSIONS)


@pytest.fixture(autouse=True)
def _pinned_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of the pinned library: estimates need nothing more of it, and it may not be here."""
    pinned = SimpleNamespace(sha256=SG13G2.sha256)
    monkeypatch.setattr(
        "gruhw_hw.area.calibration.library_of",
        lambda target, path: pinned if target.liberty else library_of(target, path),
    )


def main_amount(target: str) -> str:
    """What area is called on a target."""
    return "area_um2" if TARGETS[target].liberty else "luts"


def network_of(genes: Mapping[str, int], pe: int = 1) -> Network:
    """A network of given widths, the rest the same whatever they are."""
    rng = np.random.default_rng(3)
    genome = Genome(
        sizes=Sizes(input=8, hidden=12, classes=4),
        genes=dict(genes),
        folding=Folding(pe=pe),
    )
    shapes = layer_shapes(genome.sizes)
    model = Model(
        {name: rng.normal(0, 0.5, shapes[name]) for name in LAYERS},
        {name: rng.normal(0, 0.3, shapes[name][0]) for name in LAYERS},
        {name: bits - 1 for name, bits in calibrated_tensors(genome.widths).items()},
        True,
        Normalisation.identity(8),
    )
    return Network.build(genome, model)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "index"), [("ice40", 1), ("ice40", 8)])
def test_estimates_are_near_synthesis(target: str, index: int) -> None:
    network = random_network(SEED, index)
    estimate = AreaModel.load(target).estimate(network)
    verilog = generate_verilog(network).verilog
    total = synthesise(verilog, TOP, target, by_operator=False).total
    for amount, worst in WORST.items():
        assert getattr(estimate, amount) == pytest.approx(getattr(total, amount), rel=worst)
    assert abs(estimate.block_rams - total.block_rams) <= 2


@pytest.mark.parametrize("target", MODELLED)
def test_more_hardware_takes_more_area(target: str) -> None:
    model = AreaModel.load(target)
    genes = dict(random_network(SEED, 1).genome.genes) | {"W_hn.weight": 3, "mul_zn": 3, "add_h": 6}
    base = model.estimate(network_of(genes))
    area = main_amount(target)
    assert getattr(base, area) > 300
    assert base.flip_flops > 150
    for bigger in (
        network_of(genes, pe=3),
        network_of(genes | {"W_hn.weight": 7}),
        network_of(genes | {"mul_zn": 8}),
        network_of(dict.fromkeys(genes, 8)),
    ):
        assert getattr(model.estimate(bigger), area) > getattr(base, area)
        assert model.estimate(bigger).flip_flops > base.flip_flops


@pytest.mark.parametrize("target", MODELLED)
def test_estimates_are_repeatable(target: str) -> None:
    networks = [random_network(SEED, index) for index in range(3)]
    model, again = AreaModel.load(target), AreaModel.load(target)
    found = [model.estimate(network) for network in networks]
    assert found == [again.estimate(network) for network in reversed(networks)][::-1]
    assert found == model.estimate_measures([measure(network) for network in networks])
    assert len({getattr(estimate, main_amount(target)) for estimate in found}) == 3


def test_a_fingerprint_is_of_prices_and_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AreaModel.load("ice40")
    assert model.fingerprint == AreaModel.load("ice40").fingerprint
    dearer = {name: [2 * price for price in row] for name, row in model.prices.items()}
    assert AreaModel("ice40", dearer).fingerprint != model.fingerprint

    def with_more(network: Network) -> Measures:
        taken = measure(network)
        return Measures((*taken.parts, Needs({"whole": 1})), taken.memories)

    monkeypatch.setattr("gruhw_hw.area.model.measure", with_more)
    assert AreaModel("ice40", model.prices).fingerprint != model.fingerprint


@pytest.mark.parametrize("index", [0, 7, 8])
def test_memory_bits_are_those_of_the_verilog(index: int) -> None:
    network = random_network(SEED, index)
    verilog = generate_verilog(network).verilog
    memories = re.findall(r"^ *reg (?:\[(\d+):0\])? *\S+ +\[(\d+):0\];$", verilog, re.M)
    assert len(memories) > 10
    assert sum((int(bit or 0) + 1) * (int(word) + 1) for bit, word in memories) == memory_bits(
        network
    )


def test_block_rams() -> None:
    assert [block_rams("ice40", 256, bits) for bits in (1, 16, 17, 33)] == [1, 1, 2, 3]
    assert [block_rams("ice40", words, 4) for words in (512, 1024, 1025)] == [1, 1, 2]
    assert block_rams("xc7", 512, 36) == 1
    assert block_rams("gowin", 512, 36) == 0


def test_contents_of_weight_roms() -> None:
    phase = Phase(units=4, terms=4, lanes=2)
    every = np.arange(-8, 8).reshape(4, 4)  # of whose lanes each has one bit that stays
    assert Rom.of(every, 4, phase) == Rom(words=8, bits=8, changing=6, information=64)
    same = Rom.of(np.full((4, 4), -3), 4, phase)
    assert (same.changing, same.information) == (0, 0)
    rare = np.zeros((4, 4), dtype=np.int64)
    rare[0, 0] = 1
    assert Rom.of(rare, 4, phase).information == round(16 * 0.3373)


def test_bits_that_are_the_same_in_all_words_are_not_stored() -> None:
    phase = Phase(units=3, terms=2, lanes=2)
    # Lane 1 has no unit in the last group, and its weights are zero there.
    weights = np.array([[-1, -3], [-1, -1], [-5, -7]])
    assert Rom.of(weights, 4, phase) == Rom(words=4, bits=8, changing=2 + 4, information=11)
    wide = Rom(words=256, bits=17, changing=16, information=0)
    assert (wide.size, wide.block_rams("ice40")) == (256 * 17, 1)


def test_weights_are_logic_where_there_are_no_block_rams() -> None:
    few, many = (Rom(words=64, bits=4, changing=4, information=bits) for bits in (90, 200))
    assert memory_terms(few, "ice40") == memory_terms(many, "ice40") == {}
    differing = {
        name
        for name, n in memory_terms(few, "asic").items()
        if n != memory_terms(many, "asic")[name]
    }
    assert differing == {"rom information", "rom deep 6"}


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
    return Batch({name: Part(Lookup(node, graph), Measures((), (rom,))) for name in names})


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


def test_tables_are_as_deep_as_their_operand_has_registers() -> None:
    """The sum has 3 fraction bits, and 7 as an operand: the last four are equal.

    A block RAM, as on iCE40, has all words.
    """
    genes = dict.fromkeys(GENES, 6) | {"W_in": 4, "mul_rh": 4, "add_n": 8}
    found = measure(network_of(genes))
    logic, block = found.all_terms("ecp5"), found.all_terms("ice40")
    assert (logic["table 5"], logic["table 6"]) == (1, 2)
    assert (block["table 8"], block["table 6"]) == (1, 2)


def bias_terms(biases: Sequence[int]) -> dict[str, float]:
    """The terms that depend on the contents of a ROM of biases."""
    units = len(biases)
    node = Linear(name="linear", type=Fixed(8, 0), weight=Fixed(4, 0), operand="x",
                  accumulator=Fixed(20, 0), inputs=1, outputs=units)  # fmt: skip
    weights = np.zeros((units, 1), dtype=np.int64)
    found = linear_needs(node, Fixed(4, 0), weights, np.array(biases), Phase(units, 1, 1)).terms
    return {
        name: value for name, value in found.items() if name.startswith(("bias block", "bias col"))
    }


def test_contents_of_bias_roms() -> None:
    # Of four bits, two are equal, and the sign is constant; or two are complementary.
    assert bias_terms([0b101, 0b000, 0b111, 0b010]) == {"bias column": 2}
    assert bias_terms([0b010, 0b100, 0b011, 0b101]) == {"bias column": 2}
    assert bias_terms([-1, 0] * 5) == {"bias column": 1, "bias block of 16 rows": 1}
    blocks = {"bias block of 16 rows": 1, "bias block of 32 rows": 1, "bias block of 64 rows": 1}
    assert bias_terms([-1, 0] * 24) == {"bias column": 1} | blocks | {"bias block of 32 rows": 2}
    once = [0] * 32 + [1, 0] * 4
    assert bias_terms(once) == {"bias column": 1} | blocks
    assert bias_terms([7] * 48) == {}


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


def test_unknown_target() -> None:
    with pytest.raises(InputError) as caught:
        AreaModel.load("stratix")
    assert str(caught.value) == (
        f"target of the area model must be one of {', '.join(MODELLED)}, not 'stratix'"
    )


def test_library_for_a_target_without_one() -> None:
    with pytest.raises(InputError) as caught:
        AreaModel.load("ice40", liberty=Path("cells.lib"))
    assert str(caught.value) == "cells.lib: only target asic takes a library, not ice40"


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
