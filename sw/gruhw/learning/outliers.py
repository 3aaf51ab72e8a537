"""Which samples are outliers: too far out, and too rare, to decide the range of a tensor.

The rule: the *bulk* of the samples is all but one in 2,000 of them. What lies more than twice as
far from zero as the bulk does is an outlier. The bulk of normal samples reaches 3.5 standard
deviations, so that they have no outliers; of Laplace's distribution one sample in four million is
one. Where there are fewer than 2,000 samples, none is an outlier.
"""

import numpy as np

from gruhw.network.fixed import FloatArray

RARE = 2000
"""Of so many samples, one may lie beyond the bulk."""

BEYOND = 2.0
"""An outlier is so many times as far from zero as the bulk reaches."""


def bulk(values: FloatArray) -> float:
    """The magnitude that all but one in :data:`RARE` of the values do not exceed; 0 for none."""
    magnitudes = np.abs(values).ravel()
    if not len(magnitudes):
        return 0.0
    place = len(magnitudes) - 1 - len(magnitudes) // RARE
    return float(np.partition(magnitudes, place)[place])


def outlier_limit(values: FloatArray) -> float:
    """The magnitude beyond which values are outliers; infinity if the bulk is zero.

    Where almost all values are zero, the others are rare events, and no outliers.
    """
    reached = bulk(values)
    return BEYOND * reached if reached > 0 else np.inf
