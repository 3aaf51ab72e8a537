"""Quantised networks in PyTorch: the reference's integers, gradients, calibration, training."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import (
    random_architecture,
    random_fractions,
    random_genes,
    random_sequences,
    random_states,
)
from torch import nn

from gruhw.errors import InputError
from gruhw.learning.quant import (
    QuantNetwork,
    calibrate,
    float_layers,
    from_float,
    network_of,
)
from gruhw.learning.quant.activations import float_activations
from gruhw.learning.quant.calibration import FINER_CANDIDATES, best_fraction
from gruhw.learning.quant.functional import Grid, fake_quantise, tabulated
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.fractions import FRACTION_BITS
from gruhw.network.genes import homogeneous
from gruhw.network.genome import OUTPUTS, Genome, Output
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import run_reference

SINGLE_BITS = 4
"""Genes up to this width are computed in single precision for the sizes of this test."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Matrices this small only lose time to threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(
    seed: int, architecture: Architecture, *, low: int, high: int
) -> tuple[QuantNetwork, Network]:
    """A module with arbitrary weights, and the network of its model."""
    random = np.random.default_rng(seed)
    genes = random_genes(random, architecture, low, high)
    fractions, signed = random_fractions(random, genes), bool(random.integers(2))
    shapes = architecture.layer_shapes
    model = Model(
        architecture,
        {name: random.normal(0, 1, shape) for name, shape in shapes.items()},
        {name: random.normal(0, 1, shape[0]) for name, shape in shapes.items()},
        fractions,
        signed,
        Normalisation.identity(architecture.inputs),
        initial=random_states(random, genes, fractions, signed),
    )
    module = QuantNetwork(architecture, genes, model)
    return module, Network.build(module.genome(), module.model())


def one_gru(inputs: int, hidden: int, classes: int) -> Architecture:
    return Architecture(inputs=inputs, layers=(f"gru:{hidden}",), outputs=classes)


def assert_equals_reference(
    module: QuantNetwork, network: Network, inputs: IntArray, lengths: IntArray
) -> None:
    expected = run_reference(network, inputs, lengths)
    found = module.integers(inputs, lengths, output=network.genome.output)
    assert found.keys() == {*expected.operators, "head"}
    for name, values in expected.operators.items():
        assert (found[name] == values).all(), name
    assert (found["head"] == expected.logits).all()
    logits = module(torch.from_numpy(inputs), torch.from_numpy(lengths)).double()
    scale = network.head.typed.emitted.scale
    assert (logits.detach().numpy() == expected.logits * scale).all()


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 2**32),
    widths=st.sampled_from([(1, SINGLE_BITS), (2, 8), (1, 12), (12, 12)]),
    steps=st.integers(1, 9),
    output=st.sampled_from(OUTPUTS),
)
def test_integers_and_outputs_are_the_references(
    seed: int, widths: tuple[int, int], steps: int, output: Output
) -> None:
    low, high = widths
    architecture = random_architecture(np.random.default_rng(seed), largest=9)
    module, network = trained(seed, architecture, low=low, high=high)
    network = Network.build(module.genome(output=output), module.model())
    sequences = random_sequences(np.random.default_rng(seed), network, 5, steps)
    assert_equals_reference(module, network, *sequences)


@pytest.mark.parametrize(("bits", "precision"), [(SINGLE_BITS, torch.float32), (12, torch.float64)])
def test_precision_is_as_single_as_it_can_be(bits: int, precision: torch.dtype) -> None:
    module, _ = trained(1, one_gru(9, 9, 3), low=bits, high=bits)
    assert module.compute_type == precision


def test_lengths_default_to_all_steps() -> None:
    module, network = trained(1, one_gru(3, 4, 2), low=2, high=8)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 4, 5)
    full = np.full_like(lengths, 5)
    codes = torch.from_numpy(inputs)
    assert torch.equal(module(codes), module(codes, torch.from_numpy(full)))
    for name, values in module.integers(inputs).items():
        assert (values == module.integers(inputs, full)[name]).all()


def test_large_biases_are_exact() -> None:
    module, network = trained(1, one_gru(2, 2, 2), low=SINGLE_BITS, high=SINGLE_BITS)
    assert module.compute_type == torch.float32
    fine = {**module.model().fractions, "input": 9, "W_in.weight": 9, "W_in": -14}
    biases = {**module.model().biases, "W_in": np.array([12345.6, -12345.6], dtype=np.float32)}
    model = replace(module.model(), fractions=fine, biases=biases)
    module = QuantNetwork(module.network, module.genes, model)
    network = Network.build(network.genome, model)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 50, 2)
    assert module.compute_type == torch.float64
    assert_equals_reference(module, network, inputs, lengths)


def test_fractions_that_double_precision_cannot_align_are_refused() -> None:
    module, _ = trained(1, one_gru(2, 2, 2), low=12, high=12)
    with pytest.raises(
        InputError,
        match=r"^fraction bits of W_hr must be a whole number from -14 to 24, not 70$",
    ):
        replace(module.model(), fractions={**module.model().fractions, "W_hr": 70})


@pytest.mark.parametrize("extreme", [FRACTION_BITS[0], FRACTION_BITS[-1]])
def test_extreme_fractions_are_exact(extreme: int) -> None:
    module, network = trained(1, one_gru(2, 2, 2), low=12, high=12)
    opposite = FRACTION_BITS[0] if extreme > 0 else FRACTION_BITS[-1]
    fractions = {**module.model().fractions, "W_ir": opposite, "W_hr": extreme, "add_r": extreme}
    model = replace(module.model(), fractions=fractions)
    module = QuantNetwork(module.network, module.genes, model)
    network = Network.build(network.genome, model)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 50, 3)
    assert_equals_reference(module, network, inputs, lengths)


def float_layer_pair(
    inputs: int, hidden: int, classes: int, bias: bool = True, kind: type[nn.RNNBase] = nn.GRU
) -> tuple[nn.RNNBase, nn.Linear]:
    torch.manual_seed(1)
    recurrent = kind(inputs, hidden, batch_first=True, bias=bias)
    return recurrent, nn.Linear(hidden, classes, bias=bias)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bias", [True, False])
def test_12_bits_come_close_to_torch(bias: bool, kind: type[nn.RNNBase]) -> None:
    recurrent, head = float_layer_pair(5, 8, 3, bias, kind)
    random = np.random.default_rng(1)
    raw = random.uniform(-1, 1, (40, 7, 5))
    architecture = network_of(recurrent, head)
    genes = homogeneous(architecture, 12)
    fractions, input_signed = calibrate(architecture, genes, *float_layers(recurrent, head), raw)
    normalisation = Normalisation.identity(5)
    module = from_float(
        recurrent, head, genes, fractions, input_signed=input_signed, normalisation=normalisation
    )
    codes = module.encode(raw)
    logits = module(torch.from_numpy(codes)).detach()
    expected = head(recurrent(torch.tensor(raw, dtype=torch.float32))[0][:, -1]).detach()
    assert (logits - expected).abs().max() < 0.01
    assert expected.std() > 0.03

    network = Network.build(Genome(network=architecture, genes=genes), module.model())
    assert (network.encode(raw) == codes).all()
    assert_equals_reference(module, network, codes, np.full(40, 7))


def test_biases_are_merged_where_the_gates_add_them() -> None:
    gru, head = float_layer_pair(3, 4, 2)
    weights, biases = float_layers(gru, head)
    of_input, of_state = gru.bias_ih_l0.detach().double(), gru.bias_hh_l0.detach().double()
    for index, gate in enumerate("rzn"):
        rows = slice(4 * index, 4 * index + 4)
        assert (weights[f"W_i{gate}"] == gru.weight_ih_l0[rows].detach().numpy()).all()
        assert (weights[f"W_h{gate}"] == gru.weight_hh_l0[rows].detach().numpy()).all()
    for gate, rows in (("r", slice(0, 4)), ("z", slice(4, 8))):
        assert (biases[f"W_i{gate}"] == (of_input + of_state)[rows].numpy()).all()
        assert not biases[f"W_h{gate}"].any()
    assert (biases["W_in"] == of_input[8:].numpy()).all()
    assert (biases["W_hn"] == of_state[8:].numpy()).all()
    assert (biases["head"] == head.bias.detach().numpy()).all()


@pytest.mark.parametrize(
    ("layers", "merged"),
    [
        (("gru:4",), {"W_hr", "W_hz"}),
        (("ugrnn:4",), {"W_hz", "W_hn"}),
        (("mgu:4",), {"W_hf"}),
        (("dense:2:relu", "lstm:4"), {"l1.W_hi", "l1.W_hf", "l1.W_hg", "l1.W_ho"}),
    ],
)
def test_merged_biases_are_not_trained(layers: tuple[str, ...], merged: set[str]) -> None:
    architecture = Architecture(inputs=3, layers=layers, outputs=2)
    module, _ = trained(1, architecture, low=8, high=8)
    assert all(bias.requires_grad for _, bias in module.biases.items())
    zeros = {name: np.zeros(4) for name in merged}
    model = replace(module.model(), biases={**module.model().biases, **zeros})
    module = QuantNetwork(architecture, module.genes, model)
    assert {name for name, bias in module.biases.items() if not bias.requires_grad} == merged


@pytest.mark.parametrize(
    ("gru", "head", "message"),
    [
        (
            nn.GRU(3, 4, num_layers=2),
            nn.Linear(4, 2),
            "recurrent module must have one layer and one direction, not 2 layers and 1 directions",
        ),
        (
            nn.GRU(3, 4, bidirectional=True),
            nn.Linear(8, 2),
            "recurrent module must have one layer and one direction, not 1 layers and 2 directions",
        ),
        (
            nn.LSTM(3, 4, proj_size=2),
            nn.Linear(2, 2),
            "recurrent module must have no projection, not one of 2 units",
        ),
        (
            nn.RNN(3, 4),
            nn.Linear(4, 2),
            "recurrent module must be a torch.nn.GRU or torch.nn.LSTM, not RNN",
        ),
        (
            nn.GRU(3, 4),
            nn.Linear(5, 2),
            "inputs of head must be the 4 hidden units, not 5",
        ),
    ],
)
def test_unsupported_float_layers(gru: nn.RNNBase, head: nn.Linear, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        float_layers(gru, head)


def test_model_is_what_was_given() -> None:
    module, _ = trained(3, one_gru(3, 4, 2), low=2, high=8)
    model = module.model()
    again = QuantNetwork(module.network, module.genes, model).model()
    assert again.to_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    ("factor", "bias", "bits", "message"),
    [
        (
            1e-4,
            300.0,
            12,
            "biases of head must stay below .* not reach 300: give head.weight fewer",
        ),
        (1e9, 0.0, 8, "weights of head must stay below 2.097e.06, which 8 bits reach at most, not"),
        (1e-9, 0.0, 8, "weights of head must reach 2.98e-08, or all of them become zero, not"),
        (1e-4, 1e-3, 12, ""),
        (1e4, 300.0, 8, ""),
    ],
)
def test_a_head_that_hardware_cannot_hold_is_refused(
    factor: float, bias: float, bits: int, message: str
) -> None:
    """It would saturate, or vanish, without a word."""
    gru, head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)
    with torch.no_grad():
        head.weight.copy_(factor * torch.linspace(-0.5, 0.5, 8).view(2, 4))
        head.bias.fill_(bias)
    network, genes = network_of(gru, head), homogeneous(network_of(gru, head), bits)
    x = np.random.default_rng(1).normal(size=(20, 5, 3))
    fractions, signed = calibrate(network, genes, *float_layers(gru, head), x)

    def quantised() -> QuantNetwork:
        same = Normalisation.identity(3)
        return from_float(gru, head, genes, fractions, input_signed=signed, normalisation=same)

    if message:
        with pytest.raises(InputError, match=f"^{message}"):
            quantised()
    else:
        assert quantised().network == network


def test_initial_states_beyond_their_range_become_its_ends() -> None:
    architecture = Architecture(
        inputs=2, layers=("lstm:3", "dense:2"), outputs=2, initial="constant"
    )
    module, _ = trained(1, architecture, low=4, high=4)
    with torch.no_grad():
        module.initial["l0.h"][:] = torch.tensor([-9.0, 0.3, 9.0])
        module.initial["l0.c"][:] = torch.tensor([1e6, -1e6, 0.0])
    model, kind = module.model(), module.typed[0]["c"]
    assert model.initial["l0.h"].tolist() == pytest.approx([-1.0, 0.3, 0.875])
    ends = [kind.maximum * kind.scale, kind.minimum * kind.scale, 0.0]
    assert model.initial["l0.c"].tolist() == ends
    network = Network.build(module.genome(), model)
    sequences = random_sequences(np.random.default_rng(1), network, 5, 4)
    assert_equals_reference(module, network, *sequences)


def test_initial_states_are_trained() -> None:
    architecture = Architecture(inputs=2, layers=("gru:3",), outputs=2, initial="constant")
    module, network = trained(1, architecture, low=6, high=6)
    codes, lengths = random_sequences(np.random.default_rng(1), network, 5, 2)
    module(torch.from_numpy(codes), torch.from_numpy(lengths)).sum().backward()
    gradient = module.initial["h"].grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def gradient_through(kind: Fixed, values: list[float]) -> list[float]:
    tensor = torch.tensor(values, requires_grad=True)
    found = fake_quantise(tensor, Grid.of([kind], torch.float32))
    found[0, 0].backward(torch.arange(1.0, len(values) + 1))
    assert tensor.grad is not None
    return tensor.grad.tolist()


def test_gradients_pass_in_range_and_stop_where_saturated() -> None:
    # Signed with 4 bits and 2 fraction bits: -2 to 1.75; from 1.875 on it saturates.
    values = [-2.2, -2.1, 0.0, 0.3, 1.75, 1.8, 1.9]
    assert gradient_through(Fixed(4, 2), values) == [0, 2, 3, 4, 5, 6, 0]
    assert gradient_through(Fixed(2, 2, signed=False), [-0.2, -0.1, 0.8, 0.9]) == [0, 2, 3, 0]


def test_tables_pass_the_gradient_of_the_smooth_function() -> None:
    values = torch.tensor([-1.0, 0.5], requires_grad=True)
    found = tabulated(torch.tanh(values), torch.tensor([7.0, 8.0]))
    assert found.tolist() == [7.0, 8.0]
    found.sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad, 1 - torch.tanh(values.detach()) ** 2)


def squared_error(values: np.ndarray, kind: Fixed) -> float:
    scaled = np.floor(values * 2.0**kind.frac + 0.5)
    return float(
        np.mean((np.clip(scaled, kind.minimum, kind.maximum) / 2.0**kind.frac - values) ** 2)
    )


@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans(), st.integers(-6, 6))
def test_best_fraction_has_the_least_error(
    seed: int, bits: int, signed: bool, magnitude: int
) -> None:
    values = np.random.default_rng(seed).normal(0, 2.0**magnitude, 200)
    values = values if signed else abs(values)
    found = best_fraction(values, bits, signed=signed)
    clipping_free = bits - signed - int(np.ceil(np.log2(abs(values).max())))
    candidates = range(clipping_free - 3, clipping_free + FINER_CANDIDATES + 1)
    errors = {frac: squared_error(values, Fixed(bits, frac, signed)) for frac in candidates}
    assert errors[found] == min(errors.values())


def test_narrow_types_clip_heavy_tails() -> None:
    values = np.concatenate([np.random.default_rng(1).normal(0, 1, 10_000), [60.0]])
    assert Fixed(3, best_fraction(values, 3)).maximum * 2.0 ** -best_fraction(values, 3) < 60
    assert best_fraction(values, 12) == 12 - 1 - 6


def test_fraction_of_zeros_spans_one() -> None:
    assert best_fraction(np.zeros(5), 8) == 7
    assert best_fraction(np.zeros(5), 8, signed=False) == 8


def test_error_is_measured_behind_the_consumer() -> None:
    # A sigmoid does not care how large its large operands are.
    values = np.array([-40.0, -1.3, -0.7, 0.2, 0.9, 1.6, 40.0])
    assert best_fraction(values, 4) < best_fraction(
        values, 4, through=lambda v: 1 / (1 + np.exp(-v))
    )


@pytest.mark.parametrize(("low", "signed"), [(0.0, False), (-1.0, True)])
def test_calibration_finds_the_inputs_sign(low: float, signed: bool) -> None:
    raw = np.random.default_rng(1).uniform(low, 1, (10, 4, 3))
    architecture = one_gru(3, 4, 2)
    layers = float_layers(*float_layer_pair(3, 4, 2))
    fractions, found = calibrate(architecture, homogeneous(architecture, 8), *layers, raw)
    assert found is signed
    assert fractions["input"] == 8 - signed
    assert list(fractions) == [gene.name for gene in architecture.calibrated]


def test_calibration_leaves_out_what_follows_a_sequence() -> None:
    random = np.random.default_rng(1)
    raw = random.uniform(-1, 1, (6, 5, 3))
    lengths = np.array([1, 2, 3, 4, 5, 5])
    padded = np.where((np.arange(5) < lengths[:, None])[:, :, None], raw, 1e3)
    layers = float_layers(*float_layer_pair(3, 4, 2))
    architecture = one_gru(3, 4, 2)
    assert float_activations(architecture, *layers, padded, lengths)["add_h"].shape == (20, 4)
    genes = homogeneous(architecture, 6)
    assert calibrate(architecture, genes, *layers, padded, lengths) == calibrate(
        architecture, genes, *layers, raw, lengths
    )


def separable(random: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences whose class is the sign of their first element, four steps before the end."""
    raw = random.uniform(-1, 1, (count, 4, 2))
    return torch.from_numpy(np.floor(raw * 8).astype(np.int64)), torch.from_numpy(
        (raw[:, 0, 0] >= 0).astype(np.int64)
    )


def trained_on_separable(seed: int) -> tuple[Mapping[str, np.ndarray], float]:
    torch.manual_seed(seed)
    gru, head = nn.GRU(2, 6), nn.Linear(6, 2)
    genes = homogeneous(network_of(gru, head), 4)
    fractions = {gene.name: 2 for gene in genes.network.calibrated} | {"input": 3}
    module = from_float(
        gru,
        head,
        genes,
        fractions,
        input_signed=True,
        normalisation=Normalisation.identity(2),
    )
    random = np.random.default_rng(seed)
    inputs, classes = separable(random, 128)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.03)
    for _ in range(40):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(inputs), classes).backward()
        optimiser.step()
    unseen, truth = separable(random, 512)
    accuracy = float((module(unseen).argmax(1) == truth).double().mean())
    return module.model().weights, accuracy


def test_training_learns_and_is_reproducible() -> None:
    weights, accuracy = trained_on_separable(1)
    assert accuracy > 0.9
    again, _ = trained_on_separable(1)
    assert all((weights[name] == again[name]).all() for name in weights)
