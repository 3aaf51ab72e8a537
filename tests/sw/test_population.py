"""Several quantised networks at once: each equals itself alone, and compiled steps the plain."""

from pathlib import Path

import numpy as np
import pytest
import torch
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_fractions, random_genes
from torch import Tensor

from gruhw.errors import ToolError
from gruhw.genome import GENES, Genes, Genome, Sizes
from gruhw.graph import Graph, build_graph
from gruhw.model import Model, Network, Normalisation, layer_shapes
from gruhw.quant.native import build
from gruhw.quant.population import Population, structure_of
from gruhw.reference import run_reference

SIZES = [(5, 7, 3), (1, 33, 2), (9, 4, 2), (28, 32, 10)]
"""Input, hidden and class counts: each is compiled once, multiples of the tiles and others."""

Members = tuple[Sizes, list[Genes], list[Model], list[Graph]]


def random_members(
    seed: int, counts: tuple[int, int, int], members: int, *, high: int = 8
) -> Members:
    rng = np.random.default_rng(seed)
    inputs, hidden, classes = counts
    sizes = Sizes(input=inputs, hidden=hidden, classes=classes)
    shapes = layer_shapes(sizes)
    genes, models, graphs = [], [], []
    for _ in range(members):
        widths = random_genes(rng, 2, high)
        fractions = random_fractions(rng, widths)
        genes.append(widths)
        models.append(
            Model(
                {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()},
                {name: rng.normal(0, 0.5, shape[0]) for name, shape in shapes.items()},
                fractions,
                True,
                Normalisation.identity(inputs),
            )
        )
        graphs.append(build_graph(sizes, widths, fractions, input_signed=True))
    return sizes, genes, models, graphs


def logits_and_gradients(
    population: Population, inputs: Tensor, lengths: Tensor | None
) -> tuple[Tensor, dict[str, Tensor]]:
    population.zero_grad()
    logits = population(inputs, lengths)
    (logits * torch.linspace(0.1, 1, logits.numel()).view_as(logits)).sum().backward()
    found = {name: value.grad for name, value in population.named_parameters()}
    return logits.detach(), {name: grad.clone() for name, grad in found.items() if grad is not None}


@settings(max_examples=examples(30))
@given(
    seed=st.integers(0, 2**32),
    counts=st.sampled_from(SIZES),
    members=st.integers(1, 3),
    count=st.integers(1, 35),
    steps=st.integers(1, 9),
    ragged=st.booleans(),
)
def test_compiled_steps_give_the_same_logits_and_gradients(
    seed: int, counts: tuple[int, int, int], members: int, count: int, steps: int, ragged: bool
) -> None:
    sizes, _, models, graphs = random_members(seed, counts, members)
    rng = np.random.default_rng(seed)
    population = Population(sizes, models)
    population.assign(graphs)
    assert population.compute_type == torch.float32
    inputs = population.on_grids(rng.normal(0, 1, (count, steps, sizes.input)))
    lengths = torch.from_numpy(rng.integers(1, steps + 1, count)) if ragged else None
    plain, plain_gradients = logits_and_gradients(population, inputs, lengths)
    population.compile_steps()
    compiled, gradients = logits_and_gradients(population, inputs, lengths)
    assert torch.equal(plain, compiled)
    assert gradients.keys() == plain_gradients.keys()
    for name, gradient in gradients.items():
        largest = float(plain_gradients[name].abs().max())
        # Sums of another order: rounding errors of the gradient, which nothing is equal to.
        assert float((gradient - plain_gradients[name]).abs().max()) <= 1e-4 * largest, name
    with torch.no_grad():
        assert torch.equal(population(inputs, lengths), plain)


@pytest.mark.parametrize("compiled", [False, True])
def test_members_that_share_weights_are_the_references(compiled: bool) -> None:
    sizes, genes, models, graphs = random_members(1, (5, 7, 3), 4)
    shared = models[0]
    population = Population(sizes, [shared])
    population.assign(graphs)
    if compiled:
        population.compile_steps()
    raw = np.random.default_rng(1).normal(0, 1, (20, 6, 5))
    lengths = np.random.default_rng(2).integers(1, 7, 20)
    with torch.no_grad():
        logits = population(population.on_grids(raw), torch.from_numpy(lengths)).double().numpy()
    for member, (widths, model) in enumerate(zip(genes, models, strict=True)):
        bound = Model(
            {name: value.astype(np.float32) for name, value in shared.weights.items()},
            {name: value.astype(np.float32) for name, value in shared.biases.items()},
            model.fractions,
            True,
            shared.normalisation,
        )
        network = Network.build(Genome(sizes=sizes, genes=dict(widths)), bound)
        expected = run_reference(network, network.encode(raw), lengths).logits
        assert (logits[member] * 2.0**network.graph.head.type.frac == expected).all()


def test_what_single_precision_cannot_hold_is_computed_in_double() -> None:
    sizes, _, models, graphs = random_members(1, (28, 32, 10), 1, high=12)
    wide = Genes(dict.fromkeys(GENES, 12))
    graphs = [build_graph(sizes, wide, models[0].fractions, input_signed=True)]
    population = Population(sizes, models)
    population.assign(graphs)
    assert population.compute_type == torch.float64
    population.compile_steps()
    inputs = population.on_grids(np.random.default_rng(1).normal(0, 1, (3, 4, 28)))
    assert population(inputs).dtype == torch.float64
    population.assign(graphs, exact=False)
    assert population(inputs).dtype == torch.float32


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
        build.load_library(structure_of(Sizes(input=2, hidden=3, classes=2)))
    build._processor.cache_clear()
    assert str(caught.value) == message.replace("c++: ended", f"{program}: ended")
    assert not list(own_cache.rglob("*.so"))
