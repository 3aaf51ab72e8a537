"""The Verilog: the same text in every process, and no complaint from the tools that read it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from added_cells import added_cells
from command_line import supported
from odd_cells import ODD_CELLS, SHARED
from random_networks import random_network, random_network_of, random_sequences
from verilog_tools import compile_with_icarus, simulate_with_icarus

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.graph import Graph
from gruhw.network.step import Step
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.plain_testbench import TESTBENCH, plain_testbench

GENERATE = """
import sys
import numpy as np
from gruhw.network.architecture import Architecture
from gruhw_hw.top import generate_verilog
from random_networks import random_network_of
architecture = Architecture(inputs=3, layers=sys.argv[1], outputs=4, initial="constant")
network = random_network_of(np.random.default_rng(1), architecture, pe=2)
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


LAYERS: dict[str, dict[str, Any]] = {
    "two states": {"layers": "lstm:3", "initial": "constant", "pe": 2, "output": "values"},
    "three cores": {"layers": "dense:3:relu,mgu:2", "pe": (3, 1)},
    "four cores": {"layers": "ugrnn:2,dense:3:tanh,gru:2", "initial": "constant"},
    "written late": {"layers": "late:3", "initial": "constant", "output": "states"},
    "one of all layers": {"layers": "dense:1,lstm:1", "pe": 1, "high": 3},
}


QUICK = ("one unit at a time", "one of everything", "three cores")


@pytest.fixture(autouse=True, scope="module")
def odd_cells() -> Iterator[None]:
    with added_cells(*ODD_CELLS):
        yield


def network_of(
    layers: str, *, inputs: int = 3, outputs: int = 3, initial: Any = "zero", **more: Any
) -> Network:
    architecture = Architecture(inputs=inputs, layers=layers, outputs=outputs, initial=initial)
    return random_network_of(np.random.default_rng(1), architecture, **more)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(s, marks=() if s in QUICK else pytest.mark.slow) for s in (*SHAPES, *LAYERS)
    ],
)
def verilog_file(
    request: pytest.FixtureRequest, odd_cells: None, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param in SHAPES:
        network = random_network(np.random.default_rng(1), **SHAPES[request.param])
    else:
        network = network_of(**LAYERS[request.param])
    path = tmp_path_factory.mktemp("verilog") / f"{TOP}.v"
    path.write_text(generate_verilog(network).verilog)
    return path


ONE_WORD = r"Warning: Replacing memory \\(storage|states_\w+) with list of registers\."
"""Of a memory of one word: in a buffer of two elements, or of the state of a single unit."""


def generate_in_new_process(layers: str, hash_seed: str) -> str:
    command = [sys.executable, "-c", GENERATE, layers]
    environment = supported(PYTHONHASHSEED=hash_seed)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
@pytest.mark.parametrize("layers", ["gru:5", "lstm:2,dense:3:relu,mgu:2"])
def test_text_is_the_same_in_every_process(layers: str) -> None:
    first, second = (generate_in_new_process(layers, seed) for seed in ("1", "2"))
    assert first == second
    assert f"module {TOP}(" in first


def test_yosys_reads_it_without_a_warning(verilog_file: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", READ_WITH_YOSYS, str(verilog_file)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    said = [line for line in (found.stdout + found.stderr).splitlines() if "Warning" in line]
    assert [line for line in said if not re.match(ONE_WORD, line)] == []
    assert "Found and reported 0 problems." in found.stdout


@pytest.mark.icarus
def test_icarus_reads_it_in_silence(verilog_file: Path) -> None:
    command = ["iverilog", "-g2005", "-Wall", "-s", TOP, "-o", os.devnull, str(verilog_file)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def instances(verilog: str) -> set[str]:
    """The modules below the datapath."""
    found = re.findall(rf"^module \\{TOP}\.datapath\.(\S+)", verilog, re.MULTILINE)
    return {name.rstrip("(") for name in found}


@pytest.mark.slow
def test_modules_are_called_as_the_operators_are() -> None:
    alone = instances(generate_verilog(network_of("ugrnn:2")).verilog)
    operators = {"W_iz", "W_in", "W_hz", "W_hn", "add_z", "add_n", "sig_z", "tanh_n", "sub_z"}
    operators |= {"mul_zn", "mul_zh", "add_h"}
    around = {"sequencer", "input", "output", "output.fifo"}
    assert alone == {*operators, "head", *around}
    stacked = instances(generate_verilog(network_of("ugrnn:2,dense:2")).verilog)
    assert stacked == {
        *("l0", "l1", "head"),
        *(f"l0.{name}" for name in (*operators, *around)),
        *(f"l1.{name}" for name in ("W", *around)),
        *(f"head.{name}" for name in ("head", *around)),
    }


def simulated(folder: Path, network: Network, *, blocks: bool = False) -> str:
    """What the plain testbench says of the Verilog in Icarus, which knows unknown values."""
    sequences = random_sequences(np.random.default_rng(1), network, 4, 5)
    for name, text in plain_testbench(network, *sequences).items():
        (folder / name).write_text(str(text))
    (folder / "gruhw.v").write_text(generate_verilog(network, blocks=blocks).verilog)
    compile_with_icarus(folder, TESTBENCH, "gruhw.v")
    return simulate_with_icarus(folder).stdout


@pytest.mark.icarus
@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("layers", ["gru:5", "lstm:3", "leaky:3", "dense:7,mgu:3"])
def test_no_value_is_ever_unknown(layers: str, blocks: bool, tmp_path: Path) -> None:
    """Though a state has fewer elements than the input: those beyond have weights of zero."""
    network = network_of(layers, inputs=7, initial="constant", high=4)
    assert simulated(tmp_path, network, blocks=blocks).startswith("PASS")


@pytest.mark.slow
@pytest.mark.icarus
@pytest.mark.parametrize(
    ("cell", "output"),
    [("leaky", "class"), ("late", "states"), ("shared", "values"), ("several", "class")],
)
def test_cells_of_users_in_verilog(cell: str, output: str, tmp_path: Path) -> None:
    network = network_of(f"{cell}:3,{cell}:2", pe=(1, 2), output=output, high=6)
    assert simulated(tmp_path, network).startswith("PASS")


def named(first: str, second: str, third: str, state: str) -> Any:
    def graph(inputs: int, units: int) -> Graph:
        step = Step(inputs, units)
        h = step.state(state, source=third)
        step.add(third, step.linear(first), step.linear(second, h), rule="symmetric")
        return step.graph(third)

    return graph


@pytest.mark.icarus
@pytest.mark.parametrize(
    "names", [("module", "wire", "always", "reg"), ("weights", "table", "fifo", "datapath_")]
)
def test_keywords_are_names_of_operators(names: tuple[str, ...], tmp_path: Path) -> None:
    cell = replace(SHARED, name="named", graph=named(*names))
    with added_cells(cell):
        network = network_of("named:2", inputs=2, initial="constant", high=4)
        assert simulated(tmp_path, network).startswith("PASS")


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (("clk", "rst", "sink", "source"), "clk"),
        (("weights", "table", "unit", "step_token_enter"), "unit"),
        (("bank", "slot", "address", "first_step"), "bank"),
        (("a", "a_result", "fifo", "datapath_"), "a_result"),
    ],
)
def test_names_of_signals_are_none_of_operators(names: tuple[str, ...], refused: str) -> None:
    """Nobody would find the module of such an operator: it would have another name."""
    cell = replace(SHARED, name="named", graph=named(*names))
    with added_cells(cell):
        network = network_of("named:2", inputs=2, initial="constant", high=4)
        with pytest.raises(InputError) as caught:
            generate_verilog(network)
    assert str(caught.value) == (
        f"operator {refused} must have another name: hardware has a signal called so"
    )
