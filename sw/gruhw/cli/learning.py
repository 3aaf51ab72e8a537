"""The commands that train networks and measure how well they do."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.table import Table

from gruhw.basics.values import LARGEST_SEED
from gruhw.cli.console import (
    GenomePath,
    JsonPath,
    SplitOption,
    TaskOption,
    check_unicode,
    errors,
    figures,
    progress,
    results,
    validation_note,
    working,
    write_json,
)
from gruhw.cli.network import (
    EveryStepOption,
    HiddenOption,
    InitialOption,
    LayersOption,
    NetworkOutputOption,
    check_like,
    given_layers,
    network_for,
)
from gruhw.errors import InputError
from gruhw.network.genes import LEGAL_BITS, Genes, homogeneous
from gruhw.network.genome import Genome

if TYPE_CHECKING:
    from gruhw.learning.training import Epoch

OutlierOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-outliers",
        help="Let calibration represent every sample, however rare and far out.",
    ),
]


def tasks(json: JsonPath = None) -> None:
    """List the tasks that gruhw knows by name."""
    from gruhw.learning.tasks import TASKS

    table = Table(title="Tasks")
    table.add_column("name", no_wrap=True)
    for heading in ("description", "source", "licence"):
        table.add_column(heading)
    for task in TASKS.values():
        table.add_row(task.name, task.description, task.source, task.licence)
    results.print(table)
    content = {
        name: {"description": task.description, "source": task.source, "licence": task.licence}
        for name, task in TASKS.items()
    }
    write_json(json, {"tasks": content})


def train(
    task: Annotated[str, typer.Option(help="A task's name, or an .npz file.", metavar="TASK")],
    out: Annotated[Path, typer.Option(help="The design folder to write.", metavar="DIR")] = Path(
        "build/trained"
    ),
    genome: Annotated[
        Path | None,
        typer.Option(help="Take layers, widths and folding from here.", metavar="FILE"),
    ] = None,
    bits: Annotated[
        int,
        typer.Option(
            help="The width of everything, without --genome.",
            min=LEGAL_BITS[0],
            max=LEGAL_BITS[-1],
            metavar="N",
        ),
    ] = 8,
    layers: LayersOption = None,
    hidden: HiddenOption = None,
    output: NetworkOutputOption = None,
    initial: InitialOption = None,
    every_step: EveryStepOption = False,
    float_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs in floating point; the task's if absent.", min=0, metavar="N"),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs of the quantised network; the task's if absent.", min=0, metavar="N"
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of weights, order and variation.", min=0, max=LARGEST_SEED, metavar="N"
        ),
    ] = 1,
    keep_outliers: OutlierOption = False,
    json: JsonPath = None,
) -> None:
    """Train a network, then its quantised form, and save the design."""
    from gruhw.design.trained import train_design
    from gruhw.learning.tasks import load_task
    from gruhw.learning.training import recipe_for

    check_unicode("task", task)
    template = Genome.load(genome) if genome else None
    wanted = given_layers(layers, hidden)
    if template is not None:
        check_like(template.network, wanted, initial, genome, every_step=every_step)
        every_step, initial = template.network.every_step, template.network.initial
    found_task = load_task(task, every_step=every_step, initial=initial)
    epochs_given = {"float_epochs": float_epochs, "quantised_epochs": epochs}
    given: dict[str, Any] = {n: count for n, count in epochs_given.items() if count is not None}
    network, gives = network_for(found_task, wanted, output, initial, template)
    found = train_design(
        found_task,
        network,
        Genes(network, template.genes) if template else homogeneous(network, bits),
        replace(recipe_for(task), **given, seed=seed, keep_outliers=keep_outliers),
        out,
        _print_epoch,
        folding=template.folding if template else None,
        output=gives,
    )
    results.print(figures(f"Design {out / 'genome.json'}", found.rows()))
    write_json(json, found.to_json())


def calibrate(
    genome: GenomePath,
    task: TaskOption = None,
    out: Annotated[Path, typer.Option(help="The design folder to write.", metavar="DIR")] = Path(
        "build/calibrated"
    ),
    samples: Annotated[
        int | None,
        typer.Option(
            help="How many training sequences to calibrate on; as in training if absent.",
            min=1,
            metavar="N",
        ),
    ] = None,
    keep_outliers: OutlierOption = False,
    json: JsonPath = None,
) -> None:
    """Choose fraction bits for edited widths, without training."""
    from gruhw.design.recalibrated import recalibrate
    from gruhw.learning.tasks import task_for
    from gruhw.learning.training import recipe_for

    template = Genome.load(genome)
    chosen = task or template.task
    if chosen is None:
        raise InputError(f"{genome}: task is required, but missing: give --task")
    check_unicode("task", chosen)
    with working("calibrating"):
        found = recalibrate(
            genome,
            task_for(chosen, template.network),
            out,
            sequences=samples or recipe_for(chosen).calibration,
            keep_outliers=keep_outliers,
        )
    table = Table(title="How samples fit the types")
    for heading in ("tensor", "bits", "fraction bits", "samples", "saturate", "outliers", "range"):
        table.add_column(heading, justify="left" if heading == "tensor" else "right")
    for tensor in found.tensors:
        counts = (tensor.samples, tensor.saturating, tensor.outliers)
        table.add_row(
            tensor.tensor,
            str(tensor.bits),
            str(tensor.frac),
            *(f"{count:,}" for count in counts),
            f"{100 * tensor.used:.0f} %",
        )
    table.caption = "range: the part of the type's that all but one sample in 2,000 use"
    results.print(table)
    results.print(figures(f"Design {out / 'genome.json'}", found.rows()))
    write_json(json, found.to_json())


def _print_epoch(epoch: "Epoch") -> None:
    errors.print(
        f"{epoch.phase:>9} {epoch.number:3}/{epoch.of}  loss {epoch.loss:.4f}  "
        f"validation {epoch.figure}"
    )


def evaluate(
    genome: GenomePath,
    split: SplitOption = "test",
    task: TaskOption = None,
    json: JsonPath = None,
) -> None:
    """Measure accuracy or error in the integers of the hardware."""
    from gruhw.design import Design
    from gruhw.network.figures import Accuracy, StepAccuracy
    from gruhw.network.reference import measure

    design = Design.load(genome)
    started = time.monotonic()
    with working("evaluating"):
        source = design.task(task)
        part = design.part(split, source)
        figure = measure(design.network, part)
    of = {"task": task or design.genome.task, "split": split}
    shown = of | {"sequences": f"{len(part):,}"}
    if isinstance(figure, StepAccuracy):
        shown["steps"] = f"{figure.total:,}"
    if isinstance(figure, Accuracy):
        shown["correct"] = f"{figure.correct:,}"
    shown |= {figure.name: str(figure), "weight bits": f"{design.network.weight_bits:,}"}
    title = figure.name[:1].upper() + figure.name[1:]
    results.print(figures(f"{title} of {design.name}, computed in integers", shown))
    progress.print(f"evaluated in {time.monotonic() - started:.1f} s")
    note = validation_note(design, split, source)
    bits = {"weight_bits": design.network.weight_bits}
    write_json(json, {**of, **figure.to_json(), **bits, **note})
