"""Area without synthesis: a parametric model of the datapath, calibrated by synthesis."""

from gruhw_hw.area.measure import Measures, measure, memory_bits
from gruhw_hw.area.model import AreaModel

__all__ = ["AreaModel", "Measures", "measure", "memory_bits"]
