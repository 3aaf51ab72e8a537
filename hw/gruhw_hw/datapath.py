"""The datapath: the graph's operators as components, wired as the schedule says."""

from collections.abc import Callable, Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from gruhw.fixed import Fixed
from gruhw.genome import Output
from gruhw.graph import Graph, State
from gruhw.model import Network
from gruhw.schedule import MULTIPLY_CYCLES, Phase, Schedule
from gruhw_hw.arithmetic import shape_of
from gruhw_hw.linear import LinearUnit
from gruhw_hw.operators import SerialMultiplier, component, linear_unit
from gruhw_hw.pipeline import Pipeline, Timed, delayed
from gruhw_hw.sequencer import Sequencer
from gruhw_hw.streams import NO_COLLISION, InputBuffer, OutputBuffer, element_layout


def output_type(network: Network) -> Fixed:
    """The type of an output element of a network's accelerator."""
    return element_type(network.graph, network.genome.output)


def element_type(graph: Graph, output: Output) -> Fixed:
    """Holds a state; or a logit and, as a non-negative number, a class index."""
    if output == "states":
        return graph.state.type
    head = graph.head
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
        schedule = self.schedule
        m.submodules.sequencer = sequencer = Sequencer(schedule)
        vectors, output = self._connect_streams(m, sequencer)
        bank_bits = ceil_log2(schedule.step.units)
        m.submodules.states = states = Memory(
            shape=shape_of(self.graph.state.type),
            depth=2 << bank_bits,
            init=[],
            attrs=NO_COLLISION,
        )
        state_vector = states.read_port()
        m.d.comb += state_vector.addr.eq(Cat(sequencer.slot[:bank_bits], sequencer.bank))

        last_step_group = self._last_group(sequencer, schedule.step)
        step = Pipeline(m, schedule.step, sequencer.step_end, last_step_group, "step")
        elements = {
            self.graph.input.name: vectors.element,
            self.graph.state.name: state_vector.data,
        }
        written = schedule.ready[self.graph.state.source]
        unit = step.counter(written)
        write_bank = Signal(init=1)

        def read_state(cycle: int) -> Value:
            """The unit's state of the step before, in the given cycle of the unit."""
            port = states.read_port()
            m.d.comb += port.addr.eq(Cat(step.at(unit, cycle - 1)[:bank_bits], ~write_bank))
            return port.data

        state = self._compute_step(m, sequencer, step, unit, elements, read_state)
        write, write_unit = states.write_port(), step.at(unit, written)
        last_unit, state_written = Signal(), Signal()
        m.d.comb += [
            state_written.eq(step.token(written)),
            last_unit.eq(write_unit == schedule.step.units - 1),
            write.addr.eq(Cat(write_unit[:bank_bits], write_bank)),
            write.data.eq(state),
            write.en.eq(state_written),
        ]
        with m.If(state_written & last_unit):
            m.d.sync += write_bank.eq(~write_bank)

        if schedule.head is None:
            last_step = step.of_group(vectors.last, "last_step")
            m.d.comb += [
                output.push.eq(state_written),
                output.element.eq(state),
                output.last.eq(last_unit & step.at(last_step, written)),
            ]
        else:
            self._classify(m, schedule.head, sequencer, state_vector.data, output)
        return m

    def _connect_streams(self, m: Module, sequencer: Sequencer) -> tuple[InputBuffer, OutputBuffer]:
        """The buffers at both ends, and what the sequencer must know of them."""
        schedule, graph = self.schedule, self.graph
        emitting = schedule.head or schedule.step
        outputs = schedule.group_outputs(0)
        last_outputs = schedule.group_outputs(emitting.groups - 1)
        m.submodules.input = vectors = InputBuffer(
            graph.input.type, graph.input.size, schedule.step.terms
        )
        m.submodules.output = output = OutputBuffer(
            self.output_type, schedule.output_depth, max(outputs, last_outputs)
        )
        wiring.connect(m, wiring.flipped(self.sink), vectors.sink)
        wiring.connect(m, output.source, wiring.flipped(self.source))
        one_group = emitting.groups == 1
        m.d.comb += [
            vectors.address.eq(sequencer.slot),
            vectors.release.eq(sequencer.vector_release),
            sequencer.vector_full.eq(vectors.full),
            sequencer.vector_last.eq(vectors.last),
            sequencer.output_available.eq(output.available),
            output.reserve.eq(sequencer.output_reserve),
            output.places.eq(
                last_outputs if one_group else Mux(sequencer.last_group, last_outputs, outputs)
            ),
        ]
        return vectors, output

    def _last_group(self, sequencer: Sequencer, phase: Phase) -> Value:
        """High with the last term of the phase's last group."""
        last: Value = sequencer.address == phase.groups * phase.terms - 1
        return last

    def _compute_step(
        self,
        m: Module,
        sequencer: Sequencer,
        pipeline: Pipeline,
        unit: Timed,
        elements: Mapping[str, Value],
        read_state: Callable[[int], Value],
    ) -> Value:
        """Every operator of a time step, wired as the schedule says; returns the new state."""
        graph, schedule = self.graph, self.schedule
        accumulate = delayed(m, sequencer.step_term, MULTIPLY_CYCLES, "step_accumulate")
        clear_state = delayed(m, sequencer.first_step, 1, "clear_state")
        first_step = pipeline.of_group(sequencer.first_step, "first_step")
        results: dict[str, Timed] = {}
        for node in graph.operators:
            reads, ready = schedule.read_cycle(node.name), schedule.ready[node.name]
            m.submodules[node.name] = part = component(
                node, schedule, self.network.parameters, self._blocks
            )
            if isinstance(part, LinearUnit):
                self._issue(m, part, pipeline, accumulate, sequencer, unit)
                m.d.comb += part.operand.eq(elements[node.operands[0]])
                if isinstance(graph[node.operands[0]], State):
                    m.d.comb += part.clear.eq(clear_state)
            else:
                for port, name in zip(part.operands, node.operands, strict=True):
                    if isinstance(graph[name], State):
                        m.d.comb += part.clear.eq(pipeline.at(first_step, reads))
                        m.d.comb += port.eq(read_state(reads))
                    else:
                        m.d.comb += port.eq(pipeline.at(results[name], reads))
                if isinstance(part, SerialMultiplier):
                    m.d.comb += part.start.eq(pipeline.token(reads))
            m.d.comb += part.enable.eq(pipeline.token(ready - 1))
            result = Signal(part.result.shape(), name=f"{node.name}_result")
            m.d.comb += result.eq(part.result)
            results[node.name] = Timed(result, ready + schedule.step.unit_interval - 1)
        return results[graph.state.source].signal

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
        last_group = self._last_group(sequencer, phase)
        pipeline = Pipeline(m, phase, sequencer.head_end, last_group, "head")
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
