"""Synthesis: real Yosys on a tiny design, the cell tables, and the report."""

import hashlib
import importlib.util
import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network_of
from rich.console import Console
from tiny_liberty import LIBERTY

from gruhw.errors import InputError, ToolError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genome import Output
from gruhw_hw.synthesis import (
    REST,
    TARGETS,
    Resources,
    SynthesisReport,
    operator_modules,
    run_yosys,
    synthesise,
    tool_versions,
)
from gruhw_hw.synthesis.hierarchy import cells_by_operator, inclusive_cells, named_operators
from gruhw_hw.synthesis.resources import count_resources
from gruhw_hw.top import TOP, generate_verilog

# What Amaranth writes: each module named by its path. mul_rh holds a module of its own, and a
# multiplier; 4 + 3 + 2 flip-flops, of which one is read by nobody: seen only when flattened.
VERILOG = r"""
module top(input clk, input [3:0] a, input [3:0] b, output [7:0] q);
  wire [3:0] held;
  \top.datapath datapath (.clk(clk), .a(held), .b(b), .q(q));
  reg [3:0] state;
  always @(posedge clk) state <= a;
  assign held = state;
endmodule
module \top.datapath (input clk, input [3:0] a, input [3:0] b, output [7:0] q);
  wire [7:0] p;
  \top.datapath.mul_rh mul_rh (.clk(clk), .a(a), .b(b), .q(p));
  \top.datapath.add_n add_n (.clk(clk), .p(p), .q(q));
endmodule
module \top.datapath.mul_rh (input clk, input [3:0] a, input [3:0] b, output [7:0] q);
  wire [2:0] low;
  \top.datapath.mul_rh.register register (.clk(clk), .d(a[2:0]), .q(low));
  assign q = low * b;
endmodule
module \top.datapath.mul_rh.register (input clk, input [2:0] d, output reg [2:0] q);
  always @(posedge clk) q <= d;
endmodule
module \top.datapath.add_n (input clk, input [7:0] p, output [7:0] q);
  reg [1:0] s;
  always @(posedge clk) s <= p[1:0];
  assign q = {p[7:2], s};
endmodule
"""


OPERATORS = {f"top.datapath.{name}": name for name in ("mul_rh", "add_n", "sig_z")}


def synthesise_tiny(target: str, library: Path) -> SynthesisReport:
    liberty = library if target == "asic" else None
    return synthesise(VERILOG, "top", target, liberty=liberty, operators=OPERATORS)


@pytest.mark.parametrize(
    "target",
    # Of the two that take block RAMs and multipliers of the same kind, one is fast.
    [pytest.param(t, marks=pytest.mark.nightly if t == "xc7" else ()) for t in TARGETS],
)
def test_every_target(
    target: str, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "a folder with spaces"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    report = synthesise_tiny(target, library)
    assert list(report.by_operator) == ["mul_rh", "add_n", REST]
    flip_flops = {name: used.flip_flops for name, used in report.by_operator.items()}
    assert flip_flops == {"mul_rh": 3, "add_n": 2, REST: 4}
    assert report.total.flip_flops == 8
    everything = [report.total, *report.by_operator.values()]
    assert [used.other for used in everything] == [{}] * 4
    assert [used.dsps for used in everything] == [0] * 4
    logic = "area_um2" if target == "asic" else "luts"
    assert getattr(report.by_operator["mul_rh"], logic) > 5
    assert getattr(report.total, logic) > 5
    assert report.warnings == ()
    assert report.tools["yosys"].startswith("0.")
    assert list(scratch.iterdir()) == []


def test_areas_are_those_that_yosys_counts(library: Path) -> None:
    report = synthesise_tiny("asic", library)
    commands = TARGETS["asic"].commands("top", flatten=True, dsp=False)
    stat = "tee -q -o stat.json stat -json -liberty library.lib"
    files = {"design.v": VERILOG.encode(), "library.lib": LIBERTY.encode()}
    run = run_yosys(["read_verilog design.v", *commands, stat], files, ["stat.json"])
    area = json.loads(run.outputs["stat.json"])["design"]["area"]
    assert report.total.area_um2 == pytest.approx(area)
    assert report.total.nand2_equivalents == pytest.approx(area / 2.5)
    assert report.tools["library"] == "tiny"
    assert report.tools["library_sha256"] == hashlib.sha256(LIBERTY.encode()).hexdigest()


@pytest.mark.slow
def test_multiplier_blocks_only_when_allowed() -> None:
    verilog = "module top(input [7:0] a, b, output [15:0] q); assign q = a * b; endmodule"
    assert synthesise(verilog, "top", "ecp5", by_operator=False).total.dsps == 0
    report = synthesise(verilog, "top", "ecp5", by_operator=False, dsp=True)
    assert report.total.dsps == 1
    assert report.by_operator == {}


def test_memories_are_found() -> None:
    verilog = """
    module top(input clk, input [9:0] wa, ra, input [7:0] d, output reg [7:0] q);
      reg [7:0] memory [1023:0];
      always @(posedge clk) begin memory[wa] <= d; q <= memory[ra]; end
    endmodule"""
    assert synthesise(verilog, "top", "ice40", by_operator=False).total.block_rams == 2


def test_warnings_are_collected() -> None:
    verilog = "module top(input a, output q); wire b; assign q = undeclared; endmodule"
    report = synthesise(verilog, "top", "ice40", by_operator=False)
    assert report.warnings == (
        "design.v:1: Warning: Identifier `\\undeclared' is implicitly declared.",
    )


def test_same_design_same_report(library: Path) -> None:
    first, second = (synthesise_tiny("asic", library) for _ in range(2))
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())


def test_yosys_fails() -> None:
    with pytest.raises(ToolError) as raised:
        synthesise("module top(input a;\nendmodule", "top", "ice40")
    assert str(raised.value) == (
        "Yosys: design.v:1: ERROR: syntax error, unexpected ';', expecting ')' or ',' or '='"
    )


def test_top_is_absent() -> None:
    with pytest.raises(ToolError) as raised:
        synthesise(VERILOG, "bottom", "ice40")
    assert str(raised.value) == "Yosys: ERROR: Module `bottom' not found!"


@pytest.mark.skipif(os.name == "nt", reason="no signals")
def test_yosys_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gruhw_hw.synthesis.yosys._RUNNER", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ToolError) as raised:
        run_yosys([], {}, [])
    assert str(raised.value) == "Yosys: ended by signal 9"


def test_yosys_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError) as raised:
        synthesise(VERILOG, "top", "ice40")
    assert str(raised.value) == ("Yosys is required, but not installed: install the package pyosys")


def test_yosys_never_runs_in_this_process() -> None:
    assert set(tool_versions()) == {"yosys", "pyosys", "abc"}
    assert tool_versions()["abc"][0].isdigit()
    assert "pyosys" not in sys.modules


def test_unknown_target() -> None:
    with pytest.raises(InputError) as raised:
        synthesise(VERILOG, "top", "ice41")
    assert str(raised.value) == ("target must be one of ice40, ecp5, xc7, gowin, asic, not 'ice41'")


def test_top_is_no_name() -> None:
    with pytest.raises(InputError, match=r"^top module must be 1 to 64 letters, .*, not 'top;'$"):
        synthesise(VERILOG, "top;", "ice40")


def test_library_for_an_fpga() -> None:
    with pytest.raises(InputError) as raised:
        synthesise(VERILOG, "top", "ice40", liberty=Path("x.lib"))
    assert str(raised.value) == "x.lib: only target asic takes a library, not ice40"


HIERARCHY = {
    "top": {"LUT": 1, "top.fifo": 2, "top.data": 1},
    "top.fifo": {"FF": 10},
    "top.data": {"LUT": 100, "top.data.add_r": 1, "top.data.unit": 3},
    "top.data.add_r": {"FF": 1000, "top.data.add_r.sig_r": 1},
    "top.data.add_r.sig_r": {"LUT": 10_000},
    "top.data.unit": {"top.data.unit.sig_r": 1},
    "top.data.unit.sig_r": {"FF": 100_000},
    "elsewhere": {"LUT": 1},
}


def test_submodules_are_added_up() -> None:
    assert inclusive_cells(HIERARCHY, "top") == {"LUT": 10_101, "FF": 301_020}
    assert inclusive_cells(HIERARCHY, "top.data.add_r") == {"FF": 1000, "LUT": 10_000}


def test_cells_belong_to_the_outermost_operator() -> None:
    operators = {
        "top.data.unit.sig_r": "the sigmoid",
        "top.data.add_r": "the sum",
        "top.data.add_r.sig_r": "what is part of it",
        "top.data.tanh_n": "what is absent",
    }
    rows = cells_by_operator(HIERARCHY, "top", operators)
    assert list(rows) == ["the sigmoid", "the sum", REST]
    assert rows["the sigmoid"] == {"FF": 300_000}
    assert rows["the sum"] == {"FF": 1000, "LUT": 10_000}
    assert rows[REST] == {"LUT": 101, "FF": 20}


def network_of(*layers: str, output: Output = "class") -> Network:
    architecture = Architecture(inputs=2, layers=layers, outputs=2)
    rng = np.random.default_rng(1)
    return random_network_of(rng, architecture, output=output, low=2, high=3)


@pytest.mark.slow
def test_the_modules_of_operators_are_those_of_the_verilog() -> None:
    for network in (
        network_of("gru:2"),
        network_of("gru:2", output="states"),
        network_of("dense:3:tanh", "lstm:2", "mgu:2"),
    ):
        modules = set(re.findall(r"^module \\?([^ (]+)", generate_verilog(network).verilog, re.M))
        found = operator_modules(network, TOP)
        assert set(found) <= modules
        assert set(found) == set(named_operators(modules, TOP))
        others = {module.rpartition(".")[2] for module in modules.difference(found)}
        assert others <= {TOP, "datapath", "sequencer", "input", "output", "fifo", "l0", "l1",
                          "l2", "head"}  # fmt: skip


def test_operators_are_called_as_files_call_them() -> None:
    alone = operator_modules(network_of("gru:2"), "chip")
    assert alone["chip.datapath.W_ir"] == "W_ir"
    assert [*alone.values()][-1] == "head"
    stacked = operator_modules(network_of("dense:3", "gru:2"), "chip")
    assert [*stacked.items()][:2] == [
        ("chip.datapath.l0.W", "l0.W"),
        ("chip.datapath.l1.W_ir", "l1.W_ir"),
    ]
    assert stacked["chip.datapath.head.head"] == "head"
    assert "head" not in operator_modules(network_of("gru:2", output="states"), "chip").values()


def test_names_of_modules_say_which_are_operators() -> None:
    alone = ["a", "a.datapath", "a.datapath.sequencer", "a.datapath.output",
             "a.datapath.output.fifo", "a.datapath.sum", "a.datapath.sum.inner"]  # fmt: skip
    assert named_operators(alone, "a") == {"a.datapath.sum": "sum"}
    cores = [f"{module.replace('datapath', f'datapath.{core}')}" for core in ("l0", "l1")
             for module in alone]  # fmt: skip
    assert named_operators(cores, "a") == {
        "a.datapath.l0.sum": "l0.sum",
        "a.datapath.l1.sum": "l1.sum",
    }
    assert named_operators(alone, "b") == {}


@pytest.mark.slow
def test_every_core_has_its_rows() -> None:
    network = network_of("dense:1", "ugrnn:1")
    verilog, operators = generate_verilog(network).verilog, operator_modules(network, TOP)
    report = synthesise(verilog, TOP, "ice40", operators=operators)
    assert list(report.by_operator) == [*operators.values(), REST]
    assert sum(report.by_operator.values(), Resources()).flip_flops >= report.total.flip_flops


def test_resources_add_up() -> None:
    some = Resources(luts=1, area_um2=0.5, other={"X": 1})
    more = Resources(luts=2, dsps=3, other={"X": 1, "A": 4})
    assert some + more * 2 == Resources(luts=5, dsps=6, area_um2=0.5, other={"A": 8, "X": 3})


@pytest.mark.parametrize(
    ("target", "cells", "used"),
    [
        ("ice40", {"SB_DFFESR": 2, "SB_DFF": 1}, Resources(flip_flops=3)),
        ("ecp5", {"CCU2C": 3, "PFUMX": 1}, Resources(luts=6, carries=3, wide_muxes=1)),
        ("ecp5", {"TRELLIS_DPR16X4": 2}, Resources(memory_luts=8)),
        ("xc7", {"RAMB36E1": 1, "RAMB18E1": 1}, Resources(block_rams=3)),
        ("xc7", {"LUT6": 1, "LUT1": 1, "RAM32M": 1}, Resources(luts=2, memory_luts=4)),
        ("gowin", {"ALU": 2, "DFFRE": 1, "VCC": 1}, Resources(luts=2, carries=2, flip_flops=1)),
        ("ice40", {"$scopeinfo": 9, "$_DFF_P_": 2}, Resources(other={"$_DFF_P_": 2})),
    ],
)
def test_cell_tables(target: str, cells: dict[str, int], used: Resources) -> None:
    assert count_resources(cells, TARGETS[target].cells) == used


def printed(report: SynthesisReport) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(report.table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_what_is_used() -> None:
    part = Resources(luts=1200, flip_flops=1)
    report = SynthesisReport(
        "ecp5", part * 2, {"W_ir": part, REST: Resources(other={"X": 3})}, {"yosys": "0"}
    )
    lines = [
        " ".join(line.replace("│", " ").replace("┃", " ").split())
        for line in printed(report).splitlines()
    ]
    assert [line for line in lines if line and line[0] not in "┏┡├└"] == [
        "Synthesis for ecp5",
        "operator LUTs FFs other cells",
        "W_ir 1,200 1",
        "control and streams 0 0 3 X",
        "sum 1,200 1 3 X",
        "total, flattened 2,400 2",
    ]


def test_an_operator_may_be_called_as_the_last_rows_are() -> None:
    part = Resources(luts=7)
    lines = printed(SynthesisReport("ice40", part * 2, {"sum": part, REST: part}, {}))
    assert [line.split()[1] for line in lines.splitlines() if "│" in line and "14" in line] == [
        "sum",
        "total,",
    ]
    assert sum("sum" in line for line in lines.splitlines()) == 2


def test_the_table_fits_a_terminal() -> None:
    full = Resources(
        luts=100_000, memory_luts=1000, flip_flops=10_000, carries=1000, wide_muxes=1000,
        block_rams=10, dsps=10,
    )  # fmt: skip
    lines = printed(SynthesisReport("ecp5", full, {REST: full}, {})).splitlines()
    assert sum(line.count("control and streams") for line in lines) == 1
    assert not any("…" in line for line in lines)


def test_the_report_as_json(library: Path) -> None:
    content = json.loads(json.dumps(synthesise_tiny("asic", library).to_json()))
    assert list(content) == [
        "target", "dsp", "block_ram", "tools", "warnings", "total", "by_operator",
    ]  # fmt: skip
    assert content["total"]["flip_flops"] == 8
    assert list(content["by_operator"]) == ["mul_rh", "add_n", REST]
