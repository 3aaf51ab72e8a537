"""The child process that lets cocotb build a simulation or run it: ``python -m ... build|test``.

It stands apart because cocotb's runner changes the environment and the log of its process. It
works in the folder that it is started in; no name there and no part of the path holds a character
that make, a shell or Verilator could misread. Everything else is reached through links there.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import cocotb_tools.config
import find_libpython
from cocotb_tools.runner import Icarus, Verilator

from gruhw_hw.identifiers import verilog_file

BENCH = "gruhw_sim.bench"
"""The module that holds the cocotb tests."""

JOB = "job.json"
RESULTS = "results.xml"

COCOTB = "cocotb"
"""The link to cocotb's package."""

RUNTIME = "runtime"
"""The folder of Verilator's own objects, which are the same for every design."""

RUNTIME_OBJECTS = ("verilated.o", "verilated_dpi.o", "verilated_threads.o")
"""Those of every simulation."""

BENCH_OBJECTS = (*RUNTIME_OBJECTS, "verilated_vpi.o")
"""Those of one that cocotb runs."""

VISIBLE = """\
`verilator_config
lint_off
public_flat_rd -module "{top}.datapath*" -var "state_written*"
public_flat_rd -module "{top}.datapath.*" -var "result"
"""
"""What is read inside a design; to make all signals visible costs half the speed."""

PORTS = 'public_flat_rw -module "{top}" -var "*"\n'
"""What the bench drives, too."""


def linked(argument: str, folder: Path) -> str:
    """``argument`` with cocotb's package reached through its link in ``folder``."""
    package = str(cocotb_tools.config.libs_dir.parent)
    return argument.replace(package, str(folder / COCOTB))


def linked_runtime(folder: Path, names: Sequence[str]) -> list[str]:
    """The words that let make link the objects in :data:`RUNTIME` of ``folder``, if all are there.

    Otherwise it compiles them.
    """
    objects = [folder / RUNTIME / name for name in names]
    if not all(file.is_file() for file in objects):
        return []
    return ["VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=", f"USER_LDLIBS={' '.join(map(str, objects))}"]


class LinkedVerilator(Verilator):
    """Verilator with few visible signals, built in one piece, on paths that it can take.

    Parameters
    ----------
    optimisation
        The compiler's option for the design.
    """

    def __init__(self, optimisation: str) -> None:
        super().__init__()
        self._optimisation = optimisation

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        folder = self.build_dir.parent
        verilate = [linked(word, folder) for word in verilate if word != "--public-flat-rw"]
        make = [*make, "PYTHON3=" + str(folder / "python")]
        make += [f"OPT_FAST={self._optimisation}", "OPT_GLOBAL=-Os"]
        return [verilate, make + linked_runtime(folder, BENCH_OBJECTS)]


class LinkedIcarus(Icarus):
    """Icarus with cocotb's libraries on a path that it can take."""

    def _test_command(self) -> list[list[str]]:
        folder = self.build_dir.parent
        return [[linked(word, folder) for word in command] for command in super()._test_command()]


def main(arguments: Sequence[str]) -> None:
    """Build or run the simulation of the job in the current folder, with the plusargs given."""
    action, simulator, *plusargs = arguments
    folder = Path.cwd()
    job = json.loads((folder / JOB).read_text())
    top = job["top"]
    build_folder = folder / "build"
    runner = LinkedVerilator(job["optimisation"]) if simulator == "verilator" else LinkedIcarus()
    if action == "build":
        sources, options = [verilog_file(top)], []
        if simulator == "verilator":
            (folder / "visible.vlt").write_text((VISIBLE + PORTS).format(top=top))
            sources.insert(0, "visible.vlt")
            options = ["--output-split", "0", "-O3", "--x-assign", "fast", "-Wno-fatal"]
        runner.build(
            sources=sources,
            hdl_toplevel=top,
            build_dir=build_folder,
            build_args=options,
            always=True,
        )
        if simulator == "verilator" and not (folder / RUNTIME).exists():
            (folder / RUNTIME).mkdir()
            for name in BENCH_OBJECTS:
                shutil.copy(build_folder / name, folder / RUNTIME)
        return
    libpython = find_libpython.find_libpython()
    entry = linked(cocotb_tools.config.pygpi_entry_point(), folder)
    os.environ["GPI_USERS"] = f"{libpython};{entry}"
    # pytest would rewrite the assertions of all that the bench imports, which takes longer than
    # most simulations; the bench's failures speak for themselves.
    settings = {"COCOTB_REWRITE_ASSERTION_FILES": ""}
    if job["brief"]:
        settings["COCOTB_MAX_FAILURES"] = "1"
    runner.test(
        test_module=BENCH,
        hdl_toplevel=top,
        hdl_toplevel_lang="verilog",
        build_dir=build_folder,
        test_dir=folder,
        plusargs=plusargs,
        results_xml=str(folder / RESULTS),
        seed=job["seed"],
        extra_env=settings,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
