"""Fixed-point types with power-of-two scales, and the one rounding rule of the project.

An integer ``q`` of type ``Fixed(bits, frac, signed)`` stands for ``q * 2**-frac``. There
are no zero points, so a change of scale is wiring. Every conversion between types,
in NumPy, PyTorch and hardware, follows :func:`requantise`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gruhw.basics.arrays import WHOLE, numbers
from gruhw.basics.arrays import FloatArray as FloatArray
from gruhw.basics.arrays import IntArray as IntArray
from gruhw.basics.values import instance, truth, whole, whole_number
from gruhw.errors import InputError

LARGEST_SHIFT = 62
"""The most places that a 64-bit integer is shifted by."""

LARGEST_FRAC = 1000
"""The most fraction bits, of either sign: double precision has their scale."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed-point type.

    Parameters
    ----------
    bits
        Width in bits, sign included; 1 to 63.
    frac
        Fraction bits, at most :data:`LARGEST_FRAC` from zero; may be negative or exceed ``bits``.
    signed
        Two's complement if true.

    Raises
    ------
    InputError
        If ``bits`` is outside 1 to 63, or something is of another type.
    """

    bits: int
    frac: int
    signed: bool = True

    def __post_init__(self) -> None:
        bits = whole(self.bits)
        if bits is None or not 1 <= bits <= 63:
            raise InputError(f"width of a fixed-point type must be 1 to 63 bits, not {self.bits}")
        frac = whole_number("frac of a fixed-point type", self.frac, -LARGEST_FRAC, LARGEST_FRAC)
        signed = truth("signed of a fixed-point type", self.signed)
        for name, value in (("bits", bits), ("frac", frac), ("signed", signed)):
            object.__setattr__(self, name, value)

    @property
    def minimum(self) -> int:
        """The smallest integer code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The largest integer code."""
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    @property
    def scale(self) -> float:
        """The value of one unit in the last place, ``2**-frac``."""
        return 2.0**-self.frac

    def codes(self) -> IntArray:
        """Every integer of the type, indexed by its two's-complement code. Shape [2**bits]."""
        unsigned = np.arange(1 << self.bits, dtype=np.int64)
        return np.where(unsigned > self.maximum, unsigned - (1 << self.bits), unsigned)

    @classmethod
    def spanning(cls, values: Iterable[int], frac: int) -> "Fixed":
        """The narrowest signed type that holds all ``values`` and zero."""
        widest = max((v if v >= 0 else ~v for v in values), default=0)
        return cls(int(widest).bit_length() + 1, frac, signed=True)

    def product(self, other: "Fixed") -> "Fixed":
        """The narrowest type that holds every product of the two types exactly."""
        corners = [
            a * b for a in (self.minimum, self.maximum) for b in (other.minimum, other.maximum)
        ]
        frac = self.frac + other.frac
        if self.signed or other.signed:
            return Fixed.spanning(corners, frac)
        return Fixed(max(1, max(corners).bit_length()), frac, signed=False)


def requantise(values: ArrayLike, from_frac: int, to: Fixed) -> IntArray:
    """Move integers from scale ``2**-from_frac`` into ``to``: round half up, saturate.

    Parameters
    ----------
    values
        Integers of any shape, of at most 62 bits.
    from_frac
        Their fraction bits.
    to
        The type of the result.

    Raises
    ------
    InputError
        If they are no whole numbers.
    """
    found = numbers("values to round", values, WHOLE)
    if not np.can_cast(found.dtype, np.int64):
        raise InputError(f"values to round must have at most 62 bits, not be {found.dtype}")
    values = found.astype(np.int64, copy=False)
    largest = 2 * LARGEST_FRAC  # of a product
    shift = whole_number("from_frac", from_frac, -largest, largest) - instance("to", to, Fixed).frac
    if shift > LARGEST_SHIFT:
        values = np.zeros_like(values)
    elif shift > 0:
        values = (values + (np.int64(1) << (shift - 1))) >> shift
    elif shift < -LARGEST_SHIFT:
        values = np.sign(values) << LARGEST_SHIFT
    elif shift < 0:
        # What would leave 63 bits saturates in any case.
        limit = (1 << LARGEST_SHIFT) >> -shift
        values = np.clip(values, -limit, limit) << -shift
    return np.clip(values, to.minimum, to.maximum)


def quantise(values: ArrayLike, to: Fixed) -> IntArray:
    """The integers of ``to`` nearest to real ``values``: round half up, saturate.

    Computed in double precision, so that every caller gets the same integers.

    Raises
    ------
    InputError
        If a value is no number, or not a real one.
    """
    real, to = numbers("values to round", values), instance("to", to, Fixed)
    with np.errstate(over="ignore"):  # infinity saturates too
        scaled = np.floor(real.astype(np.float64, copy=False) * 2.0**to.frac + 0.5)
    if np.isnan(scaled).any():
        raise InputError("every value that is rounded must be a number, not nan")
    return np.clip(scaled, to.minimum, to.maximum).astype(np.int64)
