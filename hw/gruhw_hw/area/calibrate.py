"""Calibration of the area model by synthesis, which takes many minutes a target.

    python -m gruhw_hw.area.calibrate ice40

writes the calibration that the package ships. It holds for the installed versions of the tools.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from rich.progress import Progress as Bar

from gruhw.files import write_atomic
from gruhw.model import Network
from gruhw_hw.area.calibration import MODELLED, Progress, format_calibration, tools_of
from gruhw_hw.area.fit import AMOUNTS, Prices, Sample, fit_prices
from gruhw_hw.area.measure import Measures, measure
from gruhw_hw.area.parts import Batch, batches
from gruhw_hw.area.samples import random_network
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis import TARGETS, Resources, Target, library_of, run_yosys, synthesise
from gruhw_hw.synthesis.hierarchy import inclusive_cells
from gruhw_hw.synthesis.resources import count_resources
from gruhw_hw.synthesis.targets import LIBRARY_FILE, SCOPES, liberty_cells
from gruhw_hw.synthesis.yosys import parse_stat
from gruhw_hw.top import TOP, generate_verilog

SEED = 1
"""Of the networks that calibrate; those that judge have another."""

NETWORKS = 72
"""Networks that are synthesised as a whole, and whose operators are synthesised apart."""

BATCH = "batch"


class _Batch(wiring.Component):
    """Components side by side, their ports its own: nothing in them is constant or unused."""

    def __init__(self, components: Mapping[str, wiring.Component]) -> None:
        self._components = components
        super().__init__({name: Out(part.signature) for name, part in components.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, component in self._components.items():
            m.submodules[name] = component
            wiring.connect(m, wiring.flipped(getattr(self, name)), component)
        return m


def calibrate(target: str, liberty: Path | None, progress: Progress | None = None) -> Prices:
    """Synthesise parts and whole networks, and fit the prices of their terms.

    Parameters are those of :meth:`gruhw_hw.area.AreaModel.load`.
    """
    library = library_of(TARGETS[target], liberty)
    networks = [random_network(SEED, index) for index in range(NETWORKS)]
    planned = batches(networks)
    steps = len(planned) + len(networks)
    samples: list[Sample] = []
    for done, batch in enumerate(planned, 1):
        samples += synthesise_batch(batch, TARGETS[target], library)
        if progress is not None:
            progress(done, steps)
    for done, network in enumerate(networks, 1):
        samples.append(synthesise_whole(network, target, liberty))
        if progress is not None:
            progress(len(planned) + done, steps)
    return fit_prices(samples)


def synthesise_batch(batch: Batch, target: Target, library: Liberty | None) -> list[Sample]:
    """The amounts of some parts, none optimised across its ports."""
    components = {name: part.component for name, part in batch.parts.items()}
    design = verilog.convert(
        _Batch(components), name=BATCH, emit_src=False, strip_internal_attrs=True
    )
    files = {"design.v": design.encode()}
    if library is not None:
        files[LIBRARY_FILE] = library.data
    commands = [
        "read_verilog design.v",
        *(f"blackbox {pattern}" for pattern in batch.opaque),
        f"setattr -set keep 1 {BATCH}/c:*",
        *(f"setattr -mod -set keep_hierarchy 1 {BATCH}.{name}" for name in components),
        *target.commands(BATCH, flatten=True, dsp=False),
        "tee -q -o stat.json stat -json",
    ]
    hierarchy = parse_stat(run_yosys(commands, files, ["stat.json"]).outputs["stat.json"])
    cells = target.cells if library is None else (*SCOPES, *liberty_cells(library))
    return [
        sample(
            part.measures,
            target.name,
            count_resources(inclusive_cells(hierarchy, f"{BATCH}.{name}"), cells),
        )
        for name, part in batch.parts.items()
    ]


def sample(measures: Measures, target: str, found: Resources) -> Sample:
    """What synthesis found for something, without the block RAMs of weights: they are counted."""
    amounts = {name: float(getattr(found, name)) for name in AMOUNTS}
    amounts["block_rams"] -= measures.memories.weight_blocks(target)
    return Sample(measures.all_terms(target), amounts)


def synthesise_whole(network: Network, target: str, liberty: Path | None) -> Sample:
    """The amounts of a whole network."""
    text = generate_verilog(network).verilog
    total = synthesise(text, TOP, target, liberty=liberty, by_operator=False).total
    return sample(measure(network), target, total)


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
