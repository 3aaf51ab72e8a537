"""What turns raw samples into the input of a network."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gruhw.basics.arrays import numbers, real_array
from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.basics.values import whole_number
from gruhw.errors import InputError
from gruhw.network.fixed import FloatArray


@dataclass(frozen=True)
class Normalisation:
    """What turns raw samples into the network's input: ``raw * scale + offset``.

    To normalise by mean and standard deviation, use :meth:`from_mean_std`.

    Parameters
    ----------
    scale, offset
        Shape [inputs], one entry for each element of the input vector.

    Raises
    ------
    InputError
        If their shapes differ or have another rank, or a value is not finite.
    """

    scale: FloatArray
    offset: FloatArray

    def __post_init__(self) -> None:
        for name in ("scale", "offset"):
            values = real_array(f"input.{name}", getattr(self, name), ("inputs",))
            object.__setattr__(self, name, values)
        if self.scale.shape != self.offset.shape:
            raise InputError(
                f"shape of input.offset must be {list(self.scale.shape)} like that of input.scale, "
                f"not {list(self.offset.shape)}"
            )

    @classmethod
    def identity(cls, inputs: int) -> "Normalisation":
        """Leaves vectors of ``inputs`` elements as they are."""
        inputs = whole_number("inputs", inputs, 1, MAXIMUM_SIZE)
        return cls(np.ones(inputs), np.zeros(inputs))

    @classmethod
    def from_mean_std(cls, mean: FloatArray, std: FloatArray) -> "Normalisation":
        """``(raw - mean) / std``: mean 0 and standard deviation 1 for samples that have these.

        Parameters
        ----------
        mean, std
            Shape [inputs], the mean and the standard deviation of each input element.

        Raises
        ------
        InputError
            If their shapes differ, a value is not finite, or a standard deviation is not positive.
        """
        means = real_array("mean", mean, ("inputs",))
        deviations = real_array("standard deviation", std, means.shape)
        if (deviations <= 0).any():
            found = deviations[deviations <= 0][0]
            raise InputError(f"every standard deviation must be above 0, not {found}")
        with np.errstate(over="ignore"):  # refused below
            return cls(1 / deviations, -means / deviations)

    def __call__(self, raw: ArrayLike) -> FloatArray:
        """Normalise ``raw``, of any shape [..., inputs], in double precision.

        Raises
        ------
        InputError
            If ``raw`` holds something else than real numbers, or has other elements.
        """
        values = numbers("samples", raw)
        if values.shape[-1:] != self.scale.shape:
            raise InputError(
                f"shape of the samples must end with {len(self.scale)} input elements, "
                f"not be {list(values.shape)}"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # infinity saturates when rounded
            normalised: FloatArray = values.astype(np.float64) * self.scale + self.offset
        return normalised
