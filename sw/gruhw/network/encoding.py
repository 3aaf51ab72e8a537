"""Raw samples as the integers that a network takes: normalised, rounded half up, saturated."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import IntArray, shaped, steps_of, whole_values
from gruhw.errors import GruhwWarning, InputError, naming
from gruhw.network.fixed import Fixed, quantise
from gruhw.network.normalisation import Normalisation

MOST = 0.5
"""From so large a part of saturated samples on, the normalisation is probably wrong."""


class Saturation:
    """Counts samples that saturate, and warns if most of them do: a wrong normalisation's mark."""

    def __init__(self) -> None:
        self._saturated = self._samples = 0

    def note(self, saturated: NDArray[np.bool]) -> None:
        """Count samples, for each of which ``saturated`` says whether it does."""
        self._saturated += int(saturated.sum())
        self._samples += saturated.size

    def warn(self, kind: Fixed, level: int = 3) -> None:
        """Warn, if most samples that were noted saturate in ``kind``.

        ``level`` is the place of the caller to name, as of :func:`warnings.warn`.
        """
        if self._saturated > MOST * self._samples:
            warnings.warn(
                f"most input samples saturate at {kind.minimum * kind.scale:g} or "
                f"{kind.maximum * kind.scale:g}: is the normalisation, raw * scale + offset, that "
                "of these samples?",
                GruhwWarning,
                stacklevel=level,
            )


def rounded(
    normalisation: Normalisation, kind: Fixed, raw: ArrayLike
) -> tuple[IntArray, NDArray[np.bool]]:
    """The integers of samples of shape [..., inputs], and whether each of them saturates.

    Raises
    ------
    InputError
        If ``raw`` holds something else than numbers, or has other elements.
    """
    values = normalisation(raw)
    with naming("samples"):
        codes = quantise(values, kind)
    lowest, highest = (kind.minimum - 0.5) * kind.scale, (kind.maximum + 0.5) * kind.scale
    return codes, (values < lowest) | (values >= highest)


def encode(
    normalisation: Normalisation, kind: Fixed, raw: ArrayLike, lengths: ArrayLike | None = None
) -> IntArray:
    """The integers of samples; warns where most of them saturate.

    Parameters
    ----------
    raw
        Shape [..., inputs]; [N, T, inputs] where there are lengths.
    lengths
        The steps of each sequence, shape [N]. What follows them is encoded too, but is no reason
        to warn.

    Raises
    ------
    InputError
        If ``raw`` holds something else than numbers, or has other elements; or if lengths are no
        such numbers.
    """
    codes, saturated = rounded(normalisation, kind, raw)
    if lengths is not None:
        count, steps, _ = shaped("samples", codes, ("sequences", "steps", codes.shape[-1])).shape
        saturated = saturated[np.arange(steps) < steps_of(lengths, count, steps)[:, np.newaxis]]
    saturation = Saturation()
    saturation.note(saturated)
    saturation.warn(kind, level=4)
    return codes


def codes_and_lengths(
    inputs: ArrayLike, lengths: ArrayLike | None, kind: Fixed, size: int
) -> tuple[IntArray, IntArray]:
    """Sequences as a network takes them: codes of the input's type, and the steps of each one.

    Parameters
    ----------
    inputs
        Whole numbers of type ``kind``, shape [N, T, size].
    lengths
        Shape [N], 1 to T; all T if None.

    Returns
    -------
    tuple
        Both as 64-bit integers.

    Raises
    ------
    InputError
        If they are something else: real numbers, say, which are not encoded yet.
    """
    try:
        codes = whole_values(
            "inputs", inputs, ("sequences", "steps", size), kind.minimum, kind.maximum
        )
    except InputError as error:
        raise InputError(f"{error}: encode gives what a network takes") from None
    count, steps, _ = codes.shape
    return codes, steps_of(lengths, count, steps)
