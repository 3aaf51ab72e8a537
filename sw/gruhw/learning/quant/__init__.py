"""Quantised networks in PyTorch: calibration, fake quantisation, training."""

from gruhw.learning.quant.calibration import Calibration, TensorReport, calibrate
from gruhw.learning.quant.framework import float_layers, from_float, network_of
from gruhw.learning.quant.module import QuantNetwork

__all__ = [
    "Calibration",
    "QuantNetwork",
    "TensorReport",
    "calibrate",
    "float_layers",
    "from_float",
    "network_of",
]
