"""What turns raw samples into the input of a network, and its results into values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gruhw.basics.arrays import numbers, real_array
from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.basics.values import whole_number
from gruhw.errors import InputError
from gruhw.network.fixed import FloatArray
from gruhw.network.sequences import Split


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


@dataclass(frozen=True)
class Span:
    """Where values lie that a network learns, relative to which it computes them.

    What its head gives is ``(value - mean) / deviation``. So values of any size, beside each other
    too, have the same share of the head's bits, and of training.

    Parameters
    ----------
    mean, deviation
        Of each value, shape [outputs], in the unit of the data.

    Raises
    ------
    InputError
        If their shapes differ or have another rank, a value is not finite, or a deviation is not
        positive.
    """

    mean: FloatArray
    deviation: FloatArray

    def __post_init__(self) -> None:
        mean = real_array("values.mean", self.mean, ("outputs",))
        deviation = real_array("values.deviation", self.deviation, mean.shape)
        if (deviation <= 0).any():
            found = deviation[deviation <= 0][0]
            raise InputError(f"every value of values.deviation must be above 0, not {found}")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "deviation", deviation)

    @classmethod
    def of(cls, values: FloatArray) -> "Span":
        """That of values of shape [N, outputs]; of what is constant the deviation is 1."""
        exact = np.asarray(values).astype(np.float64)
        mean, deviation = exact.mean(0), exact.std(0)
        # Less than single precision can tell from the mean is no deviation.
        varies = deviation > np.abs(mean) * np.finfo(np.float32).eps
        return cls(mean, np.where(varies, deviation, 1.0))

    def relative(self, values: FloatArray) -> FloatArray:
        """``values``, of shape [..., outputs], as the head gives them."""
        found: FloatArray = (values.astype(np.float64) - self.mean) / self.deviation
        return found

    def absolute(self, relative: FloatArray) -> FloatArray:
        """What the head gives, of shape [..., outputs], in the unit of the data."""
        found: FloatArray = relative * self.deviation + self.mean
        return found


def learnt(split: Split, span: Span | None) -> Split:
    """The same sequences, their values relative to ``span``, if there are values and a span."""
    if span is None or split.of_classes:
        return split
    return split.with_y(span.relative(split.y))
