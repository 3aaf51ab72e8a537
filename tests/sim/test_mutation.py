"""Faults put into designs: that the bench kills them, or that they are proved not to be seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import wrong_operator
from random_networks import random_network, random_sequences

from gruhw.errors import InputError, ToolError
from gruhw_hw.formal.reach import possible_operands
from gruhw_hw.formal.redundancy import redundant
from gruhw_hw.synthesis.mutation import (
    CellFault,
    ContentFault,
    Fault,
    cell_faults,
    content_faults,
    plusarg,
    with_faults,
)
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim import EXTREME_SEQUENCES
from gruhw_sim.expectations import Scenario
from gruhw_sim.mutation import fates
from gruhw_sim.simulators import find_simulator

LOGIC, CONTENTS = 10, 2
LEFT = "left"
"""The top of designs that tell whether it is spelled out anywhere."""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    rng = np.random.default_rng(3)
    network = random_network(rng, inputs=3, hidden=4, classes=3, pe=2)
    sequences = random_sequences(rng, network, 3, 4)
    return Scenario.with_extremes(network, *sequences, EXTREME_SEQUENCES, seed=0)


@pytest.mark.slow
def test_most_faults_are_killed_and_the_others_may_be_unseen(
    scenario: Scenario, builds: Path
) -> None:
    verilog = generate_verilog(scenario.network, top=LEFT).verilog
    faults: list[Fault] = [
        *cell_faults(verilog, LEFT, LOGIC, seed=1),
        *content_faults(verilog, CONTENTS, seed=1),
    ]
    numbers = range(1, len(faults) + 1)
    tool = find_simulator("verilator")
    found = list(fates(scenario, verilog, faults, numbers, tool, top=LEFT, build_folder=builds))
    assert [fate.number for fate in found] == list(numbers)
    killed = [faults[fate.number - 1] for fate in found if fate.killed_by]
    assert len(killed) >= 3 * len(faults) // 4
    assert {type(fault) for fault in killed} == {CellFault, ContentFault}
    # A proof must never contradict the simulation.
    for kind in (CellFault, ContentFault):
        fault = next(fault for fault in killed if isinstance(fault, kind))
        assert redundant(verilog, LEFT, fault, scenario.network) == ""


@pytest.mark.nightly
@pytest.mark.slow
def test_a_bench_that_fails_without_a_fault_kills_nothing(scenario: Scenario, builds: Path) -> None:
    verilog = wrong_operator(generate_verilog(scenario.network).verilog, "add_n")
    with pytest.raises(ToolError, match=r"without a fault fails streams_never_stall$"):
        next(fates(scenario, verilog, [], [1], find_simulator("verilator"), build_folder=builds))


PARTS = """
module gruhw(clk, data, enable, result, copy);
  input clk, enable;
  input [1:0] data;
  output [1:0] result;
  output copy;
  wire [1:0] held;
  reg valid = 0;
  always @(posedge clk) valid <= enable;
  \\gruhw.hold hold(.clk(clk), .enable(enable), .data(data), .held(held));
  \\gruhw.and3 and3(.a(data[0]), .b(data[1]), .c(enable), .y(copy));
  assign result = valid ? held : 2'h0;
endmodule

module \\gruhw.hold (clk, enable, data, held);
  input clk, enable;
  input [1:0] data;
  output reg [1:0] held;
  always @(posedge clk) if (enable) held <= data;
endmodule

module \\gruhw.and3 (a, b, c, y);
  input a, b, c;
  output y;
  wire both, all;
  \\gruhw.and2 inner(.a(a), .b(b), .y(both));
  \\gruhw.and2 outer(.a(both), .b(c), .y(all));
  assign y = both | all;
endmodule

module \\gruhw.and2 (a, b, y);
  input a, b;
  output y;
  assign y = a & b;
endmodule
"""
"""What is held is read only in the cycle after it was loaded; and of (a and b) or (a and b and c),
the second part is redundant."""


def fault_of(module: str, cell: str, port: str, mode: str) -> CellFault:
    every = cell_faults(PARTS, TOP, 120, seed=1)
    fits = (f for f in every if (f.module, f.port, f.mode) == (module, port, mode))
    return next(fault for fault in fits if fault.cell.startswith(cell))


def test_faults_that_cannot_be_seen_are_recognised() -> None:
    # While nothing is loaded, the register may change: only the whole design shows it.
    assert redundant(PARTS, TOP, fault_of("gruhw.hold", "$procmux", "A", "inv")) == "design"
    assert redundant(PARTS, TOP, fault_of("gruhw.hold", "$procmux", "B", "inv")) == ""
    second = CellFault("gruhw.and3", "outer", "b", 0, "const1")
    assert redundant(PARTS, TOP, second) == "design"
    assert redundant(PARTS, TOP, CellFault("gruhw.and3", "inner", "b", 0, "const1")) == ""


@pytest.mark.nightly
@pytest.mark.slow
def test_faults_that_no_operand_or_reader_shows_are_recognised() -> None:
    rng = np.random.default_rng(7)
    network = random_network(rng, inputs=3, hidden=4, classes=2)
    verilog = generate_verilog(network, top=LEFT).verilog

    def verdict(fault: Fault) -> str:
        return redundant(verilog, LEFT, fault, network)

    # Four words hold an input vector of three: the last is never written.
    assert verdict(ContentFault(f"{LEFT}.datapath.W_ir", "weights", 3, 0)) == "surroundings"
    assert verdict(ContentFault(f"{LEFT}.datapath.W_ir", "weights", 2, 0)) == ""

    possible = possible_operands(network)
    codes = 1 << network.layers[0].typed["add_z"].bits
    used = possible["sig_z"][:, 0] & (codes - 1)
    unused = next(code for code in range(codes) if code not in used)
    module = f"{LEFT}.datapath.sig_z"
    assert verdict(ContentFault(module, "table", unused, 0)) == "surroundings"
    assert verdict(ContentFault(module, "table", int(used[0]), 0)) == ""

    # A result may change once it was read: that of an adder is read in one cycle only.
    load = next(
        fault.cell
        for fault in cell_faults(verilog, LEFT, 600, seed=1)
        if fault.module == f"{LEFT}.datapath.add_n" and fault.cell.startswith("$procmux")
    )
    holding = CellFault(f"{LEFT}.datapath.add_n", load, "A", 0, "inv")
    assert verdict(holding) == "surroundings"
    assert verdict(replace(holding, port="B")) == ""


def test_only_contents_that_nothing_writes_have_faults() -> None:
    network = random_network(np.random.default_rng(4), inputs=3, hidden=3, classes=2)
    verilog = generate_verilog(network).verilog
    faults = content_faults(verilog, 30, seed=2)
    assert {fault.memory for fault in faults} == {"weights", "biases", "table"}
    assert len(set(faults)) == 30
    assert content_faults(verilog, 30, seed=2) == faults
    text = with_faults(verilog, TOP, faults)
    assert text.count("$test$plusargs") == 30
    assert all(f'$test$plusargs("{plusarg(n)[1:]}")' in text for n in range(1, 31))


def test_wrong_faults_are_wrong_input() -> None:
    with pytest.raises(InputError, match=r"^faults must be at most \d+ in this design, not 5000$"):
        cell_faults(PARTS, TOP, 5000, seed=0)
    with pytest.raises(InputError, match=r"^faults of contents must be at most 0, not 1$"):
        content_faults(PARTS, 1, seed=0)
    with pytest.raises(InputError, match=r"^module other is required, but missing$"):
        with_faults(PARTS, "other", [])
