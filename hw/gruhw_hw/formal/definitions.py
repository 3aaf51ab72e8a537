"""The integer definitions that hardware is proved equal to, as plain arithmetic of any width.

Amaranth's operators grow with their operands, so that nothing here can overflow; nothing is
shared with the datapath but :func:`gruhw_hw.arithmetic.booth_product`, which has a proof of
its own.
"""

from amaranth.hdl import Mux, Value

from gruhw.network.fixed import Fixed
from gruhw_hw.arithmetic import as_signed, booth_product


def requantised(value: Value, from_frac: int, to: Fixed) -> Value:
    """:func:`gruhw.network.fixed.requantise`: round half up, saturate."""
    shift = from_frac - to.frac
    scaled = (value + (1 << (shift - 1))) >> shift if shift > 0 else value << -shift
    at_most = Mux(scaled > to.maximum, to.maximum, scaled)
    return Mux(at_most < to.minimum, to.minimum, at_most)


def aligned_sum(left: Value, left_type: Fixed, right: Value, right_type: Fixed) -> Value:
    """The exact sum of two fixed-point numbers, at the finer of their scales."""
    finest = max(left_type.frac, right_type.frac)
    return (left << (finest - left_type.frac)) + (right << (finest - right_type.frac))


def product_in_digits(multiplicand: Value, coefficient: Value) -> Value:
    """The product as Booth digits have it, which :func:`booth_property` proves to be exact."""
    partial, carry = booth_product(multiplicand, as_signed(coefficient))
    return partial + carry
