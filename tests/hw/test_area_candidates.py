"""Measures of candidates that share a model, against those of their networks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import SEARCHED_BITS, Genes, homogeneous
from gruhw.network.genome import OUTPUTS, Folding, Genome, Output
from gruhw.network.model import Model, Normalisation
from gruhw.network.planning import schedule_of
from gruhw_hw.area import Candidates, measure
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.samples import random_layers

GRU = Architecture(inputs=5, layers=("gru:24",), outputs=3)
"""With one PE, widths decide whether products are computed bit by bit."""

STACKS = [
    GRU,
    Architecture(inputs=5, layers=("lstm:20",), outputs=3, initial="constant"),
    Architecture(inputs=3, layers=("dense:6:relu", "lstm:7", "ugrnn:9"), outputs=2),
    Architecture(inputs=4, layers=("mgu:11", "gru:5"), outputs=2, initial="constant"),
    Architecture(inputs=9, layers=("gru:6", "dense:4:tanh", "dense:5"), outputs=2),
]

widths = st.sampled_from(SEARCHED_BITS)


def model_of(genes: Mapping[str, int], network: Architecture = GRU) -> Model:
    """The same weights for all genes; of a tensor's width, one or two bits are no fraction."""
    rng = np.random.default_rng(11)
    fractions = {
        gene.name: genes[gene.name] - 1 - len(gene.name) % 2 for gene in network.calibrated
    }
    layers = random_layers(rng, network, 0.4)
    # In the range of every width; the coarsest rounds them to zero.
    initial = {
        name: rng.uniform(-0.4, 0.4, shape) for name, shape in network.initial_shapes.items()
    }
    unit = Normalisation.identity(network.inputs)
    return Model(network, *layers, fractions, True, unit, initial=initial)


def candidate(
    genes: Mapping[str, int],
    pe: int | tuple[int, ...] = 1,
    output: Output = "class",
    network: Architecture = GRU,
) -> Genome:
    """A genome of the network that all have here."""
    return Genome(network=network, genes=dict(genes), folding=Folding(pe=pe), output=output)


@st.composite
def populations(draw: st.DrawFn, networks: Sequence[Architecture]) -> list[Genome]:
    """Candidates that differ in few genes, as in a search, and two that differ in many."""
    network = draw(st.sampled_from(networks))
    output: Output = draw(st.sampled_from(OUTPUTS))
    names, layers = network.gene_names, network.layers
    lanes = [1, 2, tuple(min(layer.units, 3 + n) for n, layer in enumerate(layers))]
    found = []
    for _ in range(2):
        genes = draw(st.fixed_dictionaries(dict.fromkeys(names, widths)))
        for _ in range(draw(st.integers(1, 8))):
            genes = genes | draw(st.dictionaries(st.sampled_from(names), widths, max_size=3))
            found.append(candidate(genes, draw(st.sampled_from(lanes)), output, network))
    return draw(st.permutations(found))


def check(population: list[Genome]) -> None:
    """Compare candidates with the networks that they become."""
    network = population[0].network
    candidates = Candidates(lambda genes: model_of(genes, network), network, population[0].output)
    for genome in population:
        expected = measure(Network.build(genome, model_of(genome.genes, network)))
        found = candidates.measure(genome)
        assert len(found.parts) == len(expected.parts)
        for target in MODELLED:
            assert found.all_terms(target) == expected.all_terms(target)
            assert found.weight_block_rams(target) == expected.weight_block_rams(target)
        assert found.memory_bits == expected.memory_bits


SHORT = [candidate(homogeneous(GRU, bits), output="states") for bits in (3, 4, 3)]
"""Candidates whose paths are short, of which random ones are few."""


@pytest.mark.slow
@settings(max_examples=examples(40))
@example(SHORT)
@given(populations([GRU]))
def test_measures_are_those_of_the_networks(population: list[Genome]) -> None:
    check(population)


@pytest.mark.slow
@settings(max_examples=examples(25))
@given(populations(STACKS[1:]))
def test_measures_of_stacks_are_those_of_the_networks(population: list[Genome]) -> None:
    check(population)


def test_some_candidates_have_serial_products() -> None:
    networks = [
        Network.build(candidate(genes), model_of(genes))
        for genes in (homogeneous(GRU, 2), homogeneous(GRU, 8))
    ]
    assert [schedule_of(network).first.serial_products for network in networks] == [True, False]


@pytest.mark.parametrize("network", STACKS, ids=str)
def test_what_is_known_needs_no_model(network: Architecture) -> None:
    asked = []

    def noted(genes: Genes) -> Model:
        asked.append(genes)
        return model_of(genes, network)

    candidates = Candidates(noted, network)
    narrow, wide = homogeneous(network, 3), homogeneous(network, 6)
    last = network.layer_stages[-1]
    one = f"{last.spell(last.graph.linears[0].name)}.weight"
    genomes = [candidate(g, network=network) for g in (narrow, wide, wide.changed({one: 3}))]
    for genome in genomes:
        candidates.measure(genome)
    before = len(asked)
    found = [candidates.measure(genome) for genome in (*genomes, genomes[1])]
    assert len(asked) == before
    assert found[1].parts == found[3].parts
    few = [part for part in found[2].parts if part not in found[1].parts]
    assert 0 < len(few) < 8


def test_other_networks_and_outputs() -> None:
    candidates = Candidates(model_of, GRU)
    message = (
        "candidates must have 5 inputs, gru:24, 3 outputs and output class, "
        "not 5 inputs, gru:24, 3 outputs and states"
    )
    with pytest.raises(InputError) as caught:
        candidates.measure(candidate(homogeneous(GRU, 4), output="states"))
    assert str(caught.value) == message


def test_fraction_bits_that_depend_on_other_widths() -> None:
    def odd(genes: Genes) -> Model:
        model = model_of(genes)
        fractions = {**model.fractions, "W_ir": genes["add_h"]}
        return Model(GRU, model.weights, model.biases, fractions, True, model.normalisation)

    candidates = Candidates(odd, GRU)
    genes = homogeneous(GRU, 4)
    candidates.measure(candidate(genes))
    message = "fraction bits of W_ir at 4 bits must be the same for all candidates, not 4 and 5"
    with pytest.raises(InputError) as caught:
        candidates.measure(candidate(genes.changed({"add_h": 5})))
    assert str(caught.value) == message
