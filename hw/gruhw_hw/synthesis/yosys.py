"""Running Yosys and reading what it counted.

Yosys runs as a separate process in a folder of its own, on files with fixed names, so
that no name or path of the user's is ever part of its commands.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from gruhw.basics.files import scratch_folder
from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.programs import run_program
from gruhw.errors import ToolError

_RUNNER = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


class YosysError(ToolError):
    """Yosys ran, and failed."""


@dataclass(frozen=True)
class YosysRun:
    """What a run of Yosys left: the files asked for, by name."""

    outputs: Mapping[str, bytes]


def run_yosys(
    commands: Sequence[str], inputs: Mapping[str, bytes], outputs: Sequence[str]
) -> YosysRun:
    """Run Yosys commands in a temporary folder.

    Parameters
    ----------
    commands
        One Yosys command each.
    inputs
        The contents of the files that the commands read, by name.
    outputs
        The names of the files that the commands write and the caller wants.

    Raises
    ------
    YosysError
        If Yosys fails; with its first error line.
    ToolError
        If it is not installed, or does not end in time.
    """
    _package()
    with scratch_folder("gruhw-yosys-") as folder:
        for file, data in inputs.items():
            (folder / file).write_bytes(data)
        result = run_program(
            "Yosys",
            # -P: a file in the folder that Yosys runs in must never be imported as a module.
            [sys.executable, "-P", "-c", _RUNNER, *commands],
            cwd=folder,
            # ABC's files go here too, and so does the cache of libraries that Yosys keeps: it
            # names its entries by the library's path alone, which is the same in every run.
            env=os.environ | {"TMPDIR": "."},
            stdout=subprocess.DEVNULL,
        )
        if result.returncode != 0:
            raise YosysError(f"Yosys: {_first_error(result.stderr, result.returncode)}")
        return YosysRun({file: (folder / file).read_bytes() for file in outputs})


def _first_error(log: str, status: int) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR:" in line]
    ending = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return (errors or [f"{ending}: {lines[-1]}" if lines else ending])[0]


def _package() -> Path:
    # Found without importing it: Yosys must not run inside this process.
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise ToolError("Yosys is required, but not installed: install the package pyosys")
    return Path(spec.origin).parent


def yosys_share() -> Path:
    """The folder of the files that come with Yosys, models of cells among them.

    Raises
    ------
    ToolError
        If Yosys is not installed.
    """
    return _package() / "share"


@cache
def tool_versions() -> Mapping[str, str]:
    """The versions of ``yosys``, of its package ``pyosys`` and of ``abc``.

    Raises
    ------
    ToolError
        If Yosys is not installed or fails.
    """
    package = _package()
    run = run_yosys(["tee -q -o stat.json stat -json"], {}, ["stat.json"])
    found = {
        "yosys": _creator(run.outputs["stat.json"]),
        "pyosys": version("pyosys"),
    }
    abc = package / ("yosys-abc.exe" if os.name == "nt" else "yosys-abc")
    if abc.is_file():
        banner = run_program("ABC", [abc, "-c", "version"]).stdout
        # The banner also has the date it was compiled, which says nothing about its results.
        if (match := re.search(r"ABC \d\S*", banner)) is not None:
            found["abc"] = match[0].removeprefix("ABC ")
    return FrozenMapping(found)


def _creator(stat: bytes) -> str:
    creator = str(json.loads(stat).get("creator", ""))
    match = re.match(r"Yosys (\S+)(?: \(git sha1 (\w+))?", creator)
    if match is None:
        raise ToolError(f"Yosys: version must be reported by stat, not {creator!r}")
    return f"{match[1]} ({match[2]})" if match[2] else match[1]


def parse_stat(stat: bytes) -> dict[str, dict[str, int]]:
    """The cells of each module, a count for each type, from the output of ``stat -json``."""
    modules = json.loads(stat)["modules"]
    return {
        name.removeprefix("\\"): {
            cell.removeprefix("\\"): int(count)
            for cell, count in module.get("num_cells_by_type", {}).items()
        }
        for name, module in modules.items()
    }


def warnings(log: str) -> tuple[str, ...]:
    """The distinct warnings in what Yosys printed, in order, each one line."""
    found = [line.strip() for line in log.splitlines() if re.search(r"\bwarning:", line, re.I)]
    return tuple(dict.fromkeys(found))
