"""Simulating a network's accelerator with cocotb, in Verilator or Icarus Verilog."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config
from numpy.typing import ArrayLike

from gruhw.basics.compiled import is_whole, keep
from gruhw.basics.files import PathLike, as_path, npz_bytes, scratch_folder, sha256, write_atomic
from gruhw.basics.programs import run_program
from gruhw.basics.values import LARGEST_SEED, instance, truth, whole_number
from gruhw.errors import ToolError
from gruhw.network.bound import Network
from gruhw_hw.identifiers import check_top, verilog_file
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim import EXTREME_SEQUENCES, cocotb_job
from gruhw_sim.expectations import Scenario, job, sequences_of, stalled
from gruhw_sim.given import given_classes, given_values, worth
from gruhw_sim.report import Mismatch, SimulationReport, TestOutcome
from gruhw_sim.runtime import Runtime
from gruhw_sim.simulators import Simulator, SimulatorName, find_simulator

SAFE_PATH = re.compile(r"[\w./+@-]+", re.ASCII)
"""What make, shells, Verilator and Icarus take as a path without quoting."""

FEW_CYCLES = 100_000
"""For fewer cycles of a test, a compiler that optimises takes longer than its program saves; most
of all for netlists."""

INHERITED_SETTINGS = re.compile(
    r"(COCOTB|GPI|PYGPI|VERILATOR|MAKE|SIM_CMD)_?.*|MFLAGS|GUI|WAVES|PYTEST_CURRENT_TEST"
)
"""Settings of the environment that would change what the child process does."""

Progress = Callable[[str], None]


def simulate(
    network: Network,
    inputs: ArrayLike,
    lengths: ArrayLike | None,
    labels: ArrayLike | None = None,
    simulator: SimulatorName = "verilator",
    *,
    verilog: str | None = None,
    top: str = TOP,
    inside: bool = True,
    extreme: int = EXTREME_SEQUENCES,
    seed: int = 0,
    build_folder: PathLike | None = None,
    progress: Progress | None = None,
) -> SimulationReport:
    """Simulate an accelerator and compare it with the integer reference.

    Parameters
    ----------
    inputs
        Integers of the input type, shape [N, T, inputs].
    lengths
        Steps of each sequence, 1 to T, shape [N]; all T if None.
    labels
        What is right of each sequence, if known: its class, shape [N]; or its values, in the unit
        of the data, shape [N, outputs], which the output ``class`` does not have. At every step,
        of shapes [N, T] and [N, T, outputs].
    verilog
        The accelerator's Verilog; generated if it is not given.
    top
        The name of its top module.
    inside
        Whether operators and states are compared inside; otherwise only what ports show, as is
        all that a flattened netlist has.
    extreme
        How many extreme sequences are simulated besides: see
        :func:`gruhw_sim.stimuli.extreme_sequences`.
    seed
        Of everything that is random: extreme sequences, gaps, back-pressure, resets.
    build_folder
        Keeps compiled simulations, so that the next run of the same Verilog need not compile,
        and the log of the last run. A temporary folder is used if it is not given.
    progress
        Called with what is being done.

    Returns
    -------
    SimulationReport
        Mismatches are part of it, and no exception.

    Raises
    ------
    InputError
        If the simulator is missing, ``top`` is no plain Verilog name, inputs, lengths or labels do
        not fit the network, or something is of another type.
    ToolError
        If the simulator or a compiler fails; with its first error line.
    """
    tool = find_simulator(simulator)
    check_top(top)
    inputs, lengths, labels = sequences_of(network, inputs, lengths, labels)
    extreme, inside = whole_number("extreme", extreme, 0), truth("inside", inside)
    seed = whole_number("seed", seed, 0, LARGEST_SEED)
    verilog = None if verilog is None else instance("verilog", verilog, str)
    build_folder = None if build_folder is None else as_path(build_folder, "build_folder")
    tell = progress or (lambda text: None)
    tell("computing what to expect")
    scenario = Scenario.with_extremes(network, inputs, lengths, extreme, seed)
    scenario = replace(scenario, inside=inside)
    text = generate_verilog(network, top=top).verilog if verilog is None else verilog
    with work_folder() as folder:
        started = time.monotonic()
        prepare(folder, scenario, text, top, tool, seed, build_folder, tell)
        built = time.monotonic()
        tell(f"simulating {len(scenario.lengths)} sequences")
        run_child("test", folder, tool)
        run_seconds = time.monotonic() - built
        if build_folder:
            cache = build_folder / _key(tool, top, text, _optimisation(scenario))
            for name in (verilog_file(top), "test.log"):
                write_atomic(cache / name, (folder / name).read_bytes())
        tests, mismatches, given = read_results(folder, len(scenario.lengths))
    real = slice(len(inputs))
    # Extreme sequences may be longer than all real ones.
    output, steps = network.genome.output, inputs.shape[1]
    logits = scenario.reference.logits[real]
    if network.architecture.every_step:
        logits = logits[:, :steps]
    classes = given_classes(network, given[real], steps) if output == "class" else None
    values = given_values(network, given[real], lengths, steps) if output == "values" else None
    found = values if classes is None else classes
    return SimulationReport(
        simulator=simulator,
        version=tool.version,
        sequences=len(inputs),
        extreme=extreme,
        inside=inside,
        tests=tests,
        mismatches=mismatches,
        classes=classes,
        values=values,
        accuracy=None if found is None else worth(network, found, labels, lengths),
        reference_accuracy=worth(network, logits, labels, lengths),
        build_seconds=built - started,
        run_seconds=run_seconds,
    )


@contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary folder whose path every tool can take."""
    usual = tempfile.gettempdir()
    parent = usual if SAFE_PATH.fullmatch(usual) else "/tmp"
    with scratch_folder("gruhw-sim-", parent) as folder:
        yield folder.resolve()


def prepare(
    folder: Path,
    scenario: Scenario,
    verilog: str,
    top: str,
    tool: Simulator,
    seed: int,
    build_folder: Path | None,
    tell: Progress,
    *,
    brief: bool = False,
) -> None:
    """Make ``folder`` ready for tests to run: with the job, and a compiled simulation.

    ``brief`` lets everything end at the first mismatch.
    """
    _write_job(folder, scenario, verilog, top, seed, brief)
    link_tools(folder, tool)
    cache = build_folder and build_folder / _key(tool, top, verilog, _optimisation(scenario))
    built = _built_file(tool, top)
    if cache and _fetch(cache / built, folder):
        return
    tell(f"compiling for {tool.name}")
    runtime = None
    if build_folder and tool.root:
        runtime = Runtime(build_folder / f"runtime-{_key(tool)}", cocotb_job.BENCH_OBJECTS)
        runtime.fetch(folder / cocotb_job.RUNTIME)
    run_child("build", folder, tool)
    if cache:
        keep(folder / "build" / built, cache)
    if runtime:
        runtime.keep(folder / cocotb_job.RUNTIME)


def _built_file(tool: Simulator, top: str) -> str:
    """The file that a build leaves, which is all that a run needs."""
    return top if tool.name == "verilator" else "sim.vvp"


def _write_job(
    folder: Path, scenario: Scenario, verilog: str, top: str, seed: int, brief: bool
) -> None:
    """Write all that the child process reads."""
    facts = job(scenario, top, seed, brief) | {"optimisation": _optimisation(scenario)}
    (folder / verilog_file(top)).write_text(verilog)
    (folder / cocotb_job.JOB).write_text(json.dumps(facts))
    for name, arrays in (
        ("scenario", scenario.stream() | scenario.probes()),
        ("stalled", stalled(scenario)),
    ):
        (folder / f"{name}.npz").write_bytes(npz_bytes(arrays))


def link_tools(folder: Path, tool: Simulator) -> None:
    """Make the tools reachable on paths that every tool can take."""
    links = {cocotb_job.COCOTB: cocotb_tools.config.libs_dir.parent, "python": Path(sys.executable)}
    if tool.root:
        # Verilator's scripts look for their neighbours behind links, so they are copied.
        (folder / "verilator" / "bin").mkdir(parents=True)
        links["verilator/include"] = tool.root / "include"
        for program in (tool.root / "bin").iterdir():
            place = f"verilator/bin/{program.name}"
            if program.name == "verilator_bin":
                links[place] = program
            else:
                shutil.copy(program, folder / place)
    for name, target in links.items():
        (folder / name).symlink_to(target)


def tool_environment(folder: Path, tool: Simulator) -> dict[str, str]:
    """The environment in which a simulator's tools find each other through the links."""
    kept = {k: v for k, v in os.environ.items() if not INHERITED_SETTINGS.fullmatch(k)}
    path = os.environ.get("PATH", os.defpath)
    kept["LD_LIBRARY_PATH"] = str(folder / cocotb_job.COCOTB / "libs")
    kept["TMPDIR"] = str(folder)
    kept["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    if tool.root:
        root = folder / "verilator"
        return kept | {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{path}"}
    return kept


def run_child(action: str, folder: Path, tool: Simulator, *plusargs: str) -> None:
    """Build or run in a child process; its output goes to a log file in ``folder``."""
    log = folder / f"{action}.log"
    with log.open("wb") as output:
        status = run_program(
            tool.name,
            # -P: what the folder holds must never be imported in place of a module.
            [sys.executable, "-P", "-m", cocotb_job.__name__, action, tool.name, *plusargs],
            cwd=folder,
            env=tool_environment(folder, tool),
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode
    finished = action == "build" or (folder / cocotb_job.RESULTS).is_file()
    if not finished or (action == "build" and status):
        text = log.read_text(encoding="utf-8", errors="replace").replace(f"{folder}/", "")
        raise ToolError(f"{tool.name}: {first_error(text, status)}")


def first_error(log: str, status: int) -> str:
    """The line of a tool's output that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\berror\b|%Error|not found|cannot", line, re.IGNORECASE):
            return line
    return f"exit status {status}" + (f": {lines[-1]}" if lines else "")


def _optimisation(scenario: Scenario) -> str:
    """The C++ compiler's option for the design."""
    return "-O0" if scenario.starts[-1] < FEW_CYCLES else "-O1"


def _key(tool: Simulator, *design: str) -> str:
    """Names what is compiled, of this top, text and option or of none: all that it depends on."""
    facts = [tool.name, tool.version, version("cocotb"), Path(cocotb_job.__file__).read_text()]
    if tool.root:
        facts.append(compiler_version())
    return sha256("\0".join([*facts, *design]).encode())[:32]


def compiler_version() -> str:
    """What the C++ compiler says of itself: compiled programs depend on it."""
    return run_program("c++", ["c++", "--version"]).stdout


def _fetch(file: Path, folder: Path) -> bool:
    """Take a compiled simulation from the cache, if it is there."""
    if not is_whole(file):
        return False
    (folder / "build").mkdir()
    shutil.copy(file, folder / "build")
    return True


def read_results(
    folder: Path, sequences: int
) -> tuple[tuple[TestOutcome, ...], tuple[Mismatch, ...], list[list[str]]]:
    """The outcome of every test, the first mismatches, and what was given for each sequence.

    That is its class index or its values, as the bench read them.
    """
    tests: list[TestOutcome] = []
    mismatches: list[Mismatch] = []
    given: list[list[str]] = [[] for _ in range(sequences)]
    for case in ElementTree.parse(folder / cocotb_job.RESULTS).getroot().iter("testcase"):
        name = case.get("name", "")
        failed = case.find("failure") is not None or case.find("error") is not None
        problem = next(
            (_describe(child) for child in case if child.tag in ("failure", "error")), ""
        )
        result: dict[str, Any] = {"cycles": 0, "count": 0, "mismatches": [], "given": []}
        file = folder / f"result-{name}.json"
        if file.is_file():
            result = json.loads(file.read_text())
        mismatches += [Mismatch(**fields) for fields in result["mismatches"]]
        if not tests and result["given"]:
            given = result["given"]
        tests.append(
            TestOutcome(
                name=name,
                passed=not failed,
                cycles=result["cycles"],
                seconds=float(case.get("time", 0)),
                mismatches=result["count"],
                problem=problem,
            )
        )
    if not tests:
        raise ToolError("cocotb: the simulation ran no test")
    return tuple(tests), tuple(mismatches), given


def _describe(failure: ElementTree.Element) -> str:
    """What a failed test said, in one line."""
    words = failure.get("error_msg") or failure.get("message") or failure.text or "failed"
    return " ".join(words.split())
