"""Area without synthesis: prices of terms, added up."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.files import sha256
from gruhw.network.bound import Network
from gruhw_hw.area.calibration import find_calibration
from gruhw_hw.area.fit import AMOUNTS, Prices
from gruhw_hw.area.kept import Progress
from gruhw_hw.area.measure import Measures, measure
from gruhw_hw.area.terms import Needs
from gruhw_hw.synthesis.resources import Resources

_KEPT = 1 << 14
"""Parts whose amounts are kept: some megabytes."""

_FINGERPRINTED = 3
"""Networks of each kind whose estimates are part of a fingerprint."""

Amounts: TypeAlias = NDArray[np.float64]
"""One number for each of :data:`gruhw_hw.area.fit.AMOUNTS`, the last axis."""

COUNTED = tuple(amount for amount in AMOUNTS if isinstance(getattr(Resources(), amount), int))
"""The amounts that are whole numbers."""


@dataclass(frozen=True)
class AreaModel:
    """Estimates what synthesis would find for a network's accelerator, flattened.

    Parameters
    ----------
    target
        The target of synthesis that it stands for.
    prices
        What each term takes; a term without a price takes nothing.
    """

    target: str
    prices: Prices = field(repr=False)

    @classmethod
    def load(
        cls, target: str, *, liberty: Path | None = None, progress: Progress | None = None
    ) -> "AreaModel":
        """The model of a target, for the versions of the tools that are installed.

        The first of these that is of those versions: the calibration that comes with gruhw, the
        one in the cache, a new one, which takes many minutes and goes into the cache.

        Parameters
        ----------
        target
            A name of :data:`gruhw_hw.area.calibration.MODELLED`.
        liberty
            For ``asic``, the standard-cell library; IHP SG13G2 by default.
        progress
            Called with the steps of a new calibration that are done, and with all steps.

        Raises
        ------
        InputError
            If there is no model of the target, or the library is wrong.
        ToolError
            If Yosys fails.
        """
        return cls(target, find_calibration(target, liberty, progress))

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of the prices, and of what they say of some networks.

        That changes with the terms, too, of which prices say nothing.
        """
        from gruhw_hw.area.samples import random_network, random_stack  # imports PyTorch

        prices = {name: list(map(float, price)) for name, price in sorted(self.prices.items())}
        networks = [
            draw(_FINGERPRINTED, index)
            for draw in (random_network, random_stack)
            for index in range(_FINGERPRINTED)
        ]
        said = [self.estimate(network).to_json() for network in networks]
        return sha256(json.dumps([prices, said]).encode())

    @cached_property
    def _rows(self) -> dict[str, int]:
        """The row of each term in :attr:`_prices`."""
        return {name: row for row, name in enumerate(self.prices)}

    @cached_property
    def _prices(self) -> Amounts:
        """A row of prices for each term, and a last one for terms without a price."""
        return np.array([*self.prices.values(), [0.0] * len(AMOUNTS)])

    @cached_property
    def _part(self) -> Callable[[Needs], Amounts]:
        """The amounts of a part; many networks have the same."""
        unknown = len(self._rows)

        def amounts(part: Needs) -> Amounts:
            terms = part.all_terms(self.target)
            chosen = [self._rows.get(term.name, unknown) for term in terms]
            found: Amounts = np.fromiter(terms.values(), float) @ self._prices[chosen]
            found[_BLOCKS] += part.weight_block_rams(self.target)
            return found

        return lru_cache(maxsize=_KEPT)(amounts)

    def estimate(self, network: Network) -> Resources:
        """The resources of a network's accelerator."""
        return self.estimate_measures([measure(network)])[0]

    def amounts(self, measures: Sequence[Measures]) -> Amounts:
        """The estimates as numbers: a row for each of ``measures``, a column for each amount."""
        if not measures:
            return np.empty((0, len(AMOUNTS)))
        found = [[*map(self._part, taken.parts)] for taken in measures]
        starts = np.cumsum([0, *map(len, found[:-1])])
        return np.maximum(np.add.reduceat(np.array([*chain.from_iterable(found)]), starts), 0)

    def estimate_measures(self, measures: Sequence[Measures]) -> list[Resources]:
        """The resources of accelerators whose measures are taken: faster, if repeated."""
        return [
            Resources(
                **{
                    name: round(value) if name in COUNTED else value
                    for name, value in zip(AMOUNTS, row, strict=True)
                }
            )
            for row in self.amounts(measures).tolist()
        ]


_BLOCKS = AMOUNTS.index("block_rams")
