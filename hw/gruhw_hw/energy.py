"""A proxy of the energy of a sequence: what its operations would take, wire and clock aside.

Each operation of the graph counts as often as the schedule performs it. Constants are scaled
in width from the 45 nm figures of M. Horowitz, "Computing's energy problem (and what we can do
about it)", ISSCC 2014: additions linearly from 8 bits, multiplications with the product of
their widths from 8 x 8 bits, memory linearly from a word of 64 bits. A register bit is taken to
cost what a bit of an addition does, of which that source says nothing. The proxy ranks genomes;
it predicts no power meter. It never falls when a width rises.
"""

from functools import singledispatch

from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table
from gruhw.model import Network
from gruhw.schedule import Phase, Schedule

ADD_BIT = 0.03 / 8
"""pJ a bit of an addition."""

MULTIPLY_BIT = 0.2 / (8 * 8)
"""pJ a bit of one factor and a bit of the other."""

MEMORY_BIT = 10 / 64
"""pJ a bit that is read from memory (8 kB of SRAM)."""

REGISTER_BIT = ADD_BIT
"""pJ a bit that is written to a register."""


@singledispatch
def node_energy(node: Node, graph: Graph, phase: Phase) -> float:
    """The energy in pJ of all results of ``node`` in one phase, which computes its units once."""
    raise TypeError(f"no energy for {type(node).__name__}")


@node_energy.register
def _(node: Linear, graph: Graph, phase: Phase) -> float:
    operand = graph[node.operand].type.bits
    # The nominal accumulator: the fitted one may narrow when a weight gets a bit more.
    total = operand + node.weight.bits + (node.inputs - 1).bit_length() + 1
    product = (
        MEMORY_BIT * node.weight.bits
        + MULTIPLY_BIT * node.weight.bits * operand
        + (ADD_BIT + REGISTER_BIT) * total
    )
    # All lanes share an operand that is read once for each group.
    reads = phase.groups * node.inputs * MEMORY_BIT * operand
    result = REGISTER_BIT * node.type.bits if node.type != node.accumulator else 0.0
    return reads + node.outputs * (node.inputs * product + ADD_BIT * total + result)


@node_energy.register
def _(node: Add, graph: Graph, phase: Phase) -> float:
    widest = max(graph[node.left].type.bits, graph[node.right].type.bits)
    return phase.units * (ADD_BIT * (widest + 1) + REGISTER_BIT * node.type.bits)


@node_energy.register
def _(node: Multiply, graph: Graph, phase: Phase) -> float:
    product = graph[node.left].type.bits * graph[node.right].type.bits
    return phase.units * (MULTIPLY_BIT * product + REGISTER_BIT * node.type.bits)


@node_energy.register
def _(node: Complement, graph: Graph, phase: Phase) -> float:
    return phase.units * (
        ADD_BIT * (graph[node.operand].type.bits + 1) + REGISTER_BIT * node.type.bits
    )


@node_energy.register
def _(node: Table, graph: Graph, phase: Phase) -> float:
    return phase.units * (MEMORY_BIT + REGISTER_BIT) * node.type.bits


def sequence_energy(network: Network, steps: int) -> float:
    """The proxy in pJ for a sequence of ``steps`` time steps, head included if there is one."""
    graph, genome = network.graph, network.genome
    schedule = Schedule(graph, genome.folding, genome.output)
    step = sum(node_energy(node, graph, schedule.step) for node in graph.operators)
    head = node_energy(graph.head, graph, schedule.head) if schedule.head else 0.0
    return steps * step + head
