"""Two accelerators with tops of their own in one chip: simulated at once, linted, synthesised."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pytest
from random_networks import random_network, random_sequences
from verilog_tools import (
    compile_with_icarus,
    compile_with_verilator,
    lint,
    output_of,
    simulate_with_icarus,
)

from gruhw.errors import ToolError
from gruhw_hw.identifiers import verilog_file
from gruhw_hw.interface import describe_interface
from gruhw_hw.synthesis import netlist, run_yosys, synthesise
from gruhw_hw.synthesis.yosys import parse_stat
from gruhw_hw.top import TOP, Hardware, generate_verilog
from gruhw_sim import read_inside
from gruhw_sim.plain_testbench import CYCLE_BITS, EXPECTED, STIMULUS, plain_testbench
from gruhw_sim.runner import work_folder

LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Side:
    """An accelerator, and what it is sent and must give, as in the files of its testbench."""

    hardware: Hardware
    stimulus: str
    expected: str

    @property
    def top(self) -> str:
        return self.hardware.top

    @property
    def ports(self) -> list[tuple[str, str, int]]:
        """Name, direction and width of each port but clock and reset."""
        _, _, *ports = describe_interface(self.hardware.accelerator)["ports"]
        return [(port["name"], port["direction"], port["width"]) for port in ports]

    @property
    def modules(self) -> set[str]:
        return set(re.findall(r"^module \\?([^ (]+)", self.hardware.verilog, re.MULTILINE))


SHAPES: tuple[dict[str, Any], ...] = (
    {"inputs": 3, "hidden": 3, "classes": 2, "output": "class", "high": 4},
    {"inputs": 2, "hidden": 2, "classes": 2, "output": "states", "pe": 2, "high": 4},
)


@cache
def side_of(top: str, number: int) -> Side:
    rng = np.random.default_rng(number)
    network = random_network(rng, **SHAPES[number])
    files = plain_testbench(network, *random_sequences(rng, network, 4, 4), top)
    hardware = generate_verilog(network, top=top)
    return Side(hardware, str(files[STIMULUS]), str(files[EXPECTED]))


def sides(left: str = LEFT, right: str = RIGHT) -> tuple[Side, Side]:
    """Two different networks."""
    return side_of(left, 0), side_of(right, 1)


def chip(parts: Sequence[Side]) -> str:
    """A top module that holds all of them and has all their ports."""
    ports, instances = ["input clk", "input rst"], []
    for side in parts:
        connected = [".clk(clk)", ".rst(rst)"]
        for name, direction, width in side.ports:
            ports.append(f"{direction}put [{width - 1}:0] {side.top}_{name}")
            connected.append(f".{name}({side.top}_{name})")
        instances.append(f"  {side.top} {side.top}_block ({', '.join(connected)});\n")
    return f"module chip({', '.join(ports)});\n{''.join(instances)}endmodule\n"


BENCH = Template("""
module bench;
  reg clk = 1'b0;
  reg rst = 1'b0;
  reg [$cycle_bits-1:0] cycle = 0;
  always #5 clk = ~clk;
  initial #1 rst = 1'b1;
  always @(posedge clk) begin
    rst <= 1'b0;
    cycle <= cycle + 1;
    if (cycle == $cycles) $$finish;
  end
$sides
  chip chip ($connected);
endmodule
""")
SIDE = Template("""
  reg [$bits:0] ${top}_elements[0:$count-1];
  initial $$readmemh("$top.hex", ${top}_elements);
  integer ${top}_sent = 0;
  reg [$cycle_bits-1:0] ${top}_first = 0;
  wire ${top}_s_axis_tvalid = ~rst & cycle != 0 & ${top}_sent < $count;
  wire [$bits-1:0] ${top}_s_axis_tdata = ${top}_elements[${top}_sent][$bits-1:0];
  wire ${top}_s_axis_tlast = ${top}_elements[${top}_sent][$bits];
  wire ${top}_m_axis_tready = 1'b1;
  wire ${top}_s_axis_tready, ${top}_m_axis_tvalid, ${top}_m_axis_tlast;
  wire [$out-1:0] ${top}_m_axis_tdata;
  always @(posedge clk) if (!rst) begin
    if (${top}_s_axis_tvalid & ${top}_s_axis_tready) begin
      if (${top}_sent == 0) ${top}_first <= cycle;
      ${top}_sent <= ${top}_sent + 1;
    end
    if (${top}_m_axis_tvalid)
      $$display("$top %h", {cycle - ${top}_first, ${top}_m_axis_tlast, ${top}_m_axis_tdata});
  end
""")


def bench(parts: Sequence[Side]) -> str:
    """Sends each its elements, both at once, and prints the words that a testbench expects."""
    texts, connected, last = [], [".clk(clk)", ".rst(rst)"], 0
    for side in parts:
        widths = {name: width for name, _, width in side.ports}
        connected += [f".{side.top}_{name}({side.top}_{name})" for name in widths]
        out = widths["m_axis_tdata"]
        last = max(last, int(side.expected.split()[-1], 16) >> (out + 1))
        text = SIDE.substitute(
            top=side.top,
            bits=widths["s_axis_tdata"],
            out=out,
            count=len(side.stimulus.split()),
            cycle_bits=CYCLE_BITS,
        )
        texts.append(text)
    return BENCH.substitute(
        cycle_bits=CYCLE_BITS,
        cycles=last + 50,
        sides="".join(texts),
        connected=", ".join(connected),
    )


def write(folder: Path, parts: Sequence[Side]) -> list[str]:
    """Write the files of a simulation; the names of those that are Verilog."""
    texts = {verilog_file(side.top): side.hardware.verilog for side in parts}
    texts |= {"chip.v": chip(parts), "bench.v": bench(parts)}
    data = {f"{side.top}.hex": side.stimulus for side in parts}
    for name, text in (texts | data).items():
        (folder / name).write_text(text)
    return [*texts]


def check_output(said: str, parts: Sequence[Side]) -> None:
    """Fail unless each gave every element, in its cycle, and nothing else."""
    words = [line.split() for line in said.splitlines() if line.startswith((LEFT, RIGHT))]
    for side in parts:
        assert [word for top, word in words if top == side.top] == side.expected.split()


def test_names_are_all_that_differs() -> None:
    left, right = sides()
    for side in (left, right):
        assert all(f"{name}.".startswith(f"{side.top}.") for name in side.modules)
    assert not left.modules & right.modules
    usual = side_of(TOP, 0).hardware.verilog
    assert left.hardware.verilog == usual.replace(TOP, LEFT)
    # Macros and files would be shared, whatever modules are called.
    assert "`" not in usual
    assert "$readmem" not in usual


@pytest.mark.slow
def test_verilator() -> None:
    parts = sides()
    with work_folder() as folder:
        program = compile_with_verilator(folder, *write(folder, parts))
        check_output(output_of([program], folder).stdout, parts)


@pytest.mark.icarus
def test_icarus(tmp_path: Path) -> None:
    parts = sides()
    assert compile_with_icarus(tmp_path, *write(tmp_path, parts)) == ""
    check_output(simulate_with_icarus(tmp_path).stdout, parts)


def test_lint(tmp_path: Path) -> None:
    *sources, _ = write(tmp_path, sides())
    assert lint(tmp_path, "--top-module", "chip", *sources) == []


def elaborated(parts: Sequence[Side]) -> set[str]:
    """The names of the modules that Yosys finds in the chip."""
    texts = [*(side.hardware.verilog for side in parts), chip(parts)]
    files = {f"{number}.v": text.encode() for number, text in enumerate(texts)}
    commands = [
        *(f"read_verilog {name}" for name in files),
        "hierarchy -check -top chip",
        "proc",
        "check -assert",
        "tee -q -o stat.json stat -json",
    ]
    return set(parse_stat(run_yosys(commands, files, ["stat.json"]).outputs["stat.json"]))


@pytest.mark.nightly
@pytest.mark.slow
def test_yosys() -> None:
    left, right = parts = sides()
    assert elaborated(parts) == {"chip"} | left.modules | right.modules
    texts = {side.top: side.hardware.verilog for side in parts}
    texts["chip"] = "\n".join([*texts.values(), chip(parts)])
    flip_flops = {}
    for top, text in texts.items():
        report = synthesise(text, top, "ice40", by_operator=False)
        assert not report.warnings
        flip_flops[top] = report.total.flip_flops
    assert flip_flops["chip"] == flip_flops[LEFT] + flip_flops[RIGHT]


def test_yosys_refuses_two_of_the_same_name() -> None:
    with pytest.raises(ToolError, match=r"Re-definition of module `\\left'"):
        elaborated(sides(right=LEFT))


def test_a_netlist_keeps_what_is_read_inside() -> None:
    left, _ = sides()
    keep = read_inside(left.hardware.accelerator.network)
    text = netlist(left.hardware.verilog, LEFT, "ice40", keep=keep)
    start = text.index(f"module \\{LEFT}.datapath ")
    assert "wire state_written;" in text[start : text.index("endmodule", start)]
