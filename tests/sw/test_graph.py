"""The operator graph: its types, its tables, and that every interpreter knows every node."""

import dataclasses
import sys
from decimal import ROUND_FLOOR, Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gruhw.quant.native.source
import gruhw.quant.operators
import gruhw.reference
import gruhw.schedule
import gruhw_hw.area.terms
import gruhw_hw.energy
import gruhw_hw.formal.operators
import gruhw_hw.operators
from gruhw.errors import InputError
from gruhw.fixed import Fixed
from gruhw.genome import GENES, LINEAR, OPERATORS, Genes, Sizes, homogeneous
from gruhw.graph import (
    Graph,
    Input,
    Linear,
    Node,
    State,
    Table,
    build_graph,
    calibrated_tensors,
    worst_case_accumulator,
)

SIZES = Sizes(input=3, hidden=5, classes=4)

ARGUMENTS = {
    "quant": ((), {}),
    "reference": (None, (), None),
    "schedule": (None, False),
    "datapath": (None, None, False),
    "energy": (None, None),
    "area": (None, None, None),
    "claims": (None, None),
    "native": (),
    "native gradients": (),
}

INTERPRETERS = {
    "quant": gruhw.quant.operators.ideal,
    "reference": gruhw.reference.evaluate,
    "schedule": gruhw.schedule.latency,
    "datapath": gruhw_hw.operators.component,
    "energy": gruhw_hw.energy.node_energy,
    "claims": gruhw_hw.formal.operators.properties,
    "area": gruhw_hw.area.terms.needs,
    "native": gruhw.quant.native.source.exact_value,
    "native gradients": gruhw.quant.native.source.gradients,
}

# Every gene has a width of its own, so that a type of another operator is noticed.
DISTINCT = Genes({gene: 1 + index % 12 for index, gene in enumerate(GENES)})


def graph_of(genes: Genes, *, input_signed: bool = True) -> Graph:
    fractions = {name: index - 9 for index, name in enumerate(calibrated_tensors(genes))}
    return build_graph(SIZES, genes, fractions, input_signed=input_signed)


def node_classes() -> list[type[Node]]:
    """Every concrete class of nodes, wherever it is defined; leaves hold no operation."""
    found, unseen = [], Node.__subclasses__()
    while unseen:
        kind = unseen.pop()
        unseen += kind.__subclasses__()
        # A dataclass with slots leaves the class that it replaces among the subclasses.
        if getattr(sys.modules[kind.__module__], kind.__name__, None) is kind:
            found.append(kind)
    leaves = {Input, State}
    assert leaves < set(found)
    return sorted(set(found) - leaves, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", node_classes())
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_every_interpreter_knows_every_operator(interpreter: str, kind: type[Node]) -> None:
    dispatch = INTERPRETERS[interpreter]
    assert dispatch.dispatch(kind) is not dispatch.dispatch(object)


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_unknown_operators_are_refused(interpreter: str) -> None:
    node = Node(name="x", type=Fixed(8, 0))
    with pytest.raises(TypeError, match=r"^no .* for Node$"):
        INTERPRETERS[interpreter](node, *ARGUMENTS[interpreter])


def test_operators_are_those_of_the_genome() -> None:
    graph = graph_of(DISTINCT)
    assert [node.name for node in graph.operators] == list(OPERATORS)
    assert [node.name for node in graph.linears] == [*LINEAR, "head"]
    assert [node.name for node in graph.tables] == ["sig_r", "sig_z", "tanh_n"]


def test_nodes_stand_in_topological_order() -> None:
    seen: set[str] = set()
    for node in graph_of(DISTINCT):
        assert seen.issuperset(node.operands)
        assert node.name not in seen
        seen.add(node.name)
    assert graph_of(DISTINCT).state.source in seen


def test_feedforward_nodes_do_not_depend_on_the_state() -> None:
    assert graph_of(DISTINCT).feedforward == {"input", "W_ir", "W_iz", "W_in"}


@pytest.mark.parametrize("input_signed", [True, False])
def test_types_follow_the_contract(input_signed: bool) -> None:
    graph = graph_of(DISTINCT, input_signed=input_signed)
    fractions = {name: index - 9 for index, name in enumerate(calibrated_tensors(DISTINCT))}
    assert graph.input.type == Fixed(DISTINCT["input"], fractions["input"], input_signed)
    for name in ("sig_r", "sig_z", "sub_z"):
        assert graph[name].type == Fixed(DISTINCT[name], DISTINCT[name], signed=False)
    for name, source in (("tanh_n", "tanh_n"), ("add_h", "add_h"), ("h", "add_h")):
        assert graph[name].type == Fixed(DISTINCT[source], DISTINCT[source] - 1)
    for name in (*LINEAR, "add_r", "add_z", "mul_rh", "add_n", "mul_zn", "mul_zh"):
        assert graph[name].type == Fixed(DISTINCT[name], fractions[name])


def test_linear_operators_follow_the_contract() -> None:
    graph = graph_of(DISTINCT)
    for op in graph.linears:
        operand = graph.input if op.name in LINEAR[:3] else graph.state
        bits = DISTINCT[f"{op.name}.weight"]
        assert op.operand == operand.name
        assert op.inputs == operand.size
        assert op.outputs == (SIZES.classes if op.name == "head" else SIZES.hidden)
        assert (op.weight.bits, op.weight.signed) == (bits, True)
        assert op.accumulator.frac == operand.type.frac + op.weight.frac
    assert graph.head.type == graph.head.accumulator


def test_calibrated_tensors_are_those_without_a_fixed_scale() -> None:
    fixed = {"sig_r", "sig_z", "tanh_n", "sub_z", "add_h"}
    assert calibrated_tensors(DISTINCT) == {
        gene: bits for gene, bits in DISTINCT.items() if gene not in fixed
    }


def test_missing_fraction() -> None:
    with pytest.raises(InputError) as caught:
        build_graph(SIZES, DISTINCT, {}, input_signed=True)
    assert str(caught.value) == "fraction bits of W_hn are required, but missing"


def test_nodes_are_frozen() -> None:
    for node in graph_of(DISTINCT):
        with pytest.raises(dataclasses.FrozenInstanceError):
            node.name = "other"  # type: ignore[misc]  # what must fail


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
    graph = graph_of(homogeneous(8))
    narrow = {"W_hn": Fixed(9, 3), "head": Fixed(10, 4)}
    found = graph.with_accumulators(narrow)
    assert found["W_hn"] == dataclasses.replace(graph["W_hn"], accumulator=narrow["W_hn"])
    assert found.head == dataclasses.replace(
        graph.head, accumulator=narrow["head"], type=narrow["head"]
    )
    others = [node for node in graph.step if node.name not in narrow]
    assert [node for node in found.step if node.name not in narrow] == others


def test_a_result_keeps_its_type_where_it_is_that_of_its_accumulator() -> None:
    genes = Genes({**homogeneous(2), "W_hz": 8})
    fractions = dict.fromkeys(calibrated_tensors(genes), 1) | {"W_hz": 2}
    graph = build_graph(SIZES, genes, fractions, input_signed=True)
    node = graph["W_hz"]
    assert isinstance(node, Linear)
    assert node.type == node.accumulator
    for bits in (4, 20):
        found = graph.with_accumulators({"W_hz": Fixed(bits, 2)})
        assert found["W_hz"] == dataclasses.replace(node, accumulator=Fixed(bits, 2))


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
                table = Table(name="f", type=kind, operand="x", function=function)  # type: ignore[arg-type]  # parametrised
                expected = [
                    min(
                        kind.maximum,
                        int((real * 2**kind.frac + Decimal("0.5")).to_integral(ROUND_FLOOR)),
                    )
                    for real in reals
                ]
                assert table.values(operand)[codes].tolist() == expected


@pytest.mark.filterwarnings("error")
def test_tables_of_coarse_operands_raise_no_warning() -> None:
    kind = Fixed(8, 8, signed=False)
    table = Table(name="f", type=kind, operand="x", function="sigmoid")
    assert table.values(Fixed(12, -2)).min() == 0


def test_graph_indexes_the_table_by_its_operands_code() -> None:
    graph = graph_of(homogeneous(4))
    table = graph.tables[0]
    values = graph.table_values(table)
    assert values.shape == (16,)
    assert values[0] == 8  # sigmoid(0) is a half
    assert (np.diff(np.roll(values, 8)) >= 0).all()
    assert isinstance(graph["W_ir"], Linear)
