"""Places where results cannot go: found first, and nothing is written."""

from pathlib import Path

import pytest
from bad_input import GENOME, MODEL, Refused, edit, generate
from tiny_task import write_tiny_task


def test_output_below_a_file(refused: Refused) -> None:
    refused(
        "file/out: cannot be written: not a directory",
        *("generate", "--genome", GENOME, "--out", "file/out"),
    )


def test_output_on_a_file(refused: Refused) -> None:
    refused(
        "file: must be a folder, but is a file",
        *("generate", "--genome", GENOME, "--out", "file"),
    )


def test_output_on_the_design_itself(refused: Refused) -> None:
    refused(
        f"{GENOME.parent}: must be another folder than that of {GENOME}",
        *("generate", "--genome", GENOME, "--out", GENOME.parent),
    )


def test_training_below_a_file(refused: Refused) -> None:
    write_tiny_task(Path("task.npz"))
    refused(
        "file/out: cannot be written: not a directory",
        *("train", "--task", "task.npz", "--out", "file/out"),
    )


def test_generated_file_in_the_way(refused: Refused) -> None:
    Path("out/gruhw.v").mkdir(parents=True)
    refused("out/gruhw.v: cannot be written: is a directory", *generate())


def test_model_with_a_generated_file_s_name(refused: Refused) -> None:
    MODEL.rename("design/gruhw.v")
    edit(model__file="gruhw.v")
    refused(
        f"{GENOME}: gruhw.v is a name that generated files have: the genome must name another file",
        *generate(),
    )


def test_model_with_the_name_of_another_top_s_file(refused: Refused) -> None:
    MODEL.rename("design/left.v")
    edit(model__file="left.v")
    refused(
        f"{GENOME}: left.v is a name that generated files have: the genome must name another file",
        *generate("--top", "left"),
    )


# Nothing that takes long comes first.
@pytest.mark.parametrize(
    "arguments",
    [
        generate(),
        ("simulate", "--genome", GENOME),
        ("synth", "--genome", GENOME),
        ("evaluate", "--genome", GENOME),
        ("report", "--genome", GENOME),
        ("train", "--task", "mnist-rows"),
        ("tasks",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_unwritable_json(arguments: tuple[str | Path, ...], refused: Refused) -> None:
    refused("file: must be a folder, but is a file", *arguments, "--json", "file/a/b.json")
    refused("design: must be a file, but is a folder", *arguments, "--json", "design")


def test_unwritable_markdown(refused: Refused) -> None:
    refused(
        "file: must be a folder, but is a file",
        *("report", "--genome", GENOME, "--markdown", "file/report.md"),
    )


def test_name_that_is_too_long(refused: Refused) -> None:
    name = "n" * 300
    refused(f"{name}: cannot be written: file name too long", "tasks", "--json", name)
