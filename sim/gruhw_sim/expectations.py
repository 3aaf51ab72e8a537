"""What the bench sends and expects: arrays that a simulator's process can read without gruhw.

A *scenario* is a list of sequences, sent one after the other. Everything the bench compares is
computed here, from the network's graphs, its schedule and the integer reference.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import IntArray, real_values, whole_values
from gruhw.basics.values import at_least_one, instance
from gruhw.network.bound import Network
from gruhw.network.encoding import codes_and_lengths
from gruhw.network.graph import INPUT
from gruhw.network.planning import schedule_of
from gruhw.network.reference import Reference, run_reference
from gruhw.network.schedule import Core, Schedule
from gruhw_hw.datapath import output_type
from gruhw_sim.inside import Operator, WrittenState, operators_of, states_of
from gruhw_sim.stimuli import extreme_sequences

Arrays: TypeAlias = dict[str, NDArray[Any]]

CLASS = "class"
"""The name of the class index among the operators, of which it is the last."""

PROBED_SEQUENCES = 2
"""How many real sequences have every operator's integers checked, not only states and logits."""


def sequences_of(
    network: Network,
    inputs: ArrayLike,
    lengths: ArrayLike | None,
    labels: ArrayLike | None = None,
) -> tuple[IntArray, IntArray, NDArray[Any] | None]:
    """What is to be simulated: see :func:`gruhw_sim.simulate`.

    Raises
    ------
    InputError
        If they do not fit the network, or there is no sequence.
    """
    architecture = instance("network", network, Network).architecture
    codes, steps = codes_and_lengths(inputs, lengths, network.input_type, architecture.inputs)
    at_least_one("sequence", len(codes))
    right = None if labels is None else labels_of(network, labels, *codes.shape[:2])
    return codes, steps, right


def labels_of(network: Network, labels: ArrayLike, count: int, steps: int) -> NDArray[Any]:
    """What is right of ``count`` sequences: classes, shape [N], or values, shape [N, outputs].

    At every step, they have shapes [N, T] and [N, T, outputs].

    Raises
    ------
    InputError
        If they are something else, or values where the network's output is a class.
    """
    outputs = network.architecture.outputs
    places = (count, steps) if network.architecture.every_step else (count,)
    if network.genome.output != "class" and np.ndim(labels) > len(places):
        return real_values("labels", labels, (*places, outputs))
    # One logit tells two classes.
    return whole_values("labels", labels, places, 0, max(1, outputs - 1))


@dataclass(frozen=True)
class StateWrites:
    """What is written into the memory of a state, in the order of time.

    Parameters
    ----------
    state
        Where it is seen.
    operator
        The operator whose result it is, an index of :attr:`Scenario.operators`.
    cycle, value, sequence, step, unit
        Of each result; shape [results].
    """

    state: WrittenState
    operator: int
    cycle: IntArray
    value: IntArray
    sequence: IntArray
    step: IntArray
    unit: IntArray


@dataclass(frozen=True)
class Scenario:
    """Sequences, and what the accelerator must make of them if no stream stalls."""

    network: Network
    inputs: IntArray
    lengths: IntArray
    reference: Reference
    extreme: int = 0
    """How many of the last sequences are not real ones."""
    inside: bool = True
    """Whether results inside the accelerator are compared, beside what its ports show."""

    @classmethod
    def of(
        cls, network: Network, inputs: ArrayLike, lengths: ArrayLike | None, extreme: int = 0
    ) -> "Scenario":
        """Run the reference; :class:`gruhw.errors.InputError` if the inputs do not fit."""
        codes, steps, _ = sequences_of(network, inputs, lengths)
        return cls(network, codes, steps, run_reference(network, codes, steps), extreme)

    @classmethod
    def with_extremes(
        cls, network: Network, inputs: ArrayLike, lengths: ArrayLike | None, extreme: int, seed: int
    ) -> "Scenario":
        """Sequences, and so many extreme ones behind them."""
        codes, steps, _ = sequences_of(network, inputs, lengths)
        return cls.of(network, *extreme_sequences(network, codes, steps, extreme, seed), extreme)

    def part(self, first: int, end: int) -> "Scenario":
        """The sequences from ``first`` up to ``end``, as they come out after a reset.

        Only where states are carried on, that needs another run of the reference.
        """
        chosen, whole = slice(first, end), self.reference
        if self.network.architecture.carries and first > 0:
            return Scenario.of(self.network, self.inputs[chosen], self.lengths[chosen])
        reference = Reference(
            {name: values[chosen] for name, values in whole.operators.items()},
            whole.logits[chosen],
            whole.classes[chosen],
            whole.cycles[chosen],
            whole.output_cycles[chosen],
        )
        return Scenario(self.network, self.inputs[chosen], self.lengths[chosen], reference)

    @cached_property
    def schedule(self) -> Schedule:
        """The schedule of the network."""
        return schedule_of(self.network)

    @cached_property
    def inner(self) -> tuple[Operator, ...]:
        """The operators of the hardware."""
        return operators_of(self.network, self.schedule)

    @cached_property
    def inner_states(self) -> tuple[WrittenState, ...]:
        """The states of the hardware."""
        return states_of(self.network, self.schedule)

    @cached_property
    def operators(self) -> list[str]:
        """The names of what can be compared, in the order of their indices."""
        return [INPUT, *(operator.name for operator in self.inner), CLASS]

    @property
    def given(self) -> list[int]:
        """The operators whose results in the output stream are what a sequence is worth.

        It is the class index alone if there is one, and nothing where the output is states.
        """
        if self.schedule.last.classifies:
            return [len(self.operators) - 1]
        return [index for index, each in enumerate(self.inner, start=1) if each.is_head]

    @cached_property
    def starts(self) -> list[int]:
        """By how many cycles each sequence, and the one after the last, follows the first."""
        intervals = [self.schedule.sequence_interval(int(length)) for length in self.lengths]
        return [sum(intervals[:count]) for count in range(len(intervals) + 1)]

    def stream(self) -> Arrays:
        """The input elements, and the output elements with their cycles.

        ``sequence_elements`` and ``sequence_outputs`` say where each sequence begins; an output
        element's cycle is relative to the first input element of its own sequence.
        """
        alive = np.arange(self.inputs.shape[1]) < self.lengths[:, None]
        size, count = self.network.architecture.inputs, len(self.lengths)
        ends = np.cumsum(self.lengths)
        last = np.zeros(int(ends[-1]) * size, dtype=np.int64)
        last[ends * size - 1] = 1
        outputs = self._outputs()
        sizes = np.bincount(outputs[:, 0], minlength=count)
        output_last = np.zeros(len(outputs), dtype=np.int64)
        output_last[np.cumsum(sizes) - 1] = 1
        names = ("operator", "value", "step", "unit")
        offered = {length: self.schedule.output_cycles(length) for length in set(self._lengths)}
        return {
            "element": self.inputs[alive].ravel(),
            "element_last": last,
            "sequence_elements": np.concatenate([[0], ends]) * size,
            **{f"output_{name}": column for name, column in zip(names, outputs.T[1:], strict=True)},
            "output_last": output_last,
            "output_cycle": np.concatenate([offered[length] for length in self._lengths]),
            "sequence_outputs": np.concatenate([[0], np.cumsum(sizes)]),
            "sequence_start": np.array(self.starts),
        }

    @property
    def _lengths(self) -> list[int]:
        found: list[int] = self.lengths.tolist()
        return found

    def _outputs(self) -> IntArray:
        """A row for each output element: sequence, operator, value, step, unit."""
        core, count = self.schedule.last, len(self.lengths)
        _, name = core.emitted
        (index,) = (
            index
            for index, operator in enumerate(self.inner, start=1)
            if operator.core is core and operator.node == name
        )
        results = self._results(index, np.ones(count, dtype=np.bool_), core.emits_every_step)
        _, value, sequence, step, unit = results.T
        rows = _rows(sequence, index, value, step, unit)
        if core.classifies:
            # One behind the results of each step.
            places = np.unique(rows[:, [0, 3]], axis=0).T
            classes = self.reference.classes[tuple(places) if core.emits_every_step else places[0]]
            last = len(self.operators) - 1
            rows = np.concatenate([rows, _rows(places[0], last, classes, places[1], 0)])
        return rows[np.lexsort((rows[:, 3], rows[:, 0]))]

    def _results(
        self, index: int, chosen: NDArray[np.bool_], every_step: bool | None = None
    ) -> IntArray:
        """What an operator computes in the chosen sequences, sequence after sequence.

        Parameters
        ----------
        index
            Of the operator.
        chosen
            Whether each sequence is one of them, shape [N].
        every_step
            Whether results of every step are wanted, or those of the last; all there are if None.

        Returns
        -------
        Array
            A row for each result: cycle, value, sequence, step, unit.
        """
        operator = self.inner[index - 1]
        every = operator.every_step if every_step is None else every_step
        step, ends = np.arange(self.inputs.shape[1]), self.lengths[:, None]
        wanted = (step < ends if every else step == ends - 1) & chosen[:, None]
        sequence, step = np.nonzero(wanted)
        if operator.is_head:
            at_every_step = self.network.architecture.every_step
            results = self.reference.logits[(sequence, step) if at_every_step else sequence]
        else:
            results = self.reference.operators[operator.name][sequence, step]
        cycles = operator.cycles(step) + np.array(self.starts)[sequence, None]
        unit = np.arange(results.shape[1])
        return _rows(cycles, results, sequence[:, None], step[:, None], unit)

    def probes(self, sequences: int = PROBED_SEQUENCES) -> Arrays:
        """Results inside the design in the order of their cycles.

        Every state and logit, and every operator of the first ``sequences`` and of the extreme
        ones; none if nothing inside is compared.
        """
        states = {state.operator for state in self.inner_states}
        number, real = np.arange(len(self.lengths)), len(self.lengths) - self.extreme
        probed = (number < sequences) | (number >= real)
        parts = []
        for index, operator in enumerate(self.inner, start=1):
            everywhere = operator.is_head or operator.name in states
            cycle, *others = self._results(index, probed | everywhere).T
            parts.append(_rows(cycle, index, *others))
        table = np.concatenate(parts)[: None if self.inside else 0]
        table = table[np.argsort(table[:, 0], kind="stable")]
        names = ("cycle", "operator", "value", "sequence", "step", "unit")
        return {f"probe_{name}": column for name, column in zip(names, table.T, strict=True)}

    def states(self) -> list[StateWrites]:
        """What is written into every state; nothing if nothing inside is compared."""
        every = np.full(len(self.lengths), self.inside)
        found = []
        for state in self.inner_states:
            index = self.operators.index(state.operator)
            found.append(StateWrites(state, index, *self._results(index, every).T))
        return found


def _rows(*columns: IntArray | int) -> IntArray:
    """A row for each element of columns that are broadcast to one shape."""
    return np.stack([column.ravel() for column in np.broadcast_arrays(*columns)], axis=-1)


def quiet_cycles(schedule: Schedule) -> int:
    """Within how many cycles something still comes, if there is something to come."""
    return schedule.sequence_interval(1) + schedule.output_cycles(1)[-1]


def step_start(core: Core, step: int) -> int:
    """The cycle in which a core begins a time step, as its results say."""
    name = core.typed.graph.emits
    return core.first_term + core.cycle(name, step, 0) - core.cycle(name, 0, 0)


def _second_groups(scenario: Scenario) -> list[list[int]]:
    """For every core: how long a group takes, and where in each sequence the second one begins."""
    found = []
    for core in scenario.schedule.cores:
        cycles = core.step.group_cycles
        steps = [0 if core.every_step else int(length) - 1 for length in scenario.lengths]
        found.append([cycles, *(step_start(core, step) + cycles for step in steps)])
    return found


def state_keys(scenario: Scenario) -> list[str]:
    """What the arrays of each state begin with, whose names are those of several states."""
    return [f"state{number}" for number in range(len(scenario.inner_states))]


def stalled(scenario: Scenario) -> Arrays:
    """The input and output elements, and what is written into each state."""
    found = scenario.stream()
    for key, writes in zip(state_keys(scenario), scenario.states(), strict=True):
        columns = (writes.value, writes.sequence, writes.step, writes.unit)
        names = ("value", "sequence", "step", "unit")
        found |= {f"{key}_{name}": column for name, column in zip(names, columns, strict=True)}
    return found


def job(scenario: Scenario, top: str, seed: int, brief: bool) -> dict[str, Any]:
    """What the bench must know besides arrays; made of plain JSON values."""
    network, schedule = scenario.network, scenario.schedule
    return {
        "top": top,
        "seed": seed,
        "brief": brief,
        "operators": scenario.operators,
        "given": scenario.given,
        "probes": [
            {"operator": index, "path": operator.path, "signed": operator.kind.signed}
            for index, operator in enumerate(scenario.inner, start=1)
        ],
        "states": [
            {
                "key": key,
                "operator": state.operator,
                "path": state.path,
                "written": state.written,
                "signed": state.kind.signed,
            }
            for key, state in zip(state_keys(scenario), scenario.inner_states, strict=True)
        ],
        "input_bits": network.input_type.bits,
        "output_signed": output_type(schedule).signed,
        "vector_size": network.architecture.inputs,
        "carries": network.architecture.carries,
        "second_groups": _second_groups(scenario),
        "latency": schedule.last.first_term - schedule.first.first_term,
        "step_interval": schedule.step_interval,
        "output_interval": -(-schedule.sequence_interval(1) // schedule.last.emitting.units),
        "quiet_cycles": quiet_cycles(schedule),
    }
