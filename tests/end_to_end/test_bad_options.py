"""Wrong options and arguments: one line says what is required, and nothing is written."""

import json
from pathlib import Path

import numpy as np
import pytest
from bad_input import GENOME, HIDDEN, INPUTS, Refused, save
from command_line import contents, run_process
from tiny_task import write_tiny_task

from gruhw.learning.tasks import TASKS

TARGETS = "'ice40', 'ecp5', 'xc7', 'gowin', 'asic'"


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("--target: 'virtex' is not one of " + TARGETS, "synth --genome G --target virtex"),
        ("--target: 'virtex' is not one of " + TARGETS, "report --genome G --target virtex"),
        (
            "--output: 'x' is not one of 'class', 'values', 'states'",
            "generate --genome G --output x",
        ),
        (
            "--output: 'x' is not one of 'class', 'values', 'states'",
            "train --task mnist-rows --output x",
        ),
        (
            "--initial: 'x' is not one of 'zero', 'constant', 'carry'",
            "search --task mnist-rows --out out --initial x",
        ),
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


@pytest.mark.parametrize("command", ["generate", "simulate", "synth", "verify"])
@pytest.mark.parametrize(
    ("top", "line"),
    [
        ("", "1 to 64 letters, digits and underscores, no digit first"),
        ("3x", "1 to 64 letters, digits and underscores, no digit first"),
        ("a b", "1 to 64 letters, digits and underscores, no digit first"),
        ("module", "no keyword of SystemVerilog"),
    ],
)
def test_top_that_is_no_name(top: str, line: str, command: str, refused: Refused) -> None:
    refused(f"top module must be {line}, not {top!r}", command, "--genome", GENOME, "--top", top)


@pytest.mark.parametrize("top", ["testbench", "TestBench"])
def test_top_with_the_testbench_s_file(top: str, refused: Refused) -> None:
    refused(
        f"top module must have another name than the testbench, not {top!r}",
        *("generate", "--genome", GENOME, "--out", "out", "--top", top),
    )


def test_verilog_without_an_accelerator(refused: Refused) -> None:
    Path("other.v").write_text("module other; endmodule\n")
    refused(
        "other.v: a module NAME.datapath is required, but missing",
        *("verify", "--genome", GENOME, "--verilog", "other.v"),
    )


def test_too_many_samples(refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS)), y_test=np.zeros(3, int))
    refused(
        "samples must be 1 to the 3 sequences there are, not 4",
        *("simulate", "--genome", GENOME, "--data", "data.npz", "--samples", "4"),
    )


@pytest.mark.parametrize("command", ["generate", "simulate", "synth", "report"])
@pytest.mark.parametrize("pe", [0, HIDDEN + 1])
def test_folding_out_of_range(pe: int, command: str, refused: Refused) -> None:
    refused(
        f"pe must be 1 to the {HIDDEN} hidden units, not {pe}",
        *(command, "--genome", GENOME, "--pe", str(pe)),
    )


@pytest.mark.parametrize("command", [("train",), ("evaluate", "--genome", GENOME)])
def test_unknown_task(command: tuple[str | Path, ...], refused: Refused) -> None:
    refused(
        f"task must be {', '.join(TASKS)} or the path of an .npz file, not 'mnist'",
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
    for command in ("evaluate", "verify", "report"):
        refused(
            f"{GENOME}: task is required, but missing: give --task", command, "--genome", GENOME
        )


@pytest.mark.parametrize("command", ["evaluate", "report", "simulate"])
def test_genome_with_an_unknown_task(command: str, refused: Refused) -> None:
    genome = json.loads(GENOME.read_text()) | {"task": "mnist", "samples": None}
    GENOME.write_text(json.dumps(genome))
    refused(
        f"{GENOME}: task must be {', '.join(TASKS)} or the path of an .npz file, not 'mnist'",
        *(command, "--genome", GENOME),
    )


def test_hidden_units_that_contradict_the_genome(refused: Refused) -> None:
    refused(
        f"layers must be gru:{HIDDEN}, as in {GENOME}, or absent, not gru:{HIDDEN + 1}",
        *("train", "--task", "mnist-rows", "--genome", GENOME, "--hidden", str(HIDDEN + 1)),
    )


def test_another_initial_state_than_the_genome_s(refused: Refused) -> None:
    refused(
        f"initial must be zero, as in {GENOME}, or absent, not constant",
        *("train", "--task", "mnist-rows", "--genome", GENOME, "--initial", "constant"),
    )


@pytest.mark.parametrize("text", ["x", "1,x", "", "1,"])
@pytest.mark.parametrize("command", ["generate", "report"])
def test_folding_that_is_no_number(text: str, command: str, refused: Refused) -> None:
    refused(
        f"pe must be a number, or one for each layer with ',' between them, not {text!r}",
        *(command, "--genome", GENOME, "--pe", text),
    )


def test_foldings_of_layers_that_are_not_there(refused: Refused) -> None:
    refused(
        "pe must be one number, not 2",
        *("generate", "--genome", GENOME, "--out", "out", "--pe", "2,1"),
    )


def test_task_that_does_not_suit_the_design(refused: Refused) -> None:
    write_tiny_task(Path("task.npz"))
    refused(
        f"task task.npz: elements of a time step must be {INPUTS}, as in {GENOME}, not 3",
        *("evaluate", "--genome", GENOME, "--task", "task.npz"),
    )


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("task", ("train", "--task", "\udcff.npz")),
        ("task", ("search", "--out", "out", "--task", "\udcff.npz")),
        ("model", ("search", "--out", "out", "--task", "mnist-rows", "--model", "\udcff.npz")),
        ("start", ("search", "--out", "out", "--task", "mnist-rows", "--start", "\udcff.npz")),
    ],
)
def test_names_that_no_other_file_can_hold(
    option: str, arguments: tuple[str, ...], refused: Refused
) -> None:
    write_tiny_task(Path("\udcff.npz"))
    refused(
        rf"{option} must be valid Unicode, which other files can name, not '\udcff.npz'", *arguments
    )


def test_one_line_from_the_installed_program_too(tmp_path: Path) -> None:
    result = run_process("generate", "--genome", "absent\n.json", cwd=tmp_path)
    message = "gruhw: absent .json: cannot be read: no such file or directory\n"
    assert (result.status, result.out, result.err) == (2, "", message)
    assert contents(tmp_path) == {}
