"""Sequences with what is right of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import IntArray, numbers, real_values, shaped, steps_of, whole_values
from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.basics.values import at_least_one
from gruhw.network.parts import Target


@dataclass(frozen=True, eq=False)
class Split:
    """Sequences and what is right of them; arrays are not copied.

    Parameters
    ----------
    x
        Raw numbers, shape [N, T, I], as they are stored: ``uint8`` for MNIST.
    y
        What is right. The class of each sequence, whole numbers from 0 on, shape [N]; or its
        values, real numbers, shape [N, K].
    lengths
        The steps of each sequence, shape [N], 1 to T; all T if None. What follows them in ``x`` is
        padding.

    Raises
    ------
    InputError
        If they are something else.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: IntArray = None  # type: ignore[assignment]  # never afterwards

    def __post_init__(self) -> None:
        x = shaped("x", numbers("x", self.x), ("sequences", "steps", "inputs"))
        count, steps, _ = x.shape
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", _right(self.y, count))
        object.__setattr__(self, "lengths", steps_of(self.lengths, count, steps))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def target(self) -> Target:
        """What ``y`` says: classes or values."""
        return "class" if self.y.ndim == 1 else "values"

    def take(self, indices: IntArray) -> "Split":
        """The sequences at ``indices``, in that order."""
        return Split(self.x[indices], self.y[indices], self.lengths[indices])

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the sequences, in hexadecimal: type, shape and bytes of each array."""
        digest = hashlib.sha256()
        for array in (self.x, self.y, self.lengths):
            plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{plain.dtype.str} {plain.shape} ".encode())
            digest.update(plain.data)
        return digest.hexdigest()

    def read_only(self) -> "Split":
        """The same sequences, in arrays that cannot be written."""
        views = [array.view() for array in (self.x, self.y, self.lengths)]
        for view in views:
            view.flags.writeable = False
        return Split(*views)

    def where(self, chosen: NDArray[np.bool]) -> "Split":
        """The sequences for which ``chosen``, shape [N], is true, in their order."""
        return self.take(np.flatnonzero(chosen))


def _right(y: ArrayLike, count: int) -> NDArray[Any]:
    """What is right of ``count`` sequences: labels, or values if each has a vector of them."""
    try:
        dimensions = np.asarray(y).ndim
    except (RuntimeError, TypeError, ValueError):
        dimensions = 1  # it is no array at all, which the check of labels says
    if dimensions != 2:
        return whole_values("labels", y, (count,), 0, MAXIMUM_SIZE - 1)
    values = real_values("values", y, (count, "values"))
    at_least_one("value of a sequence", values.shape[1])
    return values
