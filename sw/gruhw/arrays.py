"""Arrays as the Python interface takes them: checked, copied, and read-only from then on."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.errors import InputError
from gruhw.fixed import Fixed, FloatArray, IntArray

REAL = "uif"
"""NumPy's kinds of real numbers."""

Shape: TypeAlias = Sequence[int | str]
"""The size of each dimension, or what it counts where any size will do: ``("steps", 3)``."""


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of ``array`` that cannot be written; ``array`` itself if it is one already."""
    # A view of an array that can be written still changes with it.
    if not array.flags.writeable and array.base is None:
        return array
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def real_array(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """A read-only copy of what :func:`real_values` checks."""
    return frozen(real_values(name, values, shape))


def real_values(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """``values`` as an array, which must be finite numbers of this shape.

    Parameters
    ----------
    name
        What they are, for messages: ``W_ir.weight``.
    values
        Anything that NumPy makes an array of, with any strides.
    shape
        What their shape must be.

    Returns
    -------
    array
        In the precision that it had, or double precision if it held whole numbers.

    Raises
    ------
    InputError
        If they are something else.
    """
    found = real_numbers(name, values, shape)
    if not np.isfinite(found).all():
        wrong = found[~np.isfinite(found)].flat[0]
        raise InputError(f"every value of {name} must be finite, not {wrong}")
    return found


def real_numbers(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """As :func:`real_values`, but numbers need not be finite."""
    checked = _array(name, values, shape, REAL, "real numbers")
    found: FloatArray = checked if checked.dtype.kind == "f" else checked.astype(np.float64)
    return found


def whole_values(name: str, values: ArrayLike, shape: Shape, low: int, high: int) -> IntArray:
    """``values`` as 64-bit integers, which must be whole numbers of this shape and range.

    Parameters
    ----------
    name, values, shape
        As of :func:`real_values`.
    low, high
        The smallest and the largest value that they may have.

    Raises
    ------
    InputError
        If they are something else.
    """
    found = _array(name, values, shape, "ui", "whole numbers")
    if found.size and (found.min() < low or found.max() > high):
        wrong = found[(found < low) | (found > high)].flat[0]
        raise InputError(f"{name} must be {low} to {high}, not {wrong}")
    return np.ascontiguousarray(found, dtype=np.int64)


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
    given = np.full(count, steps) if lengths is None else lengths
    return codes, whole_values("lengths", given, (count,), 1, steps)


def _array(name: str, values: ArrayLike, shape: Shape, kinds: str, what: str) -> NDArray[Any]:
    try:
        found = np.asarray(values)
    except ValueError:
        raise InputError(f"{name} must be {what}, not lists of different lengths") from None
    if found.dtype.kind not in kinds:
        raise InputError(f"{name} must be {what}, not {found.dtype}")
    fits = len(shape) == found.ndim and all(
        isinstance(size, str) or size == given
        for size, given in zip(shape, found.shape, strict=True)
    )
    if not fits:
        required = ", ".join(map(str, shape))
        raise InputError(f"shape of {name} must be [{required}], not {list(found.shape)}")
    return found
