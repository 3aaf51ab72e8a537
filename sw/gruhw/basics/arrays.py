"""Arrays as the Python interface takes them: checked, copied, and read-only from then on."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.values import at_least_one
from gruhw.errors import InputError

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.floating[Any]]

REAL, WHOLE = "uif", "ui"
"""NumPy's kinds of real and of whole numbers."""

Shape: TypeAlias = Sequence[int | str]
"""The size of each dimension, or what it counts where any size will do: ``("steps", 3)``."""


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of ``array`` that cannot be written."""
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy


def numbers(name: str, values: ArrayLike, kinds: str = REAL) -> NDArray[Any]:
    """``values`` as an array of any shape, which must be numbers.

    Parameters
    ----------
    name
        What they are, for messages: ``W_ir.weight``.
    values
        Anything that NumPy makes an array of, with any strides.
    kinds
        :data:`REAL` or :data:`WHOLE`.

    Raises
    ------
    InputError
        If they are something else, if some are masked, or if NumPy cannot read them.
    """
    required = f"{name} must be {'real' if kinds == REAL else 'whole'} numbers"
    try:
        found = np.asarray(values)
    except ValueError:
        raise InputError(f"{required}, not lists of different lengths") from None
    except (RuntimeError, TypeError) as error:  # tensors with gradients, or of another device
        raise InputError(f"{required} that NumPy can read, but: {error}") from error
    if found.dtype.kind not in kinds:
        single = found.dtype == object and not found.ndim
        raise InputError(f"{required}, not {type(values).__name__ if single else found.dtype}")
    if np.ma.is_masked(values):
        raise InputError(f"{required}, but some are masked")
    return found


def real_array(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """A read-only copy of what :func:`real_values` checks."""
    return frozen(real_values(name, values, shape))


def real_values(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """``values`` as an array, which must be finite numbers of this shape.

    Parameters
    ----------
    name, values
        As of :func:`numbers`.
    shape
        What their shape must be.

    Returns
    -------
    array
        In the precision that it had, or double precision if that was another one.

    Raises
    ------
    InputError
        If they are something else.
    """
    found = real_numbers(name, values, shape)
    finite = np.isfinite(found)
    if not finite.all():
        raise InputError(f"every value of {name} must be finite, not {found[~finite].flat[0]}")
    return found


def real_numbers(name: str, values: ArrayLike, shape: Shape) -> FloatArray:
    """As :func:`real_values`, but numbers need not be finite."""
    checked = shaped(name, numbers(name, values), shape)
    known = checked.dtype.kind == "f" and checked.dtype.itemsize <= np.dtype(float).itemsize
    with np.errstate(over="ignore"):  # infinity is for the caller to judge
        found: FloatArray = checked.astype(
            checked.dtype.newbyteorder("=") if known else np.float64, copy=False
        )
    return found


def whole_values(
    name: str,
    values: ArrayLike,
    shape: Shape,
    low: int = np.iinfo(np.int64).min,
    high: int = np.iinfo(np.int64).max,
) -> IntArray:
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
    found = shaped(name, numbers(name, values, WHOLE), shape)
    if found.size and (found.min() < low or found.max() > high):
        wrong = found[(found < low) | (found > high)].flat[0]
        raise InputError(f"{name} must be {low} to {high}, not {wrong}")
    return np.ascontiguousarray(found, dtype=np.int64)


def steps_of(lengths: ArrayLike | None, count: int, steps: int) -> IntArray:
    """How many steps each of ``count`` sequences has, 1 to ``steps``; all of them if None.

    Raises
    ------
    InputError
        If ``lengths`` are something else, or there are sequences without a step.
    """
    if count:
        at_least_one("step", steps)
    given = np.full(count, steps) if lengths is None else lengths
    return whole_values("lengths", given, (count,), 1, steps)


def shaped(name: str, found: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """``found`` itself; :class:`InputError` unless it has this shape."""
    fits = len(shape) == found.ndim and all(
        isinstance(size, str) or size == given
        for size, given in zip(shape, found.shape, strict=True)
    )
    if not fits:
        required = ", ".join(map(str, shape))
        raise InputError(f"shape of {name} must be [{required}], not {list(found.shape)}")
    return found
