"""The graph of a time step: its structure, what is refused, and what follows from it."""

import dataclasses
import re
from collections.abc import Callable

import pytest

from gruhw.errors import InputError
from gruhw.network.cells import cell_of, cells
from gruhw.network.graph import (
    INPUT,
    OF_STATES,
    RESERVED,
    RULES,
    Add,
    Complement,
    Graph,
    Input,
    Linear,
    Multiply,
    Node,
    State,
    Table,
)
from gruhw.network.step import Step

INPUTS, UNITS = 3, 5
WITHOUT_OPERANDS = (Input, State)


def graph_of(cell: str) -> Graph:
    return cell_of(cell).graph(INPUTS, UNITS)


GRAPHS = {name: graph_of(name) for name in cells()}
GRU = GRAPHS["gru"]

GRU_OPERATORS = (
    "W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn", "add_r", "add_z", "sig_r", "sig_z", "mul_rh",
    "add_n", "tanh_n", "sub_z", "mul_zn", "mul_zh", "add_h",
)  # fmt: skip
"""The seventeen operators of arXiv:2402.12263, section 3, in order of data flow."""


def test_a_gru_has_the_operators_of_the_paper() -> None:
    assert tuple(node.name for node in GRU.operators) == GRU_OPERATORS
    assert [node.name for node in GRU.linears] == list(GRU_OPERATORS[:6])
    assert [node.name for node in GRU.tables] == ["sig_r", "sig_z", "tanh_n"]
    assert [state.name for state in GRU.states] == ["h"]
    assert (GRU.emits, GRU.units, GRU.input) == ("add_h", UNITS, Input(name=INPUT, size=INPUTS))


def test_an_lstm_has_two_states() -> None:
    found = {state.name: state.source for state in GRAPHS["lstm"].states}
    assert found == {"h": "mul_h", "c": "add_c"}
    assert GRAPHS["lstm"].emits == "mul_h"


@pytest.mark.parametrize("cell", GRAPHS)
def test_nodes_stand_in_topological_order(cell: str) -> None:
    graph, seen = GRAPHS[cell], set[str]()
    for node in graph:
        assert seen.issuperset(node.operands)
        assert node.name not in seen
        seen.add(node.name)
        assert graph[node.name] is node
    assert seen.issuperset(state.source for state in graph.states)


@pytest.mark.parametrize("cell", GRAPHS)
def test_linear_operators_say_what_they_read(cell: str) -> None:
    graph = GRAPHS[cell]
    for op in graph.linears:
        assert isinstance(graph[op.operand], WITHOUT_OPERANDS)
        assert op.inputs == graph[op.operand].size == (INPUTS if op.operand == INPUT else UNITS)
        assert op.outputs == op.size == UNITS


def test_graphs_are_values() -> None:
    assert graph_of("gru") == GRU
    assert hash(graph_of("gru")) == hash(GRU)
    assert cell_of("gru").graph(INPUTS, UNITS + 1) != GRU
    for node in GRU:
        with pytest.raises(dataclasses.FrozenInstanceError):
            node.name = "other"  # type: ignore[misc]  # what must fail
    with pytest.raises(dataclasses.FrozenInstanceError):
        GRU.emits = "add_n"  # type: ignore[misc]  # what must fail


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("gru", {"W_ir", "W_iz", "W_in"}),
        ("ugrnn", {"W_iz", "W_in"}),
        ("mgu", {"W_if", "W_in"}),
        ("lstm", {"W_ii", "W_if", "W_ig", "W_io"}),
    ],
)
def test_feedforward_nodes_do_not_depend_on_a_state(cell: str, expected: set[str]) -> None:
    assert GRAPHS[cell].feedforward == {INPUT, *expected}


def test_what_only_feedforward_nodes_feed_is_feedforward() -> None:
    step = Step(INPUTS, UNITS)
    h = step.state("h", source="add_h")
    tanh = step.tanh("tanh", step.linear("W"))
    step.multiply("square", tanh, tanh)
    graph = step.graph(step.add("add_h", "square", h))
    assert graph.feedforward == {INPUT, "W", "tanh", "square"}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("gru", {"W_hr": "W_ir", "W_hz": "W_iz"}),
        ("ugrnn", {"W_hz": "W_iz", "W_hn": "W_in"}),
        ("mgu", {"W_hf": "W_if"}),
        ("lstm", {"W_hi": "W_ii", "W_hf": "W_if", "W_hg": "W_ig", "W_ho": "W_io"}),
    ],
)
def test_one_bias_is_enough_for_two_that_are_only_added(
    cell: str, expected: dict[str, str]
) -> None:
    assert GRAPHS[cell].merged_biases == expected


MERGED: dict[str, tuple[Callable[[Step], object], dict[str, str]]] = {
    "added": (lambda step: step.add("other", "A", "B"), {"B": "A"}),
    "added to itself": (lambda step: step.add("other", "A", "A"), {}),
    "multiplied": (lambda step: step.multiply("other", "A", "B"), {}),
    "added twice": (
        lambda step: (step.add("other", "A", "B"), step.add("more", "A", "B")),
        {},
    ),
    "read besides": (lambda step: (step.add("other", "A", "B"), step.tanh("more", "B")), {}),
    "added to something else": (lambda step: step.add("other", "A", step.tanh("more", "B")), {}),
}


@pytest.mark.parametrize("case", MERGED)
def test_biases_that_are_merged(case: str) -> None:
    build, expected = MERGED[case]
    step = Step(INPUTS, UNITS)
    h = step.state("h", source="other")
    step.linear("A")
    step.linear("B", h)
    build(step)
    assert step.graph("other").merged_biases == expected


@pytest.mark.parametrize(("kept", "emitted"), [("B", "sum"), ("A", "sum"), ("sum", "B")])
def test_biases_of_what_is_kept_or_emitted_are_not_merged(kept: str, emitted: str) -> None:
    step = Step(INPUTS, UNITS)
    h = step.state("h", source=kept)
    step.add("sum", step.linear("A"), step.linear("B", h))
    assert step.graph(emitted).merged_biases == {}


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"exact"}))
def test_every_rule_suits_a_sum(rule: str) -> None:
    step = Step(INPUTS, UNITS)
    step.linear("W")
    graph = step.graph(step.add("sum", "W", "W", rule=rule))  # type: ignore[arg-type]  # parametrised
    assert graph["sum"].rule == rule


def test_the_builder_gives_each_function_its_rule() -> None:
    step = Step(INPUTS, UNITS)
    gate = step.sigmoid("gate", step.linear("W", rule="rectified"))
    graph = step.graph(step.multiply("out", step.complement("rest", gate), step.tanh("t", "W")))
    rules = {node.name: node.rule for node in graph.operators}
    assert rules == {
        "W": "rectified",
        "gate": "unit",
        "rest": "unit",
        "t": "symmetric",
        "out": "calibrated",
    }


X = Input(name=INPUT, size=INPUTS)
W = Linear(name="W", size=UNITS, operand=INPUT, inputs=INPUTS)
H = State(name="h", size=UNITS, source="W")


def node(name: str = "f", size: int = UNITS) -> Table:
    """An operator."""
    return Table(name=name, size=size, rule="symmetric", operand="W", function="tanh")


def plus(left: str, right: str = "W", size: int = UNITS) -> Add:
    """A sum."""
    return Add(name="sum", size=size, left=left, right=right)


ONE = "a graph must have one input, named input, not "
EMITS = "what a graph emits must be one of its operators, not "
NAMES = "name of a node must be "
OF_A_NAME = f"{NAMES}letters, digits and underscores, a letter first, not "

REFUSED: dict[str, tuple[tuple[Node, ...], str, str]] = {
    "no input": ((), "W", f"{ONE}[]"),
    "input of another name": ((Input(name="i", size=INPUTS),), "W", f"{ONE}['i']"),
    "two inputs": ((X, Input(name="i", size=INPUTS), W), "W", f"{ONE}['input', 'i']"),
    "input twice": ((X, X), "W", f"{NAMES}unique, but there are two of input"),
    "name twice": ((X, W, node("W")), "W", f"{NAMES}unique, but there are two of W"),
    "name of the input": (
        (node(INPUT),),
        "W",
        f"{NAMES}none of {', '.join(RESERVED)}, not 'input'",
    ),
    "empty name": ((X, dataclasses.replace(W, name="")), "W", f"{OF_A_NAME}''"),
    "dot": ((X, dataclasses.replace(W, name="W.h")), "W", f"{OF_A_NAME}'W.h'"),
    "digit first": ((X, dataclasses.replace(W, name="1W")), "W", f"{OF_A_NAME}'1W'"),
    "underscore first": ((X, dataclasses.replace(W, name="_W")), "W", f"{OF_A_NAME}'_W'"),
    "umlaut": ((X, dataclasses.replace(W, name="Wä")), "W", f"{OF_A_NAME}'Wä'"),
    "newline": ((X, dataclasses.replace(W, name="W\n")), "W", f"{OF_A_NAME}'W\\n'"),
    **{
        f"memory {what}": (
            (X, H, W, node(f"{what}_h")),
            "W",
            f"name of a node must not be {what}_h, a memory of state h",
        )
        for what in OF_STATES
    },
    "unknown rule": (
        (X, dataclasses.replace(W, rule="signed")),  # type: ignore[arg-type]  # what must fail
        "W",
        f"rule of W must be one of {', '.join(RULES)}, not 'signed'",
    ),
    "exact sum": (
        (X, W, dataclasses.replace(plus("W"), rule="exact")),
        "W",
        "rule of sum must not be exact, which only linear operators can be",
    ),
    "operand that is missing": (
        (X, W, plus("V")),
        "W",
        "operand of sum must stand before it, but 'V' does not",
    ),
    "operand that comes later": (
        (X, W, plus("f"), node()),
        "W",
        "operand of sum must stand before it, but 'f' does not",
    ),
    "operand that is the operator itself": (
        (X, W, plus("sum")),
        "W",
        "operand of sum must stand before it, but 'sum' does not",
    ),
    "linear operator over a result": (
        (X, W, Linear(name="V", size=UNITS, operand="W", inputs=UNITS)),
        "V",
        "V, a linear operator, must read the input or a state, not the result of W",
    ),
    "linear operator over fewer elements": (
        (X, dataclasses.replace(W, inputs=INPUTS - 1)),
        "W",
        "W must take the 3 elements of input, not 2",
    ),
    "sum with the input": (
        (Input(name=INPUT, size=UNITS), dataclasses.replace(W, inputs=UNITS), plus(INPUT)),
        "sum",
        "sum must not read the input, which only linear operators read",
    ),
    "table of the input": (
        (X, Table(name="f", size=INPUTS, operand=INPUT, function="tanh")),
        "f",
        "f must not read the input, which only linear operators read",
    ),
    "table of another range": (
        (X, W, Table(name="f", size=UNITS, operand="W", function="tanh")),
        "f",
        "rule of f must be symmetric, the range of its function tanh, not calibrated",
    ),
    "table of another function": (
        (X, W, Table(name="f", size=UNITS, operand="W", function="exp")),  # type: ignore[arg-type]
        "f",
        "function of f must be sigmoid or tanh, not 'exp'",
    ),
    "sum of other sizes": (
        (X, W, plus("W", size=UNITS + 1)),
        "sum",
        "W must have 6 elements like sum, which reads it, not 5",
    ),
    "results of two sizes": (
        (X, W, dataclasses.replace(W, name="V", size=2)),
        "W",
        "V must have 5 elements like W, which is emitted, not 2",
    ),
    "complement of a signed result": (
        (X, W, Complement(name="rest", size=UNITS, rule="unit", operand="W")),
        "rest",
        "operand of rest must be of rule unit, of which 1 - x is one too, but W is calibrated",
    ),
    "complement of a state of a signed result": (
        (
            X,
            dataclasses.replace(H, rule="unit"),
            W,
            Complement(name="rest", size=UNITS, rule="unit", operand="h"),
        ),
        "rest",
        "operand of rest must be of rule unit, of which 1 - x is one too, but W is calibrated",
    ),
    "nothing emitted": ((X, W), "V", f"{EMITS}'V'"),
    "input emitted": (
        (X, W),
        INPUT,
        f"{EMITS}'input'",
    ),
    "state emitted": ((X, H, W), "h", f"{EMITS}'h'"),
    "state of nothing": (
        (X, dataclasses.replace(H, source="V"), W),
        "W",
        "source of state h must be an operator, not 'V'",
    ),
    "state of the input": (
        (X, dataclasses.replace(H, source=INPUT), W),
        "W",
        "source of state h must be an operator, not 'input'",
    ),
    "state of a state": (
        (X, H, State(name="g", size=UNITS, source="h"), W),
        "W",
        "source of state g must be an operator, not 'h'",
    ),
    "state of another size": (
        (X, dataclasses.replace(H, size=4), W),
        "W",
        "state h must have 5 elements like its source W, not 4",
    ),
    "exact state": (
        (X, H, dataclasses.replace(W, rule="exact")),
        "W",
        "rule of W, which state h keeps, must not be exact",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_interpreter_computes_is_refused(case: str) -> None:
    nodes, emits, message = REFUSED[case]
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Graph(nodes, emits)


def test_a_state_has_the_rule_of_what_it_keeps() -> None:
    step = Step(INPUTS, UNITS)
    kept = step.state("kept", source="gate")
    rest = step.complement("rest", kept)
    gate = step.sigmoid("gate", step.linear("W"))
    assert step.graph(step.multiply("out", gate, rest))["kept"].rule != "unit"


@pytest.mark.parametrize("name", RESERVED[1:])
def test_reserved_names(name: str) -> None:
    message = f"name of a node must be none of {', '.join(RESERVED)}, not {name!r}"
    for nodes in ((X, dataclasses.replace(W, name=name)), (X, dataclasses.replace(H, name=name))):
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            Graph(nodes, name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda step: step.linear("V", step.tanh("f", step.linear("W"))),
            "V, a linear operator, must read the input or a state, not the result of f",
        ),
        (
            lambda step: step.linear("V", "W"),
            "operand of V must stand before it, but 'W' does not",
        ),
        (
            lambda step: step.complement("V", step.linear("W")),
            "operand of V must be of rule unit, of which 1 - x is one too, but W is calibrated",
        ),
    ],
)
def test_the_builder_refuses_what_the_graph_does(
    build: Callable[[Step], str], message: str
) -> None:
    step = Step(INPUTS, UNITS)
    emits = build(step)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        step.graph(emits)


def test_a_product_may_read_one_operand_twice() -> None:
    square = Multiply(name="square", size=UNITS, left="W", right="W")
    assert Graph((X, W, square), "square")["square"].operands == ("W", "W")
