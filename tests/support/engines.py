"""Simulators, as parameters of tests."""

import pytest

from gruhw_sim.simulators import SIMULATORS

EITHER = [
    pytest.param(name, marks=pytest.mark.icarus if name == "icarus" else ()) for name in SIMULATORS
]
"""Each simulator; Icarus Verilog where it is installed."""
