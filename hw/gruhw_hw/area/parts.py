"""The parts that are synthesised to calibrate the area model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from amaranth.lib import wiring

from gruhw.fixed import Fixed
from gruhw.genome import SEARCHED_BITS
from gruhw.graph import Add, Complement, Function, Graph, Input, Linear, Multiply, Node, Table
from gruhw.model import Network
from gruhw.parameters import accumulator_type
from gruhw.schedule import Phase
from gruhw_hw.area.measure import Measures, measure_control, result_types
from gruhw_hw.area.memory import USUAL_RANGES, TableRom, schedule_of
from gruhw_hw.area.terms import Needs, complement_needs, linear_needs, needs
from gruhw_hw.datapath import Datapath
from gruhw_hw.linear import LinearUnit
from gruhw_hw.operators import Complementer, Lookup, component
from gruhw_hw.synthesis.flow import OPERATOR_ROWS

SEED = 77
"""Of the linear operators, which are not taken from networks."""

LINEAR_OPERATORS = 2
"""How many there are for the same widths of operand and weight."""

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


def batches(networks: Sequence[Network], others: Sequence[Network]) -> list[Batch]:
    """Everything that is synthesised apart: tables, linear operators, and parts of networks.

    Of ``others``, this is only what surrounds the operators.
    """
    control = tuple(f"batch.*.{name}" for name in OPERATOR_ROWS)
    return [
        *_split(_tables(), 64),
        *_split(_complements(), 64),
        *_split(_linear_operators(), 49),
        *_split(_elementwise(networks[:26], Add), 64),
        *_split(_elementwise(networks[:40], Multiply), 64),
        *_split(_control((*networks, *others)), 12, control),
    ]


def _split(parts: Iterable[Part], size: int, opaque: tuple[str, ...] = ()) -> list[Batch]:
    named = {f"part{index}": part for index, part in enumerate(parts)}
    names = list(named)
    return [
        Batch({name: named[name] for name in names[start : start + size]}, opaque)
        for start in range(0, len(names), size)
    ]


def _alone(node: Node, operand: Input) -> Graph:
    """An operator without any other: enough for what its component asks of a graph."""
    return Graph((operand,), node)  # type: ignore[arg-type]  # whose head is linear


def _tables() -> Iterable[Part]:
    """Every table between searched widths, for the operand ranges that are usual."""
    functions: dict[Function, bool] = {"sigmoid": False, "tanh": True}
    for function, signed in functions.items():
        first, last = USUAL_RANGES[function]
        for whole in range(first, last + 1):
            for operand in SEARCHED_BITS:
                for bits in SEARCHED_BITS:
                    source = Input(name="x", type=Fixed(operand, operand - whole), size=1)
                    kind = Fixed(bits, bits - signed, signed)
                    node = Table(name="table", type=kind, operand="x", function=function)
                    graph = _alone(node, source)
                    rom = TableRom(function, source.type, source.type, bits)
                    yield Part(Lookup(node, graph), Measures((Needs({}, (rom,)),)))


def _complements() -> Iterable[Part]:
    """Every complement between searched widths."""
    for operand in SEARCHED_BITS:
        for bits in SEARCHED_BITS:
            source = Input(name="x", type=Fixed(operand, operand, signed=False), size=1)
            kind = Fixed(bits, bits, signed=False)
            node = Complement(name="complement", type=kind, operand="x")
            hardware = Complementer(node, _alone(node, source))
            yield Part(hardware, Measures((complement_needs(source.type, kind),)))


def _linear_operators() -> Iterable[Part]:
    """Linear operators for every searched width of operand and weight, the rest random."""
    rng = np.random.default_rng(SEED)
    for _ in range(LINEAR_OPERATORS):
        for operand_bits in SEARCHED_BITS:
            for signed in (False, True):
                for weight_bits in SEARCHED_BITS:
                    yield _linear_operator(rng, Fixed(operand_bits, 0, signed), weight_bits)


def _linear_operator(rng: np.random.Generator, operand: Fixed, weight_bits: int) -> Part:
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
    source = Input(name="x", type=operand, size=inputs)
    frac = operand.frac + weight.frac
    node = Linear(name="linear", type=weight, operand="x", weight=weight,
                  accumulator=Fixed(1, frac), inputs=inputs, outputs=units)  # fmt: skip
    node = replace(node, accumulator=accumulator_type(node, operand, weights, biases))
    result = int(rng.integers(SEARCHED_BITS[0], SEARCHED_BITS[-1] + 1))
    shift = max(-2, node.accumulator.bits - result - int(rng.integers(0, 5)))
    exact = rng.random() < EXACT_RESULTS
    node = replace(node, type=node.accumulator if exact else Fixed(result, frac - shift))
    graph, phase = _alone(node, source), Phase(units, inputs, lanes)
    unit = LinearUnit(node, graph, weights, biases, phase)
    return Part(unit, Measures((linear_needs(node, operand, weights, biases, phase),)))


def _elementwise(networks: Iterable[Network], kind: type[Node]) -> Iterable[Part]:
    """The operators of one class in some networks, those of equal types once."""
    seen = set()
    for network in networks:
        schedule = schedule_of(network)
        for node in network.graph.operators:
            if isinstance(node, kind):
                operands = tuple(network.graph[name].type for name in node.operands)
                serial = isinstance(node, Multiply) and schedule.serial_products
                if (key := (operands, node.type, serial)) not in seen:
                    seen.add(key)
                    hardware = component(node, schedule, network.parameters, False)
                    read = result_types(network.graph)
                    found = needs(node, read, schedule, network.parameters)
                    yield Part(hardware, Measures((found,)))


def _control(networks: Iterable[Network]) -> Iterable[Part]:
    for network in networks:
        read = result_types(network.graph)
        measures = measure_control(schedule_of(network), read)
        yield Part(Datapath(network), measures)
