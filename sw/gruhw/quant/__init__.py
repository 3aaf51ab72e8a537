"""The quantised GRU in PyTorch: calibration, fake quantisation, training."""

from gruhw.quant.calibration import Calibration, TensorReport, calibrate
from gruhw.quant.module import QuantGRU, float_layers, from_float

__all__ = [
    "Calibration",
    "QuantGRU",
    "TensorReport",
    "calibrate",
    "float_layers",
    "from_float",
]
