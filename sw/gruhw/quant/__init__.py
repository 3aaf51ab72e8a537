"""The quantised GRU in PyTorch: calibration, fake quantisation, training."""

from gruhw.quant.calibrate import calibrate
from gruhw.quant.module import QuantGRU, float_layers, from_float

__all__ = ["QuantGRU", "calibrate", "float_layers", "from_float"]
