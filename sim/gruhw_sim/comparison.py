"""A batch of sequences as the compiled simulation takes and gives it, and what differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gruhw.fixed import Fixed, IntArray
from gruhw_hw.datapath import output_type
from gruhw_hw.top import axi_width
from gruhw_sim.expectations import CLASS, Scenario, quiet_cycles
from gruhw_sim.harness import LAST, Trace, Words
from gruhw_sim.report import Mismatch

TEST = "verify"
"""What mismatches name as the test that found them."""

NOBODY = (-1, -1, -1, -1)
"""Operator, sequence, step and unit of what was not expected at all."""


@dataclass(frozen=True)
class Comparison:
    """What is sent to the accelerator, and what must come back.

    Parameters
    ----------
    scenario
        The sequences.
    elements
        The input elements as :class:`~gruhw_sim.harness.Harness` takes them.
    outputs
        Cycle, value and last flag of every output element, shape [elements, 3].
    output_places
        Operator (an index of ``scenario.operators``), sequence, step and unit of each of them.
    states
        Cycle and value of every state, shape [states, 2].
    state_places
        The same of each state.
    """

    scenario: Scenario
    elements: Words
    outputs: IntArray
    output_places: IntArray
    states: IntArray
    state_places: IntArray

    @classmethod
    def of(cls, scenario: Scenario) -> "Comparison":
        """Everything that a scenario sends and expects."""
        stream, states = scenario.stream(), scenario.states()
        source, starts = scenario.network.graph.input.type, np.array(scenario.starts)
        codes = stream["element"] & ((1 << source.bits) - 1)
        elements = (codes | stream["element_last"] << LAST).astype(np.uint64)
        counts = np.diff(stream["sequence_outputs"])
        sequence = np.repeat(np.arange(len(counts)), counts)
        operator = np.full(
            len(states["state_value"]),
            scenario.operators.index(scenario.network.graph.state.source),
        )
        return cls(
            scenario,
            elements,
            _columns(
                stream["output_cycle"] + starts[sequence],
                stream["output_value"],
                stream["output_last"],
            ),
            _columns(
                stream["output_operator"], sequence, stream["output_step"], stream["output_unit"]
            ),
            _columns(states["state_cycle"], states["state_value"]),
            _columns(
                operator, states["state_sequence"], states["state_step"], states["state_unit"]
            ),
        )

    @property
    def cycles(self) -> int:
        """How many cycles to run: until everything is out, and nothing more can come."""
        return int(self.outputs[-1, 0]) + quiet_cycles(self.scenario.schedule)

    @property
    def traced_operators(self) -> list[str]:
        """The operators whose results can be recorded."""
        graph, schedule = self.scenario.network.graph, self.scenario.schedule
        heads = [] if schedule.head is None else [graph.head.name]
        return [*(node.name for node in graph.operators), *heads]

    def first_mismatch(
        self, trace: Trace, *, timed: bool = True, end: int | None = None
    ) -> Mismatch | None:
        """The earliest difference of a run, if there is one.

        Parameters
        ----------
        timed
            Whether no stream stalled, so that cycles must be right too.
        end
            The cycle of the reset that ended the run; None if everything had to come.
        """
        network = self.scenario.network
        state, element = network.graph.state.type, output_type(network)
        on_stream = Fixed(axi_width(element), element.frac, element.signed)
        streams = (
            (self.states, self.state_places, trace.states, state),
            (self.outputs, self.output_places, trace.outputs, on_stream),
        )
        mismatches = []
        for expected, places, found, kind in streams:
            due, whole = expected.copy(), end is None
            if not timed:
                both = min(len(due), len(found))
                due[:both, 0] = found[:both, 0]
            elif end is not None:
                due, whole = due[due[:, 0] < end], True
            mismatches.append(self._first(due, places, found, kind, whole))
        return min(
            (mismatch for mismatch in mismatches if mismatch),
            key=lambda mismatch: mismatch.cycle,
            default=None,
        )

    def _first(
        self, expected: IntArray, places: IntArray, found: Words, kind: Fixed, whole: bool
    ) -> Mismatch | None:
        """The first difference; where ``expected`` is not ``whole``, its end may be missing."""
        raw = expected.copy()
        raw[:, 1] &= (1 << kind.bits) - 1
        both = min(len(raw), len(found))
        differs = (raw[:both].astype(np.uint64) != found[:both]).any(axis=1)
        if differs.any():
            index = int(differs.argmax())
        elif len(raw) == len(found) or (len(raw) > len(found) and not whole):
            return None
        else:
            index = both
        if index >= len(expected):
            cycle, code = found[index, :2].tolist()
            return self.mismatch("extra", NOBODY, cycle, "no more", signed(code, kind))
        place, (due, value, *last) = places[index].tolist(), expected[index].tolist()
        if index >= len(found):
            return self.mismatch("missing", place, due, value, "nothing")
        cycle, code, *last_found = found[index].tolist()
        pairs = [("value", value, signed(code, kind)), ("cycle", due, cycle)]
        pairs += [("last", *flags) for flags in zip(last, last_found, strict=True)]
        return next(
            self.mismatch(quantity, place, cycle, wanted, got)
            for quantity, wanted, got in pairs
            if wanted != got
        )

    def mismatch(
        self, quantity: str, place: Sequence[int], cycle: int, expected: object, found: object
    ) -> Mismatch:
        """A mismatch at ``place``: operator, sequence, step and unit."""
        operator, sequence, step, unit = place
        name = self.scenario.operators[operator] if operator >= 0 else ""
        return Mismatch(
            test=TEST,
            quantity=quantity,
            operator=name,
            sequence=sequence,
            step=step,
            unit=unit,
            cycle=cycle,
            expected=str(expected),
            found=str(found),
        )

    def window(self, mismatch: Mismatch) -> tuple[int, int]:
        """The cycles of the step, or of the head, to which a mismatch belongs."""
        scenario, schedule = self.scenario, self.scenario.schedule
        if mismatch.sequence < 0:
            return max(0, mismatch.cycle - schedule.step_interval), mismatch.cycle
        begin = scenario.starts[mismatch.sequence] + schedule.first_term
        if mismatch.operator in (scenario.network.graph.head.name, CLASS):
            length = int(scenario.lengths[mismatch.sequence])
            begin += length * schedule.step_interval
            due = scenario.starts[mismatch.sequence] + schedule.output_cycles(length)[-1]
        else:
            begin += mismatch.step * schedule.step_interval
            units = schedule.step.units
            source = scenario.network.graph.state.source
            due = scenario.starts[mismatch.sequence] + schedule.cycle(
                source, mismatch.step, units - 1
            )
        return begin, max(due, mismatch.cycle)

    def culprit(self, mismatch: Mismatch, window: tuple[int, int], trace: Trace) -> Mismatch:
        """The first wrong result of any operator in the window; else ``mismatch`` itself.

        Where a value comes in another cycle than it should, no operator is to blame.
        """
        if mismatch.quantity != "value":
            return mismatch
        first, number = window[0], mismatch.sequence
        start = self.scenario.starts[number]
        alone = replace(self, scenario=self.scenario.part(number, number + 1))
        wrong = alone.wrong_result(trace.window, first - start)
        return wrong.moved(sequence=number, cycle=start) if wrong else mismatch

    def wrong_result(self, window: Words, first: int = 0) -> Mismatch | None:
        """The earliest wrong result of any operator.

        Parameters
        ----------
        window
            The results of :attr:`traced_operators` in every cycle from ``first`` on, shape
            [cycles, operators].
        """
        scenario, traced = self.scenario, self.traced_operators
        probes = scenario.probes(len(scenario.lengths))
        columns = ("cycle", "operator", "value", "sequence", "step", "unit")
        cycle, operator, value, *place = (probes[f"probe_{name}"] for name in columns)
        row = cycle - first
        kept = (row >= 0) & (row < len(window))
        kinds = [scenario.network.graph[name].type for name in traced]
        column = np.array([traced.index(name) if name in traced else 0
                           for name in scenario.operators])[operator]  # fmt: skip
        masks = np.array([(1 << kind.bits) - 1 for kind in kinds])[column]
        found = window[row[kept], column[kept]]
        differs = found != (value[kept] & masks[kept]).astype(np.uint64)
        if not differs.any():
            return None
        index = int(np.flatnonzero(kept)[differs.argmax()])
        code = int(window[row[index], column[index]])
        where = (int(operator[index]), *(int(axis[index]) for axis in place))
        result = signed(code, kinds[column[index]])
        return self.mismatch("value", where, int(cycle[index]), int(value[index]), result)


def signed(code: int, kind: Fixed) -> int:
    """The integer that a two's-complement code of ``kind`` stands for."""
    return code - (1 << kind.bits) if code > kind.maximum else code


def _columns(*columns: IntArray) -> IntArray:
    return np.stack(columns, axis=-1)
