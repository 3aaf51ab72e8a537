import importlib.util
import re
import shutil

import pytest

from gruhw.errors import InputError
from gruhw_sim.simulators import SIMULATORS, SimulatorName, find_simulator, probe


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_probe_says_what_it_found(name: SimulatorName) -> None:
    found = probe(name)
    assert found.usable == (not found.missing)
    assert bool(found.version) == found.usable


def test_missing_icarus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    expected = (
        "simulator icarus requires Icarus Verilog: iverilog and vvp on PATH, "
        "but iverilog and vvp are missing"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        find_simulator("icarus")


def test_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "c++" else program)
    expected = (
        "simulator verilator requires the Python package verilator, and c++, make and perl "
        "on PATH, but c++ is missing"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        find_simulator("verilator")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    with pytest.raises(InputError, match=r"but the Python package verilator is missing$"):
        find_simulator("verilator")


def test_an_unknown_simulator_is_named() -> None:
    with pytest.raises(
        InputError, match=r"^simulator must be one of verilator, icarus, not 'vcs'$"
    ):
        find_simulator("vcs")  # type: ignore[arg-type]  # what must fail
