"""Prices of terms, from what synthesis found for parts and for whole networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gruhw_hw.area.priced import Kind, Term

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

HELD: Mapping[Kind, float] = {"general": 0.00001, "specific": 0.02, "exact": 0.001}
"""How strongly prices are held back. With these, networks that were left out of the calibration of
ECP5 were estimated best."""

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

    terms: Mapping[Term, float]
    amounts: Mapping[str, float]


Prices = dict[str, list[float]]
"""For each term, by its name, what one of it takes of each of :data:`AMOUNTS`."""


def fit_prices(samples: Sequence[Sample]) -> Prices:
    """The prices with which the terms of the samples best add up to their amounts.

    Ridge regression: the squared error of each amount, relative to its expected spread, plus a
    small penalty on prices, which is larger for terms of a single combination of widths.
    """
    terms = sorted({term for sample in samples for term in sample.terms})
    position = {term: index for index, term in enumerate(terms)}
    counts = np.zeros((len(samples), len(terms)))
    for row, sample in enumerate(samples):
        for term, count in sample.terms.items():
            counts[row, position[term]] = count
    scale = np.maximum(np.abs(counts).max(axis=0, initial=0), 1e-12)
    held = np.array([HELD[term.kind] for term in terms])
    prices = np.zeros((len(terms), len(AMOUNTS)))
    for column, amount in enumerate(AMOUNTS):
        found = np.array([sample.amounts[amount] for sample in samples], dtype=float)
        if found.any():
            few = FEW.get(amount, 10.0)
            weight = np.sqrt(few / np.maximum(found, few))
            prices[:, column] = _ridge(counts / scale, found, weight, held) / scale
    return {term.name: prices[index].tolist() for term, index in position.items()}


def _ridge(
    counts: NDArray[np.float64],
    found: NDArray[np.float64],
    weight: NDArray[np.float64],
    held: NDArray[np.float64],
) -> NDArray[np.float64]:
    rows = counts * weight[:, None]
    normal = rows.T @ rows + np.diag(held)
    return np.asarray(np.linalg.solve(normal, rows.T @ (found * weight)), dtype=np.float64)
