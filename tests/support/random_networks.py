"""Random networks and sequences, for tests that compare interpreters with each other."""

from collections.abc import Sequence

import numpy as np

from gruhw.network.architecture import ACTIVATIONS, DENSE, INITIALS, Architecture, Initial, Layer
from gruhw.network.bound import Network
from gruhw.network.cells import cells
from gruhw.network.fixed import FloatArray, IntArray
from gruhw.network.genes import Genes
from gruhw.network.genome import OUTPUTS, Folding, Genome, Output
from gruhw.network.model import Model, Normalisation
from gruhw.network.typed import type_stages

FRACTION_SHIFTS = (-2, 2)
"""How far a tensor's fraction bits may lie from those that span -1 to 1."""

LARGEST = 24
"""The most elements and units of a random architecture."""

DEEPEST = 3
"""The most layers of a random architecture."""


def random_genes(
    rng: np.random.Generator, architecture: Architecture, low: int, high: int
) -> Genes:
    """Every gene random, ``low`` to ``high`` bits."""
    names = architecture.gene_names
    return Genes(architecture, {name: int(rng.integers(low, high + 1)) for name in names})


def random_fractions(rng: np.random.Generator, genes: Genes) -> dict[str, int]:
    """Fraction bits near those with which every tensor spans -1 to 1."""
    return {
        gene.name: genes[gene.name] - 1 + int(rng.integers(*FRACTION_SHIFTS))
        for gene in genes.network.calibrated
    }


def random_layer(rng: np.random.Generator, kinds: Sequence[str], largest: int = LARGEST) -> Layer:
    """A layer of one of the ``kinds``, cells or dense, of 1 to ``largest`` units."""
    cell = kinds[rng.integers(len(kinds))]
    activations = (None, *ACTIVATIONS) if cell == DENSE else (None,)
    units = int(rng.integers(1, largest + 1))
    return Layer(cell, units, activations[rng.integers(len(activations))])


def random_architecture(
    rng: np.random.Generator,
    *,
    depth: int | None = None,
    kinds: Sequence[str] | None = None,
    largest: int = LARGEST,
    initial: Initial | None = None,
    every_step: bool | None = None,
) -> Architecture:
    """Layers of any cells, dense ones before, between and behind them.

    Parameters
    ----------
    depth
        How many layers; 1 to :data:`DEEPEST` if it is not given.
    kinds
        The cells of the recurrent layers; all of them if it is not given.
    largest
        The most elements of an input vector, units of a layer and outputs.
    initial
        What states begin with; either if it is not given.
    every_step
        Whether there are outputs at every step; so it is for half of them if it is not given.
    """
    recurrent = tuple(kinds or cells())
    depth = depth or int(rng.integers(1, DEEPEST + 1))
    # One must have a state; the others may be dense, half of them.
    needed = rng.integers(depth)
    layers = []
    for index in range(depth):
        dense = index != needed and rng.random() < 0.5
        layers.append(random_layer(rng, (DENSE,) if dense else recurrent, largest))
    return Architecture(
        inputs=int(rng.integers(1, largest + 1)),
        layers=tuple(layers),
        outputs=int(rng.integers(2, max(3, largest + 1))),
        initial=initial or INITIALS[rng.integers(len(INITIALS))],
        every_step=bool(rng.integers(2)) if every_step is None else every_step,
    )


def random_pe(rng: np.random.Generator, architecture: Architecture) -> int | tuple[int, ...]:
    """A folding: one number for all layers, or one for each."""
    if rng.integers(2):
        return int(rng.integers(1, architecture.most_units + 1))
    return tuple(int(rng.integers(1, layer.units + 1)) for layer in architecture.layers)


def random_output(rng: np.random.Generator) -> Output:
    """A kind of output stream."""
    return OUTPUTS[rng.integers(len(OUTPUTS))]


def random_network_of(
    rng: np.random.Generator,
    architecture: Architecture,
    *,
    pe: int | tuple[int, ...] = 1,
    output: Output = "class",
    low: int = 2,
    high: int = 8,
) -> Network:
    """A network of random weights whose every gene is random, ``low`` to ``high`` bits."""
    genes = random_genes(rng, architecture, low, high)
    genome = Genome(
        network=architecture, genes=genes, folding=Folding.checked(pe, architecture), output=output
    )
    fractions, shapes = random_fractions(rng, genes), architecture.layer_shapes
    # As calibration leaves them: one bias is enough for two that are only added.
    unbiased = architecture.merged_biases
    weights = {name: rng.normal(0, 1, shape) for name, shape in shapes.items()}
    biases = {
        name: np.zeros(shape[0]) if name in unbiased else rng.normal(0, 0.5, shape[0])
        for name, shape in shapes.items()
    }
    signed = bool(rng.integers(2))
    initial = random_states(rng, genes, fractions, signed)
    unit = Normalisation.identity(architecture.inputs)
    model = Model(architecture, weights, biases, fractions, signed, unit, initial=initial)
    return Network.build(genome, model)


def random_states(
    rng: np.random.Generator, genes: Genes, fractions: dict[str, int], input_signed: bool
) -> dict[str, FloatArray]:
    """What states begin with, within the range of their types; nothing where that is zero."""
    found = {}
    if genes.network.initial == "constant":
        types = type_stages(genes, fractions, input_signed=input_signed)
        for stage, typed in zip(genes.network.stages, types, strict=True):
            for state in stage.graph.states:
                kind = typed[state.name]
                codes = rng.integers(kind.minimum, kind.maximum + 1, state.size)
                found[stage.spell(state.name)] = codes * kind.scale
    return found


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
    initial: Initial = "zero",
    every_step: bool = False,
) -> Network:
    """A network of one GRU: see :func:`random_network_of`."""
    architecture = Architecture(
        inputs=inputs,
        layers=(Layer("gru", hidden),),
        outputs=classes,
        initial=initial,
        every_step=every_step,
    )
    return random_network_of(rng, architecture, pe=pe, output=output, low=low, high=high)


def random_sequences(
    rng: np.random.Generator, network: Network, count: int, steps: int
) -> tuple[IntArray, IntArray]:
    """``count`` sequences of random integers, each 1 to ``steps`` long: inputs and lengths.

    The first sequence has a single step and the second, if there is one, all of them.
    """
    kind = network.input_type
    shape = (count, steps, network.architecture.inputs)
    inputs = rng.integers(kind.minimum, kind.maximum + 1, shape)
    lengths = rng.integers(1, steps + 1, count)
    lengths[:2] = [1, steps][: len(lengths)]
    return inputs, lengths
