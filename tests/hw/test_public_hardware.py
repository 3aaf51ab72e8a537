"""Hardware in notebooks: other objects than networks are refused before any work."""

import warnings
from pathlib import Path

import pytest
from small_network import MODEL, NETWORK, Refused, anything, refuses

from gruhw_hw.area import AreaModel, measure, memory_bits
from gruhw_hw.formal import prove_network
from gruhw_hw.interface import describe_interface
from gruhw_hw.synthesis import TARGETS, netlist, synthesise
from gruhw_hw.top import Hardware, generate_verilog

REFUSED: Refused = {
    "no network": (
        lambda: generate_verilog(anything(None)),
        "network must be a Network, not None",
    ),
    "model": (lambda: generate_verilog(anything(MODEL)), "network must be a Network, not Model"),
    "blocks": (
        lambda: generate_verilog(NETWORK, blocks=anything("no")),
        "blocks must be True or False, not 'no'",
    ),
    "top": (
        lambda: generate_verilog(NETWORK, top=anything(None)),
        "top module must be a str, not None",
    ),
    "hardware": (
        lambda: describe_interface(anything(Hardware(anything(None), ""))),
        "accelerator must be an Accelerator, not Hardware",
    ),
    "target": (
        lambda: synthesise("", "gruhw", anything(["ice40"])),
        "target must be a str, not list",
    ),
    "unknown target": (
        lambda: synthesise("", "gruhw", "ice50"),
        f"target must be one of {', '.join(TARGETS)}, not 'ice50'",
    ),
    "verilog": (
        lambda: synthesise(anything(Path("gruhw.v")), "gruhw", "ice40"),
        "verilog must be a str, not PosixPath",
    ),
    "verilog of a netlist": (
        lambda: netlist(anything(b""), "gruhw", "ice40"),
        "verilog must be a str, not bytes",
    ),
    "dsp": (
        lambda: synthesise("", "gruhw", "ice40", dsp=anything("no")),
        "dsp must be True or False, not 'no'",
    ),
    "library": (
        # A number would be read as an open file.
        lambda: synthesise("", "gruhw", "asic", liberty=anything(0)),
        "liberty must be a str or a Path, not 0",
    ),
    "network to prove": (
        lambda: prove_network(anything(MODEL)),
        "network must be a Network, not Model",
    ),
    "jobs": (
        lambda: prove_network(NETWORK, jobs=0),
        "jobs must be a whole number of at least 1, not 0",
    ),
    "network to measure": (
        lambda: measure(anything(None)),
        "network must be a Network, not None",
    ),
    "memory": (lambda: memory_bits(anything(MODEL)), "network must be a Network, not Model"),
    "network to estimate": (
        lambda: AreaModel("ice40", {}).estimate(anything(MODEL)),
        "network must be a Network, not Model",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network_is_refused(case: str) -> None:
    function, message = REFUSED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Amaranth's, of components that nobody elaborates
        refuses(message, function)
