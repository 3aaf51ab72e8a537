"""Simulation of generated Verilog against the integer reference, cycle by cycle.

:func:`simulate` runs cocotb's bench in Verilator or Icarus Verilog;
:func:`gruhw_sim.verify.verify` sends whole data sets through a compiled simulation;
:func:`gruhw_sim.plain_testbench.plain_testbench` writes a Verilog testbench that needs neither
gruhw nor Python.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gruhw_sim.inside import read_inside as read_inside
    from gruhw_sim.runner import simulate as simulate

__all__ = ["EXTREME_SEQUENCES", "read_inside", "simulate"]

EXTREME_SEQUENCES = 6
"""How many extreme sequences are simulated beside real ones if nothing else is said."""


def __getattr__(name: str) -> Any:
    # Late, because a simulator's process imports the bench from here, and nothing else.
    if name == "read_inside":
        from gruhw_sim.inside import read_inside

        return read_inside
    if name == "simulate":
        from gruhw_sim.runner import simulate

        return simulate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
