"""Any design that is legal, and what is done with it, as a Hypothesis strategy.

Choices that shape a failure are drawn one by one, so that they shrink: to one unit of one bit, one
sequence of one step, and no stall. Long arrays follow from a kind and a seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from gruhw.learning.quant import calibrate
from gruhw.learning.quant.population import states_in_range
from gruhw.network.architecture import ACTIVATIONS, DENSE, INITIALS, Architecture, Layer
from gruhw.network.bound import Network
from gruhw.network.cells import cells
from gruhw.network.fixed import Fixed, FloatArray, IntArray
from gruhw.network.fractions import FRACTION_BITS
from gruhw.network.genes import Genes
from gruhw.network.genome import OUTPUTS, Folding, Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.parameters import BIAS_BITS
from gruhw.network.planning import plan
from gruhw.network.schedule import Schedule
from gruhw.network.typed import Typed, type_stages
from gruhw_sim.episodes import Episode, Regime
from gruhw_sim.simulators import SIMULATORS, SimulatorName

WIDTHS = ((1, 1), *2 * ((1, 3),), *4 * ((2, 6),), *4 * ((3, 9),), *3 * ((1, 12),))
"""From which widths the genes of a design are drawn; as often as it stands here."""

FRACTIONS = ("sensible", "sensible", "exceptions", *4 * ("calibrated",), "any")
"""How fraction bits are chosen; as often as it stands here."""

CALIBRATED_ON = (16, 6, 64)
"""On how many sequences, steps, and at most so many inputs."""

LARGE = (11, 13, 16, 17, 19, 23, 24, 29, 31, 32, 33, 37, 41, 43, 47, 53, 59, 61, 63, 64)
"""Sizes that show what small ones hide."""

STACKED = 24
"""The largest size of a network of several layers."""

DEPTHS = (1, 2, 2, 2, 3)
"""How many layers a network has; as often as it stands here."""

KINDS = (*cells(), DENSE)
"""What they are."""

FOLDINGS = (*5 * ("each",), "one")
"""How several layers are folded: with a number for each, of which some differ, or with one."""

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
        Network, widths, folding, output.
    fractions
        As in a model; None where calibration chooses them, so that no operator does nothing but
        saturate, or round to zero.
    input_signed
        As in a model.
    weights, biases
        The kind of each linear operator's, one of :data:`ARRAYS`.
    initial
        The kind of what states begin with, where that is not zero.
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
    fractions: Mapping[str, int] | None
    input_signed: bool
    weights: Mapping[str, str]
    biases: Mapping[str, str]
    initial: str
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
        random, network = self.random("model"), self.genome.network
        weights, biases, initial = {}, {}, {}
        stages = bare_types(self.genome, self.fractions, self.input_signed)
        for stage, typed in zip(network.stages, stages, strict=True):
            for op in stage.graph.linears:
                name, kind = stage.spell(op.name), typed.weights[op.name]
                codes = array(random, self.weights[name], (op.outputs, op.inputs), kind)
                weights[name] = reals(codes, kind)
                # Usual ones are as large as a product.
                product = kind.bits + typed[op.operand].bits
                bits = product if self.biases[name] in USUAL else BIAS_BITS
                bias = Fixed(bits, typed.accumulators[op.name].frac)
                biases[name] = reals(array(random, self.biases[name], (op.outputs,), bias), bias)
            for state in stage.graph.states if network.initial == "constant" else ():
                kind = typed[state.name]
                codes = array(random, self.initial, (state.size,), kind)
                initial[stage.spell(state.name)] = reals(codes, kind)
        genes, fractions = self.genome.genes, self.fractions
        if fractions is None:
            samples = random.uniform(-1.0 if self.input_signed else 0.0, 1.0, CALIBRATED_ON)
            samples = samples[..., : network.inputs]
            fractions, _ = calibrate(network, genes, weights, biases, samples, initial=initial)
        unit = Normalisation.identity(network.inputs)
        found = Model(network, weights, biases, fractions, self.input_signed, unit, initial=initial)
        return states_in_range(found, genes)

    @cached_property
    def network(self) -> Network:
        """The network."""
        return Network.build(self.genome, self.model)

    @cached_property
    def sequences(self) -> tuple[IntArray, IntArray]:
        """The input elements and the lengths."""
        shape = (len(self.lengths), max(self.lengths), self.genome.network.inputs)
        inputs = array(self.random("sequences"), self.inputs, shape, self.network.input_type)
        return inputs, np.array(self.lengths)


def bare_types(
    genome: Genome, fractions: Mapping[str, int] | None, input_signed: bool
) -> tuple[Typed, ...]:
    """The types of a genome's stages before there are weights.

    Without ``fractions``, everything spans -1 to 1.
    """
    if fractions is None:
        calibrated = genome.network.calibrated
        fractions = {gene.name: genome.genes[gene.name] - 1 for gene in calibrated}
    return type_stages(genome.genes, fractions, input_signed=input_signed)


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


def sizes_of(least: int, largest: int = LARGE[-1]) -> st.SearchStrategy[int]:
    """A size: mostly small, powers of two, their neighbours and primes among the others."""
    few = st.integers(least, 7)
    large = [size for size in LARGE if size <= largest]
    return st.one_of(few, few, st.integers(least, 17), st.sampled_from(large))


@st.composite
def architectures(
    draw: st.DrawFn, output: str, depths: Sequence[int], kinds: Sequence[str]
) -> Architecture:
    """Layers of any of these ``kinds``, dense ones before, between and behind others."""
    depth = draw(st.sampled_from(depths))
    largest = LARGE[-1] if depth == 1 else STACKED
    recurrent = [kind for kind in kinds if kind != DENSE]
    needed = draw(st.integers(0, depth - 1))  # that one has a state
    layers = []
    for index in range(depth):
        cell = draw(st.sampled_from(recurrent if index == needed else kinds))
        activation = draw(st.sampled_from((None, *ACTIVATIONS))) if cell == DENSE else None
        layers.append(Layer(cell, draw(sizes_of(1, largest)), activation))
    return Architecture(
        inputs=draw(sizes_of(1, largest)),
        layers=tuple(layers),
        outputs=draw(sizes_of(2 if output == "class" else 1, largest)),
        initial=draw(st.sampled_from(INITIALS)),
        every_step=draw(st.booleans()),
    )


@st.composite
def foldings(draw: st.DrawFn, genes: Genes) -> Folding:
    """Any folding that reads no more weight bits in a cycle than :data:`LANE_BITS` say."""
    network, most = genes.network, []
    for layer, stage in zip(network.layers, network.layer_stages, strict=True):
        linears = [stage.spell(op.name) for op in stage.graph.linears]
        lane = sum(genes[f"{name}.weight"] for name in linears)
        most.append(min(layer.units, max(LANES, LANE_BITS // lane)))
    if len(most) == 1 or draw(st.sampled_from(FOLDINGS)) == "one":
        units = [layer.units for layer in network.layers]
        pairs = zip(most, units, strict=True)
        limit = min((limit for limit, unit in pairs if limit < unit), default=max(units))
        return Folding(pe=draw(st.integers(1, limit) | st.just(limit)))
    lanes = [draw(st.integers(1, limit) | st.just(limit)) for limit in most]
    if len(set(lanes)) == 1 and max(most) > 1:
        # Others than those of the rest, if there can be.
        place = most.index(max(most))
        lanes[place] = lanes[place] - 1 or 2
    return Folding(pe=tuple(lanes))


@st.composite
def fraction_bits(draw: st.DrawFn, genes: Genes) -> dict[str, int] | None:
    """Fraction bits of every tensor: sensible ones, a few exceptions, calibrated, or just any."""
    widths = {gene.name: genes[gene.name] for gene in genes.network.calibrated}
    anything = st.integers(FRACTION_BITS[0], FRACTION_BITS[-1])
    how = draw(st.sampled_from(FRACTIONS))
    if how == "calibrated":
        return None
    if how == "any":
        return {name: draw(anything) for name in widths}
    shift = st.integers(0, 2 * NEAR).map(lambda n: (n + 1) // 2 * (-1) ** n)
    found = {name: bits - 1 + draw(shift) for name, bits in widths.items()}
    if how == "exceptions":
        found |= draw(st.dictionaries(st.sampled_from(sorted(widths)), anything, max_size=4))
    return found


@st.composite
def array_kinds(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, str]:
    """The kind of each operator's array: all alike, usual ones with an exception, or just any."""
    how = draw(st.sampled_from(("alike", "exception", "any")))
    if how == "any":
        return {name: draw(st.sampled_from(ARRAYS)) for name in names}
    usual = st.sampled_from(USUAL)
    if how == "alike":
        return dict.fromkeys(names, draw(usual | usual | st.sampled_from(ARRAYS)))
    found = {name: draw(usual) for name in names}
    return found | {draw(st.sampled_from(names)): draw(st.sampled_from(ARRAYS))}


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
    some = st.integers(1, cycles + schedule.last.first_term)
    cut = draw(some if interrupted else st.none() | some)
    return Episode(first, end, regimes, cut, reset_cycles=draw(st.integers(1, 3)))


@st.composite
def random_designs(
    draw: st.DrawFn, depths: Sequence[int] = DEPTHS, kinds: Sequence[str] = KINDS
) -> Design:
    """Any legal design that is not too large to be simulated in seconds.

    Parameters
    ----------
    depths
        How many layers it may have.
    kinds
        What they may be: cells, and dense layers.
    """
    low, high = draw(st.sampled_from(WIDTHS))
    output = draw(st.sampled_from(OUTPUTS))
    network = draw(architectures(output, depths, kinds))
    genes = Genes(network, {name: draw(st.integers(low, high)) for name in network.gene_names})
    folding = draw(foldings(genes))
    genome = Genome(network=network, genes=genes, folding=folding, output=output)
    fractions, input_signed = draw(fraction_bits(genes)), draw(st.booleans())
    schedule = plan(genome, bare_types(genome, fractions, input_signed))
    operators = tuple(network.layer_shapes)
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
        weights=draw(array_kinds(operators)),
        biases=draw(array_kinds(operators)),
        initial=draw(st.sampled_from((*USUAL, *ARRAYS))),
        blocks=draw(st.booleans()),
        lengths=lengths,
        inputs=draw(st.sampled_from((*2 * USUAL, *ARRAYS))),
        # The last one tells whether the reset before it has left anything behind.
        episodes=(*several, interrupted, Episode(0, min(2, count))),
        simulator=draw(st.sampled_from((None,) * (BENCHED - len(SIMULATORS)) + SIMULATORS)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
