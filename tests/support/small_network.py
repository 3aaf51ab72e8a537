"""A small network, and what tests of the Python interface have in common."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gruhw.errors import InputError
from gruhw.genome import Genome, Sizes, homogeneous
from gruhw.model import Model, Network, Normalisation, layer_shapes
from gruhw.quant import calibrate

SIZES = Sizes(input=3, hidden=4, classes=2)
WIDTHS = homogeneous(6)
RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(20, 5, 3))
WEIGHTS = {name: RANDOM.normal(0, 0.5, shape) for name, shape in layer_shapes(SIZES).items()}
BIASES = {name: RANDOM.normal(0, 0.3, shape[0]) for name, shape in layer_shapes(SIZES).items()}
FRACTIONS, SIGNED = calibrate(SIZES, WIDTHS, WEIGHTS, BIASES, X)
MODEL = Model(WEIGHTS, BIASES, FRACTIONS, SIGNED, Normalisation.identity(3))
GENOME = Genome(sizes=SIZES, genes=WIDTHS)
NETWORK = Network.build(GENOME, MODEL)
CODES = NETWORK.encode(X)

Refused = dict[str, tuple[Callable[[], object], str]]


def refuses(message: str, function: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        function()


def anything(value: object) -> Any:
    """Hidden from the type checker, which would refuse it, too."""
    return value
