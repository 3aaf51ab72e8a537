"""Planning: which core computes what in which cycle; see :mod:`gruhw.network.schedule`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch

from gruhw.basics.values import instance
from gruhw.network.bound import Network
from gruhw.network.genome import Genome
from gruhw.network.graph import Add, Complement, Graph, Input, Linear, Multiply, Node, State, Table
from gruhw.network.schedule import STREAM_CYCLES, Core, Phase, Schedule, Slot
from gruhw.network.typed import Typed

MULTIPLY_CYCLES = 2
"""From the cycle in which a term is addressed to the one in which its product is registered."""

LAUNCH_CYCLES = 2
"""From the cycle that accepts a step's last element to the first term of an idle core."""

RIDING_SHARE = 4
"""After every step, a head computes on the core of the only layer if that makes steps longer by at
most one part in so many. Otherwise it is a core of its own, which costs buffers and control."""


@singledispatch
def latency(node: Node, typed: Typed, serial: bool) -> int:
    """Cycles from the one in which ``node`` reads its operands to that of its result.

    ``serial`` selects products that take a cycle for each bit of their first operand.
    """
    raise TypeError(f"no latency for {type(node).__name__}")


@latency.register
def _(node: Linear, typed: Typed, serial: bool) -> int:
    return 1  # bias, rounding and saturation; the products are counted by the phase


@latency.register
def _(node: Add, typed: Typed, serial: bool) -> int:
    return 1


@latency.register
def _(node: Multiply, typed: Typed, serial: bool) -> int:
    # The product, or the first operand, is registered; then rounding and saturation.
    return 2 + (typed[node.left].bits if serial else 0)


@latency.register
def _(node: Complement, typed: Typed, serial: bool) -> int:
    return 1


@latency.register
def _(node: Table, typed: Typed, serial: bool) -> int:
    return 1


def plan_phase(units: int, terms: int, lanes: int) -> Phase:
    """The phase of so many dot products, of so many terms each, on so many lanes."""
    unit_interval = max(1, (terms + 1) // lanes)
    return Phase(
        units,
        terms,
        lanes,
        groups=-(-units // lanes),
        unit_interval=unit_interval,
        group_cycles=max(terms + 1, lanes * unit_interval),
        # Several lanes are first copied aside, because the accumulators are needed again.
        accumulator_cycle=terms + MULTIPLY_CYCLES + (lanes > 1),
    )


def plan(genome: Genome, stages: Sequence[Typed]) -> Schedule:
    """Plan the cores of a network, and the cycle of everything in them.

    This is where other foldings belong: several products of a dot product at a time, one
    multiplier for several layers, interleaved sequences. Everybody else reads the table.

    Parameters
    ----------
    genome
        Says the network, its folding and its output.
    stages
        The types of its stages, the head last.
    """
    network, output = instance("genome", genome, Genome).network, genome.output
    every = network.stepping(output)
    at_every_step = network.every_step or output == "states"
    lanes = genome.folding.lanes(network)
    *layers, head = stages
    rides = len(layers) == 1 and output != "states" and keeps_emitted(layers[0].graph)
    if rides and network.every_step:
        rides = _rides_every_step(layers[0], head, lanes)
    cores = []
    for index, stage in enumerate(network.stages):
        if stage.name == "head" and (rides or output == "states"):
            continue
        following = every[index + 1 : len(every) - (output == "states")]
        last = not following or rides
        cores.append(
            _plan_core(
                stage.name,
                stages[index],
                head if rides else None,
                lanes[index],
                every_step=every[index],
                emits_every_step=at_every_step if last else following[0],
                classifies=last and output == "class",
                carries=network.carries,
                outputs=(lanes[-1],) if rides else (),
            )
        )
    return Schedule(_joined(cores), output)


def _rides_every_step(layer: Typed, head: Typed, lanes: Sequence[int]) -> bool:
    """Whether a head that computes after every step makes these longer by little."""
    flags = dict.fromkeys(("every_step", "emits_every_step"), True)
    flags |= dict.fromkeys(("classifies", "carries"), False)
    alone = _plan_core("", layer, None, lanes[0], outputs=(), **flags)
    return RIDING_SHARE * _head_phase(head, lanes[-1]).cycles <= alone.step_interval


def _head_phase(head: Typed, lanes: int) -> Phase:
    (linear,) = head.graph.linears
    return plan_phase(linear.outputs, linear.inputs, lanes)


def keeps_emitted(graph: Graph) -> bool:
    """Whether what a stage emits is a state that a linear operator reads, so that a head can, too.

    Of such a state all elements are kept until the step after the next one.
    """
    read = {node.operand for node in graph.linears}
    return any(state.source == graph.emits and state.name in read for state in graph.states)


def schedule_of(network: Network) -> Schedule:
    """The schedule of a network."""
    found = instance("network", network, Network)
    return plan(found.genome, [stage.typed for stage in found.stages])


def _plan_core(
    name: str,
    typed: Typed,
    head: Typed | None,
    lanes: int,
    *,
    outputs: Sequence[int],
    **flags: bool,
) -> Core:
    """A core as if it were alone."""
    graph = typed.graph
    step = plan_phase(graph.units, max(node.inputs for node in graph.linears), lanes)
    phase = None
    if head:
        phase = _head_phase(head, *outputs)
    serial = _serial_products(typed, step)
    slots = _slots(typed, serial)
    if head:
        slots |= _slots(head, serial)
    kept = {state.name: _kept(graph, slots, state) for state in graph.states}
    indexed = flags["classifies"] and phase is None
    interval = _least_interval(typed, step, slots, kept, indexed=indexed)
    if phase and flags["emits_every_step"]:
        interval += phase.cycles
    return Core(
        name,
        typed,
        head,
        step,
        phase,
        slots,
        kept,
        serial,
        least_interval=interval,
        step_interval=interval,
        first_term=graph.input.size - 1 + LAUNCH_CYCLES,
        **flags,
    )


def _serial_products(typed: Typed, step: Phase) -> bool:
    """Whether units are so far apart that products can be computed bit by bit.

    The pipeline then holds one unit at a time, and no operand changes while it is read.
    """
    products = [node for node in typed.graph.operators if isinstance(node, Multiply)]
    unsigned = all(not typed[node.left].signed for node in products)
    longest = max(slot.ready for slot in _slots(typed, serial=True).values())
    return unsigned and longest < step.unit_interval


def _slots(typed: Typed, serial: bool) -> dict[str, Slot]:
    graph, found = typed.graph, dict[str, Slot]()
    for node in graph.operators:
        read = 0
        if not isinstance(node, Linear):
            waits = [name for name in node.operands if not isinstance(graph[name], Input | State)]
            read = max((found[name].ready for name in waits), default=0)
        found[node.name] = Slot(read, read + latency(node, typed, serial))
    return found


def _kept(graph: Graph, slots: Mapping[str, Slot], state: State) -> int:
    """When a unit's state is written: once it is there, and its readers have read the one before.

    Linear operators read the other half of the memory.
    """
    readers = [node for node in graph.operators if state.name in node.operands]
    last = [slots[node.name].ready for node in readers if not isinstance(node, Linear)]
    return max([slots[state.source].ready, *last])


def _least_interval(
    typed: Typed, step: Phase, slots: Mapping[str, Slot], kept: Mapping[str, int], *, indexed: bool
) -> int:
    """Cycles that a time step takes until the next one can read its states.

    A state element may be addressed in the cycle after that in which it is written, which is the
    one in which it stands in its register. Where steps are ``indexed``, the index of the largest
    result leaves in the cycle after the last result, in which none of the next step's may leave.
    """
    graph, found = typed.graph, step.cycles
    if indexed:
        found = max(found, step.unit_cycle(step.units - 1) + 2 - step.unit_cycle(0))
    for state in graph.states:
        ready = kept[state.name]
        for node in graph.operators:
            if state.name in node.operands:
                if isinstance(node, Linear):
                    # Written at least a cycle apart, and read a cycle apart: the last is critical.
                    last = step.units - 1
                    found = max(found, step.unit_cycle(last) + ready + 1 - last)
                else:
                    # Of each unit, the step before has written it.
                    found = max(found, ready + 1 - (slots[node.name].read - 1))
    return found


def _joined(cores: Sequence[Core]) -> tuple[Core, ...]:
    """Cores that all run at the interval of the slowest, each begun by the one before."""
    interval = max(core.step_interval for core in cores)
    found: list[Core] = []
    for core in cores:
        first_term = core.first_term
        if found:
            before = found[-1]
            whole = before.cycle(before.typed.graph.emits, 0, before.step.units - 1)
            first_term = whole + STREAM_CYCLES + LAUNCH_CYCLES
        found.append(replace(core, step_interval=interval, first_term=first_term))
    return tuple(found)
