"""The parts that are synthesised to calibrate the area model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from amaranth.lib import wiring

from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed
from gruhw.network.genes import SEARCHED_BITS
from gruhw.network.graph import Add, Function, Multiply, Node
from gruhw.network.parameters import Parameters, accumulator_type
from gruhw.network.planning import plan_phase, schedule_of
from gruhw_hw.area.measure import Measures, measure_control
from gruhw_hw.area.memory import USUAL_RANGES, TableRom
from gruhw_hw.area.terms import (
    Needs,
    adder_needs,
    complement_needs,
    linear_needs,
    multiplier_needs,
    needs,
)
from gruhw_hw.core import CoreUnit
from gruhw_hw.datapath import datapath
from gruhw_hw.linear import LinearUnit
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.operators import Adder, Complementer, Lookup, Multiplier, component

SEED = 77
"""Of the linear operators, which are not taken from networks."""

LINEAR_OPERATORS = 2
"""How many there are for the same widths of operand and weight."""

RECTIFIED = 49
"""How many have unsigned results, besides."""

MIXED = 32
"""How many sums and products there are for each choice of signs, not taken from networks either."""

SHARED_BIASES, EXACT_RESULTS = 0.4, 0.12
"""The share of linear operators without different biases, and of those that do not requantise."""


@dataclass(frozen=True)
class Part:
    """A component and what it has of everything that takes area."""

    component: wiring.Component
    measures: Measures


@dataclass(frozen=True)
class Batch:
    """Parts of one kind that are synthesised in one run, each apart.

    ``opaque`` are patterns of names of modules whose area is none of the parts'.
    """

    parts: Mapping[str, Part]
    opaque: tuple[str, ...] = ()


def batches(
    networks: Sequence[Network], others: Sequence[Network], stacks: Sequence[Network] = ()
) -> list[Batch]:
    """Everything that is synthesised apart: tables, linear operators, and parts of networks.

    Parameters
    ----------
    networks, stacks
        Networks of one GRU, and others of any cells and layers.
    others
        Networks of which only what surrounds the operators is synthesised.
    """
    return [
        *_split(_tables(), 64),
        *_split(_complements(), 64),
        *_split(_linear_operators(), 49),
        *_split(_rectified(), 49),
        *_split(_mixed(), 64),
        *_split(_elementwise((*networks[:26], *stacks[:26]), Add), 64),
        *_split(_elementwise((*networks[:40], *stacks[:26]), Multiply), 64),
        *_control((*networks, *others, *stacks), 12),
    ]


def _split(parts: Iterable[Part], size: int, opaque: tuple[str, ...] = ()) -> list[Batch]:
    named = {f"part{index}": part for index, part in enumerate(parts)}
    names = list(named)
    return [
        Batch({name: named[name] for name in names[start : start + size]}, opaque)
        for start in range(0, len(names), size)
    ]


def _tables() -> Iterator[Part]:
    """Every table between searched widths, for the operand ranges that are usual."""
    functions: dict[Function, bool] = {"sigmoid": False, "tanh": True}
    for function, signed in functions.items():
        first, last = USUAL_RANGES[function]
        for whole in range(first, last + 1):
            for bits, result_bits in product(SEARCHED_BITS, SEARCHED_BITS):
                operand = Fixed(bits, bits - whole)
                result = Fixed(result_bits, result_bits - signed, signed)
                rom = TableRom(function, operand, operand, result_bits)
                yield _part(Lookup(function, operand, result), Needs({}, (rom,)))


def _complements() -> Iterator[Part]:
    """Every complement between searched widths."""
    for bits, result_bits in product(SEARCHED_BITS, SEARCHED_BITS):
        operand = Fixed(bits, bits, signed=False)
        result = Fixed(result_bits, result_bits, signed=False)
        yield _part(Complementer((operand,), result), complement_needs(operand, result))


def _linear_operators() -> Iterator[Part]:
    """Linear operators for every searched width of operand and weight, the rest random."""
    rng = np.random.default_rng(SEED)
    for _ in range(LINEAR_OPERATORS):
        for operand_bits in SEARCHED_BITS:
            for signed in (False, True):
                for weight_bits in SEARCHED_BITS:
                    plan = _linear_plan(rng, Fixed(operand_bits, 0, signed), weight_bits)
                    yield _part(LinearUnit(plan), linear_needs(plan))


def _rectified() -> Iterator[Part]:
    """Linear operators whose results are unsigned, with widths that are as random as the rest."""
    rng = np.random.default_rng([SEED, RECTIFIED])
    for _ in range(RECTIFIED):
        operand = Fixed(_width(rng), 0, bool(rng.integers(2)))
        plan = _linear_plan(rng, operand, _width(rng), rectified=True)
        yield _part(LinearUnit(plan), linear_needs(plan))


def _linear_plan(
    rng: np.random.Generator, operand: Fixed, weight_bits: int, *, rectified: bool = False
) -> LinearPlan:
    lanes = int(rng.integers(1, 5))
    units, inputs = int(rng.integers(max(lanes, 4), 40)), int(rng.integers(1, 41))
    weight = Fixed(weight_bits, weight_bits - 1)
    spread = -weight.minimum / rng.uniform(1.5, 3.5)
    weights = np.floor(rng.normal(0, spread, (units, inputs)) + 0.5).astype(np.int64)
    weights = weights.clip(weight.minimum, weight.maximum)
    biases = np.zeros(units, dtype=np.int64)
    if rng.random() >= SHARED_BIASES:
        spread = 2.0 ** (operand.bits + weight_bits - 3)
        biases = np.floor(rng.normal(0, spread, units)).astype(np.int64)
    frac = operand.frac + weight.frac
    accumulator = accumulator_type(frac, operand, weights, biases)
    bits = _width(rng)
    shift = max(-2, accumulator.bits - bits - int(rng.integers(0, 5)))
    result = Fixed(bits, frac - shift, signed=not rectified)
    if rng.random() < EXACT_RESULTS and not rectified:
        result = accumulator
    phase = plan_phase(units, inputs, lanes)
    return LinearPlan(operand, weight, result, frac, weights, biases, phase)


def _width(rng: np.random.Generator) -> int:
    return int(rng.integers(SEARCHED_BITS[0], SEARCHED_BITS[-1] + 1))


def _mixed() -> Iterator[Part]:
    """Sums and products of operands with and without signs, of which cells have only some."""
    rng = np.random.default_rng([SEED, MIXED])
    for index in range(MIXED):
        for left_signed, right_signed in product((False, True), (False, True)):
            left, right = _operand(rng, left_signed), _operand(rng, right_signed)
            total = left.frac + right.frac if index % 2 else max(left.frac, right.frac)
            bits = _width(rng)
            result = Fixed(bits, min(bits - 1, total - int(rng.integers(-1, 6))))
            if index % 2:
                found = multiplier_needs(left, right, result, serial=False)
                yield _part(Multiplier((left, right), result), found)
            else:
                yield _part(Adder((left, right), result), adder_needs(left, right, result))


def _operand(rng: np.random.Generator, signed: bool) -> Fixed:
    bits = _width(rng)
    return Fixed(bits, bits - int(rng.integers(0, 3)), signed)


def _elementwise(networks: Iterable[Network], kind: type[Node]) -> Iterator[Part]:
    """The operators of one class in some networks, those of equal types once."""
    seen = set()
    for network in networks:
        for core in schedule_of(network).cores:
            for scheduled in core.operators:
                node = scheduled.node
                key = scheduled.operands, scheduled.result, scheduled.serial
                if isinstance(node, kind) and key not in seen:
                    seen.add(key)
                    nothing = Parameters({}, {})
                    hardware = component(node, scheduled, nothing, False)
                    yield _part(hardware, needs(node, scheduled, core.typed.types, nothing))


def _part(hardware: wiring.Component, taken: Needs) -> Part:
    return Part(hardware, Measures((taken,)))


def _control(networks: Sequence[Network], size: int) -> Iterator[Batch]:
    """What surrounds the operators of each core, of so many cores at a time."""
    units = [(network, unit) for network in networks for unit in _cores(network)]
    for start in range(0, len(units), size):
        parts, operators = {}, dict[str, None]()
        for index, (network, unit) in enumerate(units[start : start + size], start):
            core = unit.core
            (stage,) = (each for each in network.stages if each.name == core.name)
            measures = measure_control(core, stage.parameters.initial)
            parts[f"part{index}"] = Part(unit, measures)
            operators |= dict.fromkeys(each.node.name for each in core.operators)
        yield Batch(parts, tuple(f"batch.*.{name}" for name in operators))


def _cores(network: Network) -> tuple[CoreUnit, ...]:
    whole = datapath(network)
    return (whole,) if isinstance(whole, CoreUnit) else whole.units
