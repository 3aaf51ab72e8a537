"""Verilator's lint finds nothing to say about generated Verilog."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from command_line import DESIGN
from random_networks import random_network
from verilog_tools import lint

from gruhw.design import Design
from gruhw.network.genome import Output
from gruhw_hw.top import generate_verilog


def warnings(folder: Path, verilog: str) -> list[str]:
    """Verilator's warnings and errors about the text."""
    (folder / "gruhw.v").write_text(verilog)
    return lint(folder, "gruhw.v")


FEW = ((3, 1, "class"), (3, 2, "states"), (4, 2, "class"), (8, 1, "states"), (8, 3, "class"))
MANY = tuple(
    shape for shape in product((3, 4, 8), (1, 2, 3), ("class", "states")) if shape not in FEW
)


@pytest.mark.parametrize(
    ("hidden", "pe", "output"),
    [*FEW, *(pytest.param(*shape, marks=pytest.mark.nightly) for shape in MANY)],
)
def test_random_networks(hidden: int, pe: int, output: Output, tmp_path: Path) -> None:
    rng = np.random.default_rng([hidden, pe])
    inputs, classes = (int(n) for n in rng.integers((1, 2), (7, 7)))
    network = random_network(
        rng, inputs=inputs, hidden=hidden, classes=classes, pe=pe, output=output, low=1, high=9
    )
    assert warnings(tmp_path, generate_verilog(network).verilog) == []


@pytest.mark.parametrize("blocks", [False, True])
def test_the_trained_design(blocks: bool, tmp_path: Path) -> None:
    network = Design.load(DESIGN).network
    assert warnings(tmp_path, generate_verilog(network, blocks=blocks).verilog) == []


def test_units_far_apart(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(1), inputs=2, hidden=40, classes=2, high=4)
    assert warnings(tmp_path, generate_verilog(network).verilog) == []


def test_faults_are_found(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(1), inputs=2, hidden=3, classes=2)
    verilog = generate_verilog(network).verilog
    port = "  assign m_axis_tlast = "
    assert port in verilog
    (undriven,) = warnings(tmp_path, verilog.replace(port, "  wire other = ", 1))[:1]
    assert undriven.startswith("%Warning-UNDRIVEN: gruhw.v:")
    unwaived = verilog.replace("verilator lint_off WIDTHEXPAND", "")
    assert any(line.startswith("%Warning-WIDTHEXPAND:") for line in warnings(tmp_path, unwaived))
