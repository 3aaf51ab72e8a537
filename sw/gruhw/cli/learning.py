"""The commands that train networks and measure their accuracy."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.table import Table

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
from gruhw.errors import InputError
from gruhw.genome import LEGAL_BITS, MAXIMUM_SIZE, Genome, homogeneous
from gruhw.values import LARGEST_SEED

if TYPE_CHECKING:
    from gruhw.training import Epoch

OutlierOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-outliers",
        help="Let calibration represent every sample, however rare and far out.",
    ),
]


def tasks(json: JsonPath = None) -> None:
    """List the tasks that gruhw knows by name."""
    from gruhw.tasks import TASKS

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
        Path | None, typer.Option(help="Take the widths and the folding from here.", metavar="FILE")
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
    hidden: Annotated[
        int | None,
        typer.Option(
            help="Hidden units; the genome's or the task's, if absent.",
            min=1,
            max=MAXIMUM_SIZE,
            metavar="N",
        ),
    ] = None,
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
    from gruhw.tasks import load_task
    from gruhw.training import recipe_for, train_design

    check_unicode("task", task)
    template = Genome.load(genome) if genome else None
    if template is not None and hidden not in (None, template.sizes.hidden):
        raise InputError(
            f"hidden must be {template.sizes.hidden}, as in {genome}, or absent, not {hidden}"
        )
    found_task = load_task(task)
    epochs_given = {"float_epochs": float_epochs, "quantised_epochs": epochs}
    given: dict[str, Any] = {n: count for n, count in epochs_given.items() if count is not None}
    found = train_design(
        found_task,
        template.sizes.hidden if template else hidden or found_task.hidden,
        template.genes if template else homogeneous(bits),
        replace(recipe_for(task), **given, seed=seed, keep_outliers=keep_outliers),
        out,
        _print_epoch,
        folding=template.folding if template else None,
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
    from gruhw.tasks import load_task
    from gruhw.training import recipe_for
    from gruhw.training.recalibrate import recalibrate

    chosen = task or Genome.load(genome).task
    if chosen is None:
        raise InputError(f"{genome}: task is required, but missing: give --task")
    check_unicode("task", chosen)
    with working("calibrating"):
        found = recalibrate(
            genome,
            load_task(chosen),
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
        f"validation {epoch.accuracy}"
    )


def evaluate(
    genome: GenomePath,
    split: SplitOption = "test",
    task: TaskOption = None,
    json: JsonPath = None,
) -> None:
    """Measure accuracy in the integers that the hardware computes."""
    from gruhw.accuracy import Accuracy
    from gruhw.design import Design
    from gruhw.reference import classify

    design = Design.load(genome)
    started = time.monotonic()
    with working("evaluating"):
        source = design.task(task)
        part = design.part(split, source)
        network = design.network
        accuracy = Accuracy.of(classify(network, part), part.y)
    of = {"task": task or design.genome.task, "split": split}
    shown = of | {
        "sequences": f"{accuracy.total:,}",
        "correct": f"{accuracy.correct:,}",
        "accuracy": str(accuracy),
        "weight bits": f"{network.weight_bits:,}",
    }
    results.print(figures(f"Accuracy of {design.name}, computed in integers", shown))
    progress.print(f"evaluated in {time.monotonic() - started:.1f} s")
    note = validation_note(design, split, source)
    write_json(json, {**of, **accuracy.to_json(), "weight_bits": network.weight_bits, **note})
