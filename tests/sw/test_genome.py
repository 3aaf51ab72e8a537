"""The genome file: what it holds, and one exact line for every way to get it wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.genes import PRESETS, Genes, homogeneous, preset_of
from gruhw.network.genome import FileReference, Folding, Genome

SIZES = {"input": 4, "hidden": 6, "classes": 3}
GRU = Architecture(inputs=4, layers=["gru:6"], outputs=3)
LINEAR = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn")
OPERATORS = (
    *LINEAR, "add_r", "add_z", "sig_r", "sig_z", "mul_rh", "add_n", "tanh_n", "sub_z", "mul_zn",
    "mul_zh", "add_h",
)  # fmt: skip
"""The seventeen operators of a GRU cell (arXiv:2402.12263, section 3), in order of data flow."""
GENES = ("input", *OPERATORS, *(f"{op}.weight" for op in LINEAR), "head.weight")
TWO = {
    "inputs": 4,
    "layers": ["dense:5:relu", "lstm:6"],
    "outputs": 3,
    "initial": "constant",
}
DEEP = Architecture(**TWO)
REMOVED: Any = object()

widths = st.integers(1, 12)


layers = st.builds(
    lambda cell, units, activation: f"{cell}:{units}" + (activation if cell == "dense" else ""),
    st.sampled_from(["gru", "ugrnn", "mgu", "lstm", "dense"]),
    st.integers(1, 1024),
    st.sampled_from(["", ":relu", ":tanh"]),
)


@st.composite
def genomes(draw: st.DrawFn) -> Genome:
    names = st.from_regex("[A-Za-zäß0-9][^/\\\\\\x00]{0,20}", fullmatch=True)
    file = st.builds(FileReference, file=names, sha256=st.just("5f" * 32))
    network = Architecture(
        inputs=draw(st.integers(1, 1024)),
        layers=[*draw(st.lists(layers, max_size=2)), "gru:7"],
        outputs=draw(st.integers(2, 1024)),
        initial=draw(st.sampled_from(["zero", "constant"])),
    )
    each = st.tuples(*(st.integers(1, layer.units) for layer in network.layers))
    return Genome(
        task=draw(st.none() | st.text(min_size=1)),
        network=network,
        genes={gene: draw(widths) for gene in network.gene_names},
        folding=Folding(pe=draw(st.integers(1, network.most_units) | each)),
        output=draw(st.sampled_from(["class", "values", "states"])),
        model=draw(st.none() | file),
        samples=draw(st.none() | file),
    )


def content(**changes: Any) -> dict[str, Any]:
    """A valid file's content, with the fields at the given paths (``a__b``) changed."""
    found: dict[str, Any] = {
        "format": "gruhw-genome",
        "version": 1,
        "sizes": dict(SIZES),
        "genes": dict(homogeneous(GRU, 8)),
        "folding": {"pe": 2},
    }
    return changed(found, changes)


def changed(found: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = found
        for folder in folders:
            place = place[folder]
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return found


def second(**changes: Any) -> dict[str, Any]:
    """The same of version 2."""
    genes = dict(homogeneous(DEEP, 8))
    found = content(version=2, sizes=REMOVED, network=dict(TWO), genes=genes)
    return changed(found, changes)


def error_of(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        Genome.from_json(text, "genome.json")
    message = str(caught.value)
    assert "\n" not in message
    return message


@given(genomes())
def test_round_trip(genome: Genome) -> None:
    text = genome.to_json()
    again = Genome.from_json(text, "genome.json")
    assert again == genome
    assert again.to_json() == text
    assert text.endswith("}\n")


def test_file_lists_fields_in_order_and_leaves_out_absent_ones() -> None:
    genome = Genome.from_json(json.dumps(content()), "genome.json")
    found = json.loads(genome.to_json())
    assert list(found) == ["format", "version", "sizes", "genes", "folding", "output"]
    assert tuple(found["genes"]) == GENES


def test_load_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "genome.json"
    path.write_text(json.dumps(content()))
    assert Genome.load(path).folding == Folding(pe=2)
    path.write_text("")
    with pytest.raises(InputError) as caught:
        Genome.load(path)
    expected = f"{path}: must be JSON, but: Expecting value: line 1 column 1 (char 0)"
    assert str(caught.value) == expected


def test_version_2_lists_the_network_and_the_genes_of_all_layers() -> None:
    genome = Genome.from_json(json.dumps(second()), "genome.json")
    found = json.loads(genome.to_json())
    assert list(found) == ["format", "version", "network", "genes", "folding", "output"]
    assert found["network"] == TWO
    assert list(found["genes"])[:4] == ["input", "l0.W", "l0.W.weight", "l1.W_ii"]
    assert list(found["genes"])[-1] == "head.weight"


@pytest.mark.parametrize(
    ("layer", "more", "version"),
    [
        ("gru:6", {}, 1),
        ("gru:6", {"output": "states"}, 1),
        ("gru:6", {"output": "values"}, 2),
        ("gru:6", {"folding": Folding(pe=(2,))}, 2),
        ("lstm:6", {}, 2),
    ],
)
def test_version_1_is_written_where_it_suffices(layer: str, more: Any, version: int) -> None:
    network = Architecture(inputs=4, layers=[layer], outputs=3)
    genome = Genome(network=network, genes=homogeneous(network, 8), **more)
    assert json.loads(genome.to_json())["version"] == version
    assert Genome.from_json(genome.to_json(), "genome.json") == genome


def test_genes_are_one_width_for_each_operator_weight_and_input() -> None:
    assert len(OPERATORS) == 17
    assert len(GENES) == len(set(GENES)) == 25
    assert GRU.gene_names == GENES


def test_genes_are_an_immutable_value() -> None:
    genes = homogeneous(GRU, 7)
    assert set(genes.values()) == {7}
    same = Genes(GRU, {gene: genes[gene] for gene in reversed(GENES)})
    assert genes == same
    assert hash(genes) == hash(same)
    assert genes != homogeneous(GRU, 8)
    with pytest.raises(TypeError):
        genes["add_h"] = 3  # type: ignore[index]  # what must fail
    other = genes.changed({"add_h": 3})
    assert (other["add_h"], genes["add_h"]) == (3, 7)
    assert other.network == GRU


def test_genes_of_many_layers_are_not_all_listed() -> None:
    with pytest.raises(InputError) as caught:
        homogeneous(DEEP, 7).changed({"l2.W_ir": 3})
    assert str(caught.value) == (f"gene must be one of {', '.join(DEEP.gene_names)}, not 'l2.W_ir'")
    deep = Architecture(inputs=4, layers=["gru:6"] * 9, outputs=3)
    with pytest.raises(InputError) as caught:
        homogeneous(deep, 7).changed({"l9.W_ir": 3})
    assert str(caught.value).endswith(", l8.W_hn.weight, head.weight, not 'l9.W_ir'")
    assert ", ..., " in str(caught.value)


def test_operators17_frees_17_genes_and_ties_weights() -> None:
    preset = preset_of("operators17", GRU)
    assert preset.free == OPERATORS
    found = preset.genes({op: 1 + index % 12 for index, op in enumerate(OPERATORS)})
    assert all(found[f"{op}.weight"] == found[op] for op in LINEAR)
    assert [found[op] for op in OPERATORS] == [1 + index % 12 for index in range(17)]
    assert (found["input"], found["head.weight"]) == (8, 8)


def test_operators17_ties_each_linear_operator_of_every_layer() -> None:
    preset = preset_of("operators17", DEEP)
    assert preset.tied["l0.W.weight"] == "l0.W"
    assert preset.tied["l1.W_hg.weight"] == "l1.W_hg"
    assert dict(preset.fixed) == {"input": 8, "head.weight": 8}
    assert {*preset.free, *preset.tied, *preset.fixed} == {*DEEP.gene_names}


def test_full_frees_every_gene() -> None:
    preset = preset_of("full", GRU)
    assert preset.free == GENES
    chosen = {gene: 1 + index % 12 for index, gene in enumerate(GENES)}
    assert preset.genes(chosen) == chosen


def test_unknown_preset() -> None:
    with pytest.raises(InputError) as caught:
        preset_of("half", GRU)
    assert str(caught.value) == f"preset must be one of {', '.join(PRESETS)}, not 'half'"


@pytest.mark.parametrize(
    ("preset", "changed", "message"),
    [
        (
            "operators17",
            {"input": 4},
            f"gene of preset operators17 must be one of {', '.join(OPERATORS)}, not 'input'",
        ),
        ("operators17", {"W_hn": 13}, "result width of W_hn must be 1 to 12 bits, not 13"),
        ("full", {"W_hn.weight": 0}, "weight width of W_hn must be 1 to 12 bits, not 0"),
        ("full", {"input": 2.0}, "width of the input must be 1 to 12 bits, not 2.0"),
    ],
)
def test_preset_checks_its_genes(preset: str, changed: dict[str, Any], message: str) -> None:
    found = preset_of(preset, GRU)
    with pytest.raises(InputError) as caught:
        found.genes({**dict.fromkeys(found.free, 8), **changed})
    assert str(caught.value) == message


def test_preset_needs_all_its_genes() -> None:
    with pytest.raises(InputError) as caught:
        preset_of("operators17", GRU).genes(dict.fromkeys(OPERATORS[1:], 8))
    assert str(caught.value) == "result width of W_ir (gene W_ir) is required, but missing"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "colour is not a field of this file"),
        ({"sizes__depth": 1}, "sizes.depth is not a field of this file"),
        ({"folding__simd": 2}, "folding.simd is not a field of this file"),
        ({"genes__foo": 3}, f"genes: gene must be one of {', '.join(GENES)}, not 'foo'"),
        (
            {"genes__add_h": REMOVED},
            "genes: result width of add_h (gene add_h) is required, but missing",
        ),
        *(
            (
                {"genes__add_h": width},
                f"genes: result width of add_h must be 1 to 12 bits, not {width!r}",
            )
            for width in (0, 13, "8", 8.0, True, None, 10**30)
        ),
        (
            {"genes__head.weight": 0},
            "genes: weight width of head must be 1 to 12 bits, not 0",
        ),
        ({"genes__input": -1}, "genes: width of the input must be 1 to 12 bits, not -1"),
        ({"genes": [8]}, "genes must be an object of gene names and widths, not [8]"),
        ({"genes": None}, "genes must be an object of gene names and widths, not None"),
        ({"genes": REMOVED}, "genes is required, but missing"),
        ({"sizes": REMOVED}, "sizes is required, but missing"),
        ({"sizes__hidden": REMOVED}, "sizes.hidden is required, but missing"),
        (
            {"sizes__input": -1},
            "sizes.input: input should be greater than or equal to 1, not -1",
        ),
        (
            {"sizes__hidden": 0},
            "sizes.hidden: input should be greater than or equal to 1, not 0",
        ),
        (
            {"sizes__classes": 1},
            "sizes.classes: input should be greater than or equal to 2, not 1",
        ),
        (
            {"sizes__hidden": 1025},
            "sizes.hidden: input should be less than or equal to 1024, not 1025",
        ),
        ({"sizes__hidden": "6"}, "sizes.hidden: input should be a valid integer, not '6'"),
        (
            {"folding__pe": 0},
            "folding.pe must be a whole number from 1 to 1024, or a list of some, not 0",
        ),
        ({"folding__pe": 7}, "folding.pe must be 1 to the 6 hidden units, not 7"),
        (
            {"folding__pe": True},
            "folding.pe must be a whole number from 1 to 1024, or a list of some, not True",
        ),
        ({"folding__pe": [2]}, "folding.pe must be one number in version 1, not [2]"),
        ({"output": "state"}, "output must be class or states in version 1, not 'state'"),
        ({"output": "values"}, "output must be class or states in version 1, not 'values'"),
        ({"network": TWO}, "network is a field of version 2: version 1 has sizes"),
        ({"task": ""}, "task: string should have at least 1 character, not ''"),
        ({"format": "onnx"}, "format: input should be 'gruhw-genome', not 'onnx'"),
        ({"version": 2}, "sizes is a field of version 1: version 2 has network"),
        ({"version": 3}, "version: input should be 1 or 2, not 3"),
        ({"version": "1"}, "version: input should be 1 or 2, not '1'"),
        ({"model": {"file": "m"}}, "model.sha256 is required, but missing"),
        (
            {"model": {"file": "m", "sha256": "abc"}},
            "model.sha256: string should match pattern '^[0-9a-f]{64}$', not 'abc'",
        ),
        (
            {"samples": {"file": "a/b", "sha256": "0" * 64}},
            "samples.file must be the name of a file beside the genome, not 'a/b'",
        ),
    ],
)
def test_malformed_content(changes: dict[str, Any], message: str) -> None:
    assert error_of(json.dumps(content(**changes))) == f"genome.json: {message}"


DENSE = "layers must contain one that is recurrent, as gru:32, not dense:5"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": REMOVED}, "network is required, but missing"),
        ({"network": [1]}, "network must be an object, not [1]"),
        ({"network__colour": 1}, "network.colour is not a field of this file"),
        ({"network__layers": ["dense:5"]}, f"network.{DENSE}"),
        (
            {"network__layers": ["rnn:5"]},
            "network.layer must be one of gru, ugrnn, mgu, lstm, dense, not 'rnn'",
        ),
        (
            {"network__layers": ["gru:0"]},
            "network.units of layer gru must be 1 to 1024, not 0",
        ),
        (
            {"network__layers": ["gru"]},
            "network.layer must be CELL:UNITS or dense:UNITS:relu|tanh, as gru:32, not 'gru'",
        ),
        (
            {"network__layers": ["gru:5:relu"]},
            "network.layer gru must have no activation of its own, not 'relu'",
        ),
        (
            {"network__layers": ["dense:5:elu", "gru:4"]},
            "network.activation of layer dense must be relu or tanh, or absent, not 'elu'",
        ),
        (
            {"network__layers": []},
            "network.layers must be a list of at least one, as ['gru:32'], not []",
        ),
        (
            {"network__initial": "one"},
            "network.initial: input should be 'zero', 'constant' or 'carry', not 'one'",
        ),
        (
            {"network__outputs": 1},
            "network.outputs must be at least 2 for output class, not 1: one logit is a value",
        ),
        (
            {"genes__l1.W_ii": REMOVED},
            "genes: result width of l1.W_ii (gene l1.W_ii) is required, but missing",
        ),
        (
            {"genes__l1.W_ii.weight": 13},
            "genes: weight width of l1.W_ii must be 1 to 12 bits, not 13",
        ),
        (
            {"genes__l2.W_ii": 8},
            f"genes: gene must be one of {', '.join(DEEP.gene_names)}, not 'l2.W_ii'",
        ),
        ({"folding__pe": 7}, "folding.pe must be 1 to the 6 units of the largest layer, not 7"),
        (
            {"folding__pe": [1, 2, 3]},
            "folding.pe must be one number, or 2 for as many layers, not 3",
        ),
        ({"folding__pe": [6, 6]}, "folding.pe of layer 0 must be 1 to its 5 units, not 6"),
        ({"output": "state"}, "output: input should be 'class', 'values' or 'states', not 'state'"),
    ],
)
def test_malformed_content_of_version_2(changes: dict[str, Any], message: str) -> None:
    assert error_of(json.dumps(second(**changes))) == f"genome.json: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be JSON, but: Expecting value: line 1 column 1 (char 0)"),
        ("[1", "must be JSON, but: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        ('{"task": 1, "task": 2}', "every name must appear once, but 'task' appears twice"),
        ('{"genes": {"a": 1, "a": 1}}', "every name must appear once, but 'a' appears twice"),
    ],
)
def test_malformed_text(text: str | bytes, message: str) -> None:
    assert error_of(text) == f"genome.json: {message}"


@pytest.mark.parametrize("text", ["[]", "3", "null", '"genome"'])
def test_content_must_be_an_object(text: str) -> None:
    found = json.loads(text)
    assert error_of(text) == f"genome.json: must be an object, not {found!r}"


@pytest.mark.parametrize("field", ["sizes", "folding", "model"])
def test_fields_must_be_objects(field: str) -> None:
    text = json.dumps(content(**{field: [1]}))
    assert error_of(text) == f"genome.json: {field} must be an object, not [1]"


def test_text_must_be_utf8() -> None:
    assert error_of(b"[\xff]") == (
        "genome.json: must be JSON, but: 'utf-8' codec can't decode byte 0xff in position 1: "
        "invalid start byte"
    )


def test_deep_nesting_is_an_input_error() -> None:
    assert error_of("[" * 100_000).startswith("genome.json: must be JSON, but: maximum recursion")


def test_huge_number_is_an_input_error() -> None:
    assert error_of('{"version": ' + "1" * 5000 + "}").startswith("genome.json: ")


@pytest.mark.parametrize("field", ["format", "version"])
def test_format_and_version_are_required(field: str) -> None:
    text = json.dumps(content(**{field: REMOVED}))
    assert error_of(text) == f"genome.json: {field} is required, but missing"


@pytest.mark.parametrize("version", [True, 1.0])
def test_version_must_be_an_integer(version: object) -> None:
    text = json.dumps(content(version=version))
    assert error_of(text) == f"genome.json: version: input should be 1 or 2, not {version!r}"
