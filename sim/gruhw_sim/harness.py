"""Compiled simulations without cocotb: the Verilog and a small program in C++, by Verilator.

They run millions of cycles a second, against the ten thousands of a bench in Python, and so let
whole data sets through the hardware.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.compiled import is_whole, keep
from gruhw.basics.files import scratch_folder, sha256
from gruhw.basics.programs import run_program
from gruhw.errors import ToolError
from gruhw_hw.identifiers import verilog_file
from gruhw_sim.cocotb_job import RUNTIME, RUNTIME_OBJECTS, VISIBLE, linked_runtime
from gruhw_sim.runner import (
    compiler_version,
    first_error,
    link_tools,
    tool_environment,
)
from gruhw_sim.runtime import Runtime
from gruhw_sim.simulators import find_simulator

Words: TypeAlias = NDArray[np.uint64]

HARNESS = Path(__file__).with_suffix(".cpp")
PROGRAM = "harness"
WAVEFORM = "waveform"
"""The file of a run's waveform."""

LAST = 32
"""The bit of an input element that ends a sequence."""

END = 33
"""The bit of an input element that ends an episode: what follows is sent after the next reset."""

OFFER, TAKE, RESET = 1, 2, 4
"""The bits of a plan's cycle: an input element is offered, an output element taken; a reset."""

FREE = OFFER | TAKE
"""A cycle in which neither stream stalls."""

NEVER = (1 << 64) - 1
"""The cycle that accepted the first element of an episode, if none was accepted."""

QUICKLY, WELL = ("OPT_FAST=-O0", "OPT_GLOBAL=-O0"), ("OPT_FAST=-O2", "OPT_GLOBAL=-O1")
"""How the C++ compiler optimises the design, and Verilator's own code."""

VERILATE = (
    "verilator", "--cc", "-O3", "-Wno-fatal", "--output-split", "0",
    "--x-assign", "fast", "--x-initial", "fast", "--prefix", "Vgruhw", "-Mdir", "build",
)  # fmt: skip
"""Verilator's command for any of these programs, without the design."""

COMMON_HEADERS = (
    "cstdio", "cstdlib", "string", "vector", "verilated.h", "verilated_dpi.h", "verilated_syms.h",
)  # fmt: skip
"""What all programs include, which takes the compiler longer than the rest of a small design."""


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
        Cycle, data and last flag of each output element taken, shape [elements, 3].
    states
        For each state, cycle and value of what is written, shape [results, 2].
    window
        The operators' results in the cycles that were asked for, shape [cycles, operators].
    episodes
        For each episode the cycle that accepted its first element, or :data:`NEVER`, and the
        cycle of the reset that ended it, shape [episodes, 2].
    broken
        The cycles in which an output element changed that was offered and not yet taken,
        shape [cycles, 1].

    All values are the bits of the signal, not extended by a sign.
    """

    outputs: Words
    states: tuple[Words, ...]
    window: Words
    episodes: Words
    broken: Words


@dataclass(frozen=True)
class Watched:
    """What is read inside an accelerator; paths are those of :mod:`gruhw_sim.inside`.

    Parameters
    ----------
    operators
        The modules whose results the window shows.
    states
        For each state, the signal that says when it is written, and the module of its operator.
    """

    operators: Sequence[str]
    states: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Harness:
    """A compiled simulation of an accelerator.

    Parameters
    ----------
    program
        The executable.
    top
        The name of the design's top module.
    waveform
        The format in which it writes waveforms; None if it writes none.
    """

    program: Path
    top: str
    waveform: Waveform | None = None

    @classmethod
    def build(
        cls,
        verilog: str,
        top: str,
        folder: Path,
        cache: Path | None,
        waveform: Waveform | None = None,
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
        # A waveform is of a few cycles: what counts is how long the compiler takes.
        optimisation = QUICKLY if waveform else WELL
        common = [tool.version, compiler_version(), *optimisation, str(waveform)]
        place = cache and cache / _key("harness", *common, HARNESS.read_text(), top, verilog)
        if place and is_whole(place / PROGRAM):
            return cls(place / PROGRAM, top, waveform)
        folder.mkdir()
        link_tools(folder, tool)
        sources = write_sources(folder, verilog, top)
        names = list(RUNTIME_OBJECTS)
        if waveform:
            names.append(waveform.header.replace(".h", ".o"))
        runtime = cache and Runtime(cache / _key("harness-runtime", *common), names)
        if runtime:
            runtime.fetch(folder / RUNTIME)
        words = [*optimisation, f"PYTHON3={folder / 'python'}", *linked_runtime(folder, names)]
        command = [*VERILATE, "--exe", "--build", "-o", PROGRAM, "-MAKEFLAGS", shlex.join(words)]
        if waveform:
            defines = f"-DWAVEFORM_HEADER='\"{waveform.header}\"' -DWAVEFORM_CLASS={waveform.type}"
            command += [waveform.option, "-CFLAGS", defines]
        run_tool([*command, *sources, HARNESS.name], folder, tool_environment(folder, tool))
        program = folder / "build" / PROGRAM
        if place:
            keep(program, place)
        if runtime and not (folder / RUNTIME).exists():
            runtime.keep(folder / "build")
        return cls(program, top, waveform)

    def run(
        self,
        folder: Path,
        elements: Words,
        cycles: int,
        watched: Watched,
        window: tuple[int, int] | None = None,
        plan: bytes = b"",
    ) -> Trace:
        """Send ``elements`` and take what comes, as ``plan`` says; without a pause after its end.

        Parameters
        ----------
        folder
            Where its files go, the waveform too, whose name is :data:`WAVEFORM`.
        elements
            Codes of input elements; bit :data:`LAST` ends a sequence, bit :data:`END` an episode.
        cycles
            How many to run, from the one that accepts the first element.
        watched
            What is read inside.
        window
            The first and the last cycle in which all operators are recorded.
        plan
            What happens in each cycle: bits :data:`OFFER`, :data:`TAKE`, :data:`RESET`. An element
            that is offered stays so until it is accepted.

        Raises
        ------
        ToolError
            If the program fails.
        """
        elements.tofile(folder / "elements.bin")
        (folder / "plan.bin").write_bytes(plan)
        states = watched.states
        words = [self.top, *map(str, (cycles, *(window or (1, 0)), len(states)))]
        words += [path for pair in states for path in pair]
        done = run_program("simulation", [self.program, *words, *watched.operators], cwd=folder)
        if done.returncode:
            raise ToolError(f"simulation: {first_error(done.stderr, done.returncode)}")

        def read(name: str, columns: int) -> Words:
            return np.fromfile(folder / f"{name}.bin", np.uint64).reshape(-1, columns)

        written = read("states", 3)
        return Trace(
            read("outputs", 3),
            tuple(written[written[:, 0] == number, 1:] for number in range(len(states))),
            read("window", len(watched.operators)),
            read("episodes", 2),
            read("broken", 1),
        )


def _key(kind: str, *facts: str) -> str:
    """Names what is compiled: all that it depends on."""
    return f"{kind}-{sha256(json.dumps(facts).encode())[:32]}"


def write_sources(folder: Path, verilog: str, top: str) -> list[str]:
    """Write the design and the harness; returns the arguments that tell Verilator of the design."""
    texts = {"visible.vlt": VISIBLE.format(top=top), verilog_file(top): verilog}
    for name, text in texts.items():
        (folder / name).write_text(text)
    shutil.copy(HARNESS, folder)
    return ["--top-module", top, *texts]


def run_tool(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> None:
    """Run Verilator or a compiler; :class:`ToolError` with its first error line if it fails."""
    done = run_program("verilator", command, cwd=folder, env=environment, stderr=subprocess.STDOUT)
    if done.returncode:
        raise ToolError(f"verilator: {first_error(done.stdout, done.returncode)}")


class QuickCompiler:
    """Compiles accelerators for runs of few cycles, where compilers take most of the time.

    What all programs have in common is compiled once: Verilator's own code and its headers.

    Parameters
    ----------
    folder
        A new folder for the programs, as :func:`gruhw_sim.runner.work_folder` gives.

    Raises
    ------
    InputError
        If Verilator or something that it requires is missing.
    """

    def __init__(self, folder: Path) -> None:
        tool = find_simulator("verilator")
        self._folder = folder
        link_tools(folder, tool)
        self._environment = tool_environment(folder, tool)
        include = folder / "verilator" / "include"
        self._compile = (
            "c++", "-std=c++17", "-O0", f"-I{include}", f"-I{include / 'vltstd'}",
            "-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0",
        )  # fmt: skip
        self._header = folder / "common.h"
        self._header.write_text("".join(f"#include <{name}>\n" for name in COMMON_HEADERS))
        self._run("-x", "c++-header", self._header)
        self._runtime = [folder / name for name in RUNTIME_OBJECTS]
        for file in self._runtime:
            self._run("-c", include / f"{file.stem}.cpp", "-o", file)

    def _run(self, *arguments: str | Path, folder: Path | None = None) -> None:
        run_tool([*self._compile, *arguments], folder or self._folder, self._environment)

    @contextmanager
    def built(self, verilog: str, top: str) -> Iterator[Harness]:
        """Compile ``verilog``, for as long as it is used; :class:`ToolError` if that fails."""
        with scratch_folder("program-", str(self._folder)) as folder:
            sources = write_sources(folder, verilog, top)
            run_tool([*VERILATE, *sources], folder, self._environment)
            parts = sorted(file.name for file in (folder / "build").glob("*.cpp"))
            whole = folder / "whole.cpp"
            whole.write_text("".join(f'#include "{part}"\n' for part in (HARNESS.name, *parts)))
            # No -pthread: it would define a macro without which the headers were compiled.
            self._run(
                "-include", self._header, "-Ibuild", whole.name, *self._runtime, "-lpthread",
                "-o", PROGRAM, folder=folder,
            )  # fmt: skip
            yield Harness(folder / PROGRAM, top)
