"""Paths that lead to no ordinary file, and names that no file can have."""

import json
import os
from pathlib import Path

import pytest
from bad_input import GENOME, MODEL, Refused, edit, generate
from command_line import CommandLine

from gruhw.basics.files import LARGEST_FILE
from gruhw.errors import LONGEST_LINE


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("--genome", ("generate", "--out", "out")),
        ("--genome", ("evaluate",)),
        ("--data", generate()),
        ("--task", ("train", "--out", "out")),
        ("--liberty", ("synth", "--genome", GENOME, "--target", "asic")),
        ("--verilog", ("verify", "--genome", GENOME)),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_ordinary_file(option: str, arguments: tuple[str | Path, ...], refused: Refused) -> None:
    os.mkfifo("pipe.npz")  # which nobody writes to
    Path("endless.npz").symlink_to("/dev/zero")
    problem = "must be a regular file, but is a pipe or a device"
    for name in ("pipe.npz", "endless.npz"):
        refused(f"{name}: {problem}", *arguments, option, name)


def test_file_larger_than_memory(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    size = LARGEST_FILE + 1
    Path("large.json").touch()
    stat = os.fstat

    def large(descriptor: int) -> os.stat_result:
        found = list(stat(descriptor))
        found[6] = size
        return os.stat_result(found)

    monkeypatch.setattr("os.fstat", large)
    refused(
        f"large.json: must have at most {LARGEST_FILE:,} bytes, not {size:,}",
        *("generate", "--genome", "large.json"),
    )


def test_file_that_does_not_fit_into_memory(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: str, flags: int) -> int:
        raise MemoryError

    monkeypatch.setattr("gruhw.basics.files._open_at_once", no_room)
    refused(f"{GENOME}: cannot be read: it does not fit into memory", *generate())


@pytest.mark.parametrize(
    ("name", "problem"),
    [("x\0y.npz", "embedded null byte"), ("x" * 300 + ".npz", "file name too long")],
    ids=["null", "long"],
)
def test_names_that_no_file_can_have(name: str, problem: str, refused: Refused) -> None:
    edit(task=name)
    shown = name.replace("\0", r"\x00")
    line = f"{GENOME}: {shown}: cannot be read: {problem}"
    refused(line, "evaluate", "--genome", GENOME)


def test_task_whose_name_is_too_long(refused: Refused) -> None:
    edit(task="x" * 300)
    line = f"{GENOME}: {'x' * 300}: cannot be read: file name too long"
    refused(line, "evaluate", "--genome", GENOME)


def test_model_name_with_commands_for_a_terminal(refused: Refused) -> None:
    edit(model__file="\x1b[2J.safetensors")
    refused(r"design/\x1b[2J.safetensors: cannot be read: no such file or directory", *generate())


def test_huge_value(refused: Refused) -> None:
    edit(task=["x" * 10**6])
    start = f"{GENOME}: task: input should be a valid string, not ['"
    half = LONGEST_LINE // 2
    refused(f"{start}{'x' * (half - len(start))} ... {'x' * (half - 2)}']", *generate())


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_deep_nesting(depth: int, gruhw: CommandLine, refused: Refused) -> None:
    text = GENOME.read_text().replace('"class"', "[" * depth + "]" * depth)
    GENOME.write_text(text)
    result = gruhw(*generate())
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"gruhw: {GENOME}: ")


def test_results_that_would_replace_a_device(refused: Refused) -> None:
    os.mkfifo("pipe")
    refused("pipe: must be a file, but is a pipe or a device", "tasks", "--json", "pipe")


def test_output_on_a_link_to_itself(refused: Refused) -> None:
    Path("loop").symlink_to("loop")
    refused(
        "loop: must be a folder, but is a file",
        *("generate", "--genome", GENOME, "--out", "loop"),
    )


def test_data_folder_with_a_name_that_is_too_long(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRUHW_DATA", "x" * 300)
    refused(f"{'x' * 300}: cannot be read: file name too long", "evaluate", "--genome", GENOME)


def test_names_that_are_no_text_are_shown(gruhw: CommandLine, refused: Refused) -> None:
    genome = json.loads(GENOME.read_text())
    folder = Path("\udcff")
    GENOME.parent.rename(folder)
    result = gruhw.succeeds("generate", "--genome", folder / GENOME.name, "--out", "\udcfe")
    assert "Design folder \\udcfe" in result.out
    assert (Path("\udcfe") / genome["model"]["file"]).read_bytes() == (
        folder / MODEL.name
    ).read_bytes()
