"""The datapath: the cores of a network, joined by streams."""

from collections.abc import Sequence

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed
from gruhw.network.graph import INPUT
from gruhw.network.parameters import Parameters
from gruhw.network.planning import schedule_of
from gruhw.network.schedule import Core, Schedule
from gruhw_hw.core import CoreUnit, emitted_type
from gruhw_hw.streams import element_layout


def output_type(schedule: Schedule) -> Fixed:
    """The type of an output element: it holds a state, a value, or a logit and an index."""
    return emitted_type(schedule.last)


def core_path(schedule: Schedule, core: Core) -> str:
    """Where a core stands below the datapath: with others beside it, by its name."""
    return core.name if len(schedule.cores) > 1 else ""


def operator_path(schedule: Schedule, core: Core, operator: str) -> str:
    """Where an operator of a core stands below the datapath."""
    path = core_path(schedule, core)
    return f"{path}.{operator}" if path else operator


class Chain(wiring.Component):
    """Cores one behind the other, each of whose output stream is the next one's input.

    Parameters
    ----------
    units
        The cores, in the order of the data.

    Members
    -------
    sink : In(stream.Signature(element_layout(input type)))
    source : Out(stream.Signature(element_layout(output type)))
        The streams at both ends: see :class:`gruhw_hw.core.CoreUnit`.
    """

    def __init__(self, units: Sequence[CoreUnit]) -> None:
        self.units = tuple(units)
        first, last = self.units[0].core, self.units[-1].core
        super().__init__(
            {
                "sink": In(stream.Signature(element_layout(first.typed[INPUT]))),
                "source": Out(stream.Signature(element_layout(emitted_type(last)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before = wiring.flipped(self.sink)
        for unit in self.units:
            m.submodules[unit.core.name] = unit
            wiring.connect(m, before, unit.sink)
            before = unit.source
        wiring.connect(m, before, wiring.flipped(self.source))
        return m


def datapath(network: Network, *, blocks: bool = False) -> CoreUnit | Chain:
    """The whole accelerator between two streams: the only core of a network, or a chain of them.

    ``blocks`` leaves products to the multiplier blocks of the device, instead of Booth digits in
    logic.
    """
    units = [
        CoreUnit(core, _parameters(network, core), blocks=blocks)
        for core in schedule_of(network).cores
    ]
    return units[0] if len(units) == 1 else Chain(units)


def _parameters(network: Network, core: Core) -> list[Parameters]:
    """Those of a core's stage, and of the head that rides on it."""
    names = [core.name, *([network.head.name] if core.head else [])]
    found = {bound.name: bound.parameters for bound in network.stages}
    return [found[name] for name in names]
