"""Random networks and sequences, for tests that compare interpreters with each other."""

import numpy as np

from gruhw.fixed import IntArray
from gruhw.genome import GENES, Folding, Genes, Genome, Output, Sizes
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, Network, Normalisation, layer_shapes

FRACTION_SHIFTS = (-2, 2)
"""How far a tensor's fraction bits may lie from those that span -1 to 1."""


def random_genes(rng: np.random.Generator, low: int, high: int) -> Genes:
    """Every gene random, ``low`` to ``high`` bits."""
    return Genes({gene: int(rng.integers(low, high + 1)) for gene in GENES})


def random_fractions(rng: np.random.Generator, genes: Genes) -> dict[str, int]:
    """Fraction bits near those with which every tensor spans -1 to 1."""
    return {
        name: bits - 1 + int(rng.integers(*FRACTION_SHIFTS))
        for name, bits in calibrated_tensors(genes).items()
    }


def random_network(
    rng: np.random.Generator,
    *,
    inputs: int,
    hidden: int,
    classes: int,
    pe: int = 1,
    output: Output = "class",
    low: int = 2,
    high: int = 8,
) -> Network:
    """A network of random weights whose every gene is random, ``low`` to ``high`` bits."""
    genes = random_genes(rng, low, high)
    genome = Genome(
        sizes=Sizes(input=inputs, hidden=hidden, classes=classes),
        genes=dict(genes),
        folding=Folding(pe=pe),
        output=output,
    )
    fractions, shapes = random_fractions(rng, genes), layer_shapes(genome.sizes)
    # As calibration leaves them: one bias is enough for the reset and the update gate.
    unbiased = ("W_hr", "W_hz")
    weights = {name: rng.normal(0, 1, shape) for name, shape in shapes.items()}
    biases = {
        name: np.zeros(shape[0]) if name in unbiased else rng.normal(0, 0.5, shape[0])
        for name, shape in shapes.items()
    }
    unit = Normalisation.identity(inputs)
    model = Model(weights, biases, fractions, bool(rng.integers(2)), unit)
    return Network.build(genome, model)


def random_sequences(
    rng: np.random.Generator, network: Network, count: int, steps: int
) -> tuple[IntArray, IntArray]:
    """``count`` sequences of random integers, each 1 to ``steps`` long: inputs and lengths.

    The first sequence has a single step and the second, if there is one, all of them.
    """
    source = network.graph.input
    shape = (count, steps, source.size)
    inputs = rng.integers(source.type.minimum, source.type.maximum + 1, shape)
    lengths = rng.integers(1, steps + 1, count)
    lengths[:2] = [1, steps][: len(lengths)]
    return inputs, lengths
