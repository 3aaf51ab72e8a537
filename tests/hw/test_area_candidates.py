"""Measures of candidates that share a model, against those of their networks."""

from collections.abc import Mapping

import numpy as np
import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.genome import GENES, SEARCHED_BITS, Folding, Genes, Genome, Output, Sizes, homogeneous
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, Network, Normalisation
from gruhw.schedule import Schedule
from gruhw_hw.area import Candidates, measure
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.samples import random_layers

SIZES = Sizes(input=5, hidden=24, classes=3)
"""With one PE, widths decide whether products are computed bit by bit."""

WEIGHTS = random_layers(np.random.default_rng(11), SIZES, 0.4)

widths = st.sampled_from(SEARCHED_BITS)


def model_of(genes: Mapping[str, int]) -> Model:
    """The same weights for all genes; of a tensor's width, one or two bits are no fraction."""
    fractions = {
        name: bits - 1 - len(name) % 2 for name, bits in calibrated_tensors(Genes(genes)).items()
    }
    return Model(*WEIGHTS, fractions, True, Normalisation.identity(SIZES.input))


def candidate(genes: Mapping[str, int], pe: int = 1, output: Output = "class") -> Genome:
    """A genome of the sizes that all have here."""
    return Genome(sizes=SIZES, genes=dict(genes), folding=Folding(pe=pe), output=output)


@st.composite
def populations(draw: st.DrawFn) -> list[Genome]:
    """Candidates that differ in few genes, as in a search, and two that differ in many."""
    output: Output = draw(st.sampled_from(["class", "states"]))
    found = []
    for _ in range(2):
        genes = draw(st.fixed_dictionaries(dict.fromkeys(GENES, widths)))
        for _ in range(draw(st.integers(1, 8))):
            genes = genes | draw(st.dictionaries(st.sampled_from(GENES), widths, max_size=3))
            found.append(candidate(genes, draw(st.sampled_from([1, 2, 7])), output))
    return draw(st.permutations(found))


SHORT = [candidate(homogeneous(bits), output="states") for bits in (3, 4, 3)]
"""Candidates whose paths are short, of which random ones are few."""


@settings(max_examples=examples(60))
@example(SHORT)
@given(populations())
def test_measures_are_those_of_the_networks(population: list[Genome]) -> None:
    candidates = Candidates(model_of, SIZES, population[0].output)
    for genome in population:
        expected = measure(Network.build(genome, model_of(genome.genes)))
        found = candidates.measure(genome)
        assert len(found.parts) == len(expected.parts)
        for target in MODELLED:
            assert found.all_terms(target) == expected.all_terms(target)
            assert found.weight_block_rams(target) == expected.weight_block_rams(target)
        assert found.memory_bits == expected.memory_bits


def test_some_candidates_have_serial_products() -> None:
    graphs = [
        Network.build(g, model_of(g.genes)).graph for g in map(candidate, map(homogeneous, (2, 8)))
    ]
    assert [Schedule(graph, Folding()).serial_products for graph in graphs] == [True, False]


def test_what_is_known_needs_no_model() -> None:
    asked = []

    def noted(genes: Genes) -> Model:
        asked.append(genes)
        return model_of(genes)

    candidates = Candidates(noted, SIZES)
    narrow, wide = candidate(homogeneous(3)), candidate(homogeneous(6))
    both = candidate({**homogeneous(6), "W_ir": 3})
    for genome in (narrow, wide, both):
        candidates.measure(genome)
    before = len(asked)
    found = [candidates.measure(genome) for genome in (narrow, wide, both, wide)]
    assert len(asked) == before
    assert found[1].parts == found[3].parts
    few = [part for part in found[2].parts if part not in found[1].parts]
    assert 0 < len(few) < 8


def test_other_sizes_and_outputs() -> None:
    candidates = Candidates(model_of, SIZES)
    message = (
        "candidates must have sizes input=5 hidden=24 classes=3 and output class, "
        "not input=5 hidden=24 classes=3 and states"
    )
    with pytest.raises(InputError) as caught:
        candidates.measure(candidate(homogeneous(4), output="states"))
    assert str(caught.value) == message


def test_fraction_bits_that_depend_on_other_widths() -> None:
    def odd(genes: Genes) -> Model:
        model = model_of(genes)
        return Model(
            model.weights, model.biases, {**model.fractions, "W_ir": genes["add_h"]}, True,
            model.normalisation,
        )  # fmt: skip

    candidates = Candidates(odd, SIZES)
    candidates.measure(candidate(homogeneous(4)))
    message = "fraction bits of W_ir at 4 bits must be the same for all candidates, not 4 and 5"
    with pytest.raises(InputError) as caught:
        candidates.measure(candidate({**homogeneous(4), "add_h": 5}))
    assert str(caught.value) == message
