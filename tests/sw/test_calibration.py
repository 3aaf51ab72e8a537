"""Calibration: outliers cost next to nothing, and the report says what decided."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.learning.outliers import BEYOND, RARE, bulk, outlier_limit
from gruhw.learning.quant import Calibration
from gruhw.learning.quant.activations import float_activations
from gruhw.learning.quant.calibration import best_fraction
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import FloatArray, IntArray
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import run_reference

NETWORK = Architecture(inputs=3, layers=("gru:6",), outputs=4)
GENES = homogeneous(NETWORK, 8)
Layers = dict[str, FloatArray]


def layers(seed: int = 1, network: Architecture = NETWORK) -> tuple[Layers, Layers]:
    random = np.random.default_rng(seed)
    shapes = network.layer_shapes
    weights = {name: random.normal(0, 0.7, shape) for name, shape in shapes.items()}
    return weights, {name: np.zeros(shape[0]) for name, shape in shapes.items()}


def sequences(count: int = 400, steps: int = 10) -> FloatArray:
    return np.random.default_rng(2).normal(size=(count, steps, 3))


def measured(x: FloatArray, *, keep_outliers: bool = False) -> Calibration:
    return Calibration.measure(NETWORK, *layers(), x, keep_outliers=keep_outliers)


def float_classes(x: FloatArray) -> IntArray:
    """What the network computes without rounding."""
    weights, biases = layers()
    states = float_activations(NETWORK, weights, biases, x, np.full(len(x), x.shape[1]))["add_h"]
    return (states[-len(x) :] @ weights["head"].T + biases["head"]).argmax(1)


def right(calibration: Calibration, x: FloatArray) -> float:
    """The part of ``x`` that the rounded network classifies as the float one does."""
    model = Model(
        NETWORK,
        *layers(),
        calibration.fractions(GENES),
        calibration.input_signed,
        Normalisation.identity(3),
    )
    network = Network.build(Genome(network=NETWORK, genes=GENES), model)
    lengths = np.full(len(x), x.shape[1])
    found = run_reference(network, network.encode(x), lengths).classes
    return float((found == float_classes(x)).mean())


@pytest.mark.parametrize("size", [12, 1e3, -1e3, 1e30, -1e300])
def test_an_outlier_costs_less_than_a_point(size: float) -> None:
    x = sequences()
    clean = measured(x)
    spoiled = x.copy()
    spoiled[17, 3, 1] = size  # one value of 12,000
    found = measured(spoiled)
    assert right(found, x) >= right(clean, x) - 0.01 > 0.9
    assert found.fraction("input", 8) == clean.fraction("input", 8) == 5
    (report,) = (r for r in found.report(GENES) if r.tensor == "input")
    assert (report.outliers, report.saturating > 0, report.warning) == (1, True, None)


def test_what_one_outlier_does_where_outliers_are_kept() -> None:
    x = sequences()
    x[17, 3, 1] = 1e3
    found = measured(x, keep_outliers=True)
    assert found.fraction("input", 8) == -3
    assert right(found, sequences()) < 0.8
    (report,) = (r for r in found.report(GENES) if r.tensor == "input")
    assert report.warning == (
        "one sample of 12,000, 1000, decides the fraction bits of input: "
        "calibrate on more sequences, or look whether it is right"
    )
    assert (report.outliers, report.saturating) == (0, 0)
    assert report.used < 0.01


def test_nothing_is_left_out_of_few_samples() -> None:
    x = sequences(8, 5)
    x[3, 3, 1] = 1e3
    (report,) = (r for r in measured(x).report(GENES) if r.tensor == "input")
    assert report.outliers == 0
    assert str(report.warning).startswith("one sample of 120, 1000, decides")


def test_rare_events_are_no_outliers() -> None:
    x = np.zeros((400, 10, 3))
    x[5, 2, 1] = x[7, 3, 0] = 3.0
    (report,) = (r for r in measured(x).report(GENES) if r.tensor == "input")
    assert (report.outliers, report.saturating, report.used) == (0, 0, 0.0)


def test_ordinary_samples_have_no_outliers() -> None:
    reports = measured(sequences()).report(GENES)
    assert [r.tensor for r in reports] == [gene.name for gene in NETWORK.calibrated]
    assert all(r.outliers == 0 and r.decisive is None for r in reports)
    assert all(0.5 < r.used < 2 for r in reports)
    assert {r.tensor: r.samples for r in reports}["W_hn.weight"] == 36
    assert {r.tensor: r.samples for r in reports}["mul_zh"] == 400 * 10 * 6


def test_padding_decides_nothing() -> None:
    x = sequences()
    lengths = np.full(400, 7)
    padded = x.copy()
    padded[:, 7:] = 1e9
    padded[0, 8] = np.inf
    found = Calibration.measure(NETWORK, *layers(), padded, lengths)
    expected = Calibration.measure(NETWORK, *layers(), x[:, :7])
    assert found.fractions(GENES) == expected.fractions(GENES)
    assert found.report(GENES) == expected.report(GENES)


def test_of_many_steps_an_even_choice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gruhw.learning.quant.activations.RECORDED_STEPS", 1200)
    found = measured(sequences())
    assert {r.tensor: r.samples for r in found.report(GENES)}["W_in"] == 400 * 3 * 6
    first, _, last = found.activations["W_in"].reshape(3, 400, 6)
    every = measured(sequences()[:, :1]).activations["W_in"]
    assert (first == every).all()
    assert (last == measured(sequences()[:, -1:]).activations["W_in"]).all()


@given(st.integers(RARE, 5 * RARE), st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_the_bulk_is_all_but_one_in_two_thousand(count: int, seed: int, scale: float) -> None:
    values = np.random.default_rng(seed).normal(0, scale, count)
    assert (np.abs(values) > bulk(values)).sum() == count // RARE
    assert outlier_limit(values) == BEYOND * bulk(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x: x[:0],
            "calibration requires at least 1 sequence of at least 1 step, not 0 of 10",
        ),
        (
            lambda x: x[:, :0],
            "calibration requires at least 1 sequence of at least 1 step, not 400 of 0",
        ),
        (
            lambda x: x[..., :2],
            "shape of the calibration sequences must be [sequences, steps, 3], not [400, 10, 2]",
        ),
        (
            lambda x: np.where(x > 3, np.nan, x),
            "every value of the calibration sequences must be finite, not nan",
        ),
        (
            lambda x: x.astype(str),
            "the calibration sequences must be real numbers, not <U32",
        ),
    ],
)
def test_wrong_sequences(change: Callable[[FloatArray], FloatArray], message: str) -> None:
    with pytest.raises(InputError) as caught:
        measured(change(sequences()))
    assert str(caught.value) == message


def test_a_calibration_does_not_change_with_the_weights() -> None:
    weights, biases = layers()
    found = Calibration.measure(NETWORK, weights, biases, sequences())
    weights["W_in"] *= 100
    assert found.fractions(GENES) == measured(sequences()).fractions(GENES)


STACKED = Architecture(
    inputs=3, layers=("dense:5:relu", "lstm:4", "gru:3", "dense:2:tanh"), outputs=2
)


def stacked(initial: str = "zero") -> Calibration:
    network = STACKED.model_copy(update={"initial": initial})
    states = {name: np.full(shape, 0.5) for name, shape in network.initial_shapes.items()}
    return Calibration.measure(network, *layers(1, network), sequences(50), initial=states)


def test_every_tensor_of_every_stage_is_calibrated() -> None:
    found, genes = stacked(), homogeneous(STACKED, 8)
    reports = {report.tensor: report for report in found.report(genes)}
    assert list(reports) == [gene.name for gene in STACKED.calibrated]
    assert found.fractions(genes).widths == dict.fromkeys(reports, 8)
    assert reports["l0.W.weight"].samples == 3 * 5
    assert reports["l1.add_c"].samples == 50 * 10 * 4
    # Behind the last recurrent layer nothing but the last step of a sequence is computed.
    assert reports["l3.W"].samples == 50 * 2
    assert {name for name in found.activations if name.startswith("l3.")} == {"l3.W"}


def test_a_relu_is_unsigned() -> None:
    found = stacked()
    values = found.activations["l0.W"]
    assert values.min() == 0.0
    unsigned = found.fraction("l0.W", 8)
    assert unsigned == best_fraction(values, 8, signed=False)
    assert unsigned == best_fraction(values, 9)  # which has one bit more for a sign


def test_initial_states_count() -> None:
    zero, constant = stacked().activations, stacked("constant").activations
    assert (zero["l0.W"] == constant["l0.W"]).all()
    assert not np.allclose(zero["l1.add_c"], constant["l1.add_c"])


def test_only_what_tables_alone_read_is_measured_behind_them() -> None:
    found = stacked()
    consumers = {name: tensor.through for name, tensor in found._tensors.items()}
    assert {name for name, through in consumers.items() if through is not None} == {
        *("l1.add_i", "l1.add_f", "l1.add_g", "l1.add_o"),  # but not add_c, which is a state too
        *("l2.add_r", "l2.add_z", "l2.add_n"),
        "l3.W",
    }


def test_of_wide_networks_fewer_steps_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gruhw.learning.quant.activations.RECORDED_VALUES", 12 * 6 * 1200)
    found = measured(sequences())
    assert {r.tensor: r.samples for r in found.report(GENES)}["W_in"] == 400 * 3 * 6
