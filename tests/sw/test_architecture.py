"""What a network is: layers as users spell them, and the stages, genes and shapes that follow."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.network.architecture import ACTIVATIONS, DENSE, INITIALS, Architecture, Layer
from gruhw.network.cells import cells
from gruhw.network.graph import INPUT

GRU = Architecture(inputs=3, layers=["gru:5"], outputs=4)
DEEP = Architecture(
    inputs=3,
    layers=["dense:6:relu", "lstm:5", "dense:2:tanh", "ugrnn:4", "dense:7"],
    outputs=1,
    initial="constant",
)

layers = st.builds(Layer, st.sampled_from(sorted(cells())), st.integers(1, 1024)) | st.builds(
    Layer, st.just(DENSE), st.integers(1, 1024), st.sampled_from([None, *ACTIVATIONS])
)


@given(layers)
def test_layers_are_read_as_they_are_written(layer: Layer) -> None:
    assert Layer.parse(str(layer)) == layer


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("gru:32", Layer("gru", 32)),
        ("dense:1", Layer("dense", 1)),
        ("dense:1024:tanh", Layer("dense", 1024, "tanh")),
        ("lstm:007", Layer("lstm", 7)),
    ],
)
def test_layers_that_users_write(text: str, layer: Layer) -> None:
    assert Layer.parse(text) == layer


LAYERS = ", ".join([*cells(), DENSE])


@pytest.mark.parametrize(
    "text",
    ["", "gru", "gru:", "gru:x", "gru:-1", "gru:4.0", "gru:4:", "gru: 4", ":", "dense:4:", "gru:²"],
)
def test_what_is_no_layer(text: str) -> None:
    message = f"layer must be CELL:UNITS or dense:UNITS:relu|tanh, as gru:32, not {text!r}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Layer.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnn:4", f"layer must be one of {LAYERS}, not 'rnn'"),
        (":4", f"layer must be one of {LAYERS}, not ''"),
        ("GRU:4", f"layer must be one of {LAYERS}, not 'GRU'"),
        (" gru:4", f"layer must be one of {LAYERS}, not ' gru'"),
        ("gru:4:tanh", "layer gru must have no activation of its own, not 'tanh'"),
        (
            "dense:4:elu",
            "activation of layer dense must be relu or tanh, or absent, not 'elu'",
        ),
        (
            "dense:4:relu:tanh",
            "activation of layer dense must be relu or tanh, or absent, not 'relu:tanh'",
        ),
        ("gru:0", "units of layer gru must be 1 to 1024, not 0"),
        ("dense:1025:relu", "units of layer dense must be 1 to 1024, not 1025"),
        (f"lstm:{10**30}", f"units of layer lstm must be 1 to 1024, not {10**30}"),
    ],
)
def test_layers_that_do_not_exist(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Layer.parse(text)


@pytest.mark.parametrize("units", [True, 4.0, "4", None])
def test_units_must_be_a_whole_number(units: Any) -> None:
    with pytest.raises(InputError, match=r"^units of layer gru must be 1 to 1024, not "):
        Layer("gru", units)


UPDATE = "model_copy(update={'inputs': ...})"

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no input": (
        lambda: Architecture(inputs=0, layers=["gru:4"], outputs=2),
        "inputs: input should be greater than or equal to 1, not 0",
    ),
    "many outputs": (
        lambda: Architecture(inputs=3, layers=["gru:4"], outputs=1025),
        "outputs: input should be less than or equal to 1024, not 1025",
    ),
    "no layer": (
        lambda: Architecture(inputs=3, layers=[], outputs=2),
        "layers must be a list of at least one, as ['gru:32'], not []",
    ),
    "empty text": (
        lambda: Architecture(inputs=3, layers="", outputs=2),
        "layer must be CELL:UNITS or dense:UNITS:relu|tanh, as gru:32, not ''",
    ),
    "a number": (
        lambda: Architecture(inputs=3, layers=4, outputs=2),
        "layers must be a list of at least one, as ['gru:32'], not 4",
    ),
    "a set": (
        lambda: Architecture(inputs=3, layers={"gru:4"}, outputs=2),
        "layers must be a list of at least one, as ['gru:32'], not {'gru:4'}",
    ),
    "no state": (
        lambda: Architecture(inputs=3, layers=["dense:4", "dense:5:relu"], outputs=2),
        "layers must contain one that is recurrent, as gru:32, not dense:4, dense:5:relu",
    ),
    "unknown layer": (
        lambda: Architecture(inputs=3, layers=["gru:4", "rnn:4"], outputs=2),
        f"layer must be one of {LAYERS}, not 'rnn'",
    ),
    "initial state": (
        lambda: Architecture(inputs=3, layers=["gru:4"], outputs=2, initial="one"),
        "initial: input should be 'zero', 'constant' or 'carry', not 'one'",
    ),
    "another field": (
        lambda: Architecture(inputs=3, layers=["gru:4"], outputs=2, depth=1),
        "depth is not a field of this file",
    ),
    "no outputs": (
        lambda: Architecture(inputs=3, layers=["gru:4"]),
        "outputs is required, but missing",
    ),
    "change": (
        lambda: setattr(GRU, "inputs", 4),
        f"inputs of an Architecture cannot change: {UPDATE} gives another one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network(case: str) -> None:
    function, message = REFUSED[case]
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        function()


@pytest.mark.parametrize("wrong", [4, None, ["gru", 5], b"gru:5"])
def test_layers_must_be_layers(wrong: Any) -> None:
    message = f"layers must be a list of texts, as ['gru:32'], not of {wrong!r}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Architecture(inputs=3, layers=["gru:5", wrong], outputs=2)


def test_a_network_is_a_value() -> None:
    same = Architecture(inputs=3, layers="gru:5", outputs=4)
    assert same == GRU
    assert Architecture(inputs=3, layers=(Layer("gru", 5),), outputs=4) == same
    assert hash(same) == hash(GRU)
    assert GRU.model_copy(update={"initial": "constant"}) != GRU
    assert Architecture(inputs=3, layers="dense:4,gru:5", outputs=4).layers == (
        Layer("dense", 4),
        Layer("gru", 5),
    )
    assert GRU.initial == "zero"
    assert INITIALS == ("zero", "constant", "carry")


def test_a_network_for_people() -> None:
    assert str(GRU) == "3 inputs, gru:5, 4 outputs"
    assert str(DEEP) == (
        "3 inputs, dense:6:relu, lstm:5, dense:2:tanh, ugrnn:4, dense:7, 1 outputs, "
        "constant initial states"
    )


def test_a_network_for_files() -> None:
    content = DEEP.model_dump(mode="json")
    assert content == {
        "inputs": 3,
        "layers": ["dense:6:relu", "lstm:5", "dense:2:tanh", "ugrnn:4", "dense:7"],
        "outputs": 1,
        "initial": "constant",
    }
    assert Architecture.model_validate(content) == DEEP


def test_the_stages_of_one_layer_keep_its_names() -> None:
    layer, head = GRU.stages
    assert (layer.name, layer.source, layer.prefix) == ("l0", None, "")
    assert (head.name, head.source, head.prefix) == ("head", "l0", "")
    assert (layer.spell("W_ir"), head.spell("head")) == ("W_ir", "head")
    assert layer.graph == cells()["gru"].graph(3, 5)
    assert (head.graph.input.size, head.graph.units, head.graph.emits) == (5, 4, "head")
    assert head.graph["head"].rule == "exact"
    assert GRU.layer_stages == (layer,)


def test_the_stages_of_several_layers_have_theirs_before_names() -> None:
    stages = DEEP.stages
    assert [stage.name for stage in stages] == ["l0", "l1", "l2", "l3", "l4", "head"]
    assert [stage.source for stage in stages] == [None, "l0", "l1", "l2", "l3", "l4"]
    assert [stage.prefix for stage in stages] == ["l0.", "l1.", "l2.", "l3.", "l4.", ""]
    assert [stage.graph.input.size for stage in stages] == [3, 6, 5, 2, 4, 7]
    assert [stage.graph.units for stage in stages] == [6, 5, 2, 4, 7, 1]
    assert stages[1].spell("add_c") == "l1.add_c"
    assert stages[-1].spell("head") == "head"


@pytest.mark.parametrize(
    ("text", "operators"),
    [
        ("dense:4", {"W": "calibrated"}),
        ("dense:4:relu", {"W": "rectified"}),
        ("dense:4:tanh", {"W": "calibrated", "tanh": "symmetric"}),
    ],
)
def test_dense_layers(text: str, operators: dict[str, str]) -> None:
    graph = Layer.parse(text).graph(3)
    assert {node.name: node.rule for node in graph.operators} == operators
    assert graph.emits == list(operators)[-1]
    assert not graph.states


def test_stages_pick_what_belongs_to_their_layers() -> None:
    values = {name: number for number, name in enumerate(DEEP.layer_shapes)}
    found = [stage.of_layers(values) for stage in DEEP.stages]
    assert found[0] == {"W": 0}
    assert found[-1] == {"head": values["head"]}
    assert list(found[3]) == ["W_iz", "W_in", "W_hz", "W_hn"]
    assert found[3]["W_hz"] == values["l3.W_hz"]
    assert sum(map(len, found)) == len(values)


def test_genes_of_several_layers_stand_in_the_order_of_the_data() -> None:
    names = DEEP.gene_names
    assert names[:3] == (INPUT, "l0.W", "l0.W.weight")
    assert names[-3:] == ("l4.W", "l4.W.weight", "head.weight")
    assert [name for name in names if name.startswith("l2.")] == ["l2.W", "l2.tanh", "l2.W.weight"]
    assert len(names) == len(set(names))
    assert "head" not in names  # its results are exact
    by_name = {gene.name: gene for gene in DEEP.genes}
    assert by_name[INPUT] == (INPUT, "", INPUT, "result", True)
    assert by_name["l1.add_c"] == ("l1.add_c", "l1", "add_c", "result", True)
    assert by_name["l1.mul_h"] == ("l1.mul_h", "l1", "mul_h", "result", False)
    assert by_name["l1.W_hg.weight"] == ("l1.W_hg.weight", "l1", "W_hg", "weight", True)
    assert by_name["head.weight"] == ("head.weight", "head", "head", "weight", True)


def test_calibrated_genes_are_the_input_then_weights_then_results() -> None:
    found = [gene.name for gene in DEEP.calibrated]
    weights = [f"{name}.weight" for name in DEEP.layer_shapes]
    assert found[: 1 + len(weights)] == [INPUT, *weights]
    assert set(found) == {gene.name for gene in DEEP.genes if gene.calibrated}
    assert {"l0.W", "l2.W", "l1.add_c"} < set(found)
    assert not {"l2.tanh", "l1.sig_f", "l3.add_h"} & set(found)


def test_shapes_follow_from_the_layers() -> None:
    assert GRU.layer_shapes == {
        **dict.fromkeys(["W_ir", "W_iz", "W_in"], (5, 3)),
        **dict.fromkeys(["W_hr", "W_hz", "W_hn"], (5, 5)),
        "head": (4, 5),
    }
    shapes = DEEP.layer_shapes
    assert (shapes["l0.W"], shapes["l1.W_if"], shapes["l1.W_hf"]) == ((6, 3), (5, 6), (5, 5))
    assert (shapes["l2.W"], shapes["l3.W_iz"], shapes["l4.W"]) == ((2, 5), (4, 2), (7, 4))
    assert shapes["head"] == (1, 7)


def test_initial_states_have_shapes_where_they_are_constants() -> None:
    assert GRU.initial_shapes == {}
    assert GRU.model_copy(update={"initial": "constant"}).initial_shapes == {"h": (5,)}
    assert DEEP.initial_shapes == {"l1.h": (5,), "l1.c": (5,), "l3.h": (4,)}


def test_merged_biases_are_those_of_all_layers() -> None:
    assert GRU.merged_biases == {"W_hr": "W_ir", "W_hz": "W_iz"}
    assert DEEP.merged_biases == {
        **{f"l1.W_h{gate}": f"l1.W_i{gate}" for gate in "ifgo"},
        "l3.W_hz": "l3.W_iz",
        "l3.W_hn": "l3.W_in",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gru:4", [True]),
        ("dense:4,gru:4", [True, True]),
        ("gru:4,dense:4", [True, False]),
        ("gru:4,dense:4,lstm:4,dense:4,dense:4", [True, True, True, False, False]),
    ],
)
def test_what_nobody_reads_is_not_computed_at_every_step(text: str, expected: list[bool]) -> None:
    network = Architecture(inputs=3, layers=text, outputs=2)
    for output in ("class", "values"):
        assert network.stepping(output) == (*expected, False)
    assert network.stepping("states") == (*[True] * len(expected), False)


def test_most_units() -> None:
    assert (GRU.most_units, DEEP.most_units) == (5, 7)
