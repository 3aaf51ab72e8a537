"""The quantised GRU in PyTorch: the reference's integers, its gradients, calibration, training."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network, random_sequences
from torch import nn

from gruhw.errors import InputError
from gruhw.fixed import Fixed, IntArray
from gruhw.fractions import FRACTION_BITS
from gruhw.genome import GENES, Genes, Genome, Sizes, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import LAYERS, Model, Network, Normalisation
from gruhw.quant import QuantGRU, calibrate, float_layers, from_float
from gruhw.quant.calibration import FINER_CANDIDATES, best_fraction, float_activations
from gruhw.quant.functional import Grid, fake_quantise, tabulated
from gruhw.reference import run_reference

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
    seed: int, *, inputs: int, hidden: int, classes: int, low: int, high: int
) -> tuple[QuantGRU, Network]:
    """A module with arbitrary weights, and the network of its model."""
    random = np.random.default_rng(seed)
    base = random_network(random, inputs=inputs, hidden=hidden, classes=classes, low=low, high=high)
    graph, sizes = base.graph, base.genome.sizes
    fractions = {
        name: graph[op].weight.frac if kind else graph[op].type.frac
        for name in calibrated_tensors(base.genome.genes)
        for op, _, kind in [name.partition(".")]
    }
    model = Model(
        {op.name: random.normal(0, 1, (op.outputs, op.inputs)) for op in graph.linears},
        {op.name: random.normal(0, 1, op.outputs) for op in graph.linears},
        fractions,
        graph.input.type.signed,
        base.normalisation,
    )
    module = QuantGRU(sizes, base.genome.genes, model)
    return module, Network.build(base.genome, module.model())


def assert_equals_reference(
    module: QuantGRU, network: Network, inputs: IntArray, lengths: IntArray
) -> None:
    expected = run_reference(network, inputs, lengths)
    found = module.integers(inputs, lengths)
    alive = np.arange(inputs.shape[1]) < lengths[:, None]
    assert set(found) == {*expected.operators, "head"}
    for name, values in expected.operators.items():
        assert (found[name][alive] == values[alive]).all(), name
    assert (found["head"] == expected.logits).all()
    logits = module(torch.from_numpy(inputs), torch.from_numpy(lengths)).double()
    assert (logits.detach().numpy() * 2.0**network.graph.head.type.frac == expected.logits).all()


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 2**32),
    inputs=st.integers(1, 9),
    hidden=st.integers(1, 9),
    classes=st.integers(2, 6),
    widths=st.sampled_from([(1, SINGLE_BITS), (2, 8), (1, 12), (12, 12)]),
    steps=st.integers(1, 9),
)
def test_integers_and_logits_are_the_references(
    seed: int, inputs: int, hidden: int, classes: int, widths: tuple[int, int], steps: int
) -> None:
    low, high = widths
    module, network = trained(
        seed, inputs=inputs, hidden=hidden, classes=classes, low=low, high=high
    )
    if high == SINGLE_BITS:
        assert module.compute_type == torch.float32
    if low == 12 and inputs > 2:
        assert module.compute_type == torch.float64
    sequences = random_sequences(np.random.default_rng(seed), network, 5, steps)
    assert_equals_reference(module, network, *sequences)


def test_lengths_default_to_all_steps() -> None:
    module, network = trained(1, inputs=3, hidden=4, classes=2, low=2, high=8)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 4, 5)
    full = np.full_like(lengths, 5)
    codes = torch.from_numpy(inputs)
    assert torch.equal(module(codes), module(codes, torch.from_numpy(full)))
    for name, values in module.integers(inputs).items():
        assert (values == module.integers(inputs, full)[name]).all()


def test_large_biases_are_exact() -> None:
    module, network = trained(1, inputs=2, hidden=2, classes=2, low=SINGLE_BITS, high=SINGLE_BITS)
    assert module.compute_type == torch.float32
    fine = {**module.model().fractions, "input": 9, "W_in.weight": 9, "W_in": -14}
    biases = {**module.model().biases, "W_in": np.array([12345.6, -12345.6], dtype=np.float32)}
    model = replace(module.model(), fractions=fine, biases=biases)
    module = QuantGRU(module.sizes, module.genes, model)
    network = Network.build(network.genome, model)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 50, 2)
    assert module.compute_type == torch.float64
    assert_equals_reference(module, network, inputs, lengths)


def test_fractions_that_double_precision_cannot_align_are_refused() -> None:
    module, _ = trained(1, inputs=2, hidden=2, classes=2, low=12, high=12)
    with pytest.raises(
        InputError,
        match=r"^fraction bits of W_hr must be a whole number from -14 to 24, not 70$",
    ):
        replace(module.model(), fractions={**module.model().fractions, "W_hr": 70})


@pytest.mark.parametrize("extreme", [FRACTION_BITS[0], FRACTION_BITS[-1]])
def test_extreme_fractions_are_exact(extreme: int) -> None:
    module, network = trained(1, inputs=2, hidden=2, classes=2, low=12, high=12)
    opposite = FRACTION_BITS[0] if extreme > 0 else FRACTION_BITS[-1]
    fractions = {**module.model().fractions, "W_ir": opposite, "W_hr": extreme, "add_r": extreme}
    model = replace(module.model(), fractions=fractions)
    module = QuantGRU(module.sizes, module.genes, model)
    network = Network.build(network.genome, model)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 50, 3)
    assert_equals_reference(module, network, inputs, lengths)


def float_layer_pair(
    inputs: int, hidden: int, classes: int, bias: bool
) -> tuple[nn.GRU, nn.Linear]:
    torch.manual_seed(1)
    gru = nn.GRU(inputs, hidden, batch_first=True, bias=bias)
    return gru, nn.Linear(hidden, classes, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
def test_12_bits_come_close_to_torch(bias: bool) -> None:
    gru, head = float_layer_pair(5, 8, 3, bias)
    random = np.random.default_rng(1)
    raw = random.uniform(-1, 1, (40, 7, 5))
    genes = homogeneous(12)
    sizes = Sizes(input=5, hidden=8, classes=3)
    fractions, input_signed = calibrate(sizes, genes, *float_layers(gru, head), raw)
    normalisation = Normalisation.identity(5)
    module = from_float(
        gru, head, genes, fractions, input_signed=input_signed, normalisation=normalisation
    )
    codes = module.encode(raw)
    logits = module(torch.from_numpy(codes)).detach()
    expected = head(gru(torch.tensor(raw, dtype=torch.float32))[0][:, -1]).detach()
    assert (logits - expected).abs().max() < 0.01
    assert expected.std() > 0.05

    network = Network.build(Genome(sizes=sizes, genes=dict(genes)), module.model())
    assert (network.encode(raw) == codes).all()
    assert_equals_reference(module, network, codes, np.full(40, 7))


def test_biases_are_merged_where_the_gates_add_them() -> None:
    gru, head = float_layer_pair(3, 4, 2, bias=True)
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


def test_merged_biases_are_not_trained() -> None:
    gru, head = float_layer_pair(3, 4, 2, bias=True)
    fractions = {name: bits - 1 for name, bits in calibrated_tensors(homogeneous(8)).items()}
    module = from_float(
        gru,
        head,
        homogeneous(8),
        fractions,
        input_signed=True,
        normalisation=Normalisation.identity(3),
    )
    frozen = {layer for layer in LAYERS if not module.biases[layer].requires_grad}
    assert frozen == {"W_hr", "W_hz"}


@pytest.mark.parametrize(
    ("gru", "head", "message"),
    [
        (
            nn.GRU(3, 4, num_layers=2),
            nn.Linear(4, 2),
            "gru must have one layer and one direction, not 2 layers and 1 directions",
        ),
        (
            nn.GRU(3, 4, bidirectional=True),
            nn.Linear(8, 2),
            "gru must have one layer and one direction, not 1 layers and 2 directions",
        ),
        (
            nn.GRU(3, 4),
            nn.Linear(5, 2),
            "inputs of head must be the 4 hidden units, not 5",
        ),
    ],
)
def test_unsupported_float_layers(gru: nn.GRU, head: nn.Linear, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        float_layers(gru, head)


def test_model_is_what_was_given() -> None:
    module, _ = trained(3, inputs=3, hidden=4, classes=2, low=2, high=8)
    model = module.model()
    again = QuantGRU(module.sizes, module.genes, model).model()
    for layer in LAYERS:
        assert (again.weights[layer] == model.weights[layer]).all()
        assert (again.biases[layer] == model.biases[layer]).all()
    assert again.fractions == model.fractions


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
    layers = float_layers(*float_layer_pair(3, 4, 2, bias=True))
    sizes = Sizes(input=3, hidden=4, classes=2)
    fractions, found = calibrate(sizes, homogeneous(8), *layers, raw)
    assert found is signed
    assert fractions["input"] == 8 - signed
    assert fractions.keys() == calibrated_tensors(homogeneous(8)).keys()


def test_calibration_leaves_out_what_follows_a_sequence() -> None:
    random = np.random.default_rng(1)
    raw = random.uniform(-1, 1, (6, 5, 3))
    lengths = np.array([1, 2, 3, 4, 5, 5])
    padded = np.where((np.arange(5) < lengths[:, None])[:, :, None], raw, 1e3)
    layers = float_layers(*float_layer_pair(3, 4, 2, bias=True))
    sizes = Sizes(input=3, hidden=4, classes=2)
    assert float_activations(sizes, *layers, padded, lengths)["add_h"].shape == (20, 4)
    genes = homogeneous(6)
    assert calibrate(sizes, genes, *layers, padded, lengths) == calibrate(
        sizes, genes, *layers, raw, lengths
    )


def separable(random: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences whose class is the sign of their first element, four steps before the end."""
    raw = random.uniform(-1, 1, (count, 4, 2))
    return torch.from_numpy(np.floor(raw * 8).astype(np.int64)), torch.from_numpy(
        (raw[:, 0, 0] >= 0).astype(np.int64)
    )


def trained_on_separable(seed: int) -> tuple[Mapping[str, np.ndarray], float]:
    torch.manual_seed(seed)
    genes = Genes(dict.fromkeys(GENES, 4))
    gru, head = nn.GRU(2, 6), nn.Linear(6, 2)
    fractions = dict.fromkeys(calibrated_tensors(genes), 2) | {"input": 3}
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
    assert all((weights[layer] == again[layer]).all() for layer in LAYERS)
