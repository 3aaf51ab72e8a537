"""A batch of sequences as the compiled simulation takes and gives it, and what differs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gruhw.network.fixed import Fixed, IntArray
from gruhw_hw.datapath import output_type
from gruhw_hw.top import axi_width
from gruhw_sim.expectations import CLASS, Scenario, quiet_cycles, step_start
from gruhw_sim.harness import LAST, Trace, Watched, Words
from gruhw_sim.report import Mismatch

TEST = "verify"
"""What mismatches name as the test that found them."""

NOBODY = (-1, -1, -1, -1)
"""Operator, sequence, step and unit of what was not expected at all."""


@dataclass(frozen=True)
class Expected:
    """What must come one after the other: elements of the output stream, or values of a state.

    Parameters
    ----------
    kind
        The type of the signal.
    rows
        Cycle, value and, of output elements, last flag, shape [values, 2 or 3].
    places
        Operator (an index of ``scenario.operators``), sequence, step and unit of each of them.
    """

    kind: Fixed
    rows: IntArray
    places: IntArray

    def __len__(self) -> int:
        return len(self.rows)


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
        Every output element.
    states
        What is written into every state.
    """

    scenario: Scenario
    elements: Words
    outputs: Expected
    states: tuple[Expected, ...]

    @classmethod
    def of(cls, scenario: Scenario) -> "Comparison":
        """Everything that a scenario sends and expects."""
        stream, starts = scenario.stream(), np.array(scenario.starts)
        codes = stream["element"] & ((1 << scenario.network.input_type.bits) - 1)
        elements = (codes | stream["element_last"] << LAST).astype(np.uint64)
        counts = np.diff(stream["sequence_outputs"])
        sequence = np.repeat(np.arange(len(counts)), counts)
        element = output_type(scenario.schedule)
        outputs = Expected(
            Fixed(axi_width(element), element.frac, element.signed),
            _columns(
                stream["output_cycle"] + starts[sequence],
                stream["output_value"],
                stream["output_last"],
            ),
            _columns(
                stream["output_operator"], sequence, stream["output_step"], stream["output_unit"]
            ),
        )
        states = tuple(
            Expected(
                writes.state.kind,
                _columns(writes.cycle, writes.value),
                _columns(
                    np.full(len(writes.value), writes.operator),
                    writes.sequence,
                    writes.step,
                    writes.unit,
                ),
            )
            for writes in scenario.states()
        )
        return cls(scenario, elements, outputs, states)

    @property
    def cycles(self) -> int:
        """How many cycles to run: until everything is out, and nothing more can come."""
        return int(self.outputs.rows[-1, 0]) + quiet_cycles(self.scenario.schedule)

    @property
    def watched(self) -> Watched:
        """What is read inside: results of every operator in the window, and every state."""
        scenario = self.scenario
        return Watched(
            [operator.path for operator in scenario.inner],
            [(state.written, state.path) for state in scenario.inner_states],
        )

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
        pairs = [*zip(self.states, trace.states, strict=True), (self.outputs, trace.outputs)]
        mismatches = []
        for expected, found in pairs:
            due, whole = expected.rows.copy(), end is None
            if not timed:
                both = min(len(due), len(found))
                due[:both, 0] = found[:both, 0]
            elif end is not None:
                due, whole = due[due[:, 0] < end], True
            mismatches.append(self._first(replace(expected, rows=due), found, whole))
        return min(
            (mismatch for mismatch in mismatches if mismatch),
            key=lambda mismatch: mismatch.cycle,
            default=None,
        )

    def _first(self, expected: Expected, found: Words, whole: bool) -> Mismatch | None:
        """The first difference; where ``expected`` is not ``whole``, its end may be missing."""
        raw, kind = expected.rows.copy(), expected.kind
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
        place, row = expected.places[index].tolist(), expected.rows[index].tolist()
        due, value, *last = row
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
        """The cycles of the step, or of the head, to which a mismatch belongs.

        Of several cores, the first begins the step.
        """
        scenario, schedule = self.scenario, self.scenario.schedule
        if mismatch.sequence < 0:
            return max(0, mismatch.cycle - schedule.step_interval), mismatch.cycle
        start = scenario.starts[mismatch.sequence]
        name = schedule.last.emitted[1] if mismatch.operator == CLASS else mismatch.operator
        operator = next(each for each in scenario.inner if each.name == name)
        if operator.is_head:
            due = schedule.output_cycles(int(scenario.lengths[mismatch.sequence]))[-1]
        else:
            due = int(operator.cycles(np.array([mismatch.step])).max())
        # A head that rides on the core of the layer begins where another step would.
        step = mismatch.step + (operator.is_head and operator.core.head is not None)
        return start + step_start(schedule.first, step), max(start + due, mismatch.cycle)

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
            The results of all operators in every cycle from ``first`` on, shape
            [cycles, operators].
        """
        scenario = self.scenario
        probes = scenario.probes(len(scenario.lengths))
        columns = ("cycle", "operator", "value", "sequence", "step", "unit")
        cycle, operator, value, *place = (probes[f"probe_{name}"] for name in columns)
        row, column = cycle - first, operator - 1
        kept = (row >= 0) & (row < len(window))
        kinds = [each.kind for each in scenario.inner]
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
