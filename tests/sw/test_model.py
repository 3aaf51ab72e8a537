"""The model file: round trip, and one exact line for every way in which it can be wrong."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from gruhw.errors import GruhwWarning, InputError
from gruhw.files import sha256
from gruhw.fractions import Fractions
from gruhw.genome import FileReference, Genome, Sizes, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import (
    LAYERS,
    METADATA,
    Model,
    Network,
    Normalisation,
    layer_shapes,
    load_model,
    load_network,
)

SIZES = Sizes(input=3, hidden=4, classes=2)
WIDTHS = calibrated_tensors(homogeneous(8))
FRACTIONS = {name: bits - 1 for name, bits in WIDTHS.items()}
RECORDED = {name: {"bits": bits, "frac": FRACTIONS[name]} for name, bits in WIDTHS.items()}
SOURCE = Path("model.safetensors")
REMOVED = object()


def example() -> Model:
    random = np.random.default_rng(1)
    shapes = layer_shapes(SIZES)
    return Model(
        {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
        {name: random.normal(size=shape[0]).astype(np.float32) for name, shape in shapes.items()},
        Fractions(FRACTIONS, WIDTHS),
        True,
        Normalisation(np.array([0.1, 0.2, 0.3]), np.array([1.0, 2.0, 3.0])),
    )


def altered(
    metadata: Mapping[str, object] | None = None,
    tensors: Mapping[str, np.ndarray | None] | None = None,
) -> bytes:
    """A valid file, with some entries replaced, or removed if None."""
    found: dict[str, Any] = {
        "format": "gruhw-model",
        "version": "2",
        "fractions": RECORDED,
        "input_signed": True,
        **(metadata or {}),
    }
    described = {name: value for name, value in found.items() if value is not REMOVED}
    arrays = {**load(example().to_bytes()), **(tensors or {})}
    return save(
        {name: array for name, array in arrays.items() if array is not None},
        metadata={METADATA: json.dumps(described)},
    )


def with_fraction(name: str, value: object) -> bytes:
    return altered({"fractions": {**RECORDED, name: {"bits": 8, "frac": value}}})


def without_widths(fractions: Mapping[str, object] = FRACTIONS) -> bytes:
    """A file of version 1."""
    return altered({"version": "1", "fractions": fractions})


def error_of(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        Model.from_bytes(data, SOURCE)
    return str(caught.value)


def save_design(folder: Path, data: bytes, digest: str | None = None) -> Path:
    (folder / SOURCE).write_bytes(data)
    genome = Genome(
        sizes=SIZES,
        genes=dict(homogeneous(8)),
        model=FileReference(file=str(SOURCE), sha256=digest or sha256(data)),
    )
    path = folder / "genome.json"
    path.write_text(genome.to_json())
    return path


def test_round_trip() -> None:
    before = example()
    data = before.to_bytes()
    after = Model.from_bytes(data, SOURCE)
    after.check_sizes(SIZES)
    assert after.fractions == before.fractions
    assert after.input_signed is before.input_signed
    for layer in LAYERS:
        assert (after.weights[layer] == before.weights[layer]).all()
        assert (after.biases[layer] == before.biases[layer]).all()
    assert (after.normalisation.scale == before.normalisation.scale).all()
    assert (after.normalisation.offset == before.normalisation.offset).all()


def test_what_a_model_was_trained_on_is_optional() -> None:
    assert b"trained_on" not in example().to_bytes()
    known = replace(example(), trained_on="0" * 63 + "a")
    assert Model.from_bytes(known.to_bytes(), SOURCE).trained_on == known.trained_on
    for wrong in ("0" * 63, "0" * 63 + "A", 7):
        line = error_of(altered({"trained_on": wrong}))
        assert line.startswith("model.safetensors: trained_on: ")
        assert "\n" not in line


def test_same_model_gives_same_bytes() -> None:
    assert len({example().to_bytes() for _ in range(10)}) == 1


def test_normalisation_is_raw_times_scale_plus_offset() -> None:
    found = example().normalisation(np.array([[[10, 10, 10]]], dtype=np.uint8))
    assert found.tolist() == [[[2.0, 4.0, 6.0]]]


def test_network_from_files(tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    network = load_network(path)
    built = Network.build(Genome.load(path), example())
    assert network.graph == built.graph
    assert network.weight_bits == 8 * (3 * 4 * 3 + 3 * 4 * 4 + 2 * 4)
    for layer in LAYERS:
        assert (network.parameters.weights[layer] == built.parameters.weights[layer]).all()


def test_missing_file(tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    (tmp_path / SOURCE).unlink()
    with pytest.raises(InputError) as caught:
        load_network(path)
    assert str(caught.value) == f"{tmp_path / SOURCE}: cannot be read: no such file or directory"


def test_altered_file(tmp_path: Path) -> None:
    data = example().to_bytes()
    path = save_design(tmp_path, data, digest="0" * 64)
    with pytest.raises(InputError) as caught:
        load_network(path)
    expected = f"{tmp_path / SOURCE}: SHA-256 must be {'0' * 64}, not {sha256(data)}"
    assert str(caught.value) == expected


def test_genome_without_model() -> None:
    genome = Genome(sizes=SIZES, genes=dict(homogeneous(8)))
    with pytest.raises(InputError) as caught:
        load_model(genome, Path("genome.json"))
    assert str(caught.value) == "genome.json: model is required, but missing: train one first"


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (0, "header too small"),
        (7, "header too small"),
        (100, "invalid header length"),
        (-1, "incomplete metadata, file not fully covered"),
    ],
)
def test_truncated_file(kept: int, reason: str) -> None:
    assert error_of(example().to_bytes()[:kept]) == (
        f"{SOURCE}: must be a whole safetensors file: Error while deserializing: {reason}"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W_hn.weight", "head.bias", "input.scale"])
def test_values_must_be_finite(name: str, value: float) -> None:
    tensor = load(example().to_bytes())[name]
    tensor.flat[-1] = value
    assert error_of(altered(tensors={name: tensor})) == (
        f"{SOURCE}: every value of {name} must be finite, not {value}"
    )


@pytest.mark.parametrize(
    ("name", "wrong", "required"),
    [
        ("W_iz.weight", [5, 4], "[4, 3] for 3 inputs, 4 hidden units and 2 classes"),
        ("W_hz.weight", [5, 4], "[4, 4] for 3 inputs, 4 hidden units and 2 classes"),
        ("head.weight", [2, 5], "[2, 4] for 3 inputs, 4 hidden units and 2 classes"),
        ("W_hr.bias", [5], "[4] for 3 inputs, 4 hidden units and 2 classes"),
        ("head.bias", [5], "[2] for 3 inputs, 4 hidden units and 2 classes"),
        ("head.bias", [5, 4], "[outputs]"),
        ("input.scale", [5, 4], "[inputs]"),
        ("input.offset", [2], "[3] like that of input.scale"),
    ],
)
def test_shapes_must_fit_together(name: str, wrong: list[int], required: str) -> None:
    tensors = {name: np.zeros(wrong, dtype=np.float32)}
    assert error_of(altered(tensors=tensors)) == (
        f"{SOURCE}: shape of {name} must be {required}, not {wrong}"
    )


def test_shapes_must_fit_the_genome(tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    genome = Genome.load(path).model_copy(update={"sizes": Sizes(input=3, hidden=5, classes=2)})
    expected = (
        "shape of W_ir.weight must be [5, 3] for 3 inputs, 5 hidden units and 2 classes, not [4, 3]"
    )
    with pytest.raises(InputError) as caught:
        load_model(genome, path)
    assert str(caught.value) == f"{tmp_path / SOURCE}: {expected}"
    with pytest.raises(InputError) as caught:
        Network.build(genome, example())
    assert str(caught.value) == expected


@pytest.mark.parametrize("name", ["W_hr.bias", "head.weight", "input.scale", "input.offset"])
def test_missing_tensor(name: str) -> None:
    expected = f"{SOURCE}: must be a gruhw model, but '{name}' is missing"
    assert error_of(altered(tensors={name: None})) == expected


@pytest.mark.parametrize("name", ["fractions", "input_signed"])
def test_missing_metadata(name: str) -> None:
    assert error_of(altered({name: REMOVED})) == f"{SOURCE}: {name} is required, but missing"


def test_metadata_must_be_json() -> None:
    data = save(load(example().to_bytes()), metadata={METADATA: "{"})
    assert error_of(data).startswith(f"{SOURCE}: gruhw: must be JSON, but: Expecting")


def test_other_safetensors_file() -> None:
    expected = f"{SOURCE}: must be a gruhw model, but '__metadata__' is missing"
    assert error_of(save({"x": np.zeros(3)})) == expected


def test_missing_fraction(tmp_path: Path) -> None:
    fewer = {name: entry for name, entry in RECORDED.items() if name != "add_r"}
    path = save_design(tmp_path, altered({"fractions": fewer}))
    with pytest.raises(InputError) as caught:
        load_network(path)
    expected = f"{path}: fraction bits of add_r are required, but missing"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fractions", [1]),
        ("fractions", 7),
        ("fractions", None),
        ("input_signed", "yes"),
        ("input_signed", [1]),
        ("input_signed", 1),
    ],
)
def test_malformed_metadata(field: str, value: object) -> None:
    required = {
        "fractions": " must be an object",
        "input_signed": ": input should be a valid boolean",
    }
    assert error_of(altered({field: value})) == f"{SOURCE}: {field}{required[field]}, not {value!r}"


@pytest.mark.parametrize("value", ["a", 1.5, None, True, [1], 500, -500, 10**30])
@pytest.mark.parametrize("name", ["add_r", "W_ir.weight"])
def test_fractions_must_be_small_integers(name: str, value: object) -> None:
    message = error_of(with_fraction(name, value))
    assert message.startswith(f"{SOURCE}: fraction bits of {name} must be ")
    assert message.endswith(f", not {value!r}")


@pytest.mark.parametrize("value", [7, None, {"bits": 8}, {"bits": 8, "frac": 7, "more": 1}])
def test_fractions_must_say_for_which_width(value: object) -> None:
    data = altered({"fractions": {**RECORDED, "add_r": value}})
    assert error_of(data) == f"{SOURCE}: fractions.add_r must have bits and frac, not {value!r}"


@pytest.mark.parametrize("bits", [0, 13, "8", True])
def test_recorded_widths_must_be_legal(bits: object) -> None:
    data = altered({"fractions": {**RECORDED, "add_r": {"bits": bits, "frac": 7}}})
    assert error_of(data) == f"{SOURCE}: result width of add_r must be 1 to 12 bits, not {bits!r}"


UNCALIBRATED = (
    "{what} must be 8 bits, for which its fraction bits were chosen, not 6: choose them anew with "
    "gruhw calibrate --genome FILE --task TASK, or train with gruhw train"
)


@pytest.mark.parametrize(
    ("gene", "what"),
    [
        ("input", "width of the input"),
        ("add_r", "result width of add_r"),
        ("head.weight", "weight width of head"),
    ],
)
def test_other_widths_than_calibrated_are_refused(gene: str, what: str, tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    genome = Genome.load(path)
    edited = genome.model_copy(update={"genes": {**genome.genes, gene: 6}})
    path.write_text(edited.to_json())
    with pytest.raises(InputError) as caught:
        load_network(path)
    assert str(caught.value) == f"{path}: {UNCALIBRATED.format(what=what)}"
    with pytest.raises(InputError) as caught:
        example().graph(edited.genes)
    assert str(caught.value) == UNCALIBRATED.format(what=what)


@pytest.mark.parametrize("gene", ["sig_r", "sig_z", "tanh_n", "sub_z", "add_h"])
def test_widths_from_which_fraction_bits_follow_may_be_edited(gene: str, tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    genome = Genome.load(path)
    path.write_text(genome.model_copy(update={"genes": {**genome.genes, gene: 6}}).to_json())
    assert load_network(path).graph[gene].type.bits == 6


def test_a_model_without_widths_loads_with_a_warning(tmp_path: Path) -> None:
    path = save_design(tmp_path, without_widths())
    expected = (
        f"{tmp_path / SOURCE}: does not say for which widths its fraction bits were chosen: "
        "if widths were changed since, calibrate with gruhw calibrate"
    )
    with pytest.warns(GruhwWarning) as caught:
        network = load_network(path)
    assert [str(warning.message) for warning in caught] == [expected]
    assert network.graph == Network.build(Genome.load(path), example()).graph
    again = Model.from_bytes(without_widths(), SOURCE).to_bytes()
    assert Model.from_bytes(again, SOURCE).fractions == FRACTIONS
    assert b'"version":"1"' in again.replace(b"\\", b"")  # what nobody knows is not made up


def test_a_model_is_a_copy_that_nobody_can_change() -> None:
    weights = {name: np.ones(shape) for name, shape in layer_shapes(SIZES).items()}
    biases = {name: np.ones(shape[0]) for name, shape in layer_shapes(SIZES).items()}
    scale = np.ones(3)
    model = Model(weights, biases, FRACTIONS, True, Normalisation(scale, scale))
    before = model.to_bytes()
    for array in (*weights.values(), *biases.values(), scale):
        array[:] = 7
    weights.clear()
    assert model.to_bytes() == before
    for array in (model.weights["W_in"], model.biases["head"], model.normalisation.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 7


@pytest.mark.parametrize(("field", "value"), [("format", "onnx"), ("version", "3")])
def test_other_format_or_version(field: str, value: str) -> None:
    required = {"format": "'gruhw-model'", "version": "'1' or '2'"}
    assert error_of(altered({field: value})) == (
        f"{SOURCE}: {field}: input should be {required[field]}, not {value!r}"
    )


@pytest.mark.parametrize("dtype", ["complex64", "int64", "bool"])
def test_tensors_must_be_floating_point(dtype: str) -> None:
    tensor = np.zeros((4, 3), dtype)
    assert error_of(altered(tensors={"W_ir.weight": tensor})) == (
        f"{SOURCE}: W_ir.weight must hold floating-point numbers, not {dtype}"
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("W_in", (3,), "shape of W_in.weight must be [outputs, inputs], not [3]"),
        ("head", (), "shape of head.weight must be [outputs, inputs], not []"),
        ("head", (1, 4), "sizes.classes: input should be greater than or equal to 2, not 1"),
        ("W_in", (2000, 3), "sizes.hidden: input should be less than or equal to 1024, not 2000"),
    ],
)
def test_sizes_must_be_those_of_a_network(name: str, shape: tuple[int, ...], message: str) -> None:
    data = altered(tensors={f"{name}.weight": np.zeros(shape, np.float32)})
    assert error_of(data) == f"{SOURCE}: {message}"


def test_metadata_must_name_everything_once() -> None:
    data = save(load(example().to_bytes()), metadata={METADATA: '{"version": "1", "version": "1"}'})
    assert error_of(data) == (
        f"{SOURCE}: gruhw: every name must appear once, but 'version' appears twice"
    )


@pytest.mark.filterwarnings("error")
def test_huge_numbers_saturate(tmp_path: Path) -> None:
    tensors = {
        "input.scale": np.array([1e308, -1e308, 1.0]),
        "W_ir.weight": np.full((4, 3), 1e308),
    }
    network = load_network(save_design(tmp_path, altered(tensors=tensors)))
    with pytest.warns(GruhwWarning, match="^most input samples saturate at -1 or 0.992188: "):
        found = network.encode(np.array([[1e300, 1e300, -1e308]]))
    assert found.tolist() == [[127, -128, -128]]
    assert (network.parameters.weights["W_ir"] == 127).all()
