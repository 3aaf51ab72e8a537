"""Options that every command has, and choices: those that the tables behind them have."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from command_line import SCRIPT, CommandLine, run_process

from gruhw.cli.search import _pace
from gruhw.errors import InputError
from gruhw.learning.tasks import TASKS, TaskData
from gruhw.network.architecture import ACTIVATIONS, DENSE, INITIALS
from gruhw.network.cells import cells
from gruhw.network.genes import PRESETS
from gruhw.network.genome import Output
from gruhw.search.front import Rule, Selection
from gruhw.search.objectives import OBJECTIVES
from gruhw_hw.synthesis.targets import TARGETS
from gruhw_sim.simulators import SimulatorName

SIMULATED = [name for name, target in TARGETS.items() if target.models or target.liberty]
PARTS = [field.name for field in fields(TaskData)]


@pytest.mark.parametrize(
    ("command", "option", "table"),
    [
        ("synth", "target", TARGETS),
        ("report", "target", TARGETS),
        ("search", "target", TARGETS),
        ("simulate", "netlist", SIMULATED),
        ("simulate", "simulator", get_args(SimulatorName)),
        ("generate", "output", get_args(Output)),
        ("evaluate", "split", PARTS),
        ("verify", "split", PARTS),
        ("search", "objective", OBJECTIVES),
        ("search", "preset", PRESETS),
        ("train", "output", get_args(Output)),
        ("search", "output", get_args(Output)),
        ("train", "initial", INITIALS),
        ("search", "initial", INITIALS),
    ],
)
def test_help_lists_the_names_in_the_table(
    command: str, option: str, table: Iterable[str], gruhw: CommandLine
) -> None:
    shown = re.search(rf"^  --{option} <(.*?)>", gruhw.succeeds(command, "-h").out, re.M)
    assert shown is not None
    assert shown[1].split("|") == list(table)


@pytest.mark.parametrize("command", ["train", "search"])
def test_help_lists_the_layers_that_there_are(command: str, gruhw: CommandLine) -> None:
    shown = gruhw.succeeds(command, "-h").out.partition("--layers ")[2].partition("  --")[0]
    words = re.findall(r"[\w:]+", shown)
    assert {*cells(), DENSE, *ACTIVATIONS} <= {part for word in words for part in word.split(":")}
    assert "{" not in shown


def test_help_of_other_commands_looks_for_no_cells(
    gruhw: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise InputError("entry point x must be a Cell, not int")

    monkeypatch.setattr("gruhw.cli.network.cells", refuse)
    gruhw.succeeds("generate", "-h")
    result = gruhw("train", "-h")
    assert (result.status, result.err) == (2, "gruhw: entry point x must be a Cell, not int\n")


def test_rules() -> None:
    assert {Selection.parse("budget=1").rule, "smallest", "knee", "max-accuracy"} == set(
        get_args(Rule)
    )


@pytest.mark.parametrize("command", [(), ("synth",), ("search",)])
def test_h_is_help(command: tuple[str, ...], gruhw: CommandLine) -> None:
    assert gruhw.succeeds(*command, "-h") == gruhw.succeeds(*command, "--help")


HEAVY = {"amaranth", "matplotlib", "numpy", "scipy", "torch"}
LISTING = f"""
import atexit, sys
atexit.register(lambda: print(sorted(sys.modules.keys() & {HEAVY!r})))
{SCRIPT}
"""


def test_help_and_completion_import_nothing_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = run_process("search", "-h", cwd=tmp_path, script=LISTING)
    assert shown.out.splitlines()[-1] == "[]"
    complete("synth --target ec", monkeypatch)
    assert run_process(cwd=tmp_path, script=LISTING).out.splitlines() == ["ecp5", "[]"]


def in_shell(shell: str, option: str) -> subprocess.CompletedProcess[str]:
    """Run gruhw from a process that is called like a shell: by that it knows which it is."""
    command = [shell, "-c", f'"{sys.executable}" -c "$0" {option}; exit $?', SCRIPT]
    return subprocess.run(
        command, executable="/bin/sh", capture_output=True, text=True, check=False
    )


SCRIPTS = {
    "bash": ("complete -o default -F _gruhw_completion gruhw", ".bash_completions/gruhw.sh"),
    "zsh": ("compdef _gruhw_completion gruhw", ".zfunc/_gruhw"),
    "fish": ("complete --command gruhw ", ".config/fish/completions/gruhw.fish"),
}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_each_shell_gets_its_script(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, file = SCRIPTS[shell]
    shown = in_shell(shell, "--show-completion")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[-1].startswith(words)
    monkeypatch.setenv("HOME", str(tmp_path))
    installed = in_shell(shell, "--install-completion")
    assert (installed.returncode, installed.stderr) == (0, "")
    assert (tmp_path / file).read_text().strip() == shown.stdout.strip()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ver", ["verify"]),
        ("synth --tar", ["--target"]),
        ("synth --target ", list(TARGETS)),
        ("report --target xc", ["xc7"]),
        ("search --objective ", list(OBJECTIVES)),
    ],
)
def test_completion(
    typed: str, completed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(typed, monkeypatch)
    result = run_process(cwd=tmp_path)
    assert (result.status, result.out.split(), result.err) == (0, completed, "")


def complete(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the next process complete the words after ``gruhw``, as bash asks for it."""
    words = ["gruhw", *typed.split(" ")]
    monkeypatch.setenv("_GRUHW_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))


def test_json_on_standard_output(gruhw: CommandLine) -> None:
    result = gruhw.succeeds("tasks", "--json", "-")
    assert json.loads(result.out)["tasks"].keys() == TASKS.keys()
    table = gruhw.succeeds("tasks")
    # What is read by people goes where progress does.
    assert (result.err, table.err) == (table.out, "")


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (12.34, "12.3 evaluations/s"),
        (1.0, "1.0 evaluations/s"),
        (0.99, "59.4 evaluations/min"),
        (0.02, "1.2 evaluations/min"),
        (0.0151, "54 evaluations/h"),
        (0.00001, "0.036 evaluations/h"),
    ],
)
def test_a_pace_is_never_nothing(rate: float, shown: str) -> None:
    assert _pace(rate) == shown
