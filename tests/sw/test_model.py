"""The model file: round trip, and one exact line for every way in which it can be wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from gruhw.errors import InputError
from gruhw.files import sha256
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
FRACTIONS = {name: bits - 1 for name, bits in calibrated_tensors(homogeneous(8)).items()}
SOURCE = Path("model.safetensors")
REMOVED = object()


def example() -> Model:
    random = np.random.default_rng(1)
    shapes = layer_shapes(SIZES)
    return Model(
        {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()},
        {name: random.normal(size=shape[0]).astype(np.float32) for name, shape in shapes.items()},
        FRACTIONS,
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
        "version": "1",
        "fractions": FRACTIONS,
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
    return altered({"fractions": {**FRACTIONS, name: value}})


def error_of(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        Model.from_bytes(data, SOURCE).check_sizes(SIZES, SOURCE)
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
    after.check_sizes(SIZES, SOURCE)
    assert after.fractions == before.fractions
    assert after.input_signed is before.input_signed
    for layer in LAYERS:
        assert (after.weights[layer] == before.weights[layer]).all()
        assert (after.biases[layer] == before.biases[layer]).all()
    assert (after.normalisation.scale == before.normalisation.scale).all()
    assert (after.normalisation.offset == before.normalisation.offset).all()


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
    ("name", "required"),
    [
        ("W_iz.weight", [4, 3]),
        ("W_hz.weight", [4, 4]),
        ("head.weight", [2, 4]),
        ("W_hr.bias", [4]),
        ("head.bias", [2]),
        ("input.scale", [3]),
        ("input.offset", [3]),
    ],
)
def test_shapes_must_fit_the_genome(name: str, required: list[int]) -> None:
    wrong = np.zeros((5, 4), dtype=np.float32)
    assert error_of(altered(tensors={name: wrong})) == (
        f"{SOURCE}: shape of {name} must be {required} for the genome's sizes, not [5, 4]"
    )


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
    fewer = {name: frac for name, frac in FRACTIONS.items() if name != "add_r"}
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


@pytest.mark.parametrize(("field", "value"), [("format", "onnx"), ("version", "2")])
def test_other_format_or_version(field: str, value: str) -> None:
    required = {"format": "gruhw-model", "version": "1"}
    assert error_of(altered({field: value})) == (
        f"{SOURCE}: {field}: input should be {required[field]!r}, not {value!r}"
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
        ("W_in", (3,), "W_in.weight must have 2 dimensions, not 1"),
        ("head", (), "head.weight must have 2 dimensions, not 0"),
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
    assert network.encode(np.array([[1e300, 1e300, -1e308]])).tolist() == [[127, -128, -128]]
    assert (network.parameters.weights["W_ir"] == 127).all()
