"""Random networks and sequences, for tests that compare interpreters with each other."""

import numpy as np

from gruhw.fixed import IntArray
from gruhw.genome import GENES, LINEAR, Folding, Genes, Genome, Output, Sizes
from gruhw.graph import calibrated_tensors
from gruhw.model import Model, Network, Normalisation

FRACTION_SHIFTS = (-2, 2)
"""How far a tensor's fraction bits may lie from those that span -1 to 1."""


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
    genes = Genes({gene: int(rng.integers(low, high + 1)) for gene in GENES})
    genome = Genome(
        sizes=Sizes(input=inputs, hidden=hidden, classes=classes),
        genes=dict(genes),
        folding=Folding(pe=pe),
        output=output,
    )
    fractions = {
        name: bits - 1 + int(rng.integers(*FRACTION_SHIFTS))
        for name, bits in calibrated_tensors(genes).items()
    }
    shapes = {name: (hidden, inputs if name.startswith("W_i") else hidden) for name in LINEAR}
    shapes["head"] = (classes, hidden)
    # As calibration leaves them: one bias is enough for the reset and the update gate.
    unbiased = ("W_hr", "W_hz")
    weights = {name: rng.normal(0, 1, shape) for name, shape in shapes.items()}
    biases = {
        name: np.zeros(shape[0]) if name in unbiased else rng.normal(0, 0.5, shape[0])
        for name, shape in shapes.items()
    }
    normalisation = Normalisation(np.ones(inputs), np.zeros(inputs))
    model = Model(weights, biases, fractions, bool(rng.integers(2)), normalisation)
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
