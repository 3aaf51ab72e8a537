"""Synthesis by Yosys: what a design costs on FPGAs and in standard cells, operator by operator."""

from gruhw_hw.synthesis.flow import check_target, synthesise
from gruhw_hw.synthesis.hierarchy import operator_modules
from gruhw_hw.synthesis.netlist import netlist
from gruhw_hw.synthesis.report import REST, SynthesisReport
from gruhw_hw.synthesis.resources import Resources
from gruhw_hw.synthesis.targets import TARGETS, Target, library_of
from gruhw_hw.synthesis.yosys import YosysRun, run_yosys, tool_versions

__all__ = [
    "REST",
    "TARGETS",
    "Resources",
    "SynthesisReport",
    "Target",
    "YosysRun",
    "check_target",
    "library_of",
    "netlist",
    "operator_modules",
    "run_yosys",
    "synthesise",
    "tool_versions",
]
