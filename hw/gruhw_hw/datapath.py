"""The datapath: the graph's operators as components, wired as the schedule says."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from gruhw.fixed import Fixed
from gruhw.graph import State
from gruhw.model import Network
from gruhw.schedule import MULTIPLY_CYCLES, Phase, Schedule
from gruhw_hw.arithmetic import shape_of
from gruhw_hw.operators import LinearUnit, SerialMultiplier, component, linear_unit
from gruhw_hw.sequencer import Sequencer
from gruhw_hw.streams import NO_COLLISION, InputBuffer, OutputBuffer, element_layout


def delayed(m: Module, signal: Value, cycles: int, name: str) -> Value:
    """``signal`` as it was ``cycles`` cycles ago; control, so it is reset."""
    for age in range(1, cycles + 1):
        register = Signal(len(signal), name=f"{name}_{age}")
        m.d.sync += register.eq(signal)
        signal = register
    return signal


@dataclass(frozen=True)
class Timed:
    """A value that changes from unit to unit; cycles as in ``Schedule.ready``.

    ``last_cycle`` is the last one in which ``signal`` surely still belongs to the unit.
    """

    signal: Signal
    last_cycle: int


class Pipeline:
    """What the units of a phase share behind the accumulators: who is where, and values that wait.

    ``token(k)`` is high in the ``k``-th cycle after a unit's accumulator entered the pipeline,
    for ``k`` from -1. A value that is read after the next unit has overwritten it is carried on
    in further registers.
    """

    def __init__(self, m: Module, phase: Phase, group_end: Value, name: str) -> None:
        self._m = m
        self._phase = phase
        self._name = name
        lead = phase.accumulator_cycle - phase.terms
        self.load = delayed(m, group_end, lead, f"{name}_group_end")
        self._tokens: list[Value] = []
        self._held: dict[tuple[str, int], Signal] = {}

    def start_lanes(self, last_group: Value) -> None:
        """Let the units of each group in, a unit interval apart.

        ``last_group`` is high with ``load`` if lanes without a unit must be left out.
        """
        m, phase = self._m, self._phase
        entering = self.load
        beyond = self.load & ~last_group
        entries = [entering]
        for lane in range(1, phase.lanes):
            suffix = f"{self._name}_lane_{lane}"
            entering = delayed(m, entering, phase.unit_interval, suffix)
            if phase.last_lanes < phase.lanes:
                beyond = delayed(m, beyond, phase.unit_interval, f"{suffix}_not_last")
            entries.append(entering if lane < phase.last_lanes else beyond)
        token = Signal(name=f"{self._name}_token_enter")
        m.d.comb += token.eq(Cat(*entries).any())
        self._tokens = [token]

    def token(self, cycle: int) -> Value:
        """High in the given cycle of every unit."""
        while len(self._tokens) <= cycle + 1:
            age = len(self._tokens) - 1
            self._tokens.append(delayed(self._m, self._tokens[-1], 1, f"{self._name}_token_{age}"))
        return self._tokens[cycle + 1]

    def at(self, value: Timed, cycle: int) -> Signal:
        """``value`` as it can be read in the given cycle of its unit."""
        interval = self._phase.unit_interval
        signal, last = value.signal, value.last_cycle
        while cycle > last:
            key = (value.signal.name, last)
            if key not in self._held:
                held = Signal(
                    signal.shape(), name=f"{value.signal.name}_held_{last}", reset_less=True
                )
                with self._m.If(self.token(last)):
                    self._m.d.sync += held.eq(signal)
                self._held[key] = held
            signal, last = self._held[key], last + interval
        return signal

    def counter(self, needed_until: int) -> Timed:
        """The number of the unit, from the cycle before its accumulator enters the pipeline."""
        phase = self._phase
        unit = Signal(range(max(2, phase.units)), name=f"{self._name}_unit")
        last = min(phase.unit_interval - 2, needed_until)
        with self._m.If(self.token(last)):
            self._m.d.sync += unit.eq(Mux(unit == phase.units - 1, 0, unit + 1))
        return Timed(unit, last)


def output_type(network: Network) -> Fixed:
    """Holds a state; or a logit and, as a non-negative number, a class index."""
    if network.genome.output == "states":
        return network.graph.state.type
    head = network.graph.head
    return Fixed(max(head.type.bits, ceil_log2(head.outputs) + 1), head.type.frac)


class Datapath(wiring.Component):
    """The whole accelerator between two streams.

    Parameters
    ----------
    network
        What it computes.
    blocks
        Leave products to the multiplier blocks of the device, instead of Booth digits in logic.

    Members
    -------
    sink : In(stream.Signature(element_layout(input type)))
        The elements of the input vectors, step after step; ``last`` ends a sequence.
    source : Out(stream.Signature(element_layout(output type)))
        The logits of a sequence, then its class with ``last``; or the states of every step,
        the last element of a sequence with ``last``.
    """

    def __init__(self, network: Network, *, blocks: bool = False) -> None:
        self.network = network
        self._blocks = blocks
        self.graph = network.graph
        genome = network.genome
        self.schedule = Schedule(network.graph, genome.folding, genome.output)
        self.output_type = output_type(network)
        super().__init__(
            {
                "sink": In(stream.Signature(element_layout(self.graph.input.type))),
                "source": Out(stream.Signature(element_layout(self.output_type))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        graph, schedule, step = self.graph, self.schedule, self.schedule.step
        emitting = schedule.head or step
        most_outputs = max(schedule.group_outputs(group) for group in (0, emitting.groups - 1))
        m.submodules.sequencer = sequencer = Sequencer(schedule)
        m.submodules.input = vectors = InputBuffer(graph.input.type, graph.input.size, step.terms)
        m.submodules.output = output = OutputBuffer(
            self.output_type, schedule.output_depth, most_outputs
        )
        wiring.connect(m, wiring.flipped(self.sink), vectors.sink)
        wiring.connect(m, output.source, wiring.flipped(self.source))
        last_outputs = schedule.group_outputs(emitting.groups - 1)
        m.d.comb += [
            vectors.address.eq(sequencer.slot),
            vectors.release.eq(sequencer.vector_release),
            sequencer.vector_full.eq(vectors.full),
            sequencer.vector_last.eq(vectors.last),
            sequencer.output_available.eq(output.available),
            output.reserve.eq(sequencer.output_reserve),
            output.places.eq(
                Mux(sequencer.last_group, last_outputs, schedule.group_outputs(0))
                if emitting.groups > 1
                else last_outputs
            ),
        ]

        bank_bits = ceil_log2(step.units)
        m.submodules.states = states = Memory(
            shape=shape_of(graph.state.type), depth=2 << bank_bits, init=[], attrs=NO_COLLISION
        )
        state_write, state_vector = states.write_port(), states.read_port()
        m.d.comb += state_vector.addr.eq(Cat(sequencer.slot[:bank_bits], sequencer.bank))
        vector_elements: dict[str, Value] = {
            graph.input.name: vectors.element,
            graph.state.name: state_vector.data,
        }

        pipeline = self._pipeline(m, step, sequencer.step_end, sequencer, "step")
        first = self._of_group(m, pipeline, sequencer.first_step, "first_step")
        written = schedule.ready[graph.state.source]
        unit = pipeline.counter(written)
        write_bank = Signal(init=1)

        accumulate = delayed(m, sequencer.step_term, MULTIPLY_CYCLES, "step_accumulate")
        clear_state = delayed(m, sequencer.first_step, 1, "clear_state")
        results: dict[str, Timed] = {}
        for node in graph.operators:
            reads, ready = schedule.read_cycle(node.name), schedule.ready[node.name]
            m.submodules[node.name] = part = component(
                node, schedule, self.network.parameters, self._blocks
            )
            if isinstance(part, LinearUnit):
                self._issue(m, part, pipeline, accumulate, sequencer, unit)
                m.d.comb += part.operand.eq(vector_elements[node.operands[0]])
                if isinstance(graph[node.operands[0]], State):
                    m.d.comb += part.clear.eq(clear_state)
            else:
                for port, name in zip(part.operands, node.operands, strict=True):
                    if isinstance(graph[name], State):
                        element = states.read_port()
                        m.d.comb += [
                            element.addr.eq(
                                Cat(pipeline.at(unit, reads - 1)[:bank_bits], ~write_bank)
                            ),
                            port.eq(element.data),
                            part.clear.eq(pipeline.at(first, reads)),
                        ]
                    else:
                        m.d.comb += port.eq(pipeline.at(results[name], reads))
                if isinstance(part, SerialMultiplier):
                    m.d.comb += part.start.eq(pipeline.token(reads))
            m.d.comb += part.enable.eq(pipeline.token(ready - 1))
            register = Signal(part.result.shape(), name=f"{node.name}_result")
            m.d.comb += register.eq(part.result)
            results[node.name] = Timed(register, ready + step.unit_interval - 1)

        state = results[graph.state.source].signal
        write_unit = pipeline.at(unit, written)
        last_unit = Signal()
        state_written = Signal()
        m.d.comb += [
            state_written.eq(pipeline.token(written)),
            last_unit.eq(write_unit == step.units - 1),
            state_write.addr.eq(Cat(write_unit[:bank_bits], write_bank)),
            state_write.data.eq(state),
            state_write.en.eq(state_written),
        ]
        with m.If(state_written & last_unit):
            m.d.sync += write_bank.eq(~write_bank)

        if schedule.head is None:
            last = self._of_group(m, pipeline, vectors.last, "last_step")
            m.d.comb += [
                output.push.eq(state_written),
                output.element.eq(state),
                output.last.eq(last_unit & pipeline.at(last, written)),
            ]
        else:
            self._classify(m, schedule.head, sequencer, state_vector.data, output)
        return m

    def _pipeline(
        self, m: Module, phase: Phase, group_end: Value, sequencer: Sequencer, name: str
    ) -> Pipeline:
        pipeline = Pipeline(m, phase, group_end, name)
        last_group: Value = Const(0)
        if phase.last_lanes < phase.lanes:
            # The group that ends is the last if the sequencer's address has wrapped.
            wrapped = sequencer.address == phase.groups * phase.terms - 1
            lead = phase.accumulator_cycle - phase.terms
            last_group = delayed(m, wrapped, lead, f"{name}_last_group")
        pipeline.start_lanes(last_group)
        return pipeline

    def _of_group(self, m: Module, pipeline: Pipeline, value: Value, name: str) -> Timed:
        """A flag that the sequencer shows with the last term of a group, for the group's units."""
        step = self.schedule.step
        lead = step.accumulator_cycle - step.terms
        flag = Signal(name=f"{name}_of_group")
        shown = delayed(m, value, lead, name)
        with m.If(pipeline.load):
            m.d.sync += flag.eq(shown)
        return Timed(flag, step.unit_interval - 1)

    def _issue(
        self,
        m: Module,
        part: LinearUnit,
        pipeline: Pipeline,
        accumulate: Value,
        sequencer: Sequencer,
        unit: Timed,
    ) -> None:
        """Wire what a linear operator needs of the control."""
        m.d.comb += [
            part.address.eq(sequencer.address),
            part.accumulate.eq(accumulate),
            part.load.eq(pipeline.load),
            part.shift.eq(pipeline.token(-1)),
            part.unit.eq(pipeline.at(unit, -1)),
        ]

    def _classify(
        self,
        m: Module,
        phase: Phase,
        sequencer: Sequencer,
        state_element: Value,
        output: OutputBuffer,
    ) -> None:
        """The head: logits to the output as they come, then the index of the largest."""
        node = self.graph.head
        pipeline = self._pipeline(m, phase, sequencer.head_end, sequencer, "head")
        ready = self.schedule.ready[node.name]
        unit = pipeline.counter(ready)
        part = linear_unit(node, self.schedule, self.network.parameters, self._blocks)
        m.submodules[node.name] = part
        accumulate = delayed(m, sequencer.head_term, MULTIPLY_CYCLES, "head_accumulate")
        self._issue(m, part, pipeline, accumulate, sequencer, unit)
        m.d.comb += [part.operand.eq(state_element), part.enable.eq(pipeline.token(ready - 1))]

        number = pipeline.at(unit, ready)
        best = Signal(part.result.shape(), reset_less=True)
        best_class = Signal(range(phase.units), reset_less=True)
        class_known = Signal()
        logit_known = pipeline.token(ready)
        with m.If(logit_known & (~number.any() | (part.result > best))):
            m.d.sync += [best.eq(part.result), best_class.eq(number)]
        m.d.sync += class_known.eq(logit_known & (number == phase.units - 1))
        m.d.comb += [
            output.push.eq(logit_known | class_known),
            output.element.eq(Mux(class_known, best_class, part.result)),
            output.last.eq(class_known),
        ]
