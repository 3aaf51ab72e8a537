"""Prices of terms, from what synthesis found for parts and for whole networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AMOUNTS = (
    "luts",
    "memory_luts",
    "flip_flops",
    "carries",
    "wide_muxes",
    "block_rams",
    "area_um2",
    "nand2_equivalents",
)
"""The fields of :class:`gruhw_hw.synthesis.Resources` that are estimated."""

GENERAL, SPECIFIC, EXACT = 0.00001, 0.02, 0.001
"""How strongly prices are held back: of terms of all combinations of widths, of a single
combination, and of a single one that was synthesised by itself. With these, networks that were left
out of the calibration of ECP5 were estimated best."""

FEW = {"area_um2": 100.0, "nand2_equivalents": 14.0}
"""An amount below which errors count alike; 10 pieces where it is not given."""


@dataclass(frozen=True)
class Sample:
    """What synthesis found for a part, or for a whole network without its weight memories.

    Parameters
    ----------
    terms
        How many it has of each term.
    amounts
        By name of :data:`AMOUNTS`.
    """

    terms: Mapping[str, float]
    amounts: Mapping[str, float]


Prices = dict[str, list[float]]
"""For each term, what one of it takes of each of :data:`AMOUNTS`."""


def fit_prices(samples: Sequence[Sample]) -> Prices:
    """The prices with which the terms of the samples best add up to their amounts.

    Ridge regression: the squared error of each amount, relative to its expected spread, plus a
    small penalty on prices, which is larger for terms of a single combination of widths.
    """
    names = sorted({name for sample in samples for name in sample.terms})
    position = {name: index for index, name in enumerate(names)}
    counts = np.zeros((len(samples), len(names)))
    for row, sample in enumerate(samples):
        for name, count in sample.terms.items():
            counts[row, position[name]] = count
    scale = np.maximum(np.abs(counts).max(axis=0, initial=0), 1e-12)
    held = np.array([_held(name) for name in names])
    prices = np.zeros((len(names), len(AMOUNTS)))
    for column, amount in enumerate(AMOUNTS):
        found = np.array([sample.amounts[amount] for sample in samples], dtype=float)
        if found.any():
            few = FEW.get(amount, 10.0)
            weight = np.sqrt(few / np.maximum(found, few))
            prices[:, column] = _ridge(counts / scale, found, weight, held) / scale
    return {name: prices[index].tolist() for index, name in enumerate(names)}


def _held(term: str) -> float:
    if not term[-1].isdigit():
        return GENERAL
    return EXACT if term.startswith(("table ", "complement ")) else SPECIFIC


def _ridge(
    counts: NDArray[np.float64],
    found: NDArray[np.float64],
    weight: NDArray[np.float64],
    held: NDArray[np.float64],
) -> NDArray[np.float64]:
    rows = counts * weight[:, None]
    normal = rows.T @ rows + np.diag(held)
    return np.asarray(np.linalg.solve(normal, rows.T @ (found * weight)), dtype=np.float64)
