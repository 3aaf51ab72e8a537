"""Designs: saved in folders, generated as Verilog; trained and calibrated in modules of their own.

Those two import PyTorch, for which commands that need no training do not wait.
"""

from gruhw.design.generated import VECTORS, generate, parameter_arrays
from gruhw.design.saved import Design, save_design

__all__ = ["VECTORS", "Design", "generate", "parameter_arrays", "save_design"]
