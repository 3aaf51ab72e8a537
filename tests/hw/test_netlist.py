"""What Yosys makes of the Verilog still gives the reference's values, in the same cycles."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from broken_verilog import replaced
from random_networks import random_network, random_sequences

from gruhw.errors import InputError
from gruhw.genome import Output
from gruhw.model import Network
from gruhw_hw.synthesis import netlist
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim import READ_INSIDE, simulate
from gruhw_sim.report import SimulationReport


def gates(
    network: Network, target: str, liberty: Path | None = None, *, flatten: bool = False
) -> str:
    verilog = generate_verilog(network).verilog
    keep = () if flatten else READ_INSIDE
    return netlist(verilog, TOP, target, liberty=liberty, flatten=flatten, keep=keep)


def simulated(
    network: Network,
    verilog: str,
    simulator: Literal["verilator", "icarus"] = "icarus",
    *,
    inside: bool = True,
) -> SimulationReport:
    inputs, lengths = random_sequences(np.random.default_rng(5), network, 3, 3)
    return simulate(network, inputs, lengths, simulator=simulator, verilog=verilog, inside=inside)


def small(hidden: int, pe: int, output: Output) -> Network:
    rng = np.random.default_rng(hidden)
    return random_network(rng, inputs=9, hidden=hidden, classes=4, pe=pe, output=output)


@pytest.mark.parametrize(("hidden", "pe", "output"), [(12, 1, "class"), (10, 3, "states")])
def test_ice40_cells_pass_the_bench(hidden: int, pe: int, output: Output) -> None:
    network = small(hidden, pe, output)
    text = gates(network, "ice40")
    assert "SB_RAM40_4K" in text
    report = simulated(network, text)
    assert report.passed, report.mismatches
    assert len(report.tests) == 3


def test_standard_cells_pass_the_bench(library: Path) -> None:
    network = small(6, 2, "class")
    report = simulated(network, gates(network, "asic", library))
    assert report.passed, report.mismatches


@pytest.mark.parametrize(("hidden", "pe", "output"), [(7, 1, "class"), (5, 2, "states")])
def test_flattened_cells_pass_the_bench(hidden: int, pe: int, output: Output) -> None:
    network = small(hidden, pe, output)
    text = gates(network, "ice40", flatten=True)
    assert "datapath.add_n (" not in text
    report = simulated(network, text, inside=False)
    assert report.passed, report.mismatches
    assert len(report.tests) == 3
    caption = report.table().caption
    assert "compared at the ports only" in str(caption)


def test_flattened_standard_cells_pass_the_bench(library: Path) -> None:
    network = small(4, 1, "class")
    text = gates(network, "asic", library, flatten=True)
    assert simulated(network, text, inside=False).passed


def test_a_wrong_gate_of_a_flattened_netlist_is_found() -> None:
    network = small(6, 2, "class")
    text = gates(network, "ice40", flatten=True)
    place = text.index(".LUT_INIT(16'h", text.index("datapath.add_n.register_SB"))
    table = text[place : place + 18]
    broken = text.replace(table, f".LUT_INIT(16'h{int(table[14:], 16) ^ 0xFFFF:04x}", 1)
    report = simulated(network, broken, inside=False)
    assert not report.passed
    assert {found.operator for found in report.mismatches} <= {"head", "class", ""}


def test_verilator_takes_netlists() -> None:
    network = small(3, 1, "class")
    assert simulated(network, gates(network, "ice40"), "verilator").passed


def test_a_wrong_gate_is_found() -> None:
    network = small(6, 2, "class")
    text = gates(network, "ice40")
    place = text.index(".LUT_INIT(16'h", text.index(f"module \\{TOP}.datapath.add_n "))
    table = text[place : place + 18]
    broken = replaced(text, table, f".LUT_INIT(16'h{int(table[14:], 16) ^ 0xFFFF:04x}",
                      f"{TOP}.datapath.add_n")  # fmt: skip
    report = simulated(network, broken)
    assert not report.passed
    assert {found.operator for found in report.mismatches} & {"add_n", "tanh_n"}


def test_targets_without_models_are_refused() -> None:
    with pytest.raises(
        InputError, match="target of a netlist must be one of ice40, asic, not 'xc7'"
    ):
        netlist("", TOP, "xc7")
