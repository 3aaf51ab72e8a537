"""Random networks as a search meets them, from which the area model is made and judged."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from gruhw.learning.quant import calibrate
from gruhw.network.architecture import ACTIVATIONS, DENSE, Architecture, Layer
from gruhw.network.bound import Network
from gruhw.network.fixed import FloatArray
from gruhw.network.genes import SEARCHED_BITS, Genes
from gruhw.network.genome import Folding, Genome, Output
from gruhw.network.model import Model, Normalisation
from gruhw_hw.area.measure import measure

LANE_BITS = 160
"""The most weight bits that a sample reads in a cycle: synthesis of larger ones takes minutes."""

CELLS = ("gru", "ugrnn", "mgu", "lstm")
"""The cells of random stacks: those that come with gruhw, whatever else is installed."""

DEEPEST = 3
"""The most layers of a random stack."""

STACK = 0
"""What the seed of a stack has more than that of a network of one GRU."""


def random_network(seed: int, index: int) -> Network:
    """A network of one GRU with random sizes, widths, folding and weights.

    Its fraction bits are calibrated. Of two, one has widths that are independent of each other, and
    one widths as searches find them: weights of 2 to 4 bits, results of 4 to 7. Most give the
    class, some every state.

    Parameters
    ----------
    seed, index
        The same two give the same network.
    """
    rng = np.random.default_rng([seed, index])
    inputs, hidden = int(rng.integers(1, 41)), int(rng.integers(4, 49))
    architecture = Architecture(
        inputs=inputs, layers=(Layer("gru", hidden),), outputs=int(rng.integers(2, 13))
    )
    genes = _independent(rng, architecture) if index % 2 == 0 else _clustered(rng, architecture)
    bits = sum(genes[gene.name] for gene in architecture.genes if gene.kind == "weight")
    genome = Genome(
        network=architecture,
        genes=genes,
        folding=Folding(pe=_lanes(rng, min(hidden, max(1, LANE_BITS // bits)))),
        output="states" if rng.random() < 1 / 8 else "class",
    )
    return Network.build(genome, _model(rng, genes))


def random_stack(seed: int, index: int) -> Network:
    """A network of 1 to :data:`DEEPEST` random layers: any cells, and dense layers among them.

    The rest is random as in :func:`random_network`; folding, outputs and initial states too.

    Parameters
    ----------
    seed, index
        The same two give the same network. Three that follow each other have as many layers as
        there may be, each another number.
    """
    rng = np.random.default_rng([seed, index, STACK])
    depth = 1 + index % DEEPEST
    needed = rng.integers(depth)  # the layer that must have a state
    layers = tuple(
        _dense(rng) if n != needed and rng.random() < 0.5 else _recurrent(rng) for n in range(depth)
    )
    output = _output(rng)
    architecture = Architecture(
        inputs=int(rng.integers(1, 41)),
        layers=layers,
        outputs=int(rng.integers(2 if output == "class" else 1, 13)),
        initial="constant" if rng.random() < 1 / 4 else "zero",
    )
    independent = rng.random() < 0.5
    genes = _independent(rng, architecture) if independent else _clustered(rng, architecture)
    folding = Folding.checked(_processing_elements(rng, genes), architecture)
    genome = Genome(network=architecture, genes=genes, folding=folding, output=output)
    return Network.build(genome, _model(rng, genes))


def short_networks(seed: int) -> Iterator[Network]:
    """Random networks of one GRU with short paths: see :class:`gruhw_hw.area.whole.ShortPaths`.

    They give every state, and have one lane, or two.
    """
    for index in count(1, 2):
        network = random_network(seed, index)
        genome = network.genome
        pe = min(genome.network.most_units, 1 + index // 2 % 2)
        update = {"output": "states", "folding": Folding(pe=pe)}
        network = replace(network, genome=genome.model_copy(update=update))
        if not any(part.slow for part in measure(network).parts):
            yield network


def with_other_output(network: Network) -> Network:
    """The same network, but it gives every state if it gave something else; otherwise the class."""
    output = "class" if network.genome.output == "states" else "states"
    return replace(network, genome=network.genome.model_copy(update={"output": output}))


def _recurrent(rng: np.random.Generator) -> Layer:
    return Layer(CELLS[rng.integers(len(CELLS))], int(rng.integers(4, 33)))


def _dense(rng: np.random.Generator) -> Layer:
    activations = (None, *ACTIVATIONS)
    return Layer(DENSE, int(rng.integers(2, 33)), activations[rng.integers(len(activations))])


def _output(rng: np.random.Generator) -> Output:
    outputs: tuple[Output, ...] = ("class", "class", "values", "states")
    return outputs[rng.integers(len(outputs))]


def _processing_elements(rng: np.random.Generator, genes: Genes) -> int | tuple[int, ...]:
    """A number for each layer, or one for all; the weights of a cycle are not too many."""
    network = genes.network
    most = []
    for stage in network.layer_stages:
        own = [gene for gene in network.genes if gene.stage == stage.name]
        bits = sum(genes[gene.name] for gene in own if gene.kind == "weight")
        lanes = max(1, LANE_BITS // len(network.layers) // bits)
        most.append(min(stage.graph.units, lanes))
    if rng.random() < 0.5:
        return _lanes(rng, min(most))
    return tuple(_lanes(rng, lanes) for lanes in most)


def _lanes(rng: np.random.Generator, most: int) -> int:
    return int(np.exp(rng.uniform(0, np.log(most + 1))))


def _independent(rng: np.random.Generator, network: Architecture) -> Genes:
    low, high = SEARCHED_BITS[0], SEARCHED_BITS[-1]
    return Genes(network, {n: int(rng.integers(low, high + 1)) for n in network.gene_names})


def _clustered(rng: np.random.Generator, network: Architecture) -> Genes:
    ranges = {gene.name: (2, 4) if gene.kind == "weight" else (4, 7) for gene in network.genes}
    return Genes(
        network, {n: int(rng.integers(low, high + 1)) for n, (low, high) in ranges.items()}
    )


def _model(rng: np.random.Generator, genes: Genes) -> Model:
    network = genes.network
    weights, biases = random_layers(rng, network, rng.uniform(0.2, 0.6))
    samples = rng.random((16, 12, network.inputs))
    if rng.integers(2):
        samples = rng.normal(0, 1, samples.shape)
    # Initial states are chosen in the ranges of types that are calibrated without them.
    from_zero = network.model_copy(update={"initial": "zero"})
    fractions, signed = calibrate(from_zero, Genes(from_zero, genes), weights, biases, samples)
    normalisation = Normalisation.identity(network.inputs)
    begun = Model(from_zero, weights, biases, fractions, signed, normalisation)
    if network.initial == "zero":
        return begun
    initial = {}
    for stage, typed in zip(network.stages, begun.typed(genes), strict=True):
        for state in stage.graph.states:
            kind = typed[state.name]
            codes = rng.integers(kind.minimum, kind.maximum + 1, state.size)
            initial[stage.spell(state.name)] = codes * kind.scale
    return replace(begun, network=network, initial=initial)


def random_layers(
    rng: np.random.Generator, network: Architecture, spread: float
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Weights of the standard deviation ``spread``, and biases, by layer.

    Of two operators whose sum alone is read, only one has a bias.
    """
    shapes = network.layer_shapes
    weights: dict[str, FloatArray] = {n: rng.normal(0, spread, s) for n, s in shapes.items()}
    biases: dict[str, FloatArray] = {n: rng.normal(0, 0.3, s[0]) for n, s in shapes.items()}
    for name in network.merged_biases:
        biases[name] = np.zeros_like(biases[name])
    return weights, biases
