"""The accelerator with its AXI4-Stream ports, and its Verilog."""

import re
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gruhw.basics.values import instance, truth
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed
from gruhw.network.fractions import Fractions
from gruhw.network.genes import USUAL_BITS, homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.normalisation import Normalisation
from gruhw.network.planning import schedule_of
from gruhw_hw.core import emitted_type
from gruhw_hw.datapath import datapath
from gruhw_hw.identifiers import DATAPATH, check_top
from gruhw_hw.identifiers import TOP as TOP
from gruhw_hw.placed import placed_operators
from gruhw_hw.verilog import convert

CLOCK_AND_RESET = ("clk", "rst")
"""The ports that Amaranth adds."""


def axi_width(kind: Fixed) -> int:
    """The width of ``tdata`` for an element: whole bytes, as AXI4-Stream requires."""
    return -(-kind.bits // 8) * 8


class Accelerator(wiring.Component):
    """An accelerator with AXI4-Stream ports.

    Parameters
    ----------
    network, blocks
        As of :func:`gruhw_hw.datapath.datapath`.
    top
        The name of its module. The names of all modules below begin with it, so that
        accelerators with different names fit into one design.

    Raises
    ------
    InputError
        If ``top`` is no plain Verilog name, or that of a port.

    Members
    -------
    s_axis_tvalid, s_axis_tlast : In(1)
    s_axis_tready : Out(1)
    s_axis_tdata : In(whole bytes)
        One element of an input vector in the low bits; the others are ignored. ``tlast``
        belongs to the last element of a sequence.
    m_axis_tvalid, m_axis_tlast : Out(1)
    m_axis_tready : In(1)
    m_axis_tdata : Out(whole bytes)
        A logit, value or state, sign-extended; or a class index.
    """

    def __init__(self, network: Network, *, blocks: bool = False, top: str = TOP) -> None:
        self.top, network = check_top(top), instance("network", network, Network)
        self.datapath = datapath(network, blocks=truth("blocks", blocks))
        self.network, self.schedule = network, schedule_of(network)
        self.input_type = network.input_type
        self.output_type = emitted_type(self.schedule.last)
        super().__init__(
            {
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tdata": In(axi_width(self.input_type)),
                "s_axis_tlast": In(1),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tdata": Out(axi_width(self.output_type)),
                "m_axis_tlast": Out(1),
            }
        )
        # Verilator cannot tell the two apart.
        if top in (ports := [*CLOCK_AND_RESET, *self.signature.members]):
            raise InputError(
                f"top module must have another name than its ports {', '.join(ports)}, not {top!r}"
            )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.datapath = datapath = self.datapath
        m.d.comb += [
            datapath.sink.valid.eq(self.s_axis_tvalid),
            datapath.sink.payload.data.eq(self.s_axis_tdata[: self.input_type.bits]),
            datapath.sink.payload.last.eq(self.s_axis_tlast),
            self.s_axis_tready.eq(datapath.sink.ready),
            self.m_axis_tvalid.eq(datapath.source.valid),
            self.m_axis_tdata.eq(datapath.source.payload.data),
            self.m_axis_tlast.eq(datapath.source.payload.last),
            datapath.source.ready.eq(self.m_axis_tready),
        ]
        return m


LINT_WAIVERS = {
    "DECLFILENAME": "all modules stand in one file",
    "PROCASSINIT": "registers have a value at power-on and another assignment at the clock edge",
    "UNUSEDSIGNAL": "fields of a payload have names even where the whole payload is wired",
    "WIDTHEXPAND": "Amaranth widens operands to the width of the result",
}
"""Verilator's warnings that Amaranth's style causes, and why each is harmless."""


@dataclass(frozen=True)
class Hardware:
    """An accelerator and its Verilog text."""

    accelerator: Accelerator
    verilog: str

    @property
    def top(self) -> str:
        """The name of the top module."""
        return self.accelerator.top


def generate_verilog(network: Network, *, blocks: bool = False, top: str = TOP) -> Hardware:
    """The Verilog of a network's accelerator; the same arguments give the same text.

    Parameters as of :class:`Accelerator`, which also says what is refused.

    Raises
    ------
    InputError
        Also if hardware has something else of an operator's name.
    """
    accelerator = Accelerator(network, blocks=blocks, top=top)
    text = convert(accelerator, accelerator.top)
    # Amaranth renames a module that stands beside a signal of its name.
    modules = set(re.findall(r"^module \\(\S+) ", text, re.MULTILINE))
    for placed in placed_operators(network):
        if f"{accelerator.top}.{DATAPATH}.{placed.path}" not in modules:
            raise InputError(
                f"operator {placed.name} must have another name: hardware has a signal called so"
            )
    waivers = [f"/* verilator lint_off {name} */ // {why}" for name, why in LINT_WAIVERS.items()]
    return Hardware(accelerator, "\n".join([*waivers, text]))


def check_names(network: Architecture) -> None:
    """Raise :class:`InputError` unless hardware can have modules of these operators' names.

    Before it is trained: weights do not matter. Names of gruhw's own cells were chosen so.
    """
    if not network.other_cells:
        return
    widths = {gene.name: USUAL_BITS for gene in network.calibrated}
    shapes = network.layer_shapes
    model = Model(
        network,
        {name: np.ones(shape) for name, shape in shapes.items()},
        {name: np.zeros(outputs) for name, (outputs, _) in shapes.items()},
        Fractions(dict.fromkeys(widths, USUAL_BITS - 1), widths),
        True,
        Normalisation.identity(network.inputs),
        initial={name: np.zeros(shape) for name, shape in network.initial_shapes.items()},
    )
    genome = Genome(network=network, genes=homogeneous(network, USUAL_BITS), output="values")
    generate_verilog(Network.build(genome, model))


def top_of(verilog: str) -> str:
    """The name of the accelerator in a text: of the module ``NAME`` that has a ``NAME.datapath``.

    Raises
    ------
    InputError
        Unless there is exactly one.
    """
    found = sorted(set(re.findall(r"^module \\(\w+)\.datapath ", verilog, re.ASCII | re.MULTILINE)))
    if not found:
        raise InputError("a module NAME.datapath is required, but missing")
    if len(found) > 1:
        raise InputError(f"must hold one accelerator, but holds {', '.join(found)}: give --top")
    return found[0]
