"""What Yosys makes of the Verilog still gives the reference's values, in the same cycles."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from broken_verilog import replaced
from engines import EITHER
from random_networks import random_network_of, random_sequences
from tiny_liberty import LIBERTY

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture, Initial
from gruhw.network.bound import Network
from gruhw.network.genome import Output
from gruhw_hw.synthesis import netlist, operator_modules
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim import read_inside, simulate
from gruhw_sim.report import SimulationReport
from gruhw_sim.simulators import SimulatorName


class Gates(NamedTuple):
    """Of which network for which target, with modules or flattened."""

    target: str
    flatten: bool
    layers: tuple[str, ...]
    pe: int
    output: Output
    high: int = 4
    """The most bits of a gene."""
    initial: Initial = "zero"


SMALL = {
    "ice40": Gates("ice40", False, ("gru:3",), 2, "class"),
    "ice40, flattened": Gates("ice40", True, ("gru:3",), 1, "states"),
    "ice40, two layers": Gates("ice40", False, ("dense:2:relu", "lstm:2"), 1, "values", 3),
    "asic": Gates("asic", False, ("gru:3",), 2, "states"),
    "asic, flattened": Gates("asic", True, ("gru:2",), 1, "class"),
    "asic, two states": Gates("asic", False, ("lstm:2",), 1, "states", 3, "constant"),
}
LARGER = {
    "ice40": Gates("ice40", False, ("gru:12",), 1, "class", 8),
    "ice40, states": Gates("ice40", False, ("gru:10",), 3, "states", 8),
    "ice40, flattened": Gates("ice40", True, ("gru:7",), 1, "class", 8),
    "ice40, flattened, states": Gates("ice40", True, ("gru:5",), 2, "states", 8),
    "ice40, two states": Gates("ice40", False, ("lstm:6",), 2, "class", 8, "constant"),
    "ice40, three layers": Gates("ice40", False, ("mgu:4", "ugrnn:3", "dense:3"), 2, "class", 8),
    "ice40, flattened layers": Gates("ice40", True, ("dense:3", "mgu:4"), 2, "class", 6),
    "asic": Gates("asic", False, ("gru:6",), 2, "class", 8),
    "asic, flattened": Gates("asic", True, ("gru:4",), 1, "class", 8),
    "asic, two layers": Gates("asic", False, ("lstm:2", "mgu:2"), 1, "values", 6, "constant"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("liberty") / "a library; with 'odd' name.lib"
    path.write_text(LIBERTY)
    return path


@cache
def network_of(gates: Gates) -> Network:
    rng = np.random.default_rng(gates.high)
    network = Architecture(inputs=9, layers=gates.layers, outputs=4, initial=gates.initial)
    return random_network_of(rng, network, pe=gates.pe, output=gates.output, high=gates.high)


@cache
def text_of(gates: Gates, library: Path) -> str:
    return netlist(
        generate_verilog(network_of(gates)).verilog,
        TOP,
        gates.target,
        liberty=library if gates.target == "asic" else None,
        flatten=gates.flatten,
        keep=() if gates.flatten else read_inside(network_of(gates)),
    )


def simulated(
    gates: Gates, verilog: str, builds: Path, simulator: SimulatorName = "verilator"
) -> SimulationReport:
    network = network_of(gates)
    inputs, lengths = random_sequences(np.random.default_rng(5), network, 3, 3)
    return simulate(
        network,
        inputs,
        lengths,
        simulator=simulator,
        verilog=verilog,
        inside=not gates.flatten,
        build_folder=builds,
    )


def check(gates: Gates, library: Path, builds: Path, simulator: SimulatorName) -> None:
    text = text_of(gates, library)
    blocks = "SB_RAM40_4K" in text.partition(f"module {TOP}(")[2]
    assert blocks == (gates.target == "ice40")
    modules = operator_modules(network_of(gates), TOP)
    assert all((f"module \\{module} " in text) != gates.flatten for module in modules)
    report = simulated(gates, text, builds, simulator)
    assert report.passed, report.mismatches
    assert len(report.tests) == 3
    ports_only = "compared at the ports only" in str(report.table().caption)
    assert ports_only == gates.flatten


ENOUGH = ("ice40, flattened", "ice40, two layers", "asic, two states")
"""One of each kind; the others are for the night."""


@pytest.mark.slow
@pytest.mark.parametrize("simulator", EITHER)
@pytest.mark.parametrize(
    "kind",
    [n if n in ENOUGH else pytest.param(n, marks=pytest.mark.nightly) for n in SMALL],
)
def test_gates_pass_the_bench(
    kind: str, simulator: SimulatorName, library: Path, builds: Path
) -> None:
    check(SMALL[kind], library, builds, simulator)


@pytest.mark.nightly
@pytest.mark.parametrize("simulator", EITHER)
@pytest.mark.parametrize("kind", LARGER)
def test_gates_of_larger_networks_pass_the_bench(
    kind: str, simulator: SimulatorName, library: Path, builds: Path
) -> None:
    check(LARGER[kind], library, builds, simulator)


def inverted(table: str) -> str:
    """The LUT ``.LUT_INIT(16'h....)`` with every entry inverted."""
    return f".LUT_INIT(16'h{int(table[14:], 16) ^ 0xFFFF:04x}"


@pytest.mark.nightly
@pytest.mark.slow
def test_a_wrong_gate_is_found(library: Path, builds: Path) -> None:
    text = text_of(SMALL["ice40"], library)
    place = text.index(".LUT_INIT(16'h", text.index(f"module \\{TOP}.datapath.add_n "))
    table = text[place : place + 18]
    broken = replaced(text, table, inverted(table), f"{TOP}.datapath.add_n")
    report = simulated(SMALL["ice40"], broken, builds)
    assert not report.passed
    assert {found.operator for found in report.mismatches} & {"add_n", "tanh_n"}


@pytest.mark.slow
def test_a_wrong_gate_of_a_flattened_netlist_is_found(library: Path, builds: Path) -> None:
    text = text_of(SMALL["ice40, flattened"], library)
    place = text.index(".LUT_INIT(16'h", text.index("datapath.add_n.register_SB"))
    table = text[place : place + 18]
    report = simulated(SMALL["ice40, flattened"], text.replace(table, inverted(table), 1), builds)
    assert not report.passed
    assert {found.operator for found in report.mismatches} <= {"add_h", ""}


def test_targets_without_models_are_refused() -> None:
    with pytest.raises(
        InputError, match="target of a netlist must be one of ice40, asic, not 'xc7'"
    ):
        netlist("", TOP, "xc7")
