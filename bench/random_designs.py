"""Any design that is legal, and what is done with it, as a Hypothesis strategy.

Choices that shape a failure are drawn one by one, so that they shrink: to one unit of one bit, one
sequence of one step, and no stall. Long arrays follow from a kind and a seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from gruhw.fixed import Fixed, FloatArray, IntArray
from gruhw.fractions import FRACTION_BITS
from gruhw.genome import GENES, Folding, Genes, Genome, Sizes
from gruhw.graph import Graph, build_graph, calibrated_tensors
from gruhw.model import LAYERS, Model, Network, Normalisation
from gruhw.parameters import BIAS_BITS
from gruhw.schedule import Schedule
from gruhw_sim.episodes import Episode, Regime
from gruhw_sim.simulators import SIMULATORS, SimulatorName

WIDTHS = ((1, 1), *2 * ((1, 3),), *4 * ((2, 6),), *4 * ((3, 9),), *3 * ((1, 12),))
"""From which widths the genes of a design are drawn; as often as it stands here."""

LARGE = (11, 13, 16, 17, 19, 23, 29, 31, 32, 33, 37, 41, 43, 47, 53, 59, 61, 63, 64)
"""Sizes that show what small ones hide."""

NEAR = 1
"""How far fraction bits lie from those that span -1 to 1, where they are not just anything."""

ARRAYS = ("normal", "zero", "highest", "lowest", "extremes", "sparse", "any")
"""Kinds of arrays of integers. Only some let a network do more than saturate."""

USUAL = ("normal", "sparse", "any")
"""Those that do."""

LANE_BITS = 90
"""The most weight bits that a design reads in a cycle, unless it has few lanes."""

LANES = 3
"""Few lanes: any weights may be that wide."""

CYCLES = 12_000
"""About how many cycles all sequences take together; long steps leave room for few."""

STEPS = 100
"""The longest sequence."""

BENCHED = 40
"""One design of so many goes through the shipped bench too, with each of the simulators."""


@dataclass(frozen=True)
class Design:
    """A network, sequences and what happens to the streams.

    Parameters
    ----------
    genome
        Sizes, widths, folding, output.
    fractions, input_signed
        As in a model.
    weights, biases
        The kind of each layer's, one of :data:`ARRAYS`.
    blocks
        Whether products are left to multiplier blocks.
    lengths, inputs
        The steps of each sequence, and the kind of its elements.
    episodes
        Stalls and resets.
    simulator
        With which the shipped bench runs too, on the beginnings of the sequences.
    seed
        Of all arrays, and of the stalls.
    """

    genome: Genome
    fractions: Mapping[str, int]
    input_signed: bool
    weights: Mapping[str, str]
    biases: Mapping[str, str]
    blocks: bool
    lengths: tuple[int, ...]
    inputs: str
    episodes: tuple[Episode, ...]
    simulator: SimulatorName | None
    seed: int

    def random(self, purpose: str) -> np.random.Generator:
        """A new generator: the same numbers for the same purpose, and others for others."""
        return np.random.default_rng([self.seed, *purpose.encode()])

    @cached_property
    def model(self) -> Model:
        """The model, in the single precision of model files."""
        random = self.random("model")
        graph = bare_graph(self.genome, self.fractions, self.input_signed)
        weights, biases = {}, {}
        for op in graph.linears:
            codes = array(random, self.weights[op.name], (op.outputs, op.inputs), op.weight)
            weights[op.name] = reals(codes, op.weight)
            # Usual ones are as large as a product.
            product = op.weight.bits + graph[op.operand].type.bits
            bits = product if self.biases[op.name] in USUAL else BIAS_BITS
            bias = Fixed(bits, op.accumulator.frac)
            biases[op.name] = reals(array(random, self.biases[op.name], (op.outputs,), bias), bias)
        unit = Normalisation.identity(self.genome.sizes.input)
        return Model(weights, biases, self.fractions, self.input_signed, unit)

    @cached_property
    def network(self) -> Network:
        """The network."""
        return Network.build(self.genome, self.model)

    @cached_property
    def sequences(self) -> tuple[IntArray, IntArray]:
        """The input elements and the lengths."""
        source = self.network.graph.input
        shape = (len(self.lengths), max(self.lengths), source.size)
        inputs = array(self.random("sequences"), self.inputs, shape, source.type)
        return inputs, np.array(self.lengths)


def bare_graph(genome: Genome, fractions: Mapping[str, int], input_signed: bool) -> Graph:
    """The graph of a genome before there are weights."""
    return build_graph(genome.sizes, genome.genes, fractions, input_signed=input_signed)


def array(random: np.random.Generator, kind: str, shape: tuple[int, ...], of: Fixed) -> IntArray:
    """Integers of the type ``of``, of one of the :data:`ARRAYS`."""
    if kind == "normal":
        drawn = np.rint(random.normal(0, 0.3 * 2.0 ** (of.bits - of.signed), shape))
        return np.clip(drawn, of.minimum, of.maximum).astype(np.int64)
    any_code = random.integers(of.minimum, of.maximum + 1, shape)
    chosen: Mapping[str, IntArray] = {
        "zero": np.zeros(shape, dtype=np.int64),
        "highest": np.full(shape, of.maximum),
        "lowest": np.full(shape, of.minimum),
        "extremes": np.where(random.random(shape) < 0.5, of.minimum, of.maximum),
        "sparse": np.where(random.random(shape) < 0.8, 0, any_code),
        "any": any_code,
    }
    return chosen[kind]


def reals(codes: IntArray, of: Fixed) -> FloatArray:
    """What codes stand for, in single precision."""
    return (codes * of.scale).astype(np.float32)


def sizes_of(least: int) -> st.SearchStrategy[int]:
    """A size: mostly small, powers of two, their neighbours and primes among the others."""
    few = st.integers(least, 7)
    return st.one_of(few, few, st.integers(least, 17), st.sampled_from(LARGE))


@st.composite
def fraction_bits(draw: st.DrawFn, genes: Genes) -> dict[str, int]:
    """Fraction bits of every tensor: sensible ones, a few exceptions, or just any."""
    widths = calibrated_tensors(genes)
    anything = st.integers(FRACTION_BITS[0], FRACTION_BITS[-1])
    how = draw(st.sampled_from((*5 * ("sensible",), *2 * ("exceptions",), "any")))
    if how == "any":
        return {name: draw(anything) for name in widths}
    shift = st.integers(0, 2 * NEAR).map(lambda n: (n + 1) // 2 * (-1) ** n)
    found = {name: bits - 1 + draw(shift) for name, bits in widths.items()}
    if how == "exceptions":
        found |= draw(st.dictionaries(st.sampled_from(sorted(widths)), anything, max_size=4))
    return found


@st.composite
def kinds(draw: st.DrawFn) -> dict[str, str]:
    """The kind of each layer's array: all alike, usual ones with an exception, or just any."""
    how = draw(st.sampled_from(("alike", "exception", "any")))
    if how == "any":
        return {layer: draw(st.sampled_from(ARRAYS)) for layer in LAYERS}
    usual = st.sampled_from(USUAL)
    if how == "alike":
        return dict.fromkeys(LAYERS, draw(usual | usual | st.sampled_from(ARRAYS)))
    found = {layer: draw(usual) for layer in LAYERS}
    return found | {draw(st.sampled_from(LAYERS)): draw(st.sampled_from(ARRAYS))}


@st.composite
def episodes(
    draw: st.DrawFn, schedule: Schedule, lengths: tuple[int, ...], *, interrupted: bool = False
) -> Episode:
    """Some of the sequences, with stalls or without, to their end or not; or ``interrupted``."""
    first = draw(st.integers(0, len(lengths) - 1))
    end = draw(st.integers(first + 1, len(lengths)))
    percent = st.sampled_from((100, 50, 90, 10, 2, 0))
    longest = min(1000, 3 * schedule.step_interval)
    regime = st.builds(Regime, st.integers(1, longest), offer=percent, take=percent)
    regimes = tuple(draw(st.lists(regime, max_size=4)))
    cycles = sum(map(schedule.sequence_interval, lengths[first:end]))
    some = st.integers(1, cycles + schedule.first_term)
    cut = draw(some if interrupted else st.none() | some)
    return Episode(first, end, regimes, cut, reset_cycles=draw(st.integers(1, 3)))


@st.composite
def random_designs(draw: st.DrawFn) -> Design:
    """Any legal design that is not too large to be simulated in seconds."""
    low, high = draw(st.sampled_from(WIDTHS))
    genes = Genes({gene: draw(st.integers(low, high)) for gene in GENES})
    sizes = Sizes(input=draw(sizes_of(1)), hidden=draw(sizes_of(1)), classes=draw(sizes_of(2)))
    lane = sum(bits for gene, bits in genes.items() if gene.endswith(".weight"))
    most = min(sizes.hidden, max(LANES, LANE_BITS // lane))
    genome = Genome(
        sizes=sizes,
        genes=genes,
        folding=Folding(pe=draw(st.integers(1, most) | st.just(most))),
        output=draw(st.sampled_from(("class", "states"))),
    )
    fractions, input_signed = draw(fraction_bits(genes)), draw(st.booleans())
    graph = bare_graph(genome, fractions, input_signed)
    schedule = Schedule(graph, genome.folding, genome.output)
    count = draw(st.integers(1, 5))
    longest = max(1, min(STEPS, CYCLES // count // schedule.step_interval))
    length = st.integers(1, longest)
    lengths = tuple(draw(st.lists(length, min_size=count, max_size=count)))
    several = draw(st.lists(episodes(schedule, lengths), max_size=3))
    interrupted = draw(episodes(schedule, lengths, interrupted=True))
    return Design(
        genome=genome,
        fractions=fractions,
        input_signed=input_signed,
        weights=draw(kinds()),
        biases=draw(kinds()),
        blocks=draw(st.booleans()),
        lengths=lengths,
        inputs=draw(st.sampled_from((*2 * USUAL, *ARRAYS))),
        # The last one tells whether the reset before it has left anything behind.
        episodes=(*several, interrupted, Episode(0, min(2, count))),
        simulator=draw(st.sampled_from((None,) * (BENCHED - len(SIMULATORS)) + SIMULATORS)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
