"""Calibration of the area model by synthesis, which takes many minutes a target."""

from collections.abc import Sequence
from itertools import islice

from amaranth.lib import wiring

from gruhw.network.bound import Network
from gruhw_hw.area.apart import Beside, LongPath
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.kept import Progress, Tools, synthesised
from gruhw_hw.area.measure import Measures, measure
from gruhw_hw.area.parts import Batch, batches
from gruhw_hw.area.samples import random_network, random_stack, short_networks, with_other_output
from gruhw_hw.area.whole import HURRIED
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis import TARGETS, Resources, Target
from gruhw_hw.synthesis.hierarchy import Hierarchy, inclusive_cells
from gruhw_hw.synthesis.resources import count_resources
from gruhw_hw.synthesis.targets import LIBRARY_FILE, NOTHING, SCOPES, liberty_cells
from gruhw_hw.top import TOP, generate_verilog
from gruhw_hw.verilog import convert

SEED = 1
"""Of the networks that calibrate; those that judge have another."""

NETWORKS = 72
"""Networks that are synthesised as a whole, and whose operators are synthesised apart."""

OTHER_OUTPUTS = 36
"""Of those, how many are synthesised with their other output, too. Most give the class: too few
would be left that give states, whose control is another."""

STACKS = 72
"""Networks of any cells and layers that are synthesised as a whole, and apart from each other."""

SHORT = 24
"""Networks with short paths, where those make a difference. Few random ones have them."""

BATCH, PATH = "batch", "path"


def calibrate(target: str, tools: Tools, progress: Progress | None = None) -> Prices:
    """Synthesise parts and whole networks, and fit the prices of their terms.

    Parameters
    ----------
    target
        A name of :data:`gruhw_hw.area.calibration.MODELLED`.
    tools
        What is used.
    progress
        Called with the steps that are done, and with all steps.
    """
    networks = [random_network(SEED, index) for index in range(NETWORKS)]
    others = [with_other_output(network) for network in networks]
    stacks = [random_stack(SEED, index) for index in range(STACKS)]
    planned = batches(networks, others, stacks)
    networks += (*others[:OTHER_OUTPUTS], *stacks)
    if target in HURRIED:
        networks += islice(short_networks(SEED), SHORT)
    steps = len(planned) + len(networks)
    samples: list[Sample] = []
    for done, batch in enumerate(planned, 1):
        samples += synthesise_batch(batch, TARGETS[target], tools)
        if progress is not None:
            progress(done, steps)
    for done, network in enumerate(networks, 1):
        samples.append(synthesise_whole(network, TARGETS[target], tools))
        if progress is not None:
            progress(len(planned) + done, steps)
    return fit_prices(samples)


def synthesise_batch(batch: Batch, target: Target, tools: Tools) -> list[Sample]:
    """The amounts of some parts, none optimised across its ports."""
    components: dict[str, wiring.Component] = {
        name: part.component for name, part in batch.parts.items()
    }
    library = tools.library
    if library is None:
        components = {
            name: Beside({"part": component, PATH: LongPath()})
            for name, component in components.items()
        }
        components[PATH] = LongPath()
    design = convert(Beside(components), BATCH)
    apart = [
        *(f"blackbox {pattern}" for pattern in batch.opaque),
        f"setattr -set keep 1 {BATCH}/c:*",
        *(f"setattr -mod -set keep_hierarchy 1 {BATCH}.{name}" for name in components),
    ]
    hierarchy = _synthesise(design, BATCH, target, tools, apart)
    path = NOTHING
    if library is None:
        path = _count(hierarchy, f"{BATCH}.{PATH}", target, library)
    return [
        _sample(part.measures, target, _count(hierarchy, f"{BATCH}.{name}", target, library), path)
        for name, part in batch.parts.items()
    ]


def synthesise_whole(network: Network, target: Target, tools: Tools) -> Sample:
    """The amounts of a whole network."""
    hierarchy = _synthesise(generate_verilog(network).verilog, TOP, target, tools)
    return _sample(measure(network), target, _count(hierarchy, TOP, target, tools.library))


def _synthesise(
    design: str, top: str, target: Target, tools: Tools, apart: Sequence[str] = ()
) -> Hierarchy:
    """The cells of each module, flattened as far as the commands ``apart`` allow."""
    commands = [
        "read_verilog design.v",
        *apart,
        *target.commands(top, flatten=True, dsp=False),
    ]
    files = {"design.v": design.encode()}
    if tools.library is not None:
        files[LIBRARY_FILE] = tools.library.data
    return synthesised(commands, files, tools.versions)


def _count(hierarchy: Hierarchy, module: str, target: Target, library: Liberty | None) -> Resources:
    cells = target.cells if library is None else (*SCOPES, *liberty_cells(library))
    return count_resources(inclusive_cells(hierarchy, module), cells)


def _sample(
    measures: Measures, target: Target, found: Resources, beside: Resources = NOTHING
) -> Sample:
    """What was found, without what stands beside it, and without block RAMs that are counted."""
    amounts = {name: float(getattr(found, name) - getattr(beside, name)) for name in AMOUNTS}
    amounts["block_rams"] -= measures.weight_block_rams(target.name)
    return Sample(measures.all_terms(target.name), amounts)
