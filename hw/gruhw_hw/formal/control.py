"""The claims about the buffers and the control of every core, and about how cores are joined."""

from collections.abc import Iterator

from gruhw.network.bound import Network
from gruhw.network.planning import schedule_of
from gruhw_hw.core import CoreUnit
from gruhw_hw.datapath import core_path, datapath
from gruhw_hw.formal.pipelining import numbered_until, pipeline_property
from gruhw_hw.formal.places import places_property
from gruhw_hw.formal.progress import progress_property
from gruhw_hw.formal.sequencing import sequencer_property
from gruhw_hw.formal.solver import Property
from gruhw_hw.formal.streams import input_buffer_property, joints_property, output_buffer_property


def control_properties(network: Network) -> Iterator[Property]:
    """Of each core, called after its parts, and of the joints between them."""
    schedule, whole = schedule_of(network), datapath(network)
    units = [whole] if isinstance(whole, CoreUnit) else whole.units
    paths = [core_path(schedule, unit.core) for unit in units]
    for unit, path in zip(units, paths, strict=True):
        yield from _of_core(unit, f"{path}." if path else "")
    if not isinstance(whole, CoreUnit):
        yield joints_property("joints", whole, paths)


def _of_core(unit: CoreUnit, prefix: str) -> Iterator[Property]:
    core = unit.core
    yield input_buffer_property(f"{prefix}input", core)
    yield output_buffer_property(f"{prefix}output", core)
    yield sequencer_property(f"{prefix}sequencer", core)
    for name, phase in (("step", core.step), ("head", core.outputs)):
        if phase:
            yield pipeline_property(f"{prefix}{name}", name, phase, numbered_until(core, phase))
    yield places_property(f"{prefix}places", unit)
    yield progress_property(f"{prefix}progress", unit)
