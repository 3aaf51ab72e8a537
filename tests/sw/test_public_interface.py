"""The Python interface in notebooks: values of other types are refused in one line, or work."""

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_network import (
    ARCHITECTURE,
    BIASES,
    CODES,
    FRACTIONS,
    GENOME,
    MODEL,
    NETWORK,
    WEIGHTS,
    WIDTHS,
    Refused,
    X,
    anything,
    refuses,
)

from gruhw.learning.quant import QuantNetwork
from gruhw.network.architecture import Architecture, Layer
from gruhw.network.bound import Network, load_model, weight_bits
from gruhw.network.figures import Accuracy
from gruhw.network.fixed import Fixed, quantise, requantise
from gruhw.network.fractions import Fractions
from gruhw.network.genes import Genes, check_width, homogeneous, preset_of
from gruhw.network.genome import Folding, Genome
from gruhw.network.model import Layers, Model, Normalisation
from gruhw.network.planning import plan, schedule_of
from gruhw.network.reference import run_reference
from gruhw.network.typed import type_stages

NAMES = ARCHITECTURE.gene_names
SCHEDULE = schedule_of(NETWORK)

READ = "samples must be real numbers that NumPy can read, but: "

OTHER_TYPES: Refused = {
    "genes": (
        lambda: Genes(ARCHITECTURE, anything([8] * len(NAMES))),
        "genes must be a mapping, such as a dict, not list",
    ),
    "network of genes": (
        lambda: Genes(anything("gru:4"), WIDTHS),
        "network must be an Architecture, not str",
    ),
    "gene": (
        lambda: Genes(ARCHITECTURE, {**WIDTHS, "W_xr": 4}),
        f"gene must be one of {', '.join(NAMES)}, not 'W_xr'",
    ),
    "missing gene": (
        lambda: Genes(ARCHITECTURE, {}),
        "width of the input (gene input) is required, but missing",
    ),
    "changed genes": (
        lambda: WIDTHS.changed(anything([("add_h", 3)])),
        "widths must be a mapping, such as a dict, not list",
    ),
    "network of widths": (
        lambda: homogeneous(anything(8), 8),
        "network must be an Architecture, not int",
    ),
    "width": (
        lambda: homogeneous(ARCHITECTURE, anything("8")),
        "width of the input must be 1 to 12 bits, not '8'",
    ),
    "truth": (
        lambda: homogeneous(ARCHITECTURE, True),
        "width of the input must be 1 to 12 bits, not True",
    ),
    "width of NumPy": (
        lambda: homogeneous(ARCHITECTURE, anything(np.int64(13))),
        "width of the input must be 1 to 12 bits, not 13",
    ),
    "preset": (
        lambda: preset_of("full", ARCHITECTURE).genes(anything(None)),
        "widths must be a mapping, such as a dict, not None",
    ),
    "network of a preset": (
        lambda: preset_of("full", anything(WIDTHS)),
        "network must be an Architecture, not Genes",
    ),
    "inputs": (
        lambda: Architecture(inputs=anything(np.int64(0)), layers=["gru:4"], outputs=2),
        "inputs: input should be greater than or equal to 1, not 0",
    ),
    "layers": (
        lambda: Architecture(inputs=3, layers=anything({"gru": 4}), outputs=2),
        "layers must be a list of at least one, as ['gru:32'], not {'gru': 4}",
    ),
    "layer of another type": (
        lambda: Architecture(inputs=3, layers=anything(["gru:4", 4]), outputs=2),
        "layers must be a list of texts, as ['gru:32'], not of 4",
    ),
    "units": (
        lambda: Layer("gru", anything(4.5)),
        "units of layer gru must be 1 to 1024, not 4.5",
    ),
    "cell": (
        lambda: Layer(anything(None), 4),
        "layer must be one of gru, ugrnn, mgu, lstm, dense, not None",
    ),
    "text of a layer": (
        lambda: Layer.parse(anything(4)),
        "layer must be a str, not int",
    ),
    "pe": (
        lambda: Folding.checked(anything("2"), ARCHITECTURE),
        "pe must be 1 to the 4 hidden units, not 2",
    ),
    "pe of layers": (
        lambda: Folding.checked((4, 4), ARCHITECTURE),
        "pe must be one number, not 2",
    ),
    "genome's text": (
        lambda: Genome.from_json(anything(None), "here"),
        "here: must be JSON, but: the JSON object must be str, bytes or bytearray, not NoneType",
    ),
    "fractions": (
        lambda: Fractions(anything(8)),
        "fractions must be a mapping, such as a dict, not int",
    ),
    "widths of fractions": (
        lambda: Fractions({"input": 4}, anything(8)),
        "widths must be a mapping, such as a dict, not int",
    ),
    "fraction": (
        lambda: Fractions({"input": anything(4.0)}),
        "fraction bits of input must be a whole number from -14 to 24, not 4.0",
    ),
    "bits": (
        lambda: Fixed(anything(None), 0),
        "width of a fixed-point type must be 1 to 63 bits, not None",
    ),
    "frac": (
        lambda: Fixed(8, anything(0.5)),
        "frac of a fixed-point type must be a whole number from -1000 to 1000, not 0.5",
    ),
    "large frac": (
        lambda: Fixed(8, 10**30),
        f"frac of a fixed-point type must be a whole number from -1000 to 1000, not {10**30}",
    ),
    "signed": (
        lambda: Fixed(8, 0, anything("no")),
        "signed of a fixed-point type must be True or False, not 'no'",
    ),
    "real values": (
        lambda: requantise(anything([0.5]), 4, Fixed(8, 4)),
        "values to round must be whole numbers, not float64",
    ),
    "long values": (
        lambda: requantise(anything(np.uint64([1])), 4, Fixed(8, 4)),
        "values to round must have at most 62 bits, not be uint64",
    ),
    "from_frac": (
        lambda: requantise(np.arange(3), anything(0.5), Fixed(8, 4)),
        "from_frac must be a whole number from -2000 to 2000, not 0.5",
    ),
    "to": (lambda: quantise(np.zeros(3), anything(8)), "to must be a Fixed, not int"),
    "text": (
        lambda: quantise(anything("8"), Fixed(8, 4)),
        "values to round must be real numbers, not <U1",
    ),
    "nothing": (
        lambda: quantise(anything(None), Fixed(8, 4)),
        "values to round must be real numbers, not NoneType",
    ),
    "inputs of a normalisation": (
        lambda: Normalisation.identity(0),
        "inputs must be a whole number from 1 to 1024, not 0",
    ),
    "genes of types": (
        lambda: type_stages(anything(dict(WIDTHS)), FRACTIONS, input_signed=True),
        "genes must be a Genes, not dict",
    ),
    "sign of types": (
        lambda: type_stages(WIDTHS, FRACTIONS, input_signed=anything(1)),
        "input_signed must be True or False, not 1",
    ),
    "fractions of types": (
        lambda: type_stages(WIDTHS, anything(4), input_signed=True),
        "fractions must be a mapping, such as a dict, not int",
    ),
    "genome of a schedule": (
        lambda: plan(anything(NETWORK), [stage.typed for stage in NETWORK.stages]),
        "genome must be a Genome, not Network",
    ),
    "network of a schedule": (
        lambda: schedule_of(anything(GENOME)),
        "network must be a Network, not Genome",
    ),
    "length": (
        lambda: SCHEDULE.sequence_interval(anything(1.5)),
        "length must be a whole number of at least 0, not 1.5",
    ),
    "lengths": (
        lambda: SCHEDULE.state_cycles(anything([[2]])),
        "shape of lengths must be [sequences], not [1, 1]",
    ),
    "total": (
        lambda: Accuracy(1, anything(None)),
        "at least 1 sequence is required, but there are None",
    ),
    "correct": (
        lambda: Accuracy(anything(0.5), 4),
        "correct sequences must be 0 to the 4 there are, not 0.5",
    ),
    "times": (
        lambda: Accuracy(1, 4, anything("2")),
        "times of each sequence must divide the 4 there are, not 2",
    ),
    "fewer classes": (
        lambda: Accuracy.of(np.zeros(1, int), np.zeros(4, int)),
        "shape of labels must be [1], not [4]",
    ),
    "columns of labels": (
        lambda: Accuracy.of(np.zeros(4, int), np.zeros((4, 1), int)),
        "shape of labels must be [4], not [4, 1]",
    ),
    "no labels": (
        lambda: Accuracy.of(np.zeros(4, int), anything(None)),
        "labels must be whole numbers, not NoneType",
    ),
    "one-hot labels": (
        lambda: Accuracy.of(np.zeros(4, int), np.eye(4) > 0),
        "labels must be whole numbers, not bool",
    ),
    "network of weights": (
        lambda: Layers(anything("gru:4"), "weight", WEIGHTS),
        "network must be an Architecture, not str",
    ),
    "weights": (
        lambda: replace(MODEL, weights=anything(None)),
        "weights must be a mapping, such as a dict, not None",
    ),
    "layer": (
        lambda: replace(MODEL, biases={**BIASES, "W_ir_l1": np.zeros(4)}),
        "layer must be one of W_ir, W_iz, W_in, W_hr, W_hz, W_hn, head, not 'W_ir_l1'",
    ),
    "long weight": (
        lambda: replace(
            MODEL, weights={**WEIGHTS, "head": np.full((2, 4), np.longdouble("1e400"))}
        ),
        "every value of head.weight must be finite, not inf",
    ),
    "model's sign": (
        lambda: replace(MODEL, input_signed=anything(None)),
        "input_signed must be True or False, not None",
    ),
    "normalisation": (
        lambda: replace(MODEL, normalisation=anything((np.ones(3), np.zeros(3)))),
        "normalisation must be a Normalisation, not tuple",
    ),
    "trained_on": (
        lambda: replace(MODEL, trained_on="mnist"),
        "trained_on must be a SHA-256 in hexadecimal, not 'mnist'",
    ),
    "model's bytes": (
        lambda: Model.from_bytes(anything("model"), Path("here")),
        "here: data must be a bytes, not str",
    ),
    "genome": (
        lambda: Network.build(anything("genome.json"), MODEL),
        "genome must be a Genome, not str",
    ),
    "model": (lambda: Network.build(GENOME, anything(None)), "model must be a Model, not None"),
    "network of a model": (
        lambda: replace(MODEL, network=anything(None)),
        "network must be an Architecture, not None",
    ),
    "genes of a model": (
        lambda: MODEL.typed(anything(8)),
        "genes must be a mapping, such as a dict, not int",
    ),
    "genome of weights": (
        lambda: weight_bits(anything(WIDTHS)),
        "genome must be a Genome, not Genes",
    ),
    "genome of a model": (
        lambda: load_model(anything(WIDTHS), "genome.json"),
        "genome must be a Genome, not Genes",
    ),
    "a pair of lengths": (
        lambda: NETWORK.encode(X, 5),
        "shape of lengths must be [20], not []",
    ),
    "vectors and lengths": (
        lambda: NETWORK.encode(X[0], [5, 5]),
        "shape of samples must be [sequences, steps, 3], not [5, 3]",
    ),
    "zero steps": (
        lambda: run_reference(NETWORK, np.zeros((2, 0, 3), int)),
        "at least 1 step is required, but there are 0",
    ),
    "ragged samples": (
        lambda: NETWORK.encode([[1.0], [1.0, 2.0]]),
        "samples must be real numbers, not lists of different lengths",
    ),
    "masked samples": (
        lambda: NETWORK.encode(np.ma.masked_greater(X, 1)),
        "samples must be real numbers, but some are masked",
    ),
    "samples with gradients": (
        lambda: NETWORK.encode(anything(torch.zeros(2, 5, 3, requires_grad=True))),
        READ + "Can't call numpy() on Tensor that "
        "requires grad. Use tensor.detach().numpy() instead.",
    ),
    "samples of another type": (
        lambda: NETWORK.encode(anything(torch.zeros(2, 5, 3, dtype=torch.bfloat16))),
        READ + "Got unsupported ScalarType BFloat16",
    ),
}


@pytest.mark.parametrize("case", OTHER_TYPES)
def test_other_types(case: str) -> None:
    function, message = OTHER_TYPES[case]
    refuses(message, function)


def test_whole_numbers_of_numpy_are_numbers() -> None:
    for kind in (np.int8, np.int64, np.uint64):
        eight: Any = kind(8)
        assert homogeneous(ARCHITECTURE, eight) == homogeneous(ARCHITECTURE, 8)
        assert type(check_width("add_h", eight)) is int
        network = Architecture(inputs=eight, layers=[Layer("gru", eight)], outputs=eight)
        assert type(network.inputs) is int
        assert type(network.layers[0].units) is int
        for pe in (eight, (eight,)):
            genome = Genome(
                network=network, genes=homogeneous(network, eight), folding=Folding(pe=pe)
            )
            expected = Genome(
                network=Architecture(inputs=8, layers=["gru:8"], outputs=8),
                genes=homogeneous(network, 8),
                folding=Folding(pe=8 if pe is eight else (8,)),
            )
            assert genome.to_json() == expected.to_json()
        assert Fixed(eight, eight, anything(np.True_)) == Fixed(8, 8)
        assert type(Fixed(eight, eight).frac) is int
        assert Fractions({"input": eight}) == {"input": 8}
        assert str(Accuracy(eight, eight)) == str(Accuracy(8, 8))
        # Sums of 8-bit numbers would wrap.
        assert SCHEDULE.output_cycles(eight) == SCHEDULE.output_cycles(8)
        assert SCHEDULE.sequence_interval(eight) == SCHEDULE.sequence_interval(8)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_narrow_integers_are_rounded_like_wide_ones(dtype: type) -> None:
    values = np.array([-128, -3, 0, 5, 127], dtype=dtype)
    for from_frac in (-70, -60, -3, 0, 3, 70):
        to = Fixed(12, 0)
        exact = [Fraction(int(v)) / Fraction(2) ** from_frac for v in values]
        expected = [min(max(int((e + Fraction(1, 2)) // 1), to.minimum), to.maximum) for e in exact]
        assert requantise(values, from_frac, to).tolist() == expected


def test_preset_cannot_change() -> None:
    preset = preset_of("operators17", ARCHITECTURE)
    with pytest.raises(TypeError, match="does not support item assignment"):
        preset.fixed["input"] = 99  # type: ignore[index]
    with pytest.raises(TypeError, match="does not support item assignment"):
        preset.tied["W_ir.weight"] = "W_iz"  # type: ignore[index]
    assert preset.genes(dict.fromkeys(preset.free, 4))["input"] == 8


def test_a_genome_says_how_to_change_it() -> None:
    refuses(
        "folding of a Genome cannot change: model_copy(update={'folding': ...}) gives another one",
        lambda: setattr(GENOME, "folding", Folding(pe=2)),
    )
    refuses(
        "pe of a Folding cannot change: model_copy(update={'pe': ...}) gives another one",
        lambda: setattr(GENOME.folding, "pe", 2),
    )


def test_what_was_evaluated_is_what_is_saved() -> None:
    """Weights between two numbers of single precision, and between two integers of the hardware."""
    small = Architecture(inputs=2, layers=["gru:2"], outputs=2)
    genes = homogeneous(small, 12)
    widths = {gene.name: 12 for gene in small.calibrated}
    fractions = Fractions(dict.fromkeys(widths, 8), widths)
    middle = (3 + 0.5 - 1e-12) / 256  # rounds down in double precision, but not in single
    weights = {name: np.full(shape, middle) for name, shape in small.layer_shapes.items()}
    biases = {name: np.zeros(shape[0]) for name, shape in small.layer_shapes.items()}
    model = Model(small, weights, biases, fractions, True, Normalisation.identity(2))
    module = QuantNetwork(small, genes, model)
    network = Network.build(module.genome(), model)
    saved = Model.from_bytes(model.to_bytes(), Path("here"))
    loaded = Network.build(module.genome(), saved)
    for made, read in zip(network.stages, loaded.stages, strict=True):
        for name, array in made.parameters.weights.items():
            assert (array == 4).all()
            assert (read.parameters.weights[name] == array).all()
    codes = np.full((1, 3, 2), 255)
    expected = run_reference(network, codes).logits
    assert (module.integers(codes)["head"] == expected).all()
    assert (run_reference(loaded, codes).logits == expected).all()


def test_arrays_with_any_layout_are_taken() -> None:
    expected = run_reference(NETWORK, CODES).logits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for codes in (
            CODES.astype(np.int8),
            CODES.astype(">i4"),
            CODES[:, :, ::-1][:, :, ::-1],
            np.asfortranarray(CODES),
            torch.from_numpy(CODES),
            np.ma.masked_array(CODES, False),
        ):
            assert (run_reference(NETWORK, anything(codes)).logits == expected).all()
        swapped = {name: array.astype(">f8") for name, array in WEIGHTS.items()}
        assert replace(MODEL, weights=swapped).to_bytes() == MODEL.to_bytes()
        halves = {name: array.astype(np.float16) for name, array in WEIGHTS.items()}
        assert Network.build(GENOME, replace(MODEL, weights=halves)).weight_bits == 552


def test_nothing_that_was_checked_shares_memory() -> None:
    own = np.ones((4, 3))
    own.flags.writeable = False
    model = replace(MODEL, weights={**WEIGHTS, "W_ir": own})
    own.flags.writeable = True
    own[:] = np.nan
    assert (model.weights["W_ir"] == 1).all()
