"""Verilator's lint finds nothing to say about generated Verilog."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import DESIGN
from random_networks import random_network

from gruhw.design import Design
from gruhw.genome import Output
from gruhw_hw.top import generate_verilog
from gruhw_sim.simulators import probe


def lint(folder: Path, verilog: str) -> list[str]:
    """Verilator's warnings and errors about the text."""
    found = probe("verilator")
    if found.root is None:
        pytest.skip(f"Verilator needs {', '.join(found.missing)}")
    (folder / "gruhw.v").write_text(verilog)
    finished = subprocess.run(
        [found.root / "bin" / "verilator_bin", "--lint-only", "-Wall", "gruhw.v"],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(found.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in finished.stderr.splitlines() if line.startswith("%")]
    assert bool(lines) == bool(finished.returncode), finished.stderr
    return lines


@pytest.mark.parametrize("output", ["class", "states"])
@pytest.mark.parametrize("pe", [1, 2, 3])
@pytest.mark.parametrize("hidden", [3, 4, 8])
def test_random_networks(hidden: int, pe: int, output: Output, tmp_path: Path) -> None:
    rng = np.random.default_rng([hidden, pe])
    inputs, classes = (int(n) for n in rng.integers((1, 2), (7, 7)))
    network = random_network(
        rng, inputs=inputs, hidden=hidden, classes=classes, pe=pe, output=output, low=1, high=9
    )
    assert lint(tmp_path, generate_verilog(network).verilog) == []


@pytest.mark.parametrize("blocks", [False, True])
def test_the_trained_design(blocks: bool, tmp_path: Path) -> None:
    network = Design.load(DESIGN).network
    assert lint(tmp_path, generate_verilog(network, blocks=blocks).verilog) == []


def test_units_far_apart(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(1), inputs=2, hidden=40, classes=2, high=4)
    assert lint(tmp_path, generate_verilog(network).verilog) == []


def test_faults_are_found(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(1), inputs=2, hidden=3, classes=2)
    verilog = generate_verilog(network).verilog
    port = "  assign m_axis_tlast = "
    assert port in verilog
    (undriven,) = lint(tmp_path, verilog.replace(port, "  wire other = ", 1))[:1]
    assert undriven.startswith("%Warning-UNDRIVEN: gruhw.v:")
    unwaived = verilog.replace("verilator lint_off WIDTHEXPAND", "")
    assert any(line.startswith("%Warning-WIDTHEXPAND:") for line in lint(tmp_path, unwaived))
