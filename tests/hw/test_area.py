"""The area model: against synthesis, and the terms and memories that it counts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import area_estimates
import numpy as np
import pytest
from own_cells import TWO_STATES, installed_cell
from random_networks import random_network_of

from gruhw.errors import InputError
from gruhw.learning.quant import calibrate
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.genes import homogeneous
from gruhw.network.genome import OUTPUTS, Folding, Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.planning import plan_phase, schedule_of
from gruhw_hw.area import AreaModel, Measures, measure, memory_bits
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.control import control_terms
from gruhw_hw.area.memory import (
    Buffer,
    ConstantRom,
    Rom,
    SharedDecoding,
    TableRom,
    block_rams,
    memory_terms,
)
from gruhw_hw.area.priced import Kind, Terms, general
from gruhw_hw.area.samples import (
    CELLS,
    DEEPEST,
    random_layers,
    random_network,
    random_stack,
    short_networks,
    with_other_output,
)
from gruhw_hw.area.terms import Needs, adder_needs, linear_needs, table_needs
from gruhw_hw.linear_plan import LinearPlan
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


ONE_GRU = Architecture(inputs=8, layers=("gru:12",), outputs=4)


def network_of(genes: Mapping[str, int], pe: int = 1) -> Network:
    """A network of given widths, the rest the same whatever they are."""
    rng = np.random.default_rng(3)
    genome = Genome(network=ONE_GRU, genes=dict(genes), folding=Folding(pe=pe))
    shapes = ONE_GRU.layer_shapes
    model = Model(
        ONE_GRU,
        {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()},
        {name: rng.normal(0, 0.3, shape[0]) for name, shape in shapes.items()},
        {gene.name: genes[gene.name] - 1 for gene in ONE_GRU.calibrated},
        True,
        Normalisation.identity(8),
    )
    return Network.build(genome, model)


def named(terms: Terms) -> dict[str, float]:
    """Terms by their names."""
    return {term.name: count for term, count in terms.items()}


@pytest.mark.slow
def test_estimates_of_one_gru_stay_as_they_were() -> None:
    expected = json.loads(area_estimates.EXPECTED.read_text())
    found = {name: area_estimates.found(n) for name, n in area_estimates.networks()}
    assert found.keys() == expected.keys()
    for name, each in found.items():
        assert each["memory_bits"] == expected[name]["memory_bits"]
        assert each["energy"] == pytest.approx(expected[name]["energy"])
        for target, amounts in expected[name]["estimates"].items():
            # Areas are sums of real numbers, whose order differs between processors.
            assert each["estimates"][target] == pytest.approx(amounts, abs=1e-3), (name, target)


@pytest.mark.parametrize(
    "draw", [random_network, pytest.param(random_stack, marks=pytest.mark.slow)]
)
def test_terms_of_a_name_are_of_one_kind(draw: area_estimates.Draw) -> None:
    kinds: dict[str, Kind] = {}
    for index in range(12):
        taken = measure(draw(SEED, index))
        for target in MODELLED:
            for term in taken.all_terms(target):
                assert kinds.setdefault(term.name, term.kind) == term.kind
    assert set(kinds.values()) == {"general", "specific", "exact"}
    assert (kinds["table"], kinds["table 5"], kinds["table 5 bit"]) == (
        "general", "exact", "general"
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "draw", "index"),
    [("ice40", random_network, 1), ("ice40", random_network, 19), ("ice40", random_stack, 1)],
    ids=["class", "states", "two layers"],
)
def test_estimates_are_near_synthesis(target: str, draw: area_estimates.Draw, index: int) -> None:
    network = draw(SEED, index)
    estimate = AreaModel.load(target).estimate(network)
    verilog = generate_verilog(network).verilog
    total = synthesise(verilog, TOP, target, by_operator=False).total
    for amount, worst in WORST.items():
        assert getattr(estimate, amount) == pytest.approx(getattr(total, amount), rel=worst)
    assert abs(estimate.block_rams - total.block_rams) <= 2


@pytest.mark.slow
def test_a_buffer_out_of_registers_has_those_that_differ() -> None:
    """The sum has 1 fraction bit, and 3 as a new state: the last two are equal."""
    genes = homogeneous(ONE_GRU, 6).changed({"mul_zn": 2, "mul_zh": 2, "add_h": 4})
    network = network_of(genes)
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


@pytest.mark.slow
def test_a_fingerprint_is_of_prices_and_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = AreaModel.load("ice40")
    assert model.fingerprint == AreaModel.load("ice40").fingerprint
    dearer = {name: [2 * price for price in row] for name, row in model.prices.items()}
    assert AreaModel("ice40", dearer).fingerprint != model.fingerprint

    def with_more(network: Network) -> Measures:
        taken = measure(network)
        return Measures((*taken.parts, Needs(general({"whole": 1}))))

    monkeypatch.setattr("gruhw_hw.area.model.measure", with_more)
    assert AreaModel("ice40", model.prices).fingerprint != model.fingerprint


MEMORY = re.compile(r"^ *reg (?:signed )?(?:\[(\d+):0\])? *\S+ +\[(\d+):0\];$", re.M)
"""A memory in Verilog: the last bit of a word, and the last word."""

CARRIED = re.compile(
    r"^ *reg (?:\[(\d+):0\] )?\\?(?:\w+_unit|\w+_of_group)_held_-?\d+ *= \S+;$", re.M
)
"""A register that carries the number of a unit on, or a flag: its last bit."""


def at_every_step(seed: int, index: int) -> Network:
    """A random network of either kind, with outputs at every step and states that go on."""
    network = (random_network if index % 2 else random_stack)(seed, index)
    changes = {"every_step": True}
    if network.architecture.initial == "zero":
        changes |= {"initial": "carry"}
    changed = network.architecture.model_copy(update=changes)
    return replace(network, genome=network.genome.model_copy(update={"network": changed}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "index"),
    [
        *((random_network, n) for n in (0, 7, 8)),
        *((random_stack, n) for n in (0, 3, 5, 10, 11)),
        *((at_every_step, n) for n in (0, 1, 7, 8)),
    ],
)
def test_memories_and_control_are_those_of_the_verilog(
    draw: area_estimates.Draw, index: int
) -> None:
    network = draw(22, index)
    verilog = generate_verilog(network).verilog
    memories = MEMORY.findall(verilog)
    assert len(memories) > 10
    bits = sum((int(bit or 0) + 1) * (int(word) + 1) for bit, word in memories)
    assert bits == memory_bits(network)
    carried = sum(int(bit or 0) + 1 for bit in CARRIED.findall(verilog))
    cores = schedule_of(network).cores
    assert carried == sum(named(control_terms(core))["held value"] for core in cores)


def test_random_stacks_are_of_all_kinds() -> None:
    networks = [random_stack(SEED, index) for index in range(24)]
    layers = [network.architecture.layers for network in networks]
    assert {len(each) for each in layers} == set(range(1, DEEPEST + 1))
    assert {layer.cell for each in layers for layer in each} == {*CELLS, "dense"}
    assert {layer.activation for each in layers for layer in each} == {None, "relu", "tanh"}
    assert {network.genome.output for network in networks} == set(OUTPUTS)
    assert {network.architecture.initial for network in networks} == {"zero", "constant"}
    assert {type(network.genome.folding.pe) for network in networks} == {int, tuple}
    assert measure(networks[0]).memories == measure(random_stack(SEED, 0)).memories


@pytest.mark.slow
def test_a_cell_of_a_users_own_is_measured(tmp_path: Path) -> None:
    """It has a product of two signed results, and a result that two operators read."""
    with installed_cell(tmp_path, "two_states", TWO_STATES) as cell:
        architecture = Architecture(inputs=3, layers=(f"{cell}:6", f"{cell}:4"), outputs=2)
        network = random_network_of(np.random.default_rng(1), architecture, pe=(2, 1))
        bits = sum(
            (int(bit or 0) + 1) * (int(word) + 1)
            for bit, word in MEMORY.findall(generate_verilog(network).verilog)
        )
        assert bits == memory_bits(network)
        for target in MODELLED:
            estimate = AreaModel.load(target).estimate(network)
            assert getattr(estimate, main_amount(target)) > 500


def test_several_cores_are_more_than_one() -> None:
    architecture = Architecture(inputs=4, layers=("gru:6", "dense:5:relu", "gru:6"), outputs=3)
    network = random_network_of(np.random.default_rng(2), architecture)
    terms = named(measure(network).all_terms("ice40"))
    assert (terms["control"], terms["between cores"], terms["whole"]) == (4, 3, 1)
    assert (terms["stateless"], terms["linear"], terms["table"]) == (2, 14, 6)
    assert terms["rectified"] == 1
    assert (terms["head"], "second phase" in terms) == (1, False)
    alone = named(measure(network_of(homogeneous(ONE_GRU, 4))).all_terms("ice40"))
    assert not {"between cores", "stateless", "rectified", "first state bit"} & alone.keys()


def test_initial_states_are_memories() -> None:
    rng = np.random.default_rng(4)
    zero = Architecture(inputs=4, layers=("lstm:6",), outputs=3)
    constant = zero.model_copy(update={"initial": "constant"})
    without, with_them = (random_network_of(rng, each) for each in (zero, constant))
    bits = [with_them.layers[0].typed[state].bits for state in ("h", "c")]
    roms = [m for m in measure(with_them).memories if isinstance(m, ConstantRom) and m.words == 6]
    assert [(rom.bits, rom.reads) for rom in roms[-2:]] == [(width, 1) for width in bits]
    assert named(measure(with_them).all_terms("ecp5"))["first state bit"] == sum(bits)
    buffers = [m for m in measure(without).memories if isinstance(m, Buffer)]
    # Two banks, which a linear operator reads; one bank, which a product reads.
    assert [(buffer.words, buffer.reads) for buffer in buffers[1:3]] == [(16, 1), (8, 1)]


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
    found = table_needs(rom, Fixed(bits, bits, signed=False)).terms
    assert named(found) == {"equal column": equal}


def plan_of(weights: IntArray, bits: int, lanes: int, biases: Sequence[int] = ()) -> LinearPlan:
    """A linear operator with weights of so many bits."""
    units, inputs = weights.shape
    constants = np.array(biases or [0] * units)
    phase = plan_phase(units, inputs, lanes)
    kinds = Fixed(4, 0), Fixed(bits, 0), Fixed(8, 0)
    return LinearPlan(*kinds, frac=0, weights=weights, biases=constants, phase=phase)


def test_contents_of_weight_roms() -> None:
    every = np.arange(-8, 8).reshape(4, 4)  # of whose lanes each has one bit that stays
    assert Rom.of(plan_of(every, 4, 2)) == Rom(words=8, bits=8, changing=6, information=64)
    same = Rom.of(plan_of(np.full((4, 4), -3), 4, 2))
    assert (same.changing, same.information) == (0, 0)
    rare = np.zeros((4, 4), dtype=np.int64)
    rare[0, 0] = 1
    assert Rom.of(plan_of(rare, 4, 2)).information == round(16 * 0.3373)


def test_bits_that_are_the_same_in_all_words_are_not_stored() -> None:
    # Lane 1 has no unit in the last group, and its weights are zero there.
    weights = np.array([[-1, -3], [-1, -1], [-5, -7]])
    found = Rom.of(plan_of(weights, 4, 2))
    assert found == Rom(words=4, bits=8, changing=2 + 4, information=11)
    wide = Rom(words=256, bits=17, changing=16, information=0)
    assert (wide.size, wide.block_rams("ice40")) == (256 * 17, 1)


def test_weights_are_logic_where_there_are_no_block_rams() -> None:
    few, many = (Rom(words=64, bits=4, changing=4, information=bits) for bits in (90, 200))
    assert memory_terms(few, "ice40") == memory_terms(many, "ice40") == {}
    before, after = (named(memory_terms(rom, "asic")) for rom in (few, many))
    differing = {name for name, count in before.items() if count != after[name]}
    assert differing == {"rom information", "rom logic", "rom deep 6"}
    shared = SharedDecoding(290)
    assert memory_terms(shared, "ice40") == {}
    assert memory_terms(shared, "asic") == general({"whole rom information": 290})


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
    genes = homogeneous(ONE_GRU, 6).changed({"W_in": 4, "mul_rh": 4, "add_n": 8})
    found = measure(network_of(genes))
    logic, block = (named(found.all_terms(target)) for target in ("ecp5", "ice40"))
    assert (logic["table 5"], logic["table 6"]) == (1, 2)
    assert (block["table 8"], block["table 6"]) == (1, 2)


def test_paths_are_short_where_no_carry_chain_follows_another() -> None:
    """Where one does, ABC has time for other logic, which it maps otherwise."""
    *_, network = islice(short_networks(SEED), 2)
    genes, lanes = network.genome.genes, network.architecture.most_units
    for short in (network, with_widths(network, genes)):
        assert named(measure(short).all_terms("ecp5"))["short"] == 1
        assert "short" not in named(measure(short).all_terms("ice40"))
    slow = {
        "compared logits": with_other_output(network),
        "three digits": with_widths(network, genes | {"W_hn.weight": 5}),
        "parallel products": with_widths(network, genes, pe=lanes),
        "a rounded complement": with_widths(network, genes | {"sig_z": 8, "sub_z": 2}),
    }
    found = {
        name for name, other in slow.items() if "short" in named(measure(other).all_terms("ecp5"))
    }
    assert not found
    coarse, fine = Fixed(6, 2), Fixed(6, 3)
    assert not adder_needs(coarse, fine, Fixed(6, 2)).slow  # the constant meets the coarse one
    assert adder_needs(coarse, fine, Fixed(6, 1)).slow
    assert adder_needs(fine, fine, Fixed(6, 1)).slow


def with_widths(network: Network, genes: Mapping[str, int], pe: int = 1) -> Network:
    """The network with random weights, other widths and folding; its paths are of these alone."""
    update = {"genes": dict(genes), "folding": Folding(pe=pe)}
    genome = network.genome.model_copy(update=update)
    architecture, rng = genome.network, np.random.default_rng(3)
    weights, biases = random_layers(rng, architecture, 0.4)
    samples = rng.random((8, 6, architecture.inputs))
    fractions, signed = calibrate(architecture, genome.genes, weights, biases, samples)
    unit = Normalisation.identity(architecture.inputs)
    return Network.build(genome, Model(architecture, weights, biases, fractions, signed, unit))


def bias_terms(biases: Sequence[int]) -> dict[str, float]:
    """The terms that depend on the contents of a ROM of biases; without any, there is none."""
    weights = np.zeros((len(biases), 1), dtype=np.int64)
    found = linear_needs(plan_of(weights, 4, 1, biases)).all_terms("ecp5")
    return {
        name: value
        for name, value in named(found).items()
        if name.startswith(("bias block", "bias col"))
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
