"""The genome file: what it holds, and one exact line for every way to get it wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.genome import (
    GENES,
    LINEAR,
    OPERATORS,
    PRESETS,
    FileReference,
    Folding,
    Genes,
    Genome,
    Sizes,
    homogeneous,
)

SIZES = {"input": 4, "hidden": 6, "classes": 3}
REMOVED: Any = object()

widths = st.integers(1, 12)


@st.composite
def genomes(draw: st.DrawFn) -> Genome:
    names = st.from_regex("[A-Za-zäß0-9][^/\\\\\\x00]{0,20}", fullmatch=True)
    file = st.builds(FileReference, file=names, sha256=st.just("5f" * 32))
    hidden = draw(st.integers(1, 1024))
    return Genome(
        task=draw(st.none() | st.text(min_size=1)),
        sizes=Sizes(
            input=draw(st.integers(1, 1024)), hidden=hidden, classes=draw(st.integers(2, 1024))
        ),
        genes={gene: draw(widths) for gene in GENES},
        folding=Folding(pe=draw(st.integers(1, hidden))),
        output=draw(st.sampled_from(["class", "states"])),
        model=draw(st.none() | file),
        samples=draw(st.none() | file),
    )


def content(**changes: Any) -> dict[str, Any]:
    """A valid file's content, with the fields at the given paths (``a__b``) changed."""
    found: dict[str, Any] = {
        "format": "gruhw-genome",
        "version": 1,
        "sizes": dict(SIZES),
        "genes": dict(homogeneous(8)),
        "folding": {"pe": 2},
    }
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


def test_genes_are_one_width_for_each_operator_weight_and_input() -> None:
    assert len(OPERATORS) == 17
    assert len(GENES) == len(set(GENES)) == 25
    assert set(GENES) == {"input", *OPERATORS, *(f"{op}.weight" for op in (*LINEAR, "head"))}


def test_genes_are_an_immutable_value() -> None:
    genes = homogeneous(7)
    assert set(genes.values()) == {7}
    same = Genes({gene: genes[gene] for gene in reversed(GENES)})
    assert genes == same
    assert hash(genes) == hash(same)
    assert genes != homogeneous(8)
    with pytest.raises(TypeError):
        genes["add_h"] = 3  # type: ignore[index]  # what must fail


def test_operators17_frees_17_genes_and_ties_weights() -> None:
    preset = PRESETS["operators17"]
    assert preset.free == OPERATORS
    found = preset.genes({op: 1 + index % 12 for index, op in enumerate(OPERATORS)})
    assert all(found[f"{op}.weight"] == found[op] for op in LINEAR)
    assert [found[op] for op in OPERATORS] == [1 + index % 12 for index in range(17)]
    assert (found["input"], found["head.weight"]) == (8, 8)


def test_full_frees_every_gene() -> None:
    preset = PRESETS["full"]
    assert preset.free == GENES
    chosen = {gene: 1 + index % 12 for index, gene in enumerate(GENES)}
    assert preset.genes(chosen) == chosen


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
    with pytest.raises(InputError) as caught:
        PRESETS[preset].genes({**dict.fromkeys(PRESETS[preset].free, 8), **changed})
    assert str(caught.value) == message


def test_preset_needs_all_its_genes() -> None:
    with pytest.raises(InputError) as caught:
        PRESETS["operators17"].genes(dict.fromkeys(OPERATORS[1:], 8))
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
        ({"folding__pe": 0}, "folding.pe: input should be greater than or equal to 1, not 0"),
        ({"folding__pe": 7}, "folding.pe must be at most the 6 hidden units, not 7"),
        ({"folding__pe": True}, "folding.pe: input should be a valid integer, not True"),
        ({"output": "state"}, "output: input should be 'class' or 'states', not 'state'"),
        ({"task": ""}, "task: string should have at least 1 character, not ''"),
        ({"format": "onnx"}, "format: input should be 'gruhw-genome', not 'onnx'"),
        ({"version": 2}, "version: input should be 1, not 2"),
        ({"version": "1"}, "version: input should be 1, not '1'"),
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
    assert error_of(text) == f"genome.json: version: input should be 1, not {version!r}"
