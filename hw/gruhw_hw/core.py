"""A core: the operators of a stage as components, wired as scheduled, between two streams."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from gruhw.network.fixed import Fixed
from gruhw.network.graph import INPUT, Multiply
from gruhw.network.parameters import Parameters
from gruhw.network.planning import MULTIPLY_CYCLES
from gruhw.network.schedule import Core, Phase
from gruhw_hw.linear import LinearUnit
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.operators import SerialMultiplier, component
from gruhw_hw.pipeline import Pipeline, Timed, delayed
from gruhw_hw.sequencer import Sequencer
from gruhw_hw.state_memory import Arrival, StateMemory, arrival, is_vector
from gruhw_hw.streams import InputBuffer, OutputBuffer, element_layout


def emitted_type(core: Core) -> Fixed:
    """The type of an element that leaves a core: a result or, never negative, an index."""
    typed, name = core.emitted
    kind = typed[name]
    if not core.classifies:
        return kind
    return Fixed(max(kind.bits, ceil_log2(core.emitting.units) + 1), kind.frac)


class CoreUnit(wiring.Component):
    """The hardware of a core.

    Parameters
    ----------
    core
        What it computes, and when.
    parameters
        Of its stage and, if a head rides on it, of the head.
    blocks
        Leave products to the multiplier blocks of the device, instead of Booth digits in logic.

    Members
    -------
    sink : In(stream.Signature(element_layout(input type)))
        The elements of the input vectors, step after step; ``last`` ends a sequence.
    source : Out(stream.Signature(element_layout(emitted type)))
        What the core emits: see :class:`gruhw.network.schedule.Core`. ``last`` ends a sequence.
    """

    def __init__(
        self, core: Core, parameters: Sequence[Parameters], *, blocks: bool = False
    ) -> None:
        self.core = core
        self._parameters, *self._head_parameters = parameters
        self._blocks = blocks
        super().__init__(
            {
                "sink": In(stream.Signature(element_layout(core.typed[INPUT]))),
                "source": Out(stream.Signature(element_layout(emitted_type(core)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        core, graph = self.core, self.core.typed.graph
        m.submodules.sequencer = sequencer = Sequencer(core)
        vectors, output = self._connect_streams(m, sequencer)
        states = {
            state.name: StateMemory(
                m, state, core, sequencer, self._parameters.initial.get(state.name)
            )
            for state in graph.states
        }
        step = Pipeline(m, core.step, sequencer.step_end, _last_group(sequencer, core.step), "step")
        unit = step.counter(core.numbered_until)
        for memory in states.values():
            memory.follow(step, unit)
        results = self._compute_step(m, sequencer, step, unit, vectors.element, states)
        arrivals = self._arrivals(m, step, unit, results)
        for memory in states.values():
            memory.write(arrivals[memory.state.source, core.kept[memory.state.name]])
        if core.outputs:
            self._compute_outputs(m, core.outputs, sequencer, states, output)
        elif core.classifies:
            ready = core.slots[graph.emits].ready
            new = arrivals[graph.emits, ready]
            ends: Value | None = None
            if core.marks_last_step:
                ends = step.at(step.of_group(vectors.last, "last_step"), ready + 1)
            _classify(m, new.value, new.unit, new.known, core.step, output, ends)
        else:
            new = arrivals[graph.emits, core.slots[graph.emits].ready]
            push, last = new.known, new.last
            if core.marks_last_step:
                last_step = step.of_group(vectors.last, "last_step")
                of_last_step = step.at(last_step, core.slots[graph.emits].ready)
                if core.emits_every_step:
                    last = last & of_last_step
                else:
                    push = push & of_last_step
            m.d.comb += [output.push.eq(push), output.element.eq(new.value), output.last.eq(last)]
        return m

    def _connect_streams(self, m: Module, sequencer: Sequencer) -> tuple[InputBuffer, OutputBuffer]:
        """The buffers at both ends, and what the sequencer must know of them."""
        core, source = self.core, self.core.typed.graph.input
        outputs = core.group_outputs(0)
        last_outputs = core.group_outputs(core.emitting.groups - 1)
        m.submodules.input = vectors = InputBuffer(
            core.typed[source.name], source.size, core.step.terms
        )
        m.submodules.output = output = OutputBuffer(
            emitted_type(core), core.output_depth, max(outputs, last_outputs)
        )
        wiring.connect(m, wiring.flipped(self.sink), vectors.sink)
        wiring.connect(m, output.source, wiring.flipped(self.source))
        one_group = core.emitting.groups == 1
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

    def _compute_step(
        self,
        m: Module,
        sequencer: Sequencer,
        pipeline: Pipeline,
        unit: Timed,
        element: Value,
        states: Mapping[str, StateMemory],
    ) -> dict[str, Timed]:
        """Every operator of a time step, wired as the schedule says; returns the results."""
        core = self.core
        accumulate = delayed(m, sequencer.step_term, MULTIPLY_CYCLES, "step_accumulate")
        results: dict[str, Timed] = {}
        if states:
            clear_state = delayed(m, sequencer.first_step, 1, "clear_state")
            first_step = pipeline.of_group(sequencer.first_step, "first_step")
        for scheduled in core.operators:
            node, slot = scheduled.node, scheduled.slot
            if scheduled.typed is not core.typed:
                continue
            part = component(node, scheduled, self._parameters, self._blocks)
            m.submodules[node.name] = part
            if isinstance(part, LinearUnit):
                _issue(m, part, pipeline, accumulate, sequencer, unit)
                name = node.operands[0]
                if name in states:
                    m.d.comb += part.operand.eq(states[name].element(clear_state))
                    if states[name].begins_with_zero:
                        m.d.comb += part.clear.eq(clear_state)
                else:
                    m.d.comb += part.operand.eq(element)
            else:
                for port, name in zip(part.operands, node.operands, strict=True):
                    if name in states:
                        first = pipeline.at(first_step, slot.read)
                        product = isinstance(node, Multiply)
                        if product and states[name].begins_with_zero:
                            m.d.comb += part.clear.eq(first)
                        m.d.comb += port.eq(
                            states[name].read_unit(slot.read, first, product=product)
                        )
                    else:
                        m.d.comb += port.eq(pipeline.at(results[name], slot.read))
                if isinstance(part, SerialMultiplier):
                    m.d.comb += part.start.eq(pipeline.token(slot.read))
            m.d.comb += part.enable.eq(pipeline.token(slot.ready - 1))
            result = Signal(part.result.shape(), name=f"{node.name}_result")
            m.d.comb += result.eq(part.result)
            results[node.name] = Timed(result, slot.ready + core.step.unit_interval - 1)
        return results

    def _arrivals(
        self, m: Module, step: Pipeline, unit: Timed, results: Mapping[str, Timed]
    ) -> dict[tuple[str, int], Arrival]:
        """What leaves the pipeline of a time step, by operator and cycle: states, and the output.

        Where a state is written later than its operator has it, both cycles are marked.
        """
        core, graph = self.core, self.core.typed.graph
        # A result that leaves through the head is read there, out of the state's memory.
        leaving = [state.source for state in graph.states]
        leaving += [] if core.outputs else [graph.emits]
        found = {(name, core.slots[name].ready): f"state_written_{name}" for name in leaving}
        if len(found) == 1:
            found = dict.fromkeys(found, "state_written")
        for state in graph.states:
            found.setdefault((state.source, core.kept[state.name]), f"state_kept_{state.name}")
        return {
            (name, cycle): arrival(m, step, unit, core.step.units, results[name], cycle, flag)
            for (name, cycle), flag in found.items()
        }

    def _compute_outputs(
        self,
        m: Module,
        phase: Phase,
        sequencer: Sequencer,
        states: Mapping[str, StateMemory],
        output: OutputBuffer,
    ) -> None:
        """The head that rides on the core: its results go to the output as they come."""
        core = self.core
        (scheduled,) = (each for each in core.operators if each.typed is core.head)
        (parameters,) = self._head_parameters
        graph = core.typed.graph
        kept, *_ = (
            memory
            for memory in states.values()
            if memory.state.source == graph.emits and is_vector(core, memory.state)
        )
        pipeline = Pipeline(m, phase, sequencer.head_end, _last_group(sequencer, phase), "head")
        ready = scheduled.slot.ready
        unit = pipeline.counter(ready)
        part = LinearUnit(LinearPlan.of(scheduled, parameters), blocks=self._blocks)
        m.submodules[scheduled.node.name] = part
        accumulate = delayed(m, sequencer.head_term, MULTIPLY_CYCLES, "head_accumulate")
        _issue(m, part, pipeline, accumulate, sequencer, unit)
        m.d.comb += [
            part.operand.eq(kept.last_element()),
            part.enable.eq(pipeline.token(ready - 1)),
        ]
        number, known = pipeline.at(unit, ready), pipeline.token(ready)
        ends: Value | None = None
        if core.marks_last_step:
            last_step = pipeline.of_group(sequencer.ended, "last_step")
            ends = pipeline.at(last_step, ready + core.classifies)
        if core.classifies:
            _classify(m, part.result, number, known, phase, output, ends)
        else:
            m.d.comb += [
                output.push.eq(known),
                output.element.eq(part.result),
                output.last.eq(_only_where(ends, number == phase.units - 1)),
            ]


def _last_group(sequencer: Sequencer, phase: Phase) -> Value:
    """High with the last term of the phase's last group."""
    last: Value = sequencer.address == phase.groups * phase.terms - 1
    return last


def _issue(
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
    m: Module,
    logit: Value,
    number: Value,
    known: Value,
    phase: Phase,
    output: OutputBuffer,
    ends: Value | None,
) -> None:
    """Logits to the output as they come, then the index of the largest.

    ``ends`` says in the cycle of that whether it ends a sequence; each does if None.
    """
    best = Signal(logit.shape(), reset_less=True)
    best_class = Signal(range(phase.units), reset_less=True)
    class_known = Signal()
    with m.If(known & (~number.any() | (logit > best))):
        m.d.sync += [best.eq(logit), best_class.eq(number)]
    m.d.sync += class_known.eq(known & (number == phase.units - 1))
    m.d.comb += [
        output.push.eq(known | class_known),
        output.element.eq(Mux(class_known, best_class, logit)),
        output.last.eq(_only_where(ends, class_known)),
    ]


def _only_where(flag: Value | None, signal: Value) -> Value:
    """``signal`` where ``flag`` is high; everywhere if there is none."""
    return signal if flag is None else signal & flag
