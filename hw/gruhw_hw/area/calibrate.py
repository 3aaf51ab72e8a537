"""Calibration of the area model by synthesis, which takes many minutes a target.

    python -m gruhw_hw.area.calibrate ice40

writes the calibration that the package ships. It holds for the installed versions of the tools.
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.progress import Progress as Bar

from gruhw.files import write_atomic
from gruhw.model import Network
from gruhw_hw.area.apart import Beside, LongPath
from gruhw_hw.area.calibration import MODELLED, Progress, format_calibration, tools_of
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.kept import synthesised
from gruhw_hw.area.measure import Measures, measure
from gruhw_hw.area.parts import Batch, batches
from gruhw_hw.area.samples import random_network, short_networks, with_other_output
from gruhw_hw.area.whole import HURRIED
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis import TARGETS, Resources, Target, library_of
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

SHORT = 24
"""Networks with short paths, where those make a difference. Few random ones have them."""

BATCH, PATH = "batch", "path"


def calibrate(target: str, liberty: Path | None, progress: Progress | None = None) -> Prices:
    """Synthesise parts and whole networks, and fit the prices of their terms.

    Parameters are those of :meth:`gruhw_hw.area.AreaModel.load`.
    """
    library = library_of(TARGETS[target], liberty)
    networks = [random_network(SEED, index) for index in range(NETWORKS)]
    others = [with_other_output(network) for network in networks]
    planned = batches(networks, others)
    networks += others[:OTHER_OUTPUTS]
    if target in HURRIED:
        networks += islice(short_networks(SEED), SHORT)
    steps = len(planned) + len(networks)
    samples: list[Sample] = []
    for done, batch in enumerate(planned, 1):
        samples += synthesise_batch(batch, TARGETS[target], library)
        if progress is not None:
            progress(done, steps)
    for done, network in enumerate(networks, 1):
        samples.append(synthesise_whole(network, TARGETS[target], library))
        if progress is not None:
            progress(len(planned) + done, steps)
    return fit_prices(samples)


def synthesise_batch(batch: Batch, target: Target, library: Liberty | None) -> list[Sample]:
    """The amounts of some parts, none optimised across its ports."""
    components = {name: part.component for name, part in batch.parts.items()}
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
    hierarchy = _synthesise(design, BATCH, target, library, apart)
    path = NOTHING
    if library is None:
        path = _count(hierarchy, f"{BATCH}.{PATH}", target, library)
    return [
        _sample(part.measures, target, _count(hierarchy, f"{BATCH}.{name}", target, library), path)
        for name, part in batch.parts.items()
    ]


def synthesise_whole(network: Network, target: Target, library: Liberty | None) -> Sample:
    """The amounts of a whole network."""
    hierarchy = _synthesise(generate_verilog(network).verilog, TOP, target, library)
    return _sample(measure(network), target, _count(hierarchy, TOP, target, library))


def _synthesise(
    design: str, top: str, target: Target, library: Liberty | None, apart: Sequence[str] = ()
) -> Hierarchy:
    """The cells of each module, flattened as far as the commands ``apart`` allow."""
    commands = [
        "read_verilog design.v",
        *apart,
        *target.commands(top, flatten=True, dsp=False),
    ]
    files = {"design.v": design.encode()}
    if library is not None:
        files[LIBRARY_FILE] = library.data
    return synthesised(commands, files, tools_of(library))


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


def main() -> None:
    """Write the calibrations that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("targets", nargs="+", choices=MODELLED)
    for target in parser.parse_args().targets:
        tools = tools_of(library_of(TARGETS[target]))
        text = format_calibration(target, tools, _with_bar(target))
        write_atomic(Path(__file__).parent / "data" / f"{target}.json", text)


def _with_bar(target: str) -> Prices:
    with Bar() as bar:
        task = bar.add_task(target)
        return calibrate(
            target, None, lambda done, steps: bar.update(task, completed=done, total=steps)
        )


if __name__ == "__main__":
    main()
