"""The types of a stage: the rule of every result, accumulators, tables."""

import dataclasses
import itertools
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.fixed import Fixed
from gruhw.network.fractions import Fractions
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.graph import INPUT
from gruhw.network.typed import Typed, tabulate, type_stages, worst_case_accumulator

INPUTS, UNITS, CLASSES = 3, 5, 4
GRU = Architecture(inputs=INPUTS, layers=[f"gru:{UNITS}"], outputs=CLASSES)
DEEP = Architecture(
    inputs=INPUTS, layers=["dense:6:relu", "lstm:5", "dense:2:tanh", "gru:4"], outputs=CLASSES
)
LINEAR = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn")


def distinct(network: Architecture) -> Genes:
    """Every gene has a width of its own, so that a type of another operator is noticed."""
    return Genes(network, {gene: 1 + i % 12 for i, gene in enumerate(network.gene_names)})


def fractions_of(network: Architecture) -> dict[str, int]:
    """So do the fraction bits."""
    return {gene.name: i % 21 - 9 for i, gene in enumerate(network.calibrated)}


def typed_of(genes: Genes, *, input_signed: bool = True) -> dict[str, Typed]:
    found = type_stages(genes, fractions_of(genes.network), input_signed=input_signed)
    return {stage.name: typed for stage, typed in zip(genes.network.stages, found, strict=True)}


@pytest.mark.parametrize("input_signed", [True, False])
def test_types_of_a_gru_follow_the_contract(input_signed: bool) -> None:
    genes, fractions = distinct(GRU), fractions_of(GRU)
    typed = typed_of(genes, input_signed=input_signed)["l0"]
    assert typed[INPUT] == Fixed(genes[INPUT], fractions[INPUT], input_signed)
    for name in ("sig_r", "sig_z", "sub_z"):
        assert typed[name] == Fixed(genes[name], genes[name], signed=False)
    for name, source in (("tanh_n", "tanh_n"), ("add_h", "add_h"), ("h", "add_h")):
        assert typed[name] == Fixed(genes[source], genes[source] - 1)
    for name in (*LINEAR, "add_r", "add_z", "mul_rh", "add_n", "mul_zn", "mul_zh"):
        assert typed[name] == Fixed(genes[name], fractions[name])
    assert typed.emitted == typed["add_h"]
    assert list(typed.types) == [node.name for node in typed.graph]


def test_linear_operators_of_a_gru_follow_the_contract() -> None:
    genes, fractions = distinct(GRU), fractions_of(GRU)
    stages = typed_of(genes)
    for typed in stages.values():
        for op in typed.graph.linears:
            weight, bits = typed.weights[op.name], genes[f"{op.name}.weight"]
            assert weight == Fixed(bits, fractions[f"{op.name}.weight"])
            assert typed.accumulators[op.name] == worst_case_accumulator(
                typed[op.operand], weight, op.inputs
            )
            assert typed.accumulators[op.name].frac == typed[op.operand].frac + weight.frac
    head = stages["head"]
    assert head[INPUT] == stages["l0"]["add_h"]
    assert head["head"] == head.accumulators["head"]
    assert (head.graph.units, head.graph.input.size) == (CLASSES, UNITS)


def test_each_stage_reads_what_its_source_emits() -> None:
    genes, fractions = distinct(DEEP), fractions_of(DEEP)
    stages = typed_of(genes)
    assert list(stages) == ["l0", "l1", "l2", "l3", "head"]
    for source, stage in itertools.pairwise(stages.values()):
        assert stage[INPUT] == source.emitted
    expected: Mapping[tuple[str, str], Fixed] = {
        ("l0", INPUT): Fixed(genes[INPUT], fractions[INPUT]),
        # A ReLU's.
        ("l0", "W"): Fixed(genes["l0.W"], fractions["l0.W"], signed=False),
        # The cell state's is calibrated, the other state's symmetric.
        ("l1", "c"): Fixed(genes["l1.add_c"], fractions["l1.add_c"]),
        ("l1", "h"): Fixed(genes["l1.mul_h"], genes["l1.mul_h"] - 1),
        ("l1", "sig_f"): Fixed(genes["l1.sig_f"], genes["l1.sig_f"], signed=False),
        ("l2", "W"): Fixed(genes["l2.W"], fractions["l2.W"]),
        ("l2", "tanh"): Fixed(genes["l2.tanh"], genes["l2.tanh"] - 1),
        ("l3", "W_hn"): Fixed(genes["l3.W_hn"], fractions["l3.W_hn"]),
    }
    assert {(stage, name): stages[stage][name] for stage, name in expected} == expected
    for name, stage in stages.items():
        prefix = "" if name == "head" else f"{name}."
        for op in stage.graph.linears:
            gene = f"{prefix}{op.name}.weight"
            assert stage.weights[op.name] == Fixed(genes[gene], fractions[gene])


def test_an_unsigned_input_is_that_of_the_first_stage_alone() -> None:
    stages = typed_of(distinct(DEEP), input_signed=False)
    assert [stage[INPUT].signed for stage in stages.values()] == [False, False, True, True, True]


def test_calibrated_genes_are_those_without_a_fixed_scale() -> None:
    fixed = {"sig_r", "sig_z", "tanh_n", "sub_z", "add_h"}
    found = [gene.name for gene in GRU.calibrated]
    assert set(found) == set(GRU.gene_names) - fixed
    # The input, then weights, then results: the order of files.
    assert found[0] == INPUT
    assert found[1:8] == [f"{name}.weight" for name in (*LINEAR, "head")]


def test_missing_fraction() -> None:
    fractions = fractions_of(DEEP)
    del fractions["l1.add_c"]
    with pytest.raises(InputError, match=r"^fraction bits of l1\.add_c are required, but missing$"):
        type_stages(distinct(DEEP), fractions, input_signed=True)


def test_fractions_of_another_width() -> None:
    genes = homogeneous(DEEP, 8)
    widths = {gene.name: 8 for gene in DEEP.calibrated}
    fractions = Fractions(dict.fromkeys(widths, 7), widths | {"l0.W": 4})
    expected = r"^result width of l0\.W must be 4 bits, for which .* were chosen, not 8: "
    with pytest.raises(InputError, match=expected):
        type_stages(genes, fractions, input_signed=True)


def test_types_cannot_change() -> None:
    typed = typed_of(distinct(GRU))["l0"]
    for name in ("types", "weights", "accumulators"):
        with pytest.raises(TypeError, match="does not support item assignment"):
            getattr(typed, name)["W_in"] = Fixed(8, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        typed.graph = typed.graph  # type: ignore[misc]  # what must fail


@given(st.integers(1, 12), st.booleans(), st.integers(1, 12), st.integers(1, 40))
def test_worst_case_accumulator_holds_products_and_bias(
    operand_bits: int, operand_signed: bool, weight_bits: int, inputs: int
) -> None:
    operand, weight = Fixed(operand_bits, 3, operand_signed), Fixed(weight_bits, -1)
    kind = worst_case_accumulator(operand, weight, inputs)
    corners = [
        a * b for a in (operand.minimum, operand.maximum) for b in (weight.minimum, weight.maximum)
    ]
    tight = Fixed.spanning([2 * inputs * corner for corner in corners], 2)
    assert kind.frac == tight.frac
    assert tight.bits <= kind.bits <= tight.bits + 1


def test_accumulators_can_be_replaced() -> None:
    stages = typed_of(homogeneous(GRU, 8))
    layer, head = stages["l0"], stages["head"]
    narrow = Fixed(9, 3)
    found = layer.with_accumulators({"W_hn": narrow})
    assert found.accumulators == {**layer.accumulators, "W_hn": narrow}
    assert (found.graph, found.types, found.weights) == (layer.graph, layer.types, layer.weights)
    # An exact result has the type of its accumulator.
    found = head.with_accumulators({"head": narrow})
    assert found.accumulators["head"] == found["head"] == narrow
    assert found[INPUT] == head[INPUT]


def test_a_result_keeps_its_type_where_it_is_that_of_its_accumulator() -> None:
    genes = homogeneous(GRU, 2).changed({"W_hz": 8})
    fractions = dict.fromkeys(fractions_of(GRU), 1) | {"W_hz": 2}
    typed = type_stages(genes, fractions, input_signed=True)[0]
    assert typed["W_hz"] == typed.accumulators["W_hz"]
    for bits in (4, 20):
        found = typed.with_accumulators({"W_hz": Fixed(bits, 2)})
        assert found["W_hz"] == typed["W_hz"]
        assert found.accumulators["W_hz"].bits == bits


def exactly(function: str, value: Decimal) -> Decimal:
    """The function to 60 digits."""
    if function == "sigmoid":
        return 1 / (1 + (-value).exp())
    return 2 / (1 + (-2 * value).exp()) - 1


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("operand_bits", [1, 2, 3, 5, 8, 12])
def test_tables_round_half_up_exactly(function: str, operand_bits: int) -> None:
    for frac in {0, operand_bits - 5, operand_bits - 3, operand_bits - 1}:
        operand = Fixed(operand_bits, frac)
        codes = np.arange(1 << operand_bits)[:: max(1, operand_bits * operand_bits - 63)]
        with localcontext() as context:
            context.prec = 60
            reals = [
                exactly(function, Decimal(int(code)) * Decimal(2) ** -frac)
                for code in operand.codes()[codes]
            ]
            for bits in range(1, 13):
                if function == "sigmoid":
                    kind = Fixed(bits, bits, signed=False)
                else:
                    kind = Fixed(bits, bits - 1)
                expected = [
                    min(
                        kind.maximum,
                        int((real * 2**kind.frac + Decimal("0.5")).to_integral(ROUND_FLOOR)),
                    )
                    for real in reals
                ]
                found = tabulate(function, operand, kind)  # type: ignore[arg-type]  # parametrised
                assert found[codes].tolist() == expected


@pytest.mark.filterwarnings("error")
def test_tables_of_coarse_operands_raise_no_warning() -> None:
    assert tabulate("sigmoid", Fixed(12, -2), Fixed(8, 8, signed=False)).min() == 0


def test_tables_of_unsigned_operands_begin_with_zero() -> None:
    # 8 tanh(0), 8 tanh(1 / 2), ...: 0, 3.7, 6.1, 7.2, 7.7, 7.9, 8.0, 8.0
    assert tabulate("tanh", Fixed(3, 1, signed=False), Fixed(4, 3)).tolist() == [0, 4, 6, *[7] * 5]


def test_a_table_is_indexed_by_its_operands_code() -> None:
    typed = typed_of(homogeneous(GRU, 4))["l0"]
    values = typed.table_values(typed.graph.tables[0])
    assert values.shape == (16,)
    assert values[0] == 8  # sigmoid(0) is a half
    assert (np.diff(np.roll(values, 8)) >= 0).all()
