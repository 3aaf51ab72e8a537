"""What can be read inside a generated design, where it stands there, and when.

Paths are those below the top module's :data:`DATAPATH`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gruhw.basics.arrays import IntArray
from gruhw.network.architecture import HEAD
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed
from gruhw.network.graph import State
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Core, Schedule
from gruhw_hw.datapath import core_path, operator_path

DATAPATH = "datapath"
"""The module below the top that holds everything."""

RESULT = "result"
"""The signal of an operator's module that is its result."""

WRITTEN = "state_written"
"""The signal of a core that is high while a new state stands in its operator's register."""


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator of the hardware.

    Parameters
    ----------
    name
        As files have it: ``l0.W_ir``.
    path
        Of its module.
    core, node
        The core that it belongs to, and its name in the graph there.
    is_head
        Whether it is the head's.
    kind
        The type of its result.
    """

    name: str
    path: str
    core: Core
    node: str
    is_head: bool
    kind: Fixed

    @property
    def every_step(self) -> bool:
        """Whether it computes every time step, or the last one of a sequence alone."""
        if self.is_head and self.core.head:
            return self.core.emits_every_step
        return self.core.every_step

    def cycles(self, steps: IntArray) -> IntArray:
        """The cycles in which its results of these steps are there, shape [steps, units].

        They are counted from the sequence's first element. Where it computes the last step alone,
        each of ``steps`` is that of another sequence.
        """
        different, places = np.unique(steps, return_inverse=True)
        rows = [self._row(step) for step in different.tolist()]
        table = np.array(rows, dtype=np.int64).reshape(len(rows), self._units)
        return table[places]

    @property
    def _units(self) -> int:
        return self.core.emitting.units if self.is_head else self.core.step.units

    @cached_property
    def _rows(self) -> dict[int, list[int]]:
        return {}

    def _row(self, step: int) -> list[int]:
        if step not in self._rows:
            core, units = self.core, self._units
            if self.is_head and core.head:
                # Its results leave the core at once; the index of the largest comes behind them.
                row = [core.emission(step, unit) for unit in range(units)]
            else:
                row = [core.cycle(self.node, step, unit) for unit in range(units)]
            self._rows[step] = row
        return self._rows[step]


@dataclass(frozen=True)
class WrittenState:
    """A state of the hardware.

    Parameters
    ----------
    operator
        The name of the operator whose result it keeps.
    path
        Of that operator's module.
    written
        Of the signal that is high while the result is there.
    kind
        Its type.
    """

    operator: str
    path: str
    written: str
    kind: Fixed


def operators_of(network: Network, schedule: Schedule) -> tuple[Operator, ...]:
    """All operators of a network's accelerator, core after core, in the order of their graphs."""
    stages = {stage.name: stage for stage in network.architecture.stages}
    return tuple(
        Operator(
            name=stages[HEAD if each.typed is core.head else core.name].spell(each.node.name),
            path=operator_path(schedule, core, each.node.name),
            core=core,
            node=each.node.name,
            is_head=each.typed is core.head or core.name == HEAD,
            kind=each.result,
        )
        for core in schedule.cores
        for each in core.operators
    )


def states_of(network: Network, schedule: Schedule) -> tuple[WrittenState, ...]:
    """All states of a network's accelerator, core after core."""
    stages = {stage.name: stage for stage in network.architecture.stages}
    return tuple(
        WrittenState(
            operator=stages[core.name].spell(state.source),
            path=operator_path(schedule, core, state.source),
            written=operator_path(schedule, core, _written(core, state)),
            kind=core.typed[state.name],
        )
        for core in schedule.cores
        for state in core.typed.graph.states
    )


def _written(core: Core, state: State) -> str:
    """The signal that says when a state is written."""
    graph = core.typed.graph
    kept = {each.source for each in graph.states} | (set() if core.outputs else {graph.emits})
    return WRITTEN if len(kept) == 1 else f"{WRITTEN}_{state.source}"


def read_inside(network: Network) -> tuple[tuple[str, str], ...]:
    """Signals that the bench reads and synthesis would not keep.

    Each is the path of a module below the top, and a name.
    """
    schedule = schedule_of(network)
    found = []
    for core in schedule.cores:
        module = ".".join(filter(None, (DATAPATH, core_path(schedule, core))))
        found += [(module, _written(core, state)) for state in core.typed.graph.states]
    return tuple(dict.fromkeys(found))
