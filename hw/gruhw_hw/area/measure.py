"""Everything the area of a network's accelerator depends on."""

from collections.abc import Mapping
from dataclasses import dataclass

from gruhw.fixed import Fixed
from gruhw.model import Network
from gruhw.schedule import Schedule
from gruhw_hw.area.control import control_terms
from gruhw_hw.area.memory import (
    Buffer,
    buffer_terms,
    buffers,
    schedule_of,
    weight_blocks,
    weight_memories,
)
from gruhw_hw.area.terms import Terms, add_terms, terms
from gruhw_hw.datapath import output_type


@dataclass(frozen=True)
class Measures:
    """What a network has of everything that takes area.

    Parameters
    ----------
    terms
        How many there are of each term.
    memories
        Words, and bits a word, of each ROM of weights.
    buffers
        The memories that are written.
    """

    terms: Mapping[str, float]
    memories: tuple[tuple[int, int], ...] = ()
    buffers: tuple[Buffer, ...] = ()

    def weight_blocks(self, target: str) -> int:
        """The block RAMs of the weights."""
        return sum(weight_blocks(target, words, bits) for words, bits in self.memories)

    def all_terms(self, target: str) -> Terms:
        """All terms, those of buffers included, which depend on the target."""
        found = dict(self.terms)
        for buffer in self.buffers:
            add_terms(found, buffer_terms(target, buffer))
        return found


def measure_control(schedule: Schedule, output: Fixed) -> Measures:
    """Take the measures of a datapath without its operators."""
    return Measures(control_terms(schedule, output), (), buffers(schedule, output))


def measure(network: Network) -> Measures:
    """Take the measures of a network, from which its area can be estimated for any target."""
    schedule = schedule_of(network)
    control = measure_control(schedule, output_type(network))
    found: Terms = {"whole": 1, **control.terms}
    for node in network.graph.operators:
        add_terms(found, terms(node, schedule, network.parameters))
    if schedule.head:
        add_terms(found, terms(network.graph.head, schedule, network.parameters))
    return Measures(found, tuple(weight_memories(schedule)), control.buffers)
