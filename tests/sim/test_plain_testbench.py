"""The testbench that needs no Python: in every standard of Verilog, and in Verilator."""

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import accepts_every_second_cycle
from random_networks import random_network, random_network_of, random_sequences
from verilog_tools import (
    compile_with_icarus,
    compile_with_verilator,
    output_of,
    simulate_with_icarus,
)

from gruhw.network.architecture import Architecture, Initial
from gruhw.network.bound import Network
from gruhw.network.genome import Output
from gruhw_hw.top import generate_verilog
from gruhw_sim.plain_testbench import EXPECTED, STIMULUS, TESTBENCH, plain_testbench
from gruhw_sim.runner import work_folder

FOLDINGS = [
    # inputs, hidden units, classes, pe, output
    (3, 4, 3, 1, "class"),
    (3, 5, 3, 3, "states"),
    (1, 1, 2, 1, "states"),
    (6, 5, 4, 2, "class"),
    (2, 4, 3, 4, "class"),
]
SMALL = (3, 4, 3, 1)
"""The first of these."""

STACKS: list[tuple[tuple[str, ...], Initial, int | tuple[int, ...], Output]] = [
    (("lstm:4",), "constant", 2, "values"),
    (("dense:3:relu", "mgu:4"), "zero", (3, 1), "states"),
    (("gru:3", "ugrnn:2", "dense:4:tanh"), "constant", (1, 2, 3), "class"),
]
"""Layers, initial states, pe, output."""

STANDARDS = ["-g2005", "-g2005-sv", "-g2009", "-g2012"]


@cache
def files_of(inputs: int, hidden: int, classes: int, pe: int, output: Output) -> dict[str, str]:
    rng = np.random.default_rng(pe)
    network = random_network(
        rng, inputs=inputs, hidden=hidden, classes=classes, pe=pe, output=output
    )
    return files_for(rng, network)


def files_for(rng: np.random.Generator, network: Network) -> dict[str, str]:
    arguments = network, *random_sequences(rng, network, 4, 5)
    files = {name: str(text) for name, text in plain_testbench(*arguments).items()}
    assert plain_testbench(*arguments) == files
    return files | {"gruhw.v": generate_verilog(network).verilog}


def design(folder: Path, *shape: int, output: Output = "class") -> dict[str, str]:
    """Write a design into ``folder``; its files."""
    files = files_of(*shape, output)
    for name, text in files.items():
        (folder / name).write_text(text)
    return files


def run(folder: Path, standard: str = "-g2005") -> subprocess.CompletedProcess[str]:
    """The two commands that the testbench's first lines give."""
    said = compile_with_icarus(folder, TESTBENCH, "gruhw.v", standard=standard)
    assert TESTBENCH not in said, said
    return simulate_with_icarus(folder)


def spoil_the_first_value(folder: Path, expected: str) -> None:
    first, *others = expected.splitlines()
    other = f"{int(first, 16) ^ 1:0{len(first)}x}"  # the value stands in the lowest bits
    (folder / EXPECTED).write_text("\n".join([other, *others]) + "\n")


@pytest.mark.icarus
@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize(("inputs", "hidden", "classes", "pe", "output"), FOLDINGS)
def test_it_passes_for_right_hardware(
    inputs: int, hidden: int, classes: int, pe: int, output: Output, standard: str, tmp_path: Path
) -> None:
    design(tmp_path, inputs, hidden, classes, pe, output=output)
    result = run(tmp_path, standard)
    assert result.returncode == 0, result.stdout
    assert [line[:6] for line in result.stdout.splitlines()] == ["PASS: "]


@pytest.mark.icarus
@pytest.mark.parametrize(("layers", "initial", "pe", "output"), STACKS)
def test_it_passes_for_any_layers(
    layers: tuple[str, ...],
    initial: Initial,
    pe: int | tuple[int, ...],
    output: Output,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(len(layers))
    network = Architecture(inputs=3, layers=layers, outputs=3, initial=initial)
    found = random_network_of(rng, network, pe=pe, output=output)
    for name, text in files_for(rng, found).items():
        (tmp_path / name).write_text(text)
    result = run(tmp_path)
    assert result.returncode == 0, result.stdout
    assert [line[:6] for line in result.stdout.splitlines()] == ["PASS: "]


HIGH = ("reg rst = 1'b0;", "reg rst = 1'b1;")
NO_RISE = ("initial #1 rst = 1'b1;", "")
RESETS = {
    # What docs/integration.md lists: changes of the testbench, and whether SystemVerilog works.
    "rises, one edge": ([], True),
    "rises later, one edge": (
        [
            NO_RISE,
            ("rst <= 1'b0;", "rst <= cycle == 3 & ~stalls;"),
            ("if (rst) begin", "if (rst | (cycle < 6 & ~stalls)) begin"),
        ],
        True,
    ),
    "high from the start, two edges": (
        [HIGH, NO_RISE, ("rst <= 1'b0;", "rst <= cycle < 1;")],
        True,
    ),
    "high from the start, one edge": ([HIGH, NO_RISE], False),
    "never high": ([NO_RISE], False),
}


@pytest.mark.icarus
@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("reset", RESETS)
def test_what_reset_needs(reset: str, standard: str, tmp_path: Path) -> None:
    changes, everywhere = RESETS[reset]
    files = design(tmp_path, *SMALL)
    text = files[TESTBENCH]
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / TESTBENCH).write_text(text)
    result = run(tmp_path, standard)
    works = everywhere or standard == "-g2005"
    assert (result.returncode == 0) == works, result.stdout
    if not works:
        assert "FAIL: m_axis_tvalid is unknown" in result.stdout


@pytest.mark.slow
def test_verilator_takes_it() -> None:
    with work_folder() as folder:
        files = design(folder, *SMALL)
        program = compile_with_verilator(folder, TESTBENCH, "gruhw.v")
        elements = len(files[STIMULUS].splitlines())
        assert output_of([program], folder).stdout.startswith(
            f"PASS: 4 sequences, {elements} elements in, "
        )
        spoil_the_first_value(folder, files[EXPECTED])
        assert output_of([program], folder).stdout.startswith("FAIL: element 0: expected data ")


@pytest.mark.icarus
def test_it_fails_for_another_value(tmp_path: Path) -> None:
    files = design(tmp_path, 3, 5, 3, 3, output="states")
    spoil_the_first_value(tmp_path, files[EXPECTED])
    result = run(tmp_path)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert [line[:31] for line in lines[:2]] == ["FAIL: element 0: expected data "] * 2
    assert lines[2:] == ["FAIL: 2 differences"]


@pytest.mark.icarus
def test_it_fails_for_another_cycle(tmp_path: Path) -> None:
    files = design(tmp_path, *SMALL)
    verilog = accepts_every_second_cycle(files["gruhw.v"])
    (tmp_path / "gruhw.v").write_text(verilog)
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("FAIL: element 0: expected in cycle ")


@pytest.mark.icarus
def test_it_ends_if_nothing_comes(tmp_path: Path) -> None:
    files = design(tmp_path, *SMALL)
    verilog = files["gruhw.v"].replace(".sink__valid(s_axis_tvalid)", ".sink__valid(1'b0)", 1)
    (tmp_path / "gruhw.v").write_text(verilog)
    result = run(tmp_path)
    assert result.returncode == 1
    assert "FAIL: time-out after 0 of 16 elements" in result.stdout
