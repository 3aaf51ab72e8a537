"""Running commands of gruhw, in this process and in others."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from gruhw.cli import main

SUPPORT = Path(__file__).parent
REPOSITORY = SUPPORT.parents[1]
DESIGN = REPOSITORY / "designs" / "mnist-rows" / "genome.json"

SCRIPT = """
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="gruhw")
script.load()()
"""

DROP_FROM_BOUNDING_SET, OVERRIDE_PERMISSIONS = 24, 1
"""Linux: ``PR_CAPBSET_DROP`` and ``CAP_DAC_OVERRIDE``."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str

    def rows(self) -> list[list[str]]:
        """The cells of all tables, without headings."""
        lines = [line for line in self.out.splitlines() if line.startswith("│")]
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


class CommandLine:
    """Runs gruhw in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Result:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exit_request:
            main([str(argument) for argument in arguments])
        status = exit_request.value.code
        assert isinstance(status, int)
        return Result(status, *self._capsys.readouterr())

    def succeeds(self, *arguments: str | Path) -> Result:
        """Run a command that must end well."""
        result = self(*arguments)
        assert result.status == 0, result.err
        return result


def run_process(
    *arguments: str | Path,
    cwd: Path,
    hash_seed: str = "random",
    stdout: IO[str] | int = subprocess.PIPE,
    script: str = SCRIPT,
    spoil: Callable[[], object] | None = None,
) -> Result:
    """Run the installed script, or another, in a process of its own, which ``spoil`` spoils."""
    finished = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        # Unbuffered output, which some machines ask for, fails earlier than users' does.
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONUNBUFFERED": ""},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=spoil,
    )
    return Result(finished.returncode, finished.stdout or "", finished.stderr)


def supported(**more: str) -> dict[str, str]:
    """The environment for a process that imports what tests share, with ``more`` variables."""
    inherited = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(SUPPORT), inherited]))
    return {**os.environ, "PYTHONPATH": path, **more}


def no_permission() -> None:
    """Take root's right to write anywhere away from the program that is started next."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, OVERRIDE_PERMISSIONS, 0, 0, 0)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below ``folder``, hidden ones too, by relative path."""

    def files() -> Iterator[Path]:
        return (path for path in sorted(folder.rglob("*")) if path.is_file())

    return {str(path.relative_to(folder)): path.read_bytes() for path in files()}
