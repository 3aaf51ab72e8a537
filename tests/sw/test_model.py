"""The model file: round trip, and one exact line for every way in which it can be wrong."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from gruhw.basics.files import sha256
from gruhw.errors import GruhwWarning, InputError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network, load_model, load_network
from gruhw.network.fractions import Fractions
from gruhw.network.genes import homogeneous
from gruhw.network.genome import FileReference, Genome
from gruhw.network.header import METADATA
from gruhw.network.model import Layers, Model, Normalisation, array_shapes
from gruhw.network.normalisation import Span

GRU = Architecture(inputs=3, layers=["gru:4"], outputs=2)
LAYERS = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn", "head")
WIDTHS = {gene.name: 8 for gene in GRU.calibrated}
FRACTIONS = {name: bits - 1 for name, bits in WIDTHS.items()}
RECORDED = {name: {"bits": bits, "frac": FRACTIONS[name]} for name, bits in WIDTHS.items()}
SOURCE = Path("model.safetensors")
REMOVED = object()


def example() -> Model:
    random = np.random.default_rng(1)
    shapes = GRU.layer_shapes
    return Model(
        GRU,
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
        network=GRU,
        genes=homogeneous(GRU, 8),
        model=FileReference(file=str(SOURCE), sha256=digest or sha256(data)),
    )
    path = folder / "genome.json"
    path.write_text(genome.to_json())
    return path


def test_round_trip() -> None:
    before = example()
    data = before.to_bytes()
    after = Model.from_bytes(data, SOURCE)
    after.check_network(GRU)
    assert after.network == GRU
    assert after.initial == {}
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


SPAN = Span(np.array([100.0, -5.0]), np.array([64.0, 0.25]))


def test_a_span_is_kept_in_the_file() -> None:
    spanned = replace(example(), span=SPAN)
    found = Model.from_bytes(spanned.to_bytes(), SOURCE)
    assert found.span is not None
    assert np.array_equal(found.span.mean, SPAN.mean)
    assert np.array_equal(found.span.deviation, SPAN.deviation)
    assert found.to_bytes() == spanned.to_bytes()
    assert example().span is None


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"values.mean": np.zeros(2)}, "must be a gruhw model, but 'values.deviation' is missing"),
        (
            {"values.mean": np.zeros(3), "values.deviation": np.ones(3)},
            f"shape of values.mean must be [2] for {GRU}, not [3]",
        ),
        (
            {"values.mean": np.zeros(2), "values.deviation": np.array([1.0, 0.0])},
            "every value of values.deviation must be above 0, not 0.0",
        ),
        (
            {"values.mean": np.array([np.inf, 0.0]), "values.deviation": np.ones(2)},
            "every value of values.mean must be finite, not inf",
        ),
    ],
)
def test_a_span_that_is_none(tensors: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Model.from_bytes(altered(tensors=tensors), SOURCE)
    assert str(caught.value) == f"{SOURCE}: {message}"


def test_another_span_gives_the_same_function() -> None:
    model, states = example(), np.random.default_rng(2).normal(size=(5, 4))

    def values(of: Model) -> np.ndarray:
        found = states @ of.weights["head"].T + of.biases["head"]
        return found if of.span is None else of.span.absolute(found)

    once = model.learning(SPAN)
    twice = once.learning(Span(np.zeros(2), np.array([2.0, 3.0])))
    for found in (once, twice):
        np.testing.assert_allclose(values(found), values(model), rtol=1e-4, atol=1e-4)
        assert not np.array_equal(found.weights["head"], model.weights["head"])


def test_another_normalisation_gives_the_same_function() -> None:
    """Of raw samples: the first layer makes up for it."""
    model, rng = example(), np.random.default_rng(2)
    other = Normalisation(np.array([2.0, -0.5, 4.0]), np.array([0.5, 0.0, -3.0]))
    found = model.renormalised(other)
    raw = rng.normal(size=(5, 3))
    for name in LAYERS[:3]:
        before = model.normalisation(raw) @ model.weights[name].T + model.biases[name]
        after = found.normalisation(raw) @ found.weights[name].T + found.biases[name]
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    for name in LAYERS[3:]:
        assert np.array_equal(found.weights[name], model.weights[name])
    assert found.normalisation == other
    with pytest.raises(InputError, match=r"^every scale of the normalisation must be other "):
        model.renormalised(Normalisation(np.array([1.0, 0.0, 1.0]), np.zeros(3)))


def test_network_from_files(tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    network = load_network(path)
    built = Network.build(Genome.load(path), example())
    assert [stage.typed for stage in network.stages] == [stage.typed for stage in built.stages]
    assert network.weight_bits == 8 * (3 * 4 * 3 + 3 * 4 * 4 + 2 * 4)
    for loaded, stage in zip(network.stages, built.stages, strict=True):
        for name, weight in stage.parameters.weights.items():
            assert (loaded.parameters.weights[name] == weight).all()


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
    genome = Genome(network=GRU, genes=homogeneous(GRU, 8))
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
        ("W_iz.weight", [5, 4], "[4, 3] for 3 inputs, gru:4, 2 outputs"),
        ("W_hz.weight", [5, 4], "[4, 4] for 3 inputs, gru:4, 2 outputs"),
        ("head.weight", [2, 5], "[2, 4] for 3 inputs, gru:4, 2 outputs"),
        ("W_hr.bias", [5], "[4] for 3 inputs, gru:4, 2 outputs"),
        ("head.bias", [5], "[2] for 3 inputs, gru:4, 2 outputs"),
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


@pytest.mark.parametrize(
    "changes",
    [{"layers": ["gru:5"]}, {"layers": ["lstm:4"]}, {"outputs": 3}, {"initial": "constant"}],
)
def test_the_model_must_be_of_the_network_of_the_genome(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    path = save_design(tmp_path, example().to_bytes())
    other = GRU.model_copy(update=changes)
    genome = Genome.load(path).model_copy(update={"network": other, "genes": homogeneous(other, 8)})
    expected = f"the model must be of {other}, not of {GRU}"
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
        example().typed(edited.genes)
    assert str(caught.value) == UNCALIBRATED.format(what=what)


@pytest.mark.parametrize("gene", ["sig_r", "sig_z", "tanh_n", "sub_z", "add_h"])
def test_widths_from_which_fraction_bits_follow_may_be_edited(gene: str, tmp_path: Path) -> None:
    path = save_design(tmp_path, example().to_bytes())
    genome = Genome.load(path)
    path.write_text(genome.model_copy(update={"genes": {**genome.genes, gene: 6}}).to_json())
    assert load_network(path).layers[0].typed[gene].bits == 6


def test_a_model_without_widths_loads_with_a_warning(tmp_path: Path) -> None:
    path = save_design(tmp_path, without_widths())
    expected = (
        f"{tmp_path / SOURCE}: does not say for which widths its fraction bits were chosen: "
        "if widths were changed since, calibrate with gruhw calibrate"
    )
    with pytest.warns(GruhwWarning) as caught:
        network = load_network(path)
    assert [str(warning.message) for warning in caught] == [expected]
    expected_stages = Network.build(Genome.load(path), example()).stages
    assert [stage.typed for stage in network.stages] == [stage.typed for stage in expected_stages]
    again = Model.from_bytes(without_widths(), SOURCE).to_bytes()
    assert Model.from_bytes(again, SOURCE).fractions == FRACTIONS
    assert b'"version":"1"' in again.replace(b"\\", b"")  # what nobody knows is not made up


def test_a_model_is_a_copy_that_nobody_can_change() -> None:
    weights = {name: np.ones(shape) for name, shape in GRU.layer_shapes.items()}
    biases = {name: np.ones(shape[0]) for name, shape in GRU.layer_shapes.items()}
    scale = np.ones(3)
    model = Model(GRU, weights, biases, FRACTIONS, True, Normalisation(scale, scale))
    before = model.to_bytes()
    for array in (*weights.values(), *biases.values(), scale):
        array[:] = 7
    weights.clear()
    assert model.to_bytes() == before
    for array in (model.weights["W_in"], model.biases["head"], model.normalisation.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 7


@pytest.mark.parametrize(("field", "value"), [("format", "onnx"), ("version", "4")])
def test_other_format_or_version(field: str, value: str) -> None:
    required = {"format": "'gruhw-model'", "version": "'1', '2' or '3'"}
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
        ("head", (1, 4), "shape of head.bias must be [1] for 3 inputs, gru:4, 1 outputs, not [2]"),
        ("head", (0, 4), "outputs: input should be greater than or equal to 1, not 0"),
        ("W_in", (2000, 3), "units of layer gru must be 1 to 1024, not 2000"),
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
    assert (network.layers[0].parameters.weights["W_ir"] == 127).all()


DEEP = Architecture(
    inputs=3, layers=["dense:4:relu", "lstm:5", "gru:2"], outputs=1, initial="constant"
)


def deep(**changes: Any) -> Model:
    """A model of several layers, whose states do not begin with zero."""
    random = np.random.default_rng(2)
    widths = {gene.name: 8 for gene in DEEP.calibrated}
    arrays = {
        kind: {
            name: random.uniform(-0.9, 0.9, shape)
            for name, shape in array_shapes(DEEP, kind).items()
        }
        for kind in ("weight", "bias", "initial")
    }
    found = Model(
        DEEP,
        arrays["weight"],
        arrays["bias"],
        Fractions({name: bits - 1 for name, bits in widths.items()}, widths),
        False,
        Normalisation.identity(3),
        initial=arrays["initial"],
    )
    return replace(found, **changes)


def header(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    found: dict[str, Any] = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][METADATA])
    return found


def altered_deep(
    changes: Mapping[str, object] | None = None, removed: tuple[str, ...] = ()
) -> bytes:
    """A file of :func:`deep`, with some entries of its header replaced, and tensors left out."""
    data = deep().to_bytes()
    described = {**header(data), **(changes or {})}
    described = {name: value for name, value in described.items() if value is not REMOVED}
    tensors = {name: array for name, array in load(data).items() if name not in removed}
    return save(tensors, metadata={METADATA: json.dumps(described)})


def test_round_trip_of_several_layers() -> None:
    before = deep()
    data = before.to_bytes()
    after = Model.from_bytes(data, SOURCE)
    assert after.network == DEEP
    assert after.fractions == before.fractions
    for kind in ("weights", "biases", "initial"):
        old, new = getattr(before, kind), getattr(after, kind)
        assert list(new) == list(old)
        assert all((new[name] == old[name]).all() for name in old)
    assert after.to_bytes() == data


def test_the_file_says_what_one_gru_does_not() -> None:
    assert header(example().to_bytes())["version"] == "2"
    assert "network" not in header(example().to_bytes())
    found = header(deep().to_bytes())
    assert found["version"] == "3"
    assert found["network"] == DEEP.model_dump(mode="json")
    # Neither does a single GRU whose states begin with something.
    constant = GRU.model_copy(update={"initial": "constant"})
    other = replace(example(), network=constant, initial={"h": np.zeros(4)})
    assert header(other.to_bytes())["version"] == "3"
    assert Model.from_bytes(other.to_bytes(), SOURCE).network == constant


def test_one_logit_is_no_reason_for_another_version() -> None:
    network = GRU.model_copy(update={"outputs": 1})
    known = example()
    found = Model(
        network,
        {**known.weights, "head": np.zeros((1, 4))},
        {**known.biases, "head": np.zeros(1)},
        known.fractions,
        True,
        known.normalisation,
    )
    assert header(found.to_bytes())["version"] == "2"
    assert Model.from_bytes(found.to_bytes(), SOURCE).network == network


TWO_OUTPUTS = DEEP.model_copy(update={"outputs": 2})


def test_fractions_of_unknown_widths_stay_so() -> None:
    plain = deep(fractions=dict(deep().fractions))
    again = Model.from_bytes(plain.to_bytes(), SOURCE)
    assert Fractions.of(again.fractions).widths is None
    assert again.fractions == plain.fractions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": REMOVED}, "network is required, but missing"),
        ({"network": None}, "network is required, but missing"),
        ({"network": "gru:4"}, "network must be an object, not 'gru:4'"),
        ({"network": {}}, "inputs is required, but missing"),
        (
            {"network": {"inputs": 3, "layers": ["rnn:4"], "outputs": 1}},
            "layer must be one of gru, ugrnn, mgu, lstm, dense, not 'rnn'",
        ),
        (
            {"network": {"inputs": 3, "layers": ["lstm:5"], "outputs": 1}},
            "must be a gruhw model, but 'W_ii.weight' is missing",
        ),
        (
            {"network": TWO_OUTPUTS.model_dump(mode="json")},
            f"shape of head.weight must be [2, 2] for {TWO_OUTPUTS}, not [1, 2]",
        ),
        ({"version": "2"}, "network is a field of version 3 of a model file"),
        ({"version": "1"}, "network is a field of version 3 of a model file"),
        (
            {"version": "2", "network": REMOVED},
            "must be a gruhw model, but 'W_in.weight' is missing",
        ),
        ({"fractions": {"input": 7, "l0.W": []}}, "fractions.input must have bits and frac, not 7"),
    ],
)
def test_malformed_header_of_several_layers(changes: dict[str, object], message: str) -> None:
    assert error_of(altered_deep(changes)) == f"{SOURCE}: {message}"


@pytest.mark.parametrize("name", ["l0.W.weight", "l1.W_hf.bias", "l1.c.initial", "head.weight"])
def test_missing_tensor_of_several_layers(name: str) -> None:
    expected = f"{SOURCE}: must be a gruhw model, but '{name}' is missing"
    assert error_of(altered_deep(removed=(name,))) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"initial": {}},
            "l1.h.initial is required, but missing",
        ),
        (
            {"initial": {**deep().initial, "l0.h": np.zeros(4)}},
            "state must be one of l1.h, l1.c, l2.h, not 'l0.h'",
        ),
        (
            {"initial": {**deep().initial, "l2.h": np.zeros(3)}},
            f"shape of l2.h.initial must be [2] for {DEEP}, not [3]",
        ),
        (
            {"initial": {**deep().initial, "l2.h": np.zeros((1, 2))}},
            "shape of l2.h.initial must be [units], not [1, 2]",
        ),
        (
            {"initial": {**deep().initial, "l1.c": np.full(5, np.nan)}},
            "every value of l1.c.initial must be finite, not nan",
        ),
        ({"initial": None}, "initial states must be a mapping, such as a dict, not None"),
        (
            {"weights": {**deep().weights, "l3.W_in": np.zeros((2, 2))}},
            f"layer must be one of {', '.join(DEEP.layer_shapes)}, not 'l3.W_in'",
        ),
        (
            {"weights": {**deep().weights, "l1.W_hf": np.zeros((5, 4))}},
            f"shape of l1.W_hf.weight must be [5, 5] for {DEEP}, not [5, 4]",
        ),
        (
            {"normalisation": Normalisation.identity(4)},
            f"shape of input.scale must be [3] for {DEEP}, not [4]",
        ),
        ({"network": "gru:4"}, "network must be an Architecture, not str"),
    ],
)
def test_arrays_must_fit_the_network(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        deep(**change)
    assert str(caught.value) == message


def test_states_that_begin_with_zero_have_no_initial_ones() -> None:
    with pytest.raises(InputError) as caught:
        replace(example(), initial={"h": np.zeros(4)})
    assert str(caught.value) == "state must be one of none: states begin with zero, not 'h'"


def bound(**initial: Any) -> Network:
    """The network of :func:`deep` with initial states that have some values."""
    model = deep()
    names = {name.replace(".", "_"): name for name in model.initial}
    states = {
        names[name]: np.resize(np.array(values, dtype=float), model.initial[names[name]].shape)
        for name, values in initial.items()
    }
    genome = Genome(network=DEEP, genes=homogeneous(DEEP, 8), output="values")
    return Network.build(genome, replace(model, initial={**model.initial, **states}))


@pytest.mark.parametrize(
    ("state", "values", "message"),
    [
        ("l1_h", [0, 1.0], "l1.h must be -1 to 0.992188, which 8 bits reach, not 1"),
        ("l1_c", [-1.01], "l1.c must be -1 to 0.992188, which 8 bits reach, not -1.01"),
        ("l2_h", [0.5, 7], "l2.h must be -1 to 0.992188, which 8 bits reach, not 7"),
    ],
)
def test_initial_states_beyond_their_range_are_refused(
    state: str, values: list[float], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        bound(**{state: values})
    assert str(caught.value) == f"initial state of {message}"


def test_initial_states_at_the_ends_of_their_range_are_rounded() -> None:
    # Half a step below the least and above the greatest are rounded to them; the latter not quite.
    network = bound(l1_h=[-1 - 0.49 / 128, 127.49 / 128, 0.5 / 128], l1_c=[-0.5 / 128, 0, 1 / 128])
    initial = network.layers[1].parameters.initial
    assert initial["h"].tolist() == [-128, 127, 1, -128, 127]
    assert initial["c"].tolist() == [0, 0, 1, 0, 0]
    assert network.layers[0].parameters.initial == {}
    assert network.head.parameters.initial == {}


def test_a_network_knows_its_parts() -> None:
    network = bound()
    assert network.architecture == DEEP
    assert [stage.name for stage in network.stages] == ["l0", "l1", "l2", "head"]
    assert network.stages == (*network.layers, network.head)
    assert [stage.graph for stage in network.stages] == [stage.graph for stage in DEEP.stages]
    assert network.input_type == network.layers[0].typed["input"]
    assert not network.input_type.signed
    assert network.weight_bits == 8 * (4 * 3 + 4 * (5 * 4 + 5 * 5) + 3 * (2 * 5 + 2 * 2) + 2)


def test_what_was_checked_is_not_copied_again() -> None:
    model = example()
    assert Layers.of(GRU, "weight", model.weights) is model.weights
    other = GRU.model_copy(update={"initial": "constant"})
    assert Layers.of(other, "weight", model.weights) is not model.weights
    with pytest.raises(InputError, match=r"^shape of W_ir\.bias must be \[outputs\], not "):
        Layers.of(GRU, "bias", model.weights)
