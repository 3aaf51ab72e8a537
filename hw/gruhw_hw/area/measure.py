"""Everything the area of a network's accelerator depends on."""

from collections.abc import Mapping
from dataclasses import dataclass

from gruhw.fixed import Fixed
from gruhw.graph import Graph
from gruhw.model import Network
from gruhw.schedule import Schedule
from gruhw_hw.area.control import control_terms
from gruhw_hw.area.memory import (
    Buffer,
    Rom,
    TableRom,
    buffer_terms,
    buffers,
    rom_terms,
    schedule_of,
    table_roms,
    table_terms,
    weight_blocks,
    weight_roms,
)
from gruhw_hw.area.terms import Terms, Types, add_terms, needs
from gruhw_hw.datapath import output_type


@dataclass(frozen=True)
class Memories:
    """Memories, whose area depends on what a target makes of them.

    Parameters
    ----------
    weights
        The ROMs of weights.
    buffers
        The memories that are written.
    tables
        The ROMs of tables.
    """

    weights: tuple[Rom, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    tables: tuple[TableRom, ...] = ()

    def weight_blocks(self, target: str) -> int:
        """The block RAMs of the weights."""
        return sum(weight_blocks(target, rom.words, rom.bits) for rom in self.weights)

    def terms(self, target: str) -> Terms:
        """Their terms for a target."""
        found: Terms = {}
        for rom in self.weights:
            add_terms(found, rom_terms(target, rom))
        for buffer in self.buffers:
            add_terms(found, buffer_terms(target, buffer))
        for table in self.tables:
            add_terms(found, table_terms(target, table))
        return found


@dataclass(frozen=True)
class Measures:
    """What a network, or a part of it, has of everything that takes area.

    Parameters
    ----------
    terms
        How many there are of each term.
    memories
        All but those of biases, which terms stand for.
    """

    terms: Mapping[str, float]
    memories: Memories = Memories()

    def all_terms(self, target: str) -> Terms:
        """All terms, those of memories included."""
        return {**self.terms, **self.memories.terms(target)}


def measure_control(schedule: Schedule, output: Fixed, read: Types) -> Measures:
    """Take the measures of a datapath without its operators, whose results are ``read`` by it."""
    return Measures(control_terms(schedule, output, read), Memories((), buffers(schedule, output)))


def measure(network: Network) -> Measures:
    """Take the measures of a network, from which its area can be estimated for any target."""
    schedule, graph = schedule_of(network), network.graph
    found: Terms = {"whole": 1}
    read = result_types(graph)
    for node in (*graph.operators, *([graph.head] if schedule.head else [])):
        operator = needs(node, read, schedule, network.parameters)
        add_terms(found, operator.terms)
        read[node.name] = operator.held
    # Beside each other, ROMs of biases have some of their decoding in common.
    found["whole bias rom"] = found.get("bias rom", 0)
    control = measure_control(schedule, output_type(network), read)
    add_terms(found, control.terms)
    roms, tables = weight_roms(schedule, network.parameters), table_roms(graph, read)
    memories = Memories(roms, control.memories.buffers, tables)
    return Measures(found, memories)


def result_types(graph: Graph) -> dict[str, Fixed]:
    """The type of every node's result, by name."""
    return {node.name: node.type for node in graph}
