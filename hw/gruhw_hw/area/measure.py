"""Everything the area of a network's accelerator depends on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gruhw.basics.values import instance
from gruhw.network.architecture import HEAD
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import INPUT
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Core
from gruhw_hw.area.control import carried_needs, carrying_registers, control_terms
from gruhw_hw.area.memory import (
    ConstantRom,
    Memory,
    input_buffer,
    output_buffer,
    state_buffer,
    unit_reads,
)
from gruhw_hw.area.priced import Terms, add_terms, general
from gruhw_hw.area.terms import Needs, OperatorNeeds, Types, needs
from gruhw_hw.area.whole import BETWEEN_CORES, WHOLE, shared_needs, short_paths
from gruhw_hw.state_memory import is_vector


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

        ROMs of weights with their padding, of biases, of initial states and of tables; the buffers
        of states and of both ends of each core. Two-bank buffers count twice, and each bank has a
        power of two of elements.
        """
        return sum(memory.size for memory in self.memories)


def measure(network: Network) -> Measures:
    """Take the measures of a network, from which its area can be estimated for any target."""
    network = instance("network", network, Network)
    parameters = {stage.name: stage.parameters for stage in network.stages}
    cores = schedule_of(network).cores
    parts = [WHOLE, *between(cores)]
    entering = network.input_type
    for core in cores:
        held, registers = dict(core.typed.types), carrying_registers(core)
        for scheduled in core.operators:
            stage = HEAD if scheduled.typed is core.head else core.name
            operator = needs(scheduled.node, scheduled, held, parameters[stage])
            held[scheduled.node.name] = operator.held
            parts += operator_parts(operator, registers.get(scheduled.node.name, 0))
        parts += buffer_parts(core, entering, held, parameters[core.name].initial)
        _, name = core.emitted
        entering = held[name]
        parts.append(control_part(core, entering))
    return Measures((*parts, *short_paths(parts)))


def between(cores: Sequence[Core]) -> list[Needs]:
    """What stands between cores, besides the buffers at their ends."""
    return [BETWEEN_CORES] * (len(cores) - 1)


def operator_parts(operator: OperatorNeeds, registers: int) -> Iterator[Needs]:
    """An operator in a network where so many registers carry each bit of its result on."""
    yield operator
    if shared := shared_needs(operator):
        yield shared
    if registers:
        yield carried_needs(registers * operator.held.bits)


def buffer_parts(
    core: Core, entering: Fixed, held: Types, initial: Mapping[str, IntArray]
) -> Iterator[Needs]:
    """The buffers of a core's input and states, with what its states begin with.

    Parameters
    ----------
    core
        Whose buffers they are.
    entering, held
        The types of what the registers of an element hold that the core is sent, and of the
        operators' results.
    initial
        The integers that states begin with, by their names; zero where there are none.
    """
    found: list[Memory] = [input_buffer(core, entering)]
    selected, selected_bits = 0, 0  # reads that give something else in a sequence's first step
    for state in core.typed.graph.states:
        bits = core.typed[state.name].bits
        found.append(state_buffer(core, state, held[state.source]))
        begins = initial.get(state.name)
        reads = unit_reads(core, state, product=False)
        if begins is not None and begins.any():
            reads = is_vector(core, state) + unit_reads(core, state)
            found.append(ConstantRom.of(begins, bits, reads))
        selected += reads
        selected_bits += reads * bits
    terms = {"first state": selected, "first state bit": selected_bits} if selected else {}
    part = Needs(general(terms), tuple(found))
    yield part
    if shared := shared_needs(part):
        yield shared


def control_part(core: Core, emitted: Fixed) -> Needs:
    """What else surrounds the operators, besides registers that carry results on.

    ``emitted`` is the type of what the registers of an emitted result hold.
    """
    # Logits are compared with the largest so far.
    return Needs(control_terms(core), (output_buffer(core, emitted),), slow=core.classifies)


def measure_control(core: Core, initial: Mapping[str, IntArray]) -> Measures:
    """Take the measures of a core without its operators, whose results are as wide as their types.

    ``initial`` is as in :func:`buffer_parts`.
    """
    types = core.typed.types
    typed, name = core.emitted
    registers = carrying_registers(core)
    carried = sum(types[operator].bits * count for operator, count in registers.items())
    buffers, *_ = buffer_parts(core, types[INPUT], types, initial)
    return Measures((buffers, control_part(core, typed[name]), carried_needs(carried)))


def memory_bits(network: Network) -> int:
    """The bits of all memories of a network's accelerator, as in :class:`Measures`."""
    return measure(network).memory_bits
