import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import accepts_every_second_cycle
from random_networks import random_network, random_sequences

from gruhw.genome import Output
from gruhw.model import Network
from gruhw_hw.top import generate_verilog
from gruhw_sim.plain_testbench import EXPECTED, TESTBENCH, plain_testbench

FOLDINGS = [
    # inputs, hidden units, classes, pe, output
    (3, 4, 3, 1, "class"),
    (3, 5, 3, 3, "states"),
    (1, 1, 2, 1, "states"),
    (6, 5, 4, 2, "class"),
    (2, 4, 3, 4, "class"),
]


def design(seed: int, *shape: int, output: Output, folder: Path) -> tuple[Network, dict[str, str]]:
    rng = np.random.default_rng(seed)
    inputs, hidden, classes, pe = shape
    network = random_network(
        rng, inputs=inputs, hidden=hidden, classes=classes, pe=pe, output=output
    )
    arguments = network, *random_sequences(rng, network, 4, 5)
    files = {name: str(text) for name, text in plain_testbench(*arguments).items()}
    assert plain_testbench(*arguments) == files
    files["gruhw.v"] = generate_verilog(network).verilog
    for name, text in files.items():
        (folder / name).write_text(text)
    return network, files


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """The two commands that the testbench's first lines give."""
    if shutil.which("iverilog") is None:
        pytest.skip("icarus needs iverilog")
    build = subprocess.run(
        ["iverilog", "-g2005", "-Wall", "-o", "testbench.vvp", TESTBENCH, "gruhw.v"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert TESTBENCH not in build.stderr, build.stderr
    return subprocess.run(
        ["vvp", "testbench.vvp"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("inputs", "hidden", "classes", "pe", "output"), FOLDINGS)
def test_it_passes_for_right_hardware(
    inputs: int, hidden: int, classes: int, pe: int, output: Output, tmp_path: Path
) -> None:
    design(pe, inputs, hidden, classes, pe, output=output, folder=tmp_path)
    result = run(tmp_path)
    assert result.returncode == 0, result.stdout
    assert [line[:6] for line in result.stdout.splitlines()] == ["PASS: "]


def test_it_fails_for_another_value(tmp_path: Path) -> None:
    _, files = design(3, 3, 4, 3, 2, output="states", folder=tmp_path)
    first, *others = files[EXPECTED].splitlines()
    other = f"{int(first, 16) ^ 1:0{len(first)}x}"  # the value stands in the lowest bits
    (tmp_path / EXPECTED).write_text("\n".join([other, *others]) + "\n")
    result = run(tmp_path)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert [line[:31] for line in lines[:2]] == ["FAIL: element 0: expected data "] * 2
    assert lines[2:] == ["FAIL: 2 differences"]


def test_it_fails_for_another_cycle(tmp_path: Path) -> None:
    _, files = design(3, 3, 4, 3, 2, output="class", folder=tmp_path)
    verilog = accepts_every_second_cycle(files["gruhw.v"])
    (tmp_path / "gruhw.v").write_text(verilog)
    result = run(tmp_path)
    assert result.returncode == 1
    assert result.stdout.startswith("FAIL: element 0: expected in cycle ")


def test_it_ends_if_nothing_comes(tmp_path: Path) -> None:
    _, files = design(3, 3, 4, 3, 2, output="class", folder=tmp_path)
    verilog = files["gruhw.v"].replace(".sink__valid(s_axis_tvalid)", ".sink__valid(1'b0)", 1)
    (tmp_path / "gruhw.v").write_text(verilog)
    result = run(tmp_path)
    assert result.returncode == 1
    assert "FAIL: time-out after 0 of 16 elements" in result.stdout
