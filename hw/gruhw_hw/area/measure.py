"""Everything the area of a network's accelerator depends on."""

from dataclasses import dataclass
from functools import lru_cache

from gruhw.fixed import Fixed
from gruhw.graph import Graph
from gruhw.model import Network
from gruhw.schedule import Schedule
from gruhw_hw.area.control import control_needs
from gruhw_hw.area.memory import Memory, Rom, Roms, buffers, memory_terms, schedule_of
from gruhw_hw.area.terms import BIAS_ROM, Needs, Terms, Types, add_terms, needs
from gruhw_hw.datapath import output_type


@dataclass(frozen=True)
class Measures:
    """What a network, or a part of it, has of everything that takes area.

    Parameters
    ----------
    parts
        What each part needs beside its memories.
    memories
        All but those of biases, which are among the parts.
    """

    parts: tuple[Needs, ...]
    memories: tuple[Memory, ...] = ()

    def all_terms(self, target: str) -> Terms:
        """All terms for a target, those of memories included."""
        found: Terms = {}
        for part in self.parts:
            add_terms(found, part.terms)
        for memory in self.memories:
            add_terms(found, memory_terms(memory, target))
        return found

    def weight_block_rams(self, target: str) -> int:
        """The block RAMs of the weights, which are counted and have no price."""
        return sum(rom.block_rams(target) for rom in self.memories if isinstance(rom, Rom))

    @property
    def memory_bits(self) -> int:
        """The bits of all memories.

        ROMs of weights with their padding, of biases and of tables; the buffers of input, state
        and output. Two-bank buffers count twice, and each bank has a power of two of elements.
        """
        biases = sum(part.terms.get(BIAS_ROM, 0) for part in self.parts)
        return int(biases) + sum(memory.size for memory in self.memories)


def measure_control(schedule: Schedule, output: Fixed, read: Types) -> Measures:
    """Take the measures of a datapath without its operators, whose results are ``read`` by it."""
    state = read[schedule.graph.state.source]
    return Measures((control_needs(schedule, output, read),), buffers(schedule, output, state))


def measure(network: Network) -> Measures:
    """Take the measures of a network, from which its area can be estimated for any target."""
    schedule, graph = schedule_of(network), network.graph
    read = result_types(graph)
    parts: list[Needs] = []
    memories: list[Memory] = []
    for node in (*graph.operators, *([graph.head] if schedule.head else [])):
        operator = needs(node, read, schedule, network.parameters)
        read[node.name] = operator.held
        parts.append(operator)
        memories += [] if operator.memory is None else [operator.memory]
    control = measure_control(schedule, output_type(network), read)
    whole = whole_needs(sum(part.terms.get(BIAS_ROM, 0) for part in parts))
    roms = Roms(sum(memory.information for memory in memories if isinstance(memory, Rom)))
    return Measures((*parts, *control.parts, whole), (*memories, roms, *control.memories))


@lru_cache(maxsize=1 << 12)
def whole_needs(biases: float) -> Needs:
    """What a network saves across its parts, of which ``biases`` bits stand in ROMs of biases.

    Beside each other, those have some of their decoding in common.
    """
    return Needs({"whole": 1, f"whole {BIAS_ROM}": biases})


def result_types(graph: Graph) -> dict[str, Fixed]:
    """The type of every node's result, by name."""
    return {node.name: node.type for node in graph}


def memory_bits(network: Network) -> int:
    """The bits of all memories of a network's accelerator, as in :class:`Measures`."""
    return measure(network).memory_bits
