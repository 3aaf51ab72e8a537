"""A small network, and what tests of the Python interface have in common."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gruhw.errors import InputError
from gruhw.learning.quant import calibrate
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation

ARCHITECTURE = Architecture(inputs=3, layers=("gru:4",), outputs=2)
WIDTHS = homogeneous(ARCHITECTURE, 6)
RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(20, 5, 3))
SHAPES = ARCHITECTURE.layer_shapes
WEIGHTS = {name: RANDOM.normal(0, 0.5, shape) for name, shape in SHAPES.items()}
BIASES = {name: RANDOM.normal(0, 0.3, shape[0]) for name, shape in SHAPES.items()}
FRACTIONS, SIGNED = calibrate(ARCHITECTURE, WIDTHS, WEIGHTS, BIASES, X)
MODEL = Model(ARCHITECTURE, WEIGHTS, BIASES, FRACTIONS, SIGNED, Normalisation.identity(3))
GENOME = Genome(network=ARCHITECTURE, genes=WIDTHS)
NETWORK = Network.build(GENOME, MODEL)
CODES = NETWORK.encode(X)

Refused = dict[str, tuple[Callable[[], object], str]]


def refuses(message: str, function: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        function()


def anything(value: object) -> Any:
    """Hidden from the type checker, which would refuse it, too."""
    return value
