"""The Verilog: the same text in every process, and no complaint from the tools that read it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import supported
from random_networks import random_network

from gruhw_hw.top import TOP, generate_verilog

GENERATE = """
import sys
import numpy as np
from gruhw_hw.top import generate_verilog
from random_networks import random_network
network = random_network(np.random.default_rng(1), inputs=3, hidden=5, classes=4, pe=2)
sys.stdout.write(generate_verilog(network).verilog)
"""

READ_WITH_YOSYS = """
import sys
from pyosys import libyosys
design = libyosys.Design()
libyosys.run_pass(f"read_verilog {sys.argv[1]}", design)
libyosys.run_pass("hierarchy -check -top gruhw", design)
libyosys.run_pass("proc", design)
libyosys.run_pass("check -assert", design)
"""

SHAPES = {
    "one unit at a time": {"inputs": 3, "hidden": 4, "classes": 3},
    "two at a time": {"inputs": 3, "hidden": 5, "classes": 4, "pe": 2},
    "states": {"inputs": 2, "hidden": 3, "classes": 2, "pe": 3, "output": "states"},
    "serial products": {"inputs": 2, "hidden": 40, "classes": 2, "high": 4},
    "one of everything": {"inputs": 1, "hidden": 1, "classes": 2, "low": 1, "high": 1},
}


QUICK = ("one unit at a time", "one of everything")


@pytest.fixture(
    params=[pytest.param(s, marks=() if s in QUICK else pytest.mark.slow) for s in SHAPES]
)
def verilog_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    network = random_network(np.random.default_rng(1), **SHAPES[request.param])
    path = tmp_path / f"{TOP}.v"
    path.write_text(generate_verilog(network).verilog)
    return path


def generate_in_new_process(hash_seed: str) -> str:
    command = [sys.executable, "-c", GENERATE]
    environment = supported(PYTHONHASHSEED=hash_seed)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_text_is_the_same_in_every_process() -> None:
    first, second = (generate_in_new_process(seed) for seed in ("1", "2"))
    assert first == second
    assert f"module {TOP}(" in first


def test_yosys_reads_it_without_a_warning(verilog_file: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", READ_WITH_YOSYS, str(verilog_file)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert "Warning" not in found.stdout + found.stderr
    assert "Found and reported 0 problems." in found.stdout


@pytest.mark.icarus
def test_icarus_reads_it_in_silence(verilog_file: Path) -> None:
    command = ["iverilog", "-g2005", "-Wall", "-s", TOP, "-o", os.devnull, str(verilog_file)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
