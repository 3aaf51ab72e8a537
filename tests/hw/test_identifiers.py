"""Names of top modules: which are taken, and that others are refused in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from random_networks import random_network, random_sequences

from gruhw.errors import InputError
from gruhw_hw.identifiers import KEYWORDS, LONGEST, check_top, verilog_file
from gruhw_hw.synthesis import netlist
from gruhw_hw.top import TOP, Accelerator, generate_verilog, top_of
from gruhw_sim import simulate
from gruhw_sim.verify import verify

NO_NAMES = ["", "3x", "a b", "a-b", "a.b", "\\a", "a$", "é", "a\n", "a;b", "x" * (LONGEST + 1)]
REFUSED = {
    **dict.fromkeys(NO_NAMES, "be 1 to 64 letters, digits and underscores, no digit first"),
    **dict.fromkeys(["module", "logic", "xor"], "be no keyword of SystemVerilog"),
    **dict.fromkeys(["TOP", "std"], "have another name than TOP and std, which tools know"),
}


@pytest.mark.parametrize("top", [TOP, "_", "a__b", "Module", "x" * LONGEST, "top", "double"])
def test_names_that_are_taken(top: str) -> None:
    assert check_top(top) == top
    assert verilog_file(top) == f"{top}.v"


@pytest.mark.parametrize("top", REFUSED, ids=ascii)
def test_names_that_are_refused(top: str) -> None:
    message = f"^{re.escape(f'top module must {REFUSED[top]}, not {top!r}')}$"
    with pytest.raises(InputError, match=message):
        check_top(top)


def test_there_are_as_many_keywords_as_in_the_standard() -> None:
    assert len(KEYWORDS) == 248
    assert {"accept_on", "class", "endmodule", "reg", "unique0", "xor"} <= KEYWORDS


def test_every_interface_refuses(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(1), inputs=1, hidden=1, classes=2)
    sequences = random_sequences(np.random.default_rng(1), network, 1, 1)
    calls = (
        lambda top: Accelerator(network, top=top),
        lambda top: generate_verilog(network, top=top),
        lambda top: netlist("", top, "ice40"),
        lambda top: simulate(network, *sequences, verilog="", top=top),
        lambda top: verify(network, *sequences, verilog="", top=top, waveform=tmp_path / "w.fst"),
    )
    for call in calls:
        with pytest.raises(InputError, match=r"^top module must be no keyword of SystemVerilog"):
            call("wire")


@pytest.mark.parametrize("top", ["clk", "rst", "m_axis_tdata"])
def test_names_of_ports_are_refused(top: str) -> None:
    network = random_network(np.random.default_rng(1), inputs=1, hidden=1, classes=2)
    ports = "clk, rst, s_axis_tvalid, .*, m_axis_tlast"
    with pytest.raises(InputError, match=f"another name than its ports {ports}, not '{top}'$"):
        Accelerator(network, top=top)


def test_the_accelerator_in_a_text_is_found() -> None:
    other = "module chip(clk);\nmodule \\left.datapath.fifo (clk);\n"
    left, right = (f"module {n}(clk);\nmodule \\{n}.datapath (clk);\n" for n in "ab")
    assert top_of(other + left) == "a"
    assert top_of(left + left) == "a"
    with pytest.raises(InputError, match=r"^a module NAME\.datapath is required, but missing$"):
        top_of(other)
    with pytest.raises(InputError, match=r"^must hold one accelerator, but holds a, b: give --top"):
        top_of(right + left)
