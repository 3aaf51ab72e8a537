"""Networks from PyTorch, and quantised ones: other modules and arguments are refused, or work."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_network import (
    ARCHITECTURE,
    BIASES,
    CODES,
    MODEL,
    RANDOM,
    WEIGHTS,
    WIDTHS,
    Refused,
    X,
    anything,
    refuses,
)
from torch import Tensor, nn

from gruhw.errors import InputError
from gruhw.learning.quant import (
    Calibration,
    QuantNetwork,
    calibrate,
    float_layers,
    from_float,
    network_of,
)
from gruhw.network.bound import Network
from gruhw.network.genes import homogeneous
from gruhw.network.model import Normalisation
from gruhw.network.reference import run_reference


class Called(nn.GRU):
    """Takes lengths, as many own classes do."""

    def forward(self, x: Tensor, lengths: Tensor) -> Any:
        return super().forward(x)


class Positive(nn.Linear):
    """Differs only where a logit is negative."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class Plain(nn.GRU):
    """A name of one's own, and nothing else."""


def seeded(gru: Callable[[], nn.Module], head: Callable[[], nn.Module]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return gru(), head()


def complex_head() -> nn.Linear:
    return nn.Linear(4, 2, dtype=torch.complex64)


ALIKE = (
    "recurrent module and head must compute what torch.nn.GRU and torch.nn.Linear do with their "
    "weights"
)

KINDS = "recurrent module must be a torch.nn.GRU or torch.nn.LSTM"

MISSING = (
    ", but when they are called: Called.forward() missing 1 required positional argument: 'lengths'"
)

OTHER_MODULES: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], str]] = {
    "compiled": (
        lambda: torch.compile(nn.GRU(3, 4)),
        lambda: nn.Linear(4, 2),
        f"{KINDS}, not OptimizedModule",
    ),
    "parallel": (
        lambda: nn.DataParallel(nn.GRU(3, 4)),
        lambda: nn.Linear(4, 2),
        f"{KINDS}, not DataParallel",
    ),
    "container": (
        lambda: nn.ModuleDict({"gru": nn.GRU(3, 4)}),
        lambda: nn.Linear(4, 2),
        f"{KINDS}, not ModuleDict",
    ),
    "quantised": (
        lambda: torch.ao.nn.quantized.dynamic.GRU(3, 4),
        lambda: nn.Linear(4, 2),
        f"{KINDS}, not torch.ao.nn.quantized.dynamic.modules.rnn.GRU",
    ),
    "swapped": (
        lambda: nn.Linear(4, 2),
        lambda: nn.GRU(3, 4),
        f"{KINDS}, not Linear",
    ),
    "called otherwise": (
        lambda: Called(3, 4),
        lambda: nn.Linear(4, 2),
        ALIKE + MISSING,
    ),
    "without values": (
        lambda: nn.GRU(3, 4, device="meta"),
        lambda: nn.Linear(4, 2),
        "weights must have values, but are on device meta",
    ),
    "complex": (
        lambda: nn.GRU(3, 4),
        complex_head,
        "weights must be floating-point numbers, not torch.complex64",
    ),
    "lazy": (
        lambda: nn.GRU(3, 4),
        lambda: nn.LazyLinear(2),
        "inputs of head must be the 4 hidden units, not 0",
    ),
}


@pytest.mark.filterwarnings("ignore:.*quantize")
@pytest.mark.parametrize("case", OTHER_MODULES)
def test_other_modules(case: str) -> None:
    gru, head, message = OTHER_MODULES[case]
    refuses(message, lambda: float_layers(*seeded(gru, head)))


def test_a_head_that_differs_for_some_logits() -> None:
    with pytest.raises(InputError, match=f"^{ALIKE}, but logits differ by "):
        float_layers(*seeded(lambda: nn.GRU(3, 4), lambda: Positive(4, 2)))


@pytest.mark.parametrize(
    "change",
    [
        lambda gru, head: (gru.double(), head.double()),
        lambda gru, head: (gru.double(), head),
        lambda gru, head: (gru, head.bfloat16()),
        lambda gru, head: (gru.bfloat16(), head.bfloat16()),
        lambda gru, head: (gru.half(), head.half()),
        lambda gru, head: (gru.requires_grad_(False), head.requires_grad_(False)),
        lambda gru, head: (gru.train(), head.eval()),
    ],
)
def test_precisions_and_modes(change: Callable[[nn.GRU, nn.Linear], Any]) -> None:
    for make in (nn.GRU, Plain):
        gru, head = seeded(lambda make=make: make(3, 4), lambda: nn.Linear(4, 2))
        expected = [p.detach().clone().double() for p in (*gru.parameters(), *head.parameters())]
        weights, biases = float_layers(*change(gru, head))
        found = np.concatenate([weights[f"W_h{gate}"] for gate in "rzn"])
        assert np.allclose(found, expected[1], atol=0.01)
        assert np.allclose(weights["head"], expected[4], atol=0.01)
        assert np.allclose(biases["W_hn"], expected[3][8:], atol=0.01)


def test_networks_without_biases_and_of_one_unit() -> None:
    for inputs, hidden, bias in ((3, 4, False), (1, 1, True)):
        gru, head = seeded(
            lambda i=inputs, h=hidden, b=bias: nn.GRU(i, h, bias=b),
            lambda h=hidden, b=bias: nn.Linear(h, 2, bias=b),
        )
        network = network_of(gru, head)
        widths = homogeneous(network, 6)
        x = RANDOM.normal(size=(8, 5, inputs))
        fractions, signed = calibrate(network, widths, *float_layers(gru, head), x)
        module = from_float(
            gru,
            head,
            widths,
            fractions,
            input_signed=anything(np.bool_(signed)),
            normalisation=Normalisation.identity(inputs),
        )
        hardware = Network.build(module.genome(), module.model())
        codes = hardware.encode(x)
        assert (run_reference(hardware, codes).logits == module.integers(codes)["head"]).all()


def quantised() -> QuantNetwork:
    return QuantNetwork(ARCHITECTURE, WIDTHS, MODEL)


TENSORS = [gene.name for gene in ARCHITECTURE.calibrated]

OTHER_ARGUMENTS: Refused = {
    "network": (
        lambda: QuantNetwork(anything(None), WIDTHS, MODEL),
        "network must be an Architecture, not None",
    ),
    "another network": (
        lambda: QuantNetwork(
            ARCHITECTURE.model_copy(update={"layers": ("lstm:4",)}), WIDTHS, MODEL
        ),
        "the model must be of 3 inputs, lstm:4, 2 outputs, not of 3 inputs, gru:4, 2 outputs",
    ),
    "model": (
        lambda: QuantNetwork(ARCHITECTURE, WIDTHS, anything(None)),
        "model must be a Model, not None",
    ),
    "genes": (
        lambda: QuantNetwork(ARCHITECTURE, anything(6), MODEL),
        "genes must be a mapping, such as a dict, not int",
    ),
    "network in calibration": (
        lambda: calibrate(anything((3, 4, 2)), WIDTHS, WEIGHTS, BIASES, X),
        "network must be an Architecture, not tuple",
    ),
    "genes in calibration": (
        lambda: calibrate(ARCHITECTURE, {"input": 8}, WEIGHTS, BIASES, X),
        "result width of W_ir (gene W_ir) is required, but missing",
    ),
    "weights in calibration": (
        lambda: calibrate(ARCHITECTURE, WIDTHS, anything(list(WEIGHTS.values())), BIASES, X),
        "weights must be a mapping, such as a dict, not list",
    ),
    "lengths in calibration": (
        lambda: calibrate(ARCHITECTURE, WIDTHS, WEIGHTS, BIASES, X, np.full(20, 6)),
        "lengths must be 1 to 5, not 6",
    ),
    "tensor": (
        lambda: Calibration.measure(ARCHITECTURE, WEIGHTS, BIASES, X).fraction("W_xr", 8),
        f"tensor must be one of {', '.join(TENSORS)}, not 'W_xr'",
    ),
    "width of a tensor": (
        lambda: Calibration.measure(ARCHITECTURE, WEIGHTS, BIASES, X).fraction("add_r", 13),
        "result width of add_r must be 1 to 12 bits, not 13",
    ),
    "fractions": (
        lambda: from_float(
            *seeded(lambda: nn.GRU(3, 4), lambda: nn.Linear(4, 2)),
            WIDTHS,
            anything(None),
            input_signed=True,
            normalisation=Normalisation.identity(3),
        ),
        "fractions must be a mapping, such as a dict, not None",
    ),
    "device": (
        lambda: quantised().to("meta")(CODES),
        "weights.W_hn must be on the CPU, not on meta",
    ),
}


@pytest.mark.parametrize("case", OTHER_ARGUMENTS)
def test_other_arguments(case: str) -> None:
    function, message = OTHER_ARGUMENTS[case]
    refuses(message, function)


def test_weights_that_training_lost() -> None:
    module = quantised()
    with torch.no_grad():
        module.weights["W_in"][0, 0, 0] = torch.nan
    refuses("every value of weights.W_in must be finite", lambda: module(CODES))
    refuses("every value of W_in.weight must be finite, not nan", module.model)


def test_biases_that_grow_stay_exact() -> None:
    module = quantised()
    assert module.compute_type == torch.float32
    with torch.no_grad():
        module.biases["head"].mul_(1e6)
    network = Network.build(module.genome(), module.model())
    expected = run_reference(network, CODES).logits
    assert (module.integers(CODES)["head"] == expected).all()
    assert (
        module(CODES).double() * 2.0**network.head.typed.emitted.frac == torch.tensor(expected)
    ).all()


def test_no_sequences() -> None:
    module, none = quantised(), np.zeros((0, 5, 3), int)
    assert module(none).shape == (0, 2)
    assert module.integers(none)["add_h"].shape == (0, 5, 4)


def test_read_only_codes_and_lengths() -> None:
    codes, lengths = CODES.copy(), np.full(20, 3)
    codes.flags.writeable = lengths.flags.writeable = False
    module = quantised()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = module(anything(codes), anything(lengths))
        assert torch.equal(found, module(torch.from_numpy(CODES), torch.full((20,), 3)))
        for keep in (False, True):
            frozen = X.copy()
            frozen.flags.writeable = False
            calibrate(ARCHITECTURE, WIDTHS, WEIGHTS, BIASES, frozen, keep_outliers=keep)


def test_samples_of_any_size_are_calibrated_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (1e-300, 1e200, 1e307):
            for keep in (False, True):
                calibrate(ARCHITECTURE, WIDTHS, WEIGHTS, BIASES, X * scale, keep_outliers=keep)


def test_a_calibration_cannot_change() -> None:
    found = Calibration.measure(ARCHITECTURE, WEIGHTS, BIASES, X)
    with pytest.raises(ValueError, match="read-only"):
        found.activations["input"][:] = 0
    with pytest.raises(TypeError, match="does not support item assignment"):
        found.activations["input"] = X  # type: ignore[index]
