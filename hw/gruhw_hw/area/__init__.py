"""Area without synthesis: a parametric model of the datapath, calibrated by synthesis."""

from gruhw_hw.area.candidates import Candidates
from gruhw_hw.area.measure import Measures, measure, memory_bits
from gruhw_hw.area.model import AreaModel

__all__ = ["AreaModel", "Candidates", "Measures", "measure", "memory_bits"]
