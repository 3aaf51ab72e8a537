"""Several quantised networks at once: each as if it were alone, compiled steps as the plain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from own_cells import installed_cell
from random_networks import (
    random_architecture,
    random_fractions,
    random_genes,
    random_states,
)
from torch import Tensor

from gruhw.errors import ToolError
from gruhw.learning.quant.native import build
from gruhw.learning.quant.network import TrainedNetworks, compile_for
from gruhw.learning.quant.population import Population, states_in_range
from gruhw.learning.training.floating import FloatNetwork
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import run_reference

Members = tuple[list[Genes], list[Model]]


def architecture(inputs: int, layers: str, outputs: int, *, constant: bool = False) -> Architecture:
    initial = "constant" if constant else "zero"
    return Architecture(
        inputs=inputs, layers=tuple(layers.split(",")), outputs=outputs, initial=initial
    )


GRU, WIDE_GRU = architecture(5, "gru:7", 3), architecture(28, "gru:32", 10)
LSTM = architecture(6, "dense:4:relu,lstm:5,gru:6", 3, constant=True)
SEVERAL = architecture(1, "mgu:4,dense:8:tanh,ugrnn:8,dense:2", 1)

ARCHITECTURES = (GRU, WIDE_GRU, LSTM, SEVERAL)
"""Each is compiled once: multiples of the tiles and other sizes, all cells, any neighbours."""


def random_members(
    seed: int, network: Architecture, members: int, *, low: int = 2, high: int = 8
) -> Members:
    rng = np.random.default_rng(seed)
    shapes = network.layer_shapes
    genes, models = [], []
    for _ in range(members):
        widths = random_genes(rng, network, low, high)
        fractions = random_fractions(rng, widths)
        model = Model(
            network,
            {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()},
            {name: rng.normal(0, 0.5, shape[0]) for name, shape in shapes.items()},
            fractions,
            True,
            Normalisation.identity(network.inputs),
            initial=random_states(rng, widths, fractions, True),
        )
        genes.append(widths)
        models.append(model)
    return genes, models


def assigned(genes: list[Genes], models: list[Model]) -> Population:
    population = Population(models[0].network, models)
    population.assign([model.typed(widths) for widths, model in zip(genes, models, strict=True)])
    return population


def outputs_and_gradients(
    networks: TrainedNetworks, inputs: Tensor, lengths: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    networks.zero_grad()
    found = networks(inputs, lengths)
    (found * torch.linspace(0.1, 1, found.numel()).view_as(found)).sum().backward()
    gradients = {name: value.grad for name, value in networks.named_parameters()}
    return found.detach(), {n: grad.clone() for n, grad in gradients.items() if grad is not None}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], part: float) -> None:
    """Sums of another order have other rounding errors, which nothing is equal to."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in found.items():
        own = float(expected[name].abs().max())
        allowed = part * own + 1e-6 * largest
        assert float((gradient - expected[name]).abs().max()) <= allowed, name


def check_compiled_steps(
    seed: int, network: Architecture, members: int, count: int, steps: int, ragged: bool
) -> None:
    population = assigned(*random_members(seed, network, members))
    rng = np.random.default_rng(seed)
    assert population.compute_type == torch.float32
    inputs = population.on_grids(rng.normal(0, 1, (count, steps, network.inputs)))
    lengths = torch.from_numpy(rng.integers(1, steps + 1, count)) if ragged else None
    plain, plain_gradients = outputs_and_gradients(population, inputs, lengths)
    population.compile_steps()
    compiled, gradients = outputs_and_gradients(population, inputs, lengths)
    assert torch.equal(plain, compiled)
    assert_close(gradients, plain_gradients, 1e-4)
    with torch.no_grad():
        assert torch.equal(population(inputs, lengths), plain)


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(
    seed=st.integers(0, 2**32),
    network=st.sampled_from(ARCHITECTURES),
    members=st.integers(1, 3),
    count=st.integers(1, 35),
    steps=st.integers(1, 9),
    ragged=st.booleans(),
)
def test_compiled_steps_give_the_same_outputs_and_gradients(
    seed: int, network: Architecture, members: int, count: int, steps: int, ragged: bool
) -> None:
    check_compiled_steps(seed, network, members, count, steps, ragged)


@pytest.mark.nightly
@settings(max_examples=50)
@given(seed=st.integers(0, 2**32))
def test_so_do_those_of_any_network(seed: int) -> None:
    network = random_architecture(np.random.default_rng(seed), largest=12)
    check_compiled_steps(seed, network, members=2, count=19, steps=5, ragged=bool(seed % 2))


def test_gradients_are_computed_once() -> None:
    """The way back writes over what the way there has kept."""
    networks = FloatNetwork(architecture(2, "gru:3", 2))
    networks.compile_steps()
    loss = networks(torch.zeros(4, 3, 2), torch.tensor([1, 2, 3, 3])).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"^gradients of compiled time steps can be .* once$"):
        loss.backward()


@pytest.mark.slow
def test_no_sequences() -> None:
    population = assigned(*random_members(1, LSTM, 2))
    for compiled in (False, True):
        if compiled:
            population.compile_steps()
        assert population(torch.zeros(2, 0, 4, 6), torch.zeros(0).long()).shape == (2, 0, 3)


@pytest.mark.slow
@settings(max_examples=examples(30))
@given(
    seed=st.integers(0, 2**32),
    network=st.sampled_from(ARCHITECTURES),
    count=st.integers(1, 35),
    steps=st.integers(1, 9),
    size=st.sampled_from([0.01, 1.0, 3.0]),
)
def test_so_do_those_that_round_nothing(
    seed: int, network: Architecture, count: int, steps: int, size: float
) -> None:
    _, (model,) = random_members(seed, network, 1)
    found, rng = FloatNetwork.of(model), np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.normal(0, size, (count, steps, network.inputs))).float()
    lengths = torch.from_numpy(rng.integers(1, steps + 1, count))
    plain, plain_gradients = outputs_and_gradients(found, inputs, lengths)
    found.compile_steps()
    compiled, gradients = outputs_and_gradients(found, inputs, lengths)
    assert float((compiled - plain).abs().max()) <= 1e-5 * float(plain.abs().max())
    assert_close(gradients, plain_gradients, 1e-4)


@pytest.mark.slow
def test_what_follows_a_sequence_does_not_matter() -> None:
    network = LSTM
    _, (model,) = random_members(1, network, 1)
    found = FloatNetwork.of(model)
    inputs, lengths = torch.randn(9, 6, network.inputs), torch.arange(9) % 6 + 1
    padded = torch.where(
        (torch.arange(6) < lengths[:, None])[:, :, None], inputs, torch.tensor(2.0**60)
    )
    for compiled in (False, True):
        if compiled:
            found.compile_steps()
        expected, gradients = outputs_and_gradients(found, inputs, lengths)
        again, others = outputs_and_gradients(found, padded, lengths)
        assert torch.equal(expected, again)
        assert all(torch.equal(gradient, others[name]) for name, gradient in gradients.items())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("network", [GRU, pytest.param(LSTM, marks=pytest.mark.slow)])
def test_members_that_share_weights_are_the_references(
    network: Architecture, compiled: bool
) -> None:
    genes, models = random_members(1, network, 4)
    shared = models[0]
    population = Population(network, [shared])
    typed = [model.typed(widths) for widths, model in zip(genes, models, strict=True)]
    population.assign(typed)
    if compiled:
        population.compile_steps()
    raw = np.random.default_rng(1).normal(0, 0.2, (20, 6, network.inputs))
    lengths = np.random.default_rng(2).integers(1, 7, 20)
    with torch.no_grad():
        found = population(population.on_grids(raw), torch.from_numpy(lengths)).double().numpy()
    for member, (widths, model) in enumerate(zip(genes, models, strict=True)):
        bound = Model(
            network,
            shared.weights,
            shared.biases,
            model.fractions,
            True,
            shared.normalisation,
            initial=shared.initial,
        )
        one = Network.build(Genome(network=network, genes=widths), states_in_range(bound, widths))
        expected = run_reference(one, one.encode(raw), lengths).logits
        assert (found[member] == expected * one.head.typed.emitted.scale).all()


@pytest.mark.slow
def test_what_single_precision_cannot_hold_is_computed_in_double() -> None:
    network = WIDE_GRU
    genes, models = random_members(1, network, 1, low=12, high=12)
    population = assigned(genes, models)
    assert population.compute_type == torch.float64
    population.compile_steps()
    inputs = population.on_grids(np.random.default_rng(1).normal(0, 1, (3, 4, 28)))
    assert population(inputs).dtype == torch.float64
    population.assign(population.members, exact=False)
    assert population(inputs).dtype == torch.float32


ODD_NAMES = """
from gruhw.network.cells import Cell
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def odd(inputs: int, units: int) -> Graph:
    step = Step(inputs, units)
    state = step.state("type", source="tanh")
    total = step.add("float", step.linear("forward"), step.linear("training", state))
    return step.graph(step.tanh("tanh", total))


CELL = Cell("odd", odd, source="this test")
"""


def test_names_that_python_and_cpp_know_otherwise(tmp_path: Path) -> None:
    with installed_cell(tmp_path, "odd", ODD_NAMES) as cell:
        network = architecture(2, f"{cell}:3", 2, constant=True)
        population = assigned(*random_members(1, network, 1))
        inputs = population.on_grids(np.random.default_rng(1).normal(0, 1, (3, 4, 2)))
        plain = population(inputs)
        population.compile_steps()
        assert torch.equal(population(inputs), plain)
        assert population.initial["type"].shape == (1, 3)
        assert sorted(population.state_dict()) == [
            *("biases./forward", "biases./training", "biases.head", "initial./type"),
            *("weights./forward", "weights./training", "weights.head"),
        ]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build._processor.cache_clear()
    build.load_library.cache_clear()
    return tmp_path


@pytest.mark.parametrize(
    ("compiler", "message"),
    [
        (
            None,
            "a C++ compiler is required to train, but /nowhere/c++ cannot be run: name one in CXX",
        ),
        ("echo 'a: error: too hot' >&2; exit 3", "c++: ended with status 3: a: error: too hot"),
    ],
)
def test_no_compiler_is_one_line(
    compiler: str | None, message: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = own_cache / "c++"
    if compiler is None:
        monkeypatch.setenv("CXX", "/nowhere/c++")
    else:
        program.write_text(f"#!/bin/sh\n{compiler}\n")
        program.chmod(0o755)
        monkeypatch.setenv("CXX", str(program))
    with pytest.raises(ToolError) as caught:
        compile_for(architecture(2, "gru:3", 2))
    build._processor.cache_clear()
    assert str(caught.value) == message.replace("c++: ended", f"{program}: ended")
    assert not list(own_cache.rglob("*.so"))
