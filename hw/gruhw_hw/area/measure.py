"""Everything the area of a network's accelerator depends on."""

from collections.abc import Iterator
from dataclasses import dataclass

from gruhw.fixed import Fixed
from gruhw.graph import Graph
from gruhw.model import Network
from gruhw.schedule import Schedule
from gruhw.values import instance
from gruhw_hw.area.control import carried_needs, carrying_registers, control_terms
from gruhw_hw.area.memory import Memory, output_buffer, schedule_of, vector_buffers
from gruhw_hw.area.terms import (
    BIAS_ROM,
    Needs,
    OperatorNeeds,
    Terms,
    Types,
    add_terms,
    needs,
)
from gruhw_hw.area.whole import WHOLE, shared_needs, short_paths
from gruhw_hw.datapath import element_type


@dataclass(frozen=True)
class Measures:
    """What a network, or a part of it, has of everything that takes area."""

    parts: tuple[Needs, ...]

    def all_terms(self, target: str) -> Terms:
        """All terms for a target, those of memories included."""
        found: Terms = {}
        for part in self.parts:
            add_terms(found, part.all_terms(target))
        return found

    def weight_block_rams(self, target: str) -> int:
        """The block RAMs of the weights, which are counted and have no price."""
        return sum(part.weight_block_rams(target) for part in self.parts)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The memories of all parts."""
        return tuple(memory for part in self.parts for memory in part.memories)

    @property
    def memory_bits(self) -> int:
        """The bits of all memories.

        ROMs of weights with their padding, of biases and of tables; the buffers of input, state
        and output. Two-bank buffers count twice, and each bank has a power of two of elements.
        """
        biases = sum(part.terms.get(BIAS_ROM, 0) for part in self.parts)
        return int(biases) + sum(memory.size for memory in self.memories)


def measure(network: Network) -> Measures:
    """Take the measures of a network, from which its area can be estimated for any target."""
    network = instance("network", network, Network)
    schedule, graph = schedule_of(network), network.graph
    read, registers = result_types(graph), carrying_registers(schedule)
    parts: list[Needs] = [WHOLE]
    for node in (*graph.operators, *([graph.head] if schedule.head else [])):
        operator = needs(node, read, schedule, network.parameters)
        read[node.name] = operator.held
        parts += operator_parts(operator, registers.get(node.name, 0))
    state = read[graph.state.source]
    parts += (buffers_part(graph, state), control_part(schedule, state))
    return Measures((*parts, *short_paths(parts)))


def operator_parts(operator: OperatorNeeds, registers: int) -> Iterator[Needs]:
    """An operator in a network where so many registers carry each bit of its result on."""
    yield operator
    if shared := shared_needs(operator):
        yield shared
    if registers:
        yield carried_needs(registers * operator.held.bits)


def buffers_part(graph: Graph, state: Fixed) -> Needs:
    """The buffers of input and state; ``state`` is what the registers of a new element hold."""
    return Needs({}, vector_buffers(graph, state))


def control_part(schedule: Schedule, state: Fixed) -> Needs:
    """What else surrounds the operators, besides registers that carry results on."""
    output = element_type(schedule.graph, schedule.output)
    buffer = output_buffer(schedule, output, state)
    # Logits are compared with the largest so far.
    return Needs(control_terms(schedule, output), (buffer,), slow=schedule.head is not None)


def measure_control(schedule: Schedule, read: Types) -> Measures:
    """Take the measures of a datapath without its operators, whose results are ``read`` by it."""
    state = read[schedule.graph.state.source]
    registers = carrying_registers(schedule)
    carried = sum(read[name].bits * count for name, count in registers.items())
    buffers, control = buffers_part(schedule.graph, state), control_part(schedule, state)
    return Measures((buffers, control, carried_needs(carried)))


def result_types(graph: Graph) -> dict[str, Fixed]:
    """The type of every node's result, by name."""
    return {node.name: node.type for node in graph}


def memory_bits(network: Network) -> int:
    """The bits of all memories of a network's accelerator, as in :class:`Measures`."""
    return measure(network).memory_bits
