"""A proxy of the energy of a sequence: what its operations would take, wire and clock aside.

Each operation of the network counts as often as the schedule performs it. Constants are scaled
in width from the 45 nm figures of M. Horowitz, "Computing's energy problem (and what we can do
about it)", ISSCC 2014: additions linearly from 8 bits, multiplications with the product of
their widths from 8 x 8 bits, memory linearly from a word of 64 bits. A register bit is taken to
cost what a bit of an addition does, of which that source says nothing. The proxy ranks genomes;
it predicts no power meter. It never falls when a width rises.
"""

from functools import singledispatch

from gruhw.network.bound import Network
from gruhw.network.graph import Add, Complement, Linear, Multiply, Node, Table
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Phase
from gruhw.network.typed import Typed

ADD_BIT = 0.03 / 8
"""pJ a bit of an addition."""

MULTIPLY_BIT = 0.2 / (8 * 8)
"""pJ a bit of one factor and a bit of the other."""

MEMORY_BIT = 10 / 64
"""pJ a bit that is read from memory (8 kB of SRAM)."""

REGISTER_BIT = ADD_BIT
"""pJ a bit that is written to a register."""


@singledispatch
def node_energy(node: Node, typed: Typed, phase: Phase) -> float:
    """The energy in pJ of all results of ``node`` in one phase, which computes its units once."""
    raise TypeError(f"no energy for {type(node).__name__}")


@node_energy.register
def _(node: Linear, typed: Typed, phase: Phase) -> float:
    operand, weight = typed[node.operand].bits, typed.weights[node.name].bits
    # The nominal accumulator: the fitted one may narrow when a weight gets a bit more.
    total = operand + weight + (node.inputs - 1).bit_length() + 1
    product = (
        MEMORY_BIT * weight + MULTIPLY_BIT * weight * operand + (ADD_BIT + REGISTER_BIT) * total
    )
    # All lanes share an operand that is read once for each group.
    reads = phase.groups * node.inputs * MEMORY_BIT * operand
    result = 0.0 if node.rule == "exact" else REGISTER_BIT * typed[node.name].bits
    return reads + node.outputs * (node.inputs * product + ADD_BIT * total + result)


@node_energy.register
def _(node: Add, typed: Typed, phase: Phase) -> float:
    widest = max(typed[node.left].bits, typed[node.right].bits)
    return phase.units * (ADD_BIT * (widest + 1) + REGISTER_BIT * typed[node.name].bits)


@node_energy.register
def _(node: Multiply, typed: Typed, phase: Phase) -> float:
    product = typed[node.left].bits * typed[node.right].bits
    return phase.units * (MULTIPLY_BIT * product + REGISTER_BIT * typed[node.name].bits)


@node_energy.register
def _(node: Complement, typed: Typed, phase: Phase) -> float:
    bits = typed[node.name].bits
    return phase.units * (ADD_BIT * (typed[node.operand].bits + 1) + REGISTER_BIT * bits)


@node_energy.register
def _(node: Table, typed: Typed, phase: Phase) -> float:
    return phase.units * (MEMORY_BIT + REGISTER_BIT) * typed[node.name].bits


def sequence_energy(network: Network, steps: int) -> float:
    """The proxy in pJ for a sequence of ``steps`` time steps."""
    every_step, at_the_end = 0.0, 0.0
    for core in schedule_of(network).cores:
        for scheduled in core.operators:
            found = node_energy(scheduled.node, scheduled.typed, scheduled.phase)
            # A head that rides on the core may compute once a sequence.
            rides = scheduled.typed is core.head
            if core.emits_every_step if rides else core.every_step:
                every_step += found
            else:
                at_the_end += found
    return steps * every_step + at_the_end
