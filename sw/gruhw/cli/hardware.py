"""The commands that make hardware and look at it."""

# Heavy packages are imported by the commands that need them: generation should not wait for
# PyTorch, nor anything for a simulator.

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gruhw.basics.cache import cache_folder, check_yosys_cache, writing_cache
from gruhw.cli.choices import OneOfTargets, OutputKind, SimulatedTarget, Simulator, Target
from gruhw.cli.console import (
    GenomePath,
    JsonPath,
    Lanes,
    SplitOption,
    TaskOption,
    counting,
    figures,
    lanes,
    progress,
    results,
    validation_note,
    working,
    writable,
    write_json,
)
from gruhw.errors import InputError, ToolError, naming
from gruhw_hw.identifiers import TOP, check_top
from gruhw_sim import EXTREME_SEQUENCES

if TYPE_CHECKING:
    from gruhw.design import Design

SIMULATIONS = "simulation"
"""The folder of the cache that keeps compiled simulations."""


def _checked_top(name: str | None) -> str | None:
    """``name``, if a top module can have it: known before the work, not after it."""
    return None if name is None else check_top(name)


OutputOption = Annotated[
    OutputKind | None,
    typer.Option("--output", help="The output stream's contents, instead of the genome's."),
]
EveryStepOption = Annotated[
    bool,
    typer.Option(
        "--every-step", help="Give outputs after every step, even if the genome says otherwise."
    ),
]
DspOption = Annotated[
    bool, typer.Option("--dsp", help="Leave products to multiplier blocks of the device.")
]
LibertyOption = Annotated[
    Path | None,
    typer.Option(help="Standard cells for asic; IHP SG13G2 if absent.", metavar="FILE"),
]
TopOption = Annotated[
    str,
    typer.Option(
        "--top",
        help="The top module's name, with which the names of all modules below begin.",
        metavar="NAME",
        callback=_checked_top,
    ),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Sequences (.npz) to use instead of the design's.", metavar="FILE"),
]


def _design(
    genome: Path, pe: str | None, output: OutputKind | None, *, every_step: bool
) -> "Design":
    """The design that a command's options say."""
    from gruhw.design import Design

    folding = None if pe is None else lanes(pe)
    return Design.load(genome, pe=folding, output=output, every_step=every_step)


def generate(
    genome: GenomePath,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write; build/DESIGN if absent.", metavar="DIR"),
    ] = None,
    pe: Lanes = None,
    output: OutputOption = None,
    every_step: EveryStepOption = False,
    data: DataOption = None,
    dsp: DspOption = False,
    top: TopOption = TOP,
    json: JsonPath = None,
) -> None:
    """Write a design's Verilog, parameters and test vectors."""
    from gruhw.design import generate as write_design

    started = time.monotonic()
    check_yosys_cache()
    design = _design(genome, pe, output, every_step=every_step)
    folder = out or Path("build") / design.name
    with working("generating"):
        sizes = write_design(design, folder, design.samples(data), blocks=dsp, top=top)
    table = figures(f"Design folder {folder}", {k: f"{v:,} bytes" for k, v in sizes.items()})
    results.print(table)
    progress.print(f"generated in {time.monotonic() - started:.1f} s")
    write_json(json, {"folder": str(folder), "files": sizes})


def synth(
    genome: GenomePath,
    target: Annotated[Target, typer.Option(help="What to synthesise for.")] = "ice40",
    liberty: LibertyOption = None,
    dsp: DspOption = False,
    pe: Lanes = None,
    output: OutputOption = None,
    every_step: EveryStepOption = False,
    top: TopOption = TOP,
    json: JsonPath = None,
) -> None:
    """Synthesise with Yosys and count what each operator needs."""
    from gruhw_hw.synthesis import operator_modules, synthesise
    from gruhw_hw.top import generate_verilog

    check_yosys_cache()
    design = _design(genome, pe, output, every_step=every_step)
    with working(f"synthesising for {target}"):
        verilog = generate_verilog(design.network, blocks=dsp, top=top).verilog
        modules = operator_modules(design.network, top)
        report = synthesise(verilog, top, target, liberty=liberty, dsp=dsp, operators=modules)
    results.print(report.table())
    results.print(", ".join(f"{tool} {found}" for tool, found in report.tools.items()))
    write_json(json, report.to_json())


def simulate(
    genome: GenomePath,
    samples: Annotated[
        int, typer.Option(help="How many real sequences to simulate.", min=1, metavar="N")
    ] = 8,
    simulator: Annotated[Simulator, typer.Option(help="What to simulate with.")] = "verilator",
    seed: Annotated[
        int,
        typer.Option(help="Seed of the gaps, the back-pressure and the extremes.", metavar="N"),
    ] = 0,
    extreme: Annotated[
        int,
        typer.Option(help="How many extreme sequences to simulate besides.", min=0, metavar="N"),
    ] = EXTREME_SEQUENCES,
    pe: Lanes = None,
    output: OutputOption = None,
    every_step: EveryStepOption = False,
    data: DataOption = None,
    dsp: DspOption = False,
    netlist: Annotated[
        SimulatedTarget | None,
        typer.Option(help="Simulate the gates that synthesis makes of the Verilog."),
    ] = None,
    flatten: Annotated[
        bool,
        typer.Option(
            "--flatten", help="Simulate the netlist without modules; its ports are compared."
        ),
    ] = False,
    liberty: LibertyOption = None,
    top: TopOption = TOP,
    json: JsonPath = None,
) -> None:
    """Simulate the Verilog against the reference, value and cycle."""
    import numpy as np

    from gruhw_hw.synthesis import netlist as synthesise_netlist
    from gruhw_hw.top import generate_verilog
    from gruhw_sim import read_inside
    from gruhw_sim import simulate as run_simulation
    from gruhw_sim.simulators import find_simulator

    if liberty is not None and netlist != "asic":
        raise InputError("--liberty requires --netlist asic")
    if flatten and netlist is None:
        raise InputError("--flatten requires --netlist")
    # Known before the work, not after it.
    find_simulator(simulator)
    check_yosys_cache()
    with writing_cache(SIMULATIONS):
        pass
    design = _design(genome, pe, output, every_step=every_step)
    split = design.samples(data, wanted=samples)
    if samples > len(split):
        raise InputError(
            f"samples must be 1 to the {len(split)} sequences there are, not {samples}"
        )
    split = split.take(np.arange(samples))
    network = design.network
    verilog = generate_verilog(network, blocks=dsp, top=top).verilog
    if netlist:
        with working(f"synthesising for {netlist}"):
            verilog = synthesise_netlist(
                verilog,
                top,
                netlist,
                liberty=liberty,
                dsp=dsp,
                flatten=flatten,
                keep=() if flatten else read_inside(network),
            )
    with working("simulating") as tell:
        report = run_simulation(
            network,
            network.encode(split.x),
            split.lengths,
            split.y,
            simulator,
            verilog=verilog,
            top=top,
            inside=not flatten,
            extreme=extreme,
            seed=seed,
            build_folder=cache_folder() / SIMULATIONS,
            progress=tell,
        )
    results.print(report.table())
    write_json(json, report.to_json())
    if not report.passed:
        raise ToolError(f"{genome}: the hardware differs from the reference")


def verify(
    genome: GenomePath,
    split: SplitOption = "test",
    task: TaskOption = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Only the first N sequences; all if absent.", min=1, metavar="N"),
    ] = None,
    verilog: Annotated[
        Path | None,
        typer.Option(help="The Verilog to verify, instead of what is generated.", metavar="FILE"),
    ] = None,
    top: Annotated[
        str | None,
        typer.Option(
            help="The top module's name; if absent, that of the only accelerator in --verilog.",
            metavar="NAME",
            callback=_checked_top,
        ),
    ] = None,
    waveform: Annotated[
        Path,
        typer.Option(
            help="Where the step that differs is written.", metavar="FILE", callback=writable
        ),
    ] = Path("build/mismatch.fst"),
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Simulations at a time; one a processor core if absent.", min=1, metavar="N"
        ),
    ] = None,
    pe: Lanes = None,
    output: OutputOption = None,
    every_step: EveryStepOption = False,
    json: JsonPath = None,
) -> None:
    """Send a whole data set through the Verilog, value and cycle."""
    import numpy as np

    from gruhw.basics.files import read_text
    from gruhw_hw.top import top_of
    from gruhw_sim.verify import verify_samples

    with writing_cache(SIMULATIONS):
        pass
    if verilog is None:
        check_yosys_cache()
    design = _design(genome, pe, output, every_step=every_step)
    text = read_text(verilog) if verilog else None
    if text is not None and top is None:
        with naming(verilog):
            top = top_of(text)
    source = design.task(task)
    part = design.part(split, source)
    if samples is not None:
        if samples > len(part):
            raise InputError(f"samples must be 1 to the {len(part)} there are, not {samples}")
        part = part.take(np.arange(samples))
    started = time.monotonic()
    with counting("verifying") as tell:
        found = verify_samples(
            design.network,
            part,
            waveform=waveform,
            verilog=text,
            top=top or TOP,
            cache=cache_folder() / SIMULATIONS,
            jobs=jobs,
            progress=tell,
        )
    results.print(found.table(f"Verilog of {design.name} against the reference, {split} part"))
    progress.print(f"verified in {time.monotonic() - started:.1f} s")
    note = validation_note(design, split, source)
    write_json(json, {"split": split, **found.to_json(), **note})
    if not found.passed:
        raise ToolError(f"{verilog or genome}: the hardware differs from the reference")


def prove(
    genome: GenomePath,
    counterexample: Annotated[
        Path,
        typer.Option(
            help="Where the signals are written that contradict a claim.",
            metavar="FILE",
            callback=writable,
        ),
    ] = Path("build/counterexample.txt"),
    jobs: Annotated[
        int | None,
        typer.Option(help="Proofs at a time; one a processor core if absent.", min=1, metavar="N"),
    ] = None,
    pe: Lanes = None,
    output: OutputOption = None,
    every_step: EveryStepOption = False,
    json: JsonPath = None,
) -> None:
    """Prove operators, buffers and control right for all inputs."""
    from gruhw.basics.files import write_atomic
    from gruhw_hw.formal import prove_network

    design = _design(genome, pe, output, every_step=every_step)
    started = time.monotonic()
    with counting("proving") as tell:
        proof = prove_network(design.network, jobs=jobs, progress=tell)
    results.print(proof.table(f"What is proved of {design.name}"))
    progress.print(f"proved in {time.monotonic() - started:.1f} s")
    write_json(json, proof.to_json())
    if proof.failures:
        failed = proof.failures[0]
        if failed.counterexample:
            write_atomic(
                counterexample, f"{failed.name}: {failed.claim}\n{failed.counterexample}\n"
            )
        raise ToolError(f"{genome}: {failed.name}: {failed.claim}: {failed.failure}")


def report(
    genome: GenomePath,
    baseline: Annotated[
        Path | None, typer.Option(help="Another design to compare with.", metavar="FILE")
    ] = None,
    target: Annotated[
        list[OneOfTargets] | None,
        typer.Option(
            help="What to synthesise for; may be repeated. ice40 and asic if absent.",
            metavar=f"<{'|'.join(OneOfTargets)}>",
        ),
    ] = None,
    pe: Annotated[
        list[str] | None,
        typer.Option(
            help="Processing elements to synthesise with, too: one number, or one for each layer, "
            "as in 2,1; may be repeated.",
            metavar="PE",
        ),
    ] = None,
    task: TaskOption = None,
    markdown: Annotated[
        Path | None,
        typer.Option(help="Also write the table here.", metavar="FILE", callback=writable),
    ] = None,
    json: JsonPath = None,
) -> None:
    """Compare accuracy (or error), size, cycles and area of designs.

    All inputs are checked first. What is measured is shown and written even if a part fails, which
    ends the command with status 1.
    """
    from gruhw.basics.files import write_atomic
    from gruhw.design import Design
    from gruhw.report import compare

    paths = [genome, *([baseline] if baseline else [])]
    targets = [str(chosen) for chosen in target or ("ice40", "asic")]
    with working("measuring") as tell:
        designs = [Design.load(path) for path in paths]
        comparison = compare(
            designs, targets, tell, pes=[lanes(text) for text in pe or ()], task=task
        )
    results.print(comparison.table())
    if markdown is not None:
        write_atomic(markdown, comparison.markdown())
    write_json(json, comparison.to_json())
    comparison.check()
