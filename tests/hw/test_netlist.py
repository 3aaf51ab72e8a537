"""What Yosys makes of the Verilog still gives the reference's values, in the same cycles."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network, random_sequences

from gruhw.genome import Output
from gruhw_hw.synthesis.yosys import run_yosys
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.plain_testbench import plain_testbench

NETLIST = (
    "read_verilog design.v",
    f"synth_ice40 -top {TOP}",
    "write_verilog -noattr netlist.v",
)


def cell_models() -> Path:
    """The simulation models of the iCE40's cells, which come with Yosys."""
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "share" / "ice40" / "cells_sim.v"


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(("hidden", "pe", "output"), [(20, 1, "class"), (10, 3, "states")])
def test_netlist_equals_the_reference(tmp_path: Path, hidden: int, pe: int, output: Output) -> None:
    random = np.random.default_rng(hidden)
    network = random_network(random, inputs=9, hidden=hidden, classes=4, pe=pe, output=output)
    inputs, lengths = random_sequences(random, network, 2, 3)
    verilog = generate_verilog(network).verilog.encode()
    run = run_yosys(NETLIST, {"design.v": verilog}, ("netlist.v",))
    netlist = run.outputs["netlist.v"]
    assert b"SB_RAM40_4K" in netlist
    files = {"netlist.v": netlist, **plain_testbench(network, inputs, lengths)}
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    build = [
        "iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-o", "netlist.vvp",
        "testbench.v", "netlist.v", str(cell_models()),
    ]  # fmt: skip
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        ["vvp", "netlist.vvp"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "PASS" in done.stdout, done.stdout
