"""Where the operators of a network stand in its hardware."""

from dataclasses import dataclass

from gruhw.network.bound import BoundStage, Network
from gruhw.network.graph import Node
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Core, Scheduled
from gruhw_hw.datapath import operator_path


@dataclass(frozen=True)
class Placed:
    """An operator of a network, and its place in the hardware.

    Parameters
    ----------
    core
        The core that has it.
    scheduled
        What it computes, and when.
    stage
        The stage that it belongs to, with types and integers.
    path
        Where its module stands below the datapath.
    """

    core: Core
    scheduled: Scheduled
    stage: BoundStage
    path: str

    @property
    def node(self) -> Node:
        """The operator of the graph."""
        return self.scheduled.node

    @property
    def name(self) -> str:
        """What files call it."""
        return self.stage.stage.spell(self.node.name)


def placed_operators(network: Network) -> tuple[Placed, ...]:
    """Every operator that is hardware: core after core, each in the order of its graph."""
    schedule = schedule_of(network)
    return tuple(
        Placed(
            core,
            each,
            stage_of(network, core, each),
            operator_path(schedule, core, each.node.name),
        )
        for core in schedule.cores
        for each in core.operators
    )


def stage_of(network: Network, core: Core, scheduled: Scheduled) -> BoundStage:
    """The stage that an operator of a core belongs to: the core's, or the head that rides on it."""
    name = network.head.name if scheduled.typed is core.head else core.name
    (found,) = (bound for bound in network.stages if bound.name == name)
    return found
