"""Random networks as a search meets them, from which the area model is made and judged."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from gruhw.fixed import FloatArray
from gruhw.genome import GENES, SEARCHED_BITS, Folding, Genes, Genome, Sizes
from gruhw.model import Model, Network, Normalisation, layer_shapes
from gruhw.quant import calibrate
from gruhw_hw.area.measure import measure

LANE_BITS = 160
"""The most weight bits that a sample reads in a cycle: synthesis of larger ones takes minutes."""


def random_network(seed: int, index: int) -> Network:
    """A network with random sizes, widths, folding and weights, its fraction bits calibrated.

    Of two, one has widths that are independent of each other, and one widths as searches find
    them: weights of 2 to 4 bits, results of 4 to 7. Most give the class, some every state.

    Parameters
    ----------
    seed, index
        The same two give the same network.
    """
    rng = np.random.default_rng([seed, index])
    sizes = Sizes(
        input=int(rng.integers(1, 41)),
        hidden=int(rng.integers(4, 49)),
        classes=int(rng.integers(2, 13)),
    )
    genes = _independent(rng) if index % 2 == 0 else _clustered(rng)
    weight_bits = sum(bits for gene, bits in genes.items() if gene.endswith(".weight"))
    most_lanes = min(sizes.hidden, max(1, LANE_BITS // weight_bits))
    genome = Genome(
        sizes=sizes,
        genes=genes,
        folding=Folding(pe=int(np.exp(rng.uniform(0, np.log(most_lanes + 1))))),
        output="states" if rng.random() < 1 / 8 else "class",
    )
    return Network.build(genome, _model(rng, sizes, genes))


def short_networks(seed: int) -> Iterator[Network]:
    """Random networks whose paths are short: see :class:`gruhw_hw.area.whole.ShortPaths`.

    They give every state, and have one lane, or two.
    """
    for index in count(1, 2):
        network = random_network(seed, index)
        genome = network.genome
        pe = min(genome.sizes.hidden, 1 + index // 2 % 2)
        update = {"output": "states", "folding": Folding(pe=pe)}
        network = replace(network, genome=genome.model_copy(update=update))
        if not any(part.slow for part in measure(network).parts):
            yield network


def with_other_output(network: Network) -> Network:
    """The same network, but it gives every state if it gave the class, and otherwise the class."""
    output = "class" if network.genome.output == "states" else "states"
    return replace(network, genome=network.genome.model_copy(update={"output": output}))


def _independent(rng: np.random.Generator) -> Genes:
    low, high = SEARCHED_BITS[0], SEARCHED_BITS[-1]
    return Genes({gene: int(rng.integers(low, high + 1)) for gene in GENES})


def _clustered(rng: np.random.Generator) -> Genes:
    ranges = {gene: (2, 4) if gene.endswith(".weight") else (4, 7) for gene in GENES}
    return Genes({gene: int(rng.integers(low, high + 1)) for gene, (low, high) in ranges.items()})


def _model(rng: np.random.Generator, sizes: Sizes, genes: Genes) -> Model:
    weights, biases = random_layers(rng, sizes, rng.uniform(0.2, 0.6))
    samples = rng.random((16, 12, sizes.input))
    if rng.integers(2):
        samples = rng.normal(0, 1, samples.shape)
    fractions, signed = calibrate(sizes, genes, weights, biases, samples)
    return Model(weights, biases, fractions, signed, Normalisation.identity(sizes.input))


def random_layers(
    rng: np.random.Generator, sizes: Sizes, spread: float
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Weights of the standard deviation ``spread``, and biases, by layer; gates need only one."""
    shapes = layer_shapes(sizes)
    weights: dict[str, FloatArray] = {n: rng.normal(0, spread, s) for n, s in shapes.items()}
    biases: dict[str, FloatArray] = {n: rng.normal(0, 0.3, s[0]) for n, s in shapes.items()}
    biases["W_hr"] = biases["W_hz"] = np.zeros(sizes.hidden)
    return weights, biases
