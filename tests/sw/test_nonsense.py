"""The Python interface: nonsense is refused with one line, and whatever is legitimate works."""

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from gruhw.design import Design
from gruhw.errors import GruhwWarning, InputError
from gruhw.learning.quant import QuantNetwork, calibrate, float_layers, from_float, network_of
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, quantise
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import run_reference

GRU = Architecture(inputs=3, layers=["gru:4"], outputs=2)
LSTM = Architecture(inputs=3, layers=["lstm:4"], outputs=2)
GENES = homogeneous(GRU, 6)
X = np.random.default_rng(1).normal(size=(20, 5, 3))


def pair(seed: int = 1) -> tuple[nn.GRU, nn.Linear]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)


def quantised() -> QuantNetwork:
    gru, head = pair()
    fractions, signed = calibrate(GRU, GENES, *float_layers(gru, head), X)
    return from_float(
        gru,
        head,
        GENES,
        fractions,
        input_signed=signed,
        normalisation=Normalisation.identity(3),
    )


def refuses(message: str, function: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        function()


def test_nan_has_no_code() -> None:
    refuses(
        "every value that is rounded must be a number, not nan",
        lambda: quantise(np.array([1.0, np.nan]), Fixed(8, 4)),
    )
    refuses(
        "samples: every value that is rounded must be a number, not nan",
        lambda: quantised().encode(np.full((2, 3), np.nan)),
    )
    assert quantise(np.array([np.inf, -np.inf]), Fixed(8, 4)).tolist() == [127, -128]


ENCODE = ": encode gives what a network takes"


@pytest.mark.parametrize(
    ("inputs", "lengths", "message"),
    [
        (X, None, f"inputs must be whole numbers, not float64{ENCODE}"),
        (X.astype(np.float32), None, f"inputs must be whole numbers, not float32{ENCODE}"),
        (np.full((2, 5, 3), 32), None, f"inputs must be -32 to 31, not 32{ENCODE}"),
        (np.full((2, 5, 3), -33), None, f"inputs must be -32 to 31, not -33{ENCODE}"),
        (
            np.zeros((2, 5), int),
            None,
            f"shape of inputs must be [sequences, steps, 3], not [2, 5]{ENCODE}",
        ),
        (np.zeros((2, 5, 3), int), [0, 5], "lengths must be 1 to 5, not 0"),
        (np.zeros((2, 5, 3), int), [5, 6], "lengths must be 1 to 5, not 6"),
        (np.zeros((2, 5, 3), int), [5], "shape of lengths must be [2], not [1]"),
        (np.zeros((2, 5, 3), int), [5.0, 4.0], "lengths must be whole numbers, not float64"),
    ],
)
def test_wrong_codes_and_lengths(inputs: np.ndarray, lengths: Any, message: str) -> None:
    module = quantised()
    network = Network.build(module.genome(), module.model())
    steps = np.full(len(inputs), 5) if lengths is None else lengths
    refuses(message, lambda: module.integers(inputs, lengths))
    refuses(message, lambda: run_reference(network, inputs, steps))
    tensor = None if lengths is None else torch.tensor(lengths)
    refuses(
        message.replace("float64", "float32") if tensor is not None else message,
        lambda: module(torch.from_numpy(inputs), tensor),
    )


def test_lists_and_reversed_views_are_taken() -> None:
    module = quantised()
    network = Network.build(module.genome(), module.model())
    codes, lengths = module.encode(X), np.array([5, 3] * 10)
    expected = run_reference(network, codes, lengths).logits
    assert (module.integers(codes[::-1][::-1], lengths.tolist())["head"] == expected).all()
    reversed_ = run_reference(network, codes[::-1], lengths[::-1]).logits
    assert (reversed_ == expected[::-1]).all()
    assert (run_reference(network, codes.tolist(), lengths.tolist()).logits == expected).all()
    gru, head = pair()
    taken = calibrate(GRU, GENES, *float_layers(gru, head), X[::-1], [5] * 20)
    assert taken == calibrate(GRU, GENES, *float_layers(gru, head), X[::-1].copy())
    assert (module.encode(X.tolist()) == codes).all()


class OwnGRU(nn.GRU):
    """Forgets its first bias."""

    def forward(self, *arguments: Any) -> Any:
        states, last = super().forward(*arguments)
        return 2 * states, last


MODULES = "recurrent module must be a torch.nn.GRU or torch.nn.LSTM"

WRONG_PAIRS: dict[str, tuple[Callable[[], tuple[Any, Any]], str]] = {
    "RNN": (lambda: (nn.RNN(3, 4), nn.Linear(4, 2)), f"{MODULES}, not RNN"),
    "cell": (lambda: (nn.GRUCell(3, 4), nn.Linear(4, 2)), f"{MODULES}, not GRUCell"),
    "state dict": (
        lambda: (OrderedDict(nn.GRU(3, 4).state_dict()), nn.Linear(4, 2)),
        f"{MODULES}, not OrderedDict",
    ),
    "two layers": (
        lambda: (nn.GRU(3, 4, num_layers=2), nn.Linear(4, 2)),
        "recurrent module must have one layer and one direction, not 2 layers and 1 directions",
    ),
    "two directions": (
        lambda: (nn.LSTM(3, 4, bidirectional=True), nn.Linear(8, 2)),
        "recurrent module must have one layer and one direction, not 1 layers and 2 directions",
    ),
    "projection": (
        lambda: (nn.LSTM(3, 4, proj_size=2), nn.Linear(2, 2)),
        "recurrent module must have no projection, not one of 2 units",
    ),
    "head": (
        lambda: (nn.GRU(3, 4), nn.Sequential(nn.Linear(4, 2))),
        "head must be a torch.nn.Linear, not Sequential",
    ),
    "many units": (
        lambda: (nn.GRU(3, 1025), nn.Linear(1025, 2)),
        "units of layer gru must be 1 to 1024, not 1025",
    ),
    "many inputs": (
        lambda: (nn.LSTM(1025, 4), nn.Linear(4, 2)),
        "inputs: input should be less than or equal to 1024, not 1025",
    ),
}


@pytest.mark.parametrize("case", WRONG_PAIRS)
def test_other_modules(case: str) -> None:
    make, message = WRONG_PAIRS[case]
    refuses(message, lambda: float_layers(*make()))


def test_a_gru_that_computes_something_else() -> None:
    with pytest.raises(
        InputError, match=r"^recurrent module and head must compute what .* logits differ by "
    ):
        float_layers(OwnGRU(3, 4, batch_first=True), nn.Linear(4, 2))


def test_weights_that_are_no_numbers() -> None:
    gru, head = pair()
    with torch.no_grad():
        gru.weight_hh_l0[1, 2] = np.nan
    refuses("every value of W_hr.weight must be finite, not nan", lambda: float_layers(gru, head))


def logits_of(gru: nn.RNNBase, head: nn.Linear) -> Tensor:
    with torch.no_grad():
        states, _ = gru(torch.from_numpy(X).float())
        logits: Tensor = head(states[:, -1])
    return logits


def plain_logits(gru: nn.GRU, head: nn.Linear) -> Tensor:
    """What a plain GRU gives with the layers that were found."""
    weights, biases = float_layers(gru, head)
    plain, plain_head = pair(2)
    with torch.no_grad():
        for side in "ih":
            for kind, source in (("weight", weights), ("bias", biases)):
                stacked = np.concatenate([source[f"W_{side}{gate}"] for gate in "rzn"])
                getattr(plain, f"{kind}_{side}h_l0").copy_(torch.from_numpy(stacked))
        plain_head.weight.copy_(torch.from_numpy(weights["head"]))
        plain_head.bias.copy_(torch.from_numpy(biases["head"]))
    return logits_of(plain, plain_head)


def changed(module: nn.Module) -> None:
    """Move every parameter, as an optimiser does, without calling the module."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1.5)


def pruned() -> tuple[nn.GRU, nn.Linear]:
    gru, head = pair()
    prune.l1_unstructured(gru, "weight_hh_l0", amount=0.5)
    prune.l1_unstructured(head, "weight", amount=0.5)
    return gru, head


def weight_normed() -> tuple[nn.GRU, nn.Linear]:
    gru, head = pair()
    parametrizations.weight_norm(gru, "weight_hh_l0")
    return gru, parametrizations.weight_norm(head)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def old_weight_normed() -> tuple[nn.GRU, nn.Linear]:
    gru, head = pair()
    return nn.utils.weight_norm(gru, "weight_ih_l0"), head


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("make", [pair, pruned, weight_normed, old_weight_normed])
def test_what_a_gru_computes_with_is_read(make: Callable[[], tuple[nn.GRU, nn.Linear]]) -> None:
    gru, head = make()
    changed(gru), changed(head)
    found = plain_logits(gru, head)  # before anybody calls the module, whose hooks do the rest
    assert torch.allclose(found, logits_of(gru, head), atol=1e-6)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_an_lstm_or_a_single_logit_is_a_network(kind: type[nn.RNNBase], outputs: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module, head = kind(3, 4, batch_first=True), nn.Linear(4, outputs)
    network = network_of(module, head)
    expected = GRU if kind is nn.GRU else LSTM
    assert network == expected.model_copy(update={"outputs": outputs})
    genes = homogeneous(network, 12)
    fractions, signed = calibrate(network, genes, *float_layers(module, head), X)
    quantised = from_float(
        module,
        head,
        genes,
        fractions,
        input_signed=signed,
        normalisation=Normalisation.identity(3),
    )
    found = quantised(torch.from_numpy(quantised.encode(X)))
    assert torch.allclose(found.float(), logits_of(module, head), atol=0.02)
    assert quantised.genome().output == ("class" if outputs > 1 else "values")


def test_float_layers_are_copies() -> None:
    gru, head = (module.double() for module in pair())
    weights, biases = float_layers(gru, head)
    before = {name: array.copy() for name, array in (weights | biases).items()}
    changed(gru), changed(head)
    assert all((array == before[name]).all() for name, array in (weights | biases).items())


def test_a_kept_model_stays_what_it_was() -> None:
    module = quantised()
    best = module.model()
    before = best.to_bytes()
    changed(module)
    assert best.to_bytes() == before
    assert module.model().to_bytes() != before


def test_the_integers_of_a_network_cannot_change() -> None:
    module = quantised()
    (layer,) = Network.build(module.genome(), module.model()).layers
    parameters = layer.parameters
    for arrays in (parameters.weights, parameters.biases):
        with pytest.raises(ValueError, match="read-only"):
            arrays["W_hn"][0] = 1
        with pytest.raises(TypeError, match="does not support item assignment"):
            arrays["W_hn"] = np.zeros(4)  # type: ignore[index]


def test_fractions_of_other_genes() -> None:
    gru, head = pair()
    fractions, signed = calibrate(GRU, GENES, *float_layers(gru, head), X)
    refuses(
        "width of the input must be 6 bits, for which its fraction bits were chosen, not 4: choose "
        "them anew with gruhw calibrate --genome FILE --task TASK, or train with gruhw train",
        lambda: from_float(
            gru,
            head,
            homogeneous(GRU, 4),
            fractions,
            input_signed=signed,
            normalisation=Normalisation.identity(3),
        ),
    )


def test_a_genome_cannot_change() -> None:
    genome = Genome(network=GRU, genes=dict(GENES))
    with pytest.raises(TypeError, match="does not support item assignment"):
        genome.genes["add_h"] = 99  # type: ignore[index]
    refuses(
        "result width of add_h must be 1 to 12 bits, not 99",
        lambda: genome.model_copy(update={"genes": {**GENES, "add_h": 99}}),
    )
    refuses(
        "folding.pe must be 1 to the 4 hidden units, not 5",
        lambda: genome.model_copy(update={"folding": Folding(pe=5)}),
    )
    refuses("other is not a field of this file", lambda: genome.model_copy(update={"other": 1}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Architecture(inputs=0, layers=["gru:4"], outputs=2),
            "inputs: input should be greater than or equal to 1, not 0",
        ),
        (
            lambda: Architecture(inputs=3, layers=["gru:2000"], outputs=2),
            "units of layer gru must be 1 to 1024, not 2000",
        ),
        (
            lambda: Folding(pe=0),
            "pe must be a whole number from 1 to 1024, or a list of some, not 0",
        ),
        (
            lambda: Folding(pe=()),
            "pe must be a whole number from 1 to 1024, or a list of some, not ()",
        ),
        (
            lambda: Genome(network=GRU, genes=GENES, folding=Folding(pe=(4, 4))),
            "folding.pe must be one number, not 2",
        ),
        (
            lambda: Genome(network=GRU, genes=homogeneous(LSTM, 6)),
            f"gene must be one of {', '.join(GRU.gene_names)}, not 'W_ii'",
        ),
        (lambda: Genome(genes=GENES), "network is required, but missing"),  # type: ignore[call-arg]
    ],
)
def test_sizes_beyond_limits(make: Callable[[], object], message: str) -> None:
    refuses(message, make)


@pytest.mark.parametrize(
    ("scale", "offset", "message"),
    [
        ([1, np.nan], [0, 0], "every value of input.scale must be finite, not nan"),
        ([1, 1], [0, np.inf], "every value of input.offset must be finite, not inf"),
        ([1, 1], [0], "shape of input.offset must be [2] like that of input.scale, not [1]"),
        ([[1, 1]], [0, 0], "shape of input.scale must be [inputs], not [1, 2]"),
        (["1"], [0], "input.scale must be real numbers, not <U1"),
        ([[1], [1, 2]], [0], "input.scale must be real numbers, not lists of different lengths"),
    ],
)
def test_wrong_normalisations(scale: Any, offset: Any, message: str) -> None:
    refuses(message, lambda: Normalisation(scale, offset))


def test_normalisation_from_mean_and_standard_deviation() -> None:
    raw = np.random.default_rng(1).normal([5.0, -3.0], [2.0, 0.1], (1000, 2))
    found = Normalisation.from_mean_std(raw.mean(0), raw.std(0))(raw)
    assert np.allclose(found.mean(0), 0)
    assert np.allclose(found.std(0), 1)
    refuses(
        "every standard deviation must be above 0, not 0.0",
        lambda: Normalisation.from_mean_std([0, 0], [1, 0]),
    )
    refuses(
        "shape of standard deviation must be [2], not [3]",
        lambda: Normalisation.from_mean_std([0, 0], [1, 1, 1]),
    )
    refuses(
        "every value of input.scale must be finite, not inf",
        lambda: Normalisation.from_mean_std([0.0], [5e-324]),
    )


def test_samples_of_another_shape_or_kind() -> None:
    module = quantised()
    refuses(
        "shape of the samples must end with 3 input elements, not be [20, 5, 2]",
        lambda: module.encode(X[..., :2]),
    )
    refuses("samples must be real numbers, not complex128", lambda: module.encode(X + 1j))


def test_a_wrong_normalisation_is_warned_of() -> None:
    gru, head = pair()
    raw = 100 + 25 * X
    right = Normalisation.from_mean_std(np.full(3, 100.0), np.full(3, 25.0))
    wrong = Normalisation(np.full(3, 25.0), np.full(3, 100.0))  # a deviation and a mean
    fractions, signed = calibrate(GRU, GENES, *float_layers(gru, head), right(raw))
    for normalisation, warns in ((right, False), (wrong, True)):
        module = from_float(
            gru, head, GENES, fractions, input_signed=signed, normalisation=normalisation
        )
        network = Network.build(module.genome(), module.model())
        for encode in (module.encode, network.encode):
            if not warns:
                encode(raw)
                continue
            expected = r"^most input samples saturate at -4 or 3.875: is the normalisation, raw \*"
            with pytest.warns(GruhwWarning, match=expected):
                encode(raw)


def test_padding_is_no_reason_to_warn() -> None:
    module = quantised()
    padded = X.copy()
    padded[:, 1:] = 1e9
    module.encode(padded, np.full(20, 1))
    with pytest.warns(GruhwWarning, match="^most input samples saturate"):
        module.encode(padded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, b: w.pop("W_hn"), "W_hn.weight is required, but missing"),
        (lambda w, b: b.pop("head"), "head.bias is required, but missing"),
        (
            lambda w, b: w.update(W_hn=np.zeros((4, 3))),
            f"shape of W_hn.weight must be [4, 4] for {GRU}, not [4, 3]",
        ),
        (
            lambda w, b: w.update(W_hn=np.full((4, 4), np.inf)),
            "every value of W_hn.weight must be finite, not inf",
        ),
        (lambda w, b: w.update(W_hn="x"), "W_hn.weight must be real numbers, not <U1"),
    ],
)
def test_wrong_layers(change: Callable[..., object], message: str) -> None:
    weights: dict[str, Any] = {name: np.zeros(shape) for name, shape in GRU.layer_shapes.items()}
    biases = {name: np.zeros(shape[0]) for name, shape in GRU.layer_shapes.items()}
    change(weights, biases)
    fractions = {gene.name: 3 for gene in GRU.calibrated}
    unit = Normalisation.identity(3)
    refuses(message, lambda: Model(GRU, weights, biases, fractions, True, unit))
    refuses(message, lambda: calibrate(GRU, GENES, weights, biases, X))


def test_paths_may_be_strings(tmp_path: Path) -> None:
    design = Path(__file__).parents[2] / "designs" / "mnist-1d" / "small" / "genome.json"
    assert Design.load(str(design)).genome == Genome.load(str(design))
    refuses("path must be a str or a Path, not 3", lambda: Genome.load(3))  # type: ignore[arg-type]
