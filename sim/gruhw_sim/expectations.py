"""What the bench sends and expects: arrays that a simulator's process can read without gruhw.

A *scenario* is a list of sequences, sent one after the other. Everything the bench compares is
computed here, from the network's graph, its schedule and the integer reference.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.arrays import IntArray, whole_values
from gruhw.encoding import codes_and_lengths
from gruhw.model import Network
from gruhw.reference import Reference, run_reference
from gruhw.schedule import STREAM_CYCLES, Schedule
from gruhw.values import at_least_one, instance
from gruhw_hw.datapath import output_type
from gruhw_sim.stimuli import extreme_sequences

Arrays: TypeAlias = dict[str, NDArray[Any]]

CLASS = "class"
"""The name of the class index among the operators."""

PROBED_SEQUENCES = 2
"""How many real sequences have every operator's integers checked, not only states and logits."""


def sequences_of(
    network: Network,
    inputs: ArrayLike,
    lengths: ArrayLike | None,
    labels: ArrayLike | None = None,
) -> tuple[IntArray, IntArray, IntArray | None]:
    """What is to be simulated: see :func:`gruhw_sim.simulate`.

    Raises
    ------
    InputError
        If they do not fit the network, or there is no sequence.
    """
    graph = instance("network", network, Network).graph
    codes, steps = codes_and_lengths(inputs, lengths, graph.input.type, graph.input.size)
    at_least_one("sequence", len(codes))
    if labels is None:
        return codes, steps, None
    return codes, steps, whole_values("labels", labels, (len(codes),), 0, graph.head.outputs - 1)


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
        """The sequences from ``first`` up to ``end``, without another run of the reference."""
        chosen, whole = slice(first, end), self.reference
        reference = Reference(
            {name: values[chosen] for name, values in whole.operators.items()},
            whole.logits[chosen],
            whole.classes[chosen],
            whole.cycles[chosen],
            whole.output_cycles[chosen],
        )
        return Scenario(self.network, self.inputs[chosen], self.lengths[chosen], reference)

    @property
    def schedule(self) -> Schedule:
        """The schedule of the network."""
        genome = self.network.genome
        return Schedule(self.network.graph, genome.folding, genome.output)

    @property
    def operators(self) -> list[str]:
        """The names of what can be compared, in the order of their indices."""
        return [*(node.name for node in self.network.graph), CLASS]

    @property
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
        source = self.network.graph.input
        ends = np.cumsum(self.lengths)
        last = np.zeros(int(ends[-1]) * source.size, dtype=np.int64)
        last[ends * source.size - 1] = 1
        outputs = [self._outputs(sequence) for sequence in range(len(self.lengths))]
        sizes = [len(part) for part in outputs]
        columns = np.concatenate(outputs).T
        names = ("value", "last", "operator", "step", "unit", "cycle")
        return {
            "element": self.inputs[alive].ravel(),
            "element_last": last,
            "sequence_elements": np.concatenate([[0], ends]) * source.size,
            **{f"output_{name}": column for name, column in zip(names, columns, strict=True)},
            "sequence_outputs": np.concatenate([[0], np.cumsum(sizes)]),
            "sequence_start": np.array(self.starts),
        }

    def _outputs(self, sequence: int) -> NDArray[Any]:
        """A row for each output element: value, last, operator, step, unit, cycle."""
        graph, length = self.network.graph, int(self.lengths[sequence])
        cycles = self.schedule.output_cycles(length)
        if self.schedule.head is None:
            states = self.reference.operators[graph.state.source][sequence, :length]
            values = states.ravel().tolist()
            kind = self.operators.index(graph.state.source)
            places = [(kind, step, unit) for step in range(length) for unit in range(len(states.T))]
        else:
            logits = self.reference.logits[sequence].tolist()
            values = [*logits, int(self.reference.classes[sequence])]
            kind = self.operators.index(graph.head.name)
            places = [(kind, length - 1, unit) for unit in range(len(logits))]
            places.append((self.operators.index(CLASS), length - 1, 0))
        last = [0] * (len(values) - 1) + [1]
        rows = zip(values, last, places, cycles, strict=True)
        return np.array([(value, end, *place, cycle) for value, end, place, cycle in rows])

    def probes(self, sequences: int = PROBED_SEQUENCES) -> Arrays:
        """Results inside the design in the order of their cycles.

        Every state and logit, and every operator of the first ``sequences`` and of the extreme
        ones; none if nothing inside is compared.
        """
        graph, schedule = self.network.graph, self.schedule
        units, steps = range(graph.state.size), range(int(self.lengths.max()))
        rows = []
        for index, node in enumerate(graph.operators, start=len(graph.step) - len(graph.operators)):
            cycles = np.array(
                [[schedule.cycle(node.name, step, unit) for unit in units] for step in steps]
            )
            everywhere = node.name == graph.state.source
            real = len(self.lengths) - self.extreme
            for sequence, length in enumerate(self.lengths.tolist()):
                if not everywhere and sequences <= sequence < real:
                    continue
                results = self.reference.operators[node.name][sequence, :length]
                place = np.indices(results.shape)
                cycle = cycles[:length] + self.starts[sequence]
                rows.append(_rows(cycle, index, results, sequence, place[0], place[1]))
        if schedule.head is not None:
            head = self.operators.index(graph.head.name)
            for sequence, length in enumerate(self.lengths.tolist()):
                offered = np.array(schedule.output_cycles(length)[: graph.head.outputs])
                cycle = offered - STREAM_CYCLES + self.starts[sequence]
                unit = np.arange(graph.head.outputs)
                logits = self.reference.logits[sequence]
                rows.append(_rows(cycle, head, logits, sequence, length - 1, unit))
        table = np.concatenate(rows)[: None if self.inside else 0]
        table = table[np.argsort(table[:, 0], kind="stable")]
        names = ("cycle", "operator", "value", "sequence", "step", "unit")
        return {f"probe_{name}": column for name, column in zip(names, table.T, strict=True)}

    def states(self) -> Arrays:
        """Every hidden state in the order in which it is written, and its cycle.

        None if nothing inside is compared.
        """
        source, schedule = self.network.graph.state.source, self.schedule
        results = self.reference.operators[source]
        alive = (np.arange(results.shape[1]) < self.lengths[:, None]) & self.inside
        places = np.indices(results.shape)
        cycles = np.array(
            [
                [schedule.cycle(source, step, unit) for unit in range(results.shape[2])]
                for step in range(results.shape[1])
            ]
        )
        starts = np.array(self.starts[:-1])
        return {
            "state_cycle": (starts[:, None, None] + cycles)[alive].ravel(),
            "state_value": results[alive].ravel(),
            "state_sequence": places[0][alive].ravel(),
            "state_step": places[1][alive].ravel(),
            "state_unit": places[2][alive].ravel(),
        }


def _rows(*columns: IntArray | int) -> NDArray[Any]:
    return np.stack([column.ravel() for column in np.broadcast_arrays(*columns)], axis=-1)


def quiet_cycles(schedule: Schedule) -> int:
    """Within how many cycles something still comes, if there is something to come."""
    return schedule.sequence_interval(1) + schedule.output_cycles(1)[-1]


def job(scenario: Scenario, top: str, seed: int, brief: bool) -> dict[str, Any]:
    """What the bench must know besides arrays; made of plain JSON values."""
    graph, schedule = scenario.network.graph, scenario.schedule
    results = graph.operators if schedule.head is None else (*graph.operators, graph.head)
    emitting = schedule.head or schedule.step
    return {
        "top": top,
        "seed": seed,
        "brief": brief,
        "operators": scenario.operators,
        "signed": {node.name: node.type.signed for node in results},
        "state": graph.state.source,
        "input_bits": graph.input.type.bits,
        "output_signed": output_type(scenario.network).signed,
        "vector_size": graph.input.size,
        "first_term": schedule.first_term,
        "group_cycles": schedule.step.group_cycles,
        "step_interval": schedule.step_interval,
        "output_interval": -(-schedule.sequence_interval(1) // emitting.units),
        "quiet_cycles": quiet_cycles(schedule),
    }
