"""Fixed-point types and the one rounding rule, against exact rational arithmetic."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gruhw.errors import InputError
from gruhw.network.fixed import Fixed, quantise, requantise

SMALL_TYPES = [
    Fixed(bits, frac, signed)
    for bits in range(1, 5)
    for frac in (-1, 0, 3)
    for signed in (False, True)
]

types = st.builds(Fixed, st.integers(1, 40), st.integers(-20, 40), st.booleans())


def rounded_half_up(value: Fraction, to: Fixed) -> int:
    """What the contract says, without a bound on sizes."""
    nearest = floor(value * Fraction(2) ** to.frac + Fraction(1, 2))
    return min(max(nearest, to.minimum), to.maximum)


@pytest.mark.parametrize(
    ("kind", "minimum", "maximum"),
    [
        (Fixed(1, 0), -1, 0),
        (Fixed(1, 0, signed=False), 0, 1),
        (Fixed(8, 3), -128, 127),
        (Fixed(8, 8, signed=False), 0, 255),
        (Fixed(63, 0), -(2**62), 2**62 - 1),
    ],
)
def test_range(kind: Fixed, minimum: int, maximum: int) -> None:
    assert (kind.minimum, kind.maximum) == (minimum, maximum)


@pytest.mark.parametrize("bits", [-1, 0, 64])
def test_width_is_checked(bits: int) -> None:
    with pytest.raises(InputError) as caught:
        Fixed(bits, 0)
    assert str(caught.value) == f"width of a fixed-point type must be 1 to 63 bits, not {bits}"


def test_scale_is_the_value_of_one_unit() -> None:
    assert [Fixed(8, frac).scale for frac in (-2, 0, 3)] == [4.0, 1.0, 0.125]


@pytest.mark.parametrize("kind", SMALL_TYPES)
def test_codes_are_twos_complement(kind: Fixed) -> None:
    codes = kind.codes()
    assert [int(value) % 2**kind.bits for value in codes] == list(range(2**kind.bits))
    assert sorted(codes) == list(range(kind.minimum, kind.maximum + 1))


@given(st.lists(st.integers(-(2**50), 2**50)), st.integers(-5, 5))
def test_spanning_is_the_narrowest_type(values: list[int], frac: int) -> None:
    kind = Fixed.spanning(values, frac)
    assert kind.signed
    assert kind.frac == frac
    assert all(kind.minimum <= value <= kind.maximum for value in values)
    if kind.bits > 1:
        narrower = Fixed(kind.bits - 1, frac)
        assert any(not narrower.minimum <= value <= narrower.maximum for value in values)


@pytest.mark.parametrize("left", SMALL_TYPES)
def test_product_is_the_narrowest_type(left: Fixed) -> None:
    for right in SMALL_TYPES:
        kind = left.product(right)
        products = [int(a * b) for a, b in product(left.codes(), right.codes())]
        assert kind.frac == left.frac + right.frac
        assert kind.signed == (left.signed or right.signed)
        assert kind.minimum <= min(products)
        assert max(products) <= kind.maximum
        if kind.bits > 1:
            narrower = Fixed(kind.bits - 1, kind.frac, kind.signed)
            assert min(products) < narrower.minimum or max(products) > narrower.maximum


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1), st.integers(-20, 60), types)
def test_requantise_is_exact(values: list[int], from_frac: int, to: Fixed) -> None:
    # Alignment to a finer scale must stay within 63 bits.
    from_frac = max(from_frac, to.frac - 20)
    expected = [rounded_half_up(Fraction(value) / Fraction(2) ** from_frac, to) for value in values]
    assert requantise(np.array(values, dtype=np.int64), from_frac, to).tolist() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-12, -1), (-4, 0), (-5, -1), (3, 0), (4, 1), (11, 1), (12, 2), (900, 7), (-900, -8)],
)
def test_requantise_rounds_half_up_and_saturates(value: int, expected: int) -> None:
    assert requantise(np.array([value]), 3, Fixed(4, 0)).tolist() == [expected]


@pytest.mark.parametrize(
    "shift",
    [62, 63, 64, 70, 500],
)
def test_requantise_drops_any_number_of_bits(shift: int) -> None:
    assert requantise(np.array([-3, -1, 0, 5]), shift, Fixed(8, 0)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("shift", [58, 61, 64, 70])
def test_requantise_saturates_at_any_finer_scale(shift: int) -> None:
    assert requantise(np.array([-96, 0, 96]), 0, Fixed(8, shift)).tolist() == [-128, 0, 127]


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), types)
def test_quantise_is_exact(values: list[float], to: Fixed) -> None:
    # Beyond 53 bits, adding a half is not exact in double precision.
    steady = [value if abs(value) * 2.0**to.frac < 2**50 else 0.0 for value in values]
    expected = [rounded_half_up(Fraction(value), to) for value in steady]
    assert quantise(np.array(steady), to).tolist() == expected


@given(types.filter(lambda kind: kind.bits <= 12))
def test_quantise_returns_every_code(kind: Fixed) -> None:
    assert (quantise(kind.codes() * kind.scale, kind) == kind.codes()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantise_computes_in_double_precision(dtype: type) -> None:
    # In single precision, adding the half would round this up.
    value = np.array([0.5], dtype=dtype) - np.array([2.0**-25], dtype=dtype)
    assert quantise(value, Fixed(8, 0)).tolist() == [0]
