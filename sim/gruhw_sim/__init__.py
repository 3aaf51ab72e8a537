"""Simulation of generated Verilog against the integer reference, cycle by cycle.

:func:`gruhw_sim.runner.simulate` runs cocotb's bench in Verilator or Icarus Verilog;
:func:`gruhw_sim.plain_testbench.plain_testbench` writes a Verilog testbench that needs neither
gruhw nor Python.
"""
