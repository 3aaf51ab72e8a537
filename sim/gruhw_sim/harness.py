"""Compiled simulations without cocotb: the Verilog and a small program in C++, by Verilator.

They run millions of cycles a second, against the ten thousands of a bench in Python, and so let
whole data sets through the hardware.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.compiled import is_whole, keep
from gruhw.errors import ToolError
from gruhw.files import sha256
from gruhw.programs import run_program
from gruhw_hw.top import TOP
from gruhw_sim.runner import (
    compiler_version,
    first_error,
    link_tools,
    tool_environment,
)
from gruhw_sim.simulators import find_simulator

Words: TypeAlias = NDArray[np.uint64]

HARNESS = Path(__file__).with_suffix(".cpp")
PROGRAM = "harness"
WAVEFORM = "waveform"
"""The file of a run's waveform."""

LAST = 32
"""The bit of an input element that ends a sequence."""

VISIBLE = f"""\
`verilator_config
lint_off
public_flat_rd -module "{TOP}.datapath" -var "state_written"
public_flat_rd -module "{TOP}.datapath.*" -var "result"
"""


@dataclass(frozen=True)
class Waveform:
    """A format that Verilator writes."""

    suffix: str
    option: str
    header: str
    type: str


VCD = Waveform(".vcd", "--trace-vcd", "verilated_vcd_c.h", "VerilatedVcdC")
FST = Waveform(".fst", "--trace-fst", "verilated_fst_c.h", "VerilatedFstC")
FST_HEADERS = ("zlib.h", "lz4.h")
"""What Verilator's writer of FST files includes besides its own."""


def best_waveform() -> Waveform:
    """FST, or VCD where the compiler does not find what FST files are compressed with."""
    includes = "".join(f"#include <{name}>\n" for name in FST_HEADERS)
    found = run_program("c++", ["c++", "-fsyntax-only", "-x", "c++", "-"], text=includes)
    return VCD if found.returncode else FST


@dataclass(frozen=True)
class Trace:
    """What a run gave.

    Parameters
    ----------
    outputs
        Cycle, data and last flag of each output element, shape [elements, 3].
    states
        Cycle and value of each state written, shape [states, 2].
    window
        The operators' results in the cycles that were asked for, shape [cycles, operators].

    All values are the bits of the signal, not extended by a sign.
    """

    outputs: Words
    states: Words
    window: Words


@dataclass(frozen=True)
class Harness:
    """A compiled simulation of an accelerator.

    Parameters
    ----------
    program
        The executable.
    waveform
        The format in which it writes waveforms; None if it writes none.
    """

    program: Path
    waveform: Waveform | None = None

    @classmethod
    def build(
        cls, verilog: str, folder: Path, cache: Path | None, waveform: Waveform | None = None
    ) -> "Harness":
        """Compile ``verilog`` in the new ``folder``, or take the program from ``cache``.

        Raises
        ------
        InputError
            If Verilator or something that it requires is missing.
        ToolError
            If Verilator or the compiler fails; with its first error line.
        """
        tool = find_simulator("verilator")
        facts = [tool.version, compiler_version(), HARNESS.read_text(), str(waveform), verilog]
        place = cache and cache / f"harness-{sha256(json.dumps(facts).encode())[:32]}"
        if place and is_whole(place / PROGRAM):
            return cls(place / PROGRAM, waveform)
        folder.mkdir()
        link_tools(folder, tool)
        (folder / "gruhw.v").write_text(verilog)
        (folder / "visible.vlt").write_text(VISIBLE)
        shutil.copy(HARNESS, folder)
        # A waveform is of a few cycles: what counts is how long the compiler takes.
        optimisation = "OPT_FAST=-O0 OPT_GLOBAL=-O0" if waveform else "OPT_FAST=-O2 OPT_GLOBAL=-O1"
        command = [
            "verilator", "--cc", "--exe", "--build", "-O3", "-Wno-fatal", "--output-split", "0",
            "--x-assign", "fast", "--x-initial", "fast",
            "--top-module", TOP, "--prefix", "Vgruhw", "-Mdir", "build", "-o", PROGRAM,
            "-MAKEFLAGS", f"{optimisation} PYTHON3={folder / 'python'}",
        ]  # fmt: skip
        if waveform:
            defines = f"-DWAVEFORM_HEADER='\"{waveform.header}\"' -DWAVEFORM_CLASS={waveform.type}"
            command += [waveform.option, "-CFLAGS", defines]
        done = run_program(
            "verilator",
            [*command, "visible.vlt", "gruhw.v", HARNESS.name],
            cwd=folder,
            env=tool_environment(folder, tool),
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            raise ToolError(f"verilator: {first_error(done.stdout, done.returncode)}")
        program = folder / "build" / PROGRAM
        if place:
            keep(program, place)
        return cls(program, waveform)

    def run(
        self,
        folder: Path,
        elements: Words,
        cycles: int,
        operators: Sequence[str],
        state: str,
        window: tuple[int, int] | None = None,
    ) -> Trace:
        """Send ``elements`` without a pause and take what comes without a pause.

        Parameters
        ----------
        folder
            Where its files go, the waveform too, whose name is :data:`WAVEFORM`.
        elements
            Codes of input elements; bit :data:`LAST` ends a sequence.
        cycles
            How many to run, from the one that accepts the first element.
        operators, state
            The operators to record in the window, and the one whose result is the state.
        window
            The first and the last cycle in which all operators are recorded.

        Raises
        ------
        ToolError
            If the program fails.
        """
        elements.tofile(folder / "elements.bin")
        first, last = window or (1, 0)
        done = run_program(
            "simulation",
            [self.program, str(cycles), str(first), str(last), state, *operators],
            cwd=folder,
        )
        if done.returncode:
            raise ToolError(f"simulation: {first_error(done.stderr, done.returncode)}")

        def read(name: str, columns: int) -> Words:
            return np.fromfile(folder / f"{name}.bin", np.uint64).reshape(-1, columns)

        return Trace(read("outputs", 3), read("states", 2), read("window", len(operators)))
