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
from gruhw.network.parts import (
    Target,
    check_target_kind,
    every_step,
    of_classes,
    of_every_step,
)


@dataclass(frozen=True, eq=False)
class Split:
    """Sequences and what is right of them; arrays are not copied.

    Parameters
    ----------
    x
        Raw numbers, shape [N, T, I], as they are stored: ``uint8`` for MNIST.
    y
        What is right. The class of each sequence, whole numbers from 0 on, shape [N]; or its
        values, real numbers, shape [N, K]. At every step: classes [N, T] or values [N, T, K], of
        which those of padding count nowhere.
    lengths
        The steps of each sequence, shape [N], 1 to T; all T if None. What follows them in ``x`` is
        padding.
    target
        What ``y`` says. If None, its shape does: [N] are classes, [N, K] values and [N, T, K]
        values at every step.

    Raises
    ------
    InputError
        If they are something else.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    lengths: IntArray = None  # type: ignore[assignment]  # never afterwards
    target: Target = None  # type: ignore[assignment]  # never afterwards

    def __post_init__(self) -> None:
        x = shaped("x", numbers("x", self.x), ("sequences", "steps", "inputs"))
        count, steps, _ = x.shape
        object.__setattr__(self, "x", x)
        if self.target is None:
            object.__setattr__(self, "target", _target_of(self.y))
        right = _right(self.y, check_target_kind(self.target), count, steps)
        object.__setattr__(self, "y", right)
        object.__setattr__(self, "lengths", steps_of(self.lengths, count, steps))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def kind(self) -> str:
        """What ``y`` says, for people: classes or values."""
        return "classes" if self.of_classes else "values"

    @property
    def of_classes(self) -> bool:
        """Whether ``y`` says classes, and no values."""
        return of_classes(self.target)

    @property
    def of_every_step(self) -> bool:
        """Whether ``y`` says something of each step."""
        return of_every_step(self.target)

    @cached_property
    def counted(self) -> NDArray[np.bool]:
        """Which entries of ``y`` count: all, shape [N]; or those of no padding, shape [N, T]."""
        if not self.of_every_step:
            return np.ones(len(self), dtype=np.bool)
        found: NDArray[np.bool] = np.arange(self.x.shape[1]) < self.lengths[:, np.newaxis]
        return found

    def take(self, indices: IntArray | slice) -> "Split":
        """The sequences at ``indices``, in that order."""
        return Split(self.x[indices], self.y[indices], self.lengths[indices], self.target)

    def at_every_step(self) -> "Split":
        """The same sequences, of which what is right is so of each step."""
        if self.of_every_step:
            return self
        y = np.repeat(self.y[:, np.newaxis], self.x.shape[1], axis=1)
        return Split(self.x, y, self.lengths, every_step(self.target))

    def shortened(self) -> "Split":
        """The same sequences, with no more padding than the longest needs."""
        longest = int(self.lengths.max(initial=0))
        y = self.y[:, :longest] if self.of_every_step else self.y
        return Split(self.x[:, :longest], y, self.lengths, self.target)

    def with_y(self, y: ArrayLike) -> "Split":
        """The same sequences, of which something else is right, of the same kind."""
        return Split(self.x, np.asarray(y), self.lengths, self.target)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the sequences, in hexadecimal: type, shape and bytes of each array."""
        digest = hashlib.sha256()
        if self.target == "class every step":
            # What the shapes of others say.
            digest.update(self.target.encode())
        for array in (self.x, self.y, self.lengths):
            plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{plain.dtype.str} {plain.shape} ".encode())
            digest.update(plain.data)
        return digest.hexdigest()

    def read_only(self) -> "Split":
        """The same sequences, in arrays that cannot be written."""
        x, y, lengths = (array.view() for array in (self.x, self.y, self.lengths))
        for view in (x, y, lengths):
            view.flags.writeable = False
        return Split(x, y, lengths, self.target)

    def where(self, chosen: NDArray[np.bool]) -> "Split":
        """The sequences for which ``chosen``, shape [N], is true, in their order."""
        return self.take(np.flatnonzero(chosen))


def _target_of(y: ArrayLike) -> Target:
    """What ``y`` says, if nobody said what."""
    try:
        dimensions = np.asarray(y).ndim
    except (RuntimeError, TypeError, ValueError):
        dimensions = 1  # it is no array at all, which the check of labels says
    if dimensions == 2:
        return "values"
    return "values every step" if dimensions == 3 else "class"


def _right(y: ArrayLike, target: Target, count: int, steps: int) -> NDArray[Any]:
    """What is right of ``count`` sequences, or of their steps."""
    places = (count, steps) if of_every_step(target) else (count,)
    if of_classes(target):
        return whole_values("labels", y, places, 0, MAXIMUM_SIZE - 1)
    values = real_values("values", y, (*places, "values"))
    at_least_one("value of a step" if len(places) > 1 else "value of a sequence", values.shape[-1])
    return values
