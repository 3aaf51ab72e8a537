"""The area model: against synthesis, and the terms and memories that it counts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from gruhw.errors import InputError
from gruhw.fixed import Fixed
from gruhw.genome import GENES, Folding, Genome, Sizes
from gruhw.graph import Linear, calibrated_tensors
from gruhw.model import LAYERS, Model, Network, Normalisation, layer_shapes
from gruhw.quant import calibrate
from gruhw.schedule import Phase
from gruhw_hw.area import AreaModel, Measures, measure, memory_bits
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.memory import Buffer, Rom, SharedDecoding, TableRom, block_rams, memory_terms
from gruhw_hw.area.samples import random_layers, random_network, short_networks, with_other_output
from gruhw_hw.area.terms import Needs, adder_needs, linear_needs, table_needs
from gruhw_hw.synthesis import TARGETS, synthesise
from gruhw_hw.top import TOP, generate_verilog

pytestmark = pytest.mark.usefixtures("pinned_library")

SEED = 5
"""Of networks that neither calibrated the model nor judge it in the benchmark."""

WORST = {"luts": 0.10, "flip_flops": 0.06}
"""The relative errors that are allowed here; ``bench/area.py`` measures more networks."""


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
        {name: bits - 1 for name, bits in calibrated_tensors(genome.genes).items()},
        True,
        Normalisation.identity(8),
    )
    return Network.build(genome, model)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "index"), [("ice40", 1), ("ice40", 19)])  # class, states
def test_estimates_are_near_synthesis(target: str, index: int) -> None:
    network = random_network(SEED, index)
    estimate = AreaModel.load(target).estimate(network)
    verilog = generate_verilog(network).verilog
    total = synthesise(verilog, TOP, target, by_operator=False).total
    for amount, worst in WORST.items():
        assert getattr(estimate, amount) == pytest.approx(getattr(total, amount), rel=worst)
    assert abs(estimate.block_rams - total.block_rams) <= 2


@pytest.mark.slow
def test_a_buffer_out_of_registers_has_those_that_differ() -> None:
    """The sum has 1 fraction bit, and 3 as a new state: the last two are equal."""
    network = network_of(dict.fromkeys(GENES, 6) | {"mul_zn": 2, "mul_zh": 2, "add_h": 4})
    buffer = Buffer(words=32, bits=4, held=3, reads=2)
    assert buffer in measure(network).memories
    spared = buffer.words * (buffer.bits - buffer.held)
    verilog = generate_verilog(network).verilog
    total = synthesise(verilog, TOP, "ice40", by_operator=False).total
    estimate = AreaModel.load("ice40").estimate(network)
    assert abs(estimate.flip_flops - total.flip_flops) < spared / 2


def test_memories_keep_their_width() -> None:
    buffer, whole = Buffer(words=64, bits=8, held=4), Buffer(words=64, bits=8, held=8)
    assert buffer.size == whole.size
    assert memory_terms(buffer, "ice40") == memory_terms(whole, "ice40")
    assert memory_terms(buffer, "asic") == memory_terms(replace(whole, bits=4, held=4), "asic")


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
    assert model.estimate_measures([]) == []
    assert len({getattr(estimate, main_amount(target)) for estimate in found}) == 3


def test_a_fingerprint_is_of_prices_and_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AreaModel.load("ice40")
    assert model.fingerprint == AreaModel.load("ice40").fingerprint
    dearer = {name: [2 * price for price in row] for name, row in model.prices.items()}
    assert AreaModel("ice40", dearer).fingerprint != model.fingerprint

    def with_more(network: Network) -> Measures:
        taken = measure(network)
        return Measures((*taken.parts, Needs({"whole": 1})))

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


@pytest.mark.parametrize(
    ("operand", "bits", "equal"),
    [
        (Fixed(2, 0), 3, 0),
        (Fixed(2, 0), 7, 1),  # of 1000000, 1011110, 0001111, 0100010, those of 4 and 8 are equal
        (Fixed(2, 1), 6, 2),  # of 100000, 101000, 010001, 011000, those of 2 and 4 are constant
        (Fixed(5, 3), 4, 0),
    ],
)
def test_bits_of_a_table_that_never_differ(operand: Fixed, bits: int, equal: int) -> None:
    rom = TableRom("sigmoid", operand, operand, bits)
    assert table_needs(rom, Fixed(bits, bits, signed=False)).terms == {"equal column": equal}


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
    assert differing == {"rom information", "rom logic", "rom deep 6"}
    shared = SharedDecoding(290)
    assert memory_terms(shared, "ice40") == {}
    assert memory_terms(shared, "asic") == {"whole rom information": 290}


def test_roms_beside_each_other_are_measured() -> None:
    memories = measure(random_network(SEED, 1)).memories
    information = [memory.information for memory in memories if isinstance(memory, Rom)]
    assert len(information) == 7
    shared = [memory.information for memory in memories if isinstance(memory, SharedDecoding)]
    assert shared == information


def test_tables_are_as_deep_as_their_operand_has_registers() -> None:
    """The sum has 3 fraction bits, and 7 as an operand: the last four are equal.

    A block RAM, as on iCE40, has all words.
    """
    genes = dict.fromkeys(GENES, 6) | {"W_in": 4, "mul_rh": 4, "add_n": 8}
    found = measure(network_of(genes))
    logic, block = found.all_terms("ecp5"), found.all_terms("ice40")
    assert (logic["table 5"], logic["table 6"]) == (1, 2)
    assert (block["table 8"], block["table 6"]) == (1, 2)


def test_paths_are_short_where_no_carry_chain_follows_another() -> None:
    """Where one does, ABC has time for other logic, which it maps otherwise."""
    *_, network = islice(short_networks(SEED), 2)
    genes, lanes = network.genome.genes, network.genome.sizes.hidden
    for short in (network, with_widths(network, genes)):
        assert measure(short).all_terms("ecp5")["short"] == 1
        assert "short" not in measure(short).all_terms("ice40")
    slow = {
        "compared logits": with_other_output(network),
        "three digits": with_widths(network, genes | {"W_hn.weight": 5}),
        "parallel products": with_widths(network, genes, pe=lanes),
        "a rounded complement": with_widths(network, genes | {"sig_z": 8, "sub_z": 2}),
    }
    found = {name for name, other in slow.items() if measure(other).all_terms("ecp5").get("short")}
    assert not found
    coarse, fine = Fixed(6, 2), Fixed(6, 3)
    assert not adder_needs(coarse, fine, Fixed(6, 2)).slow  # the constant meets the coarse one
    assert adder_needs(coarse, fine, Fixed(6, 1)).slow
    assert adder_needs(fine, fine, Fixed(6, 1)).slow


def with_widths(network: Network, genes: Mapping[str, int], pe: int = 1) -> Network:
    """The network with random weights, other widths and folding; its paths are of these alone."""
    update = {"genes": dict(genes), "folding": Folding(pe=pe)}
    genome = network.genome.model_copy(update=update)
    rng = np.random.default_rng(3)
    weights, biases = random_layers(rng, genome.sizes, 0.4)
    fractions, signed = calibrate(
        genome.sizes, genome.genes, weights, biases, rng.random((8, 6, genome.sizes.input))
    )
    model = Model(weights, biases, fractions, signed, Normalisation.identity(genome.sizes.input))
    return Network.build(genome, model)


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
