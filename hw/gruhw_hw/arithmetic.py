"""Fixed-point arithmetic on Amaranth values: the hardware of :func:`gruhw.fixed.requantise`."""

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from gruhw.fixed import Fixed


def shape_of(kind: Fixed) -> Shape:
    """The Amaranth shape of a fixed-point type."""
    return signed(kind.bits) if kind.signed else unsigned(kind.bits)


def rounding_constant(from_frac: int, to: Fixed) -> int:
    """What must be added before the bits below the scale of ``to`` are dropped."""
    shift = from_frac - to.frac
    return 1 << (shift - 1) if shift > 0 else 0


def drop_fraction(value: Value, from_frac: int, to: Fixed) -> Value:
    """``value``, its rounding constant already added, at the scale of ``to``, saturated."""
    shift = from_frac - to.frac
    return saturate(value >> shift if shift > 0 else value << -shift, to)


def requantise(value: Value, from_frac: int, to: Fixed) -> Value:
    """``value`` at scale ``2**-from_frac`` as ``to``: round half up, saturate."""
    constant = rounding_constant(from_frac, to)
    return drop_fraction(value + constant if constant else value, from_frac, to)


def saturate(value: Value, to: Fixed) -> Value:
    """``value``, an integer at the scale of ``to``, limited to its range."""
    source = value.shape()
    kept = to.bits - to.signed
    result = value[: to.bits]
    if source.width <= kept + source.signed:
        # Every source code fits, but for negative ones in an unsigned type.
        fitted = value if to.signed or not source.signed else Mux(value < 0, 0, value)
        return _as_type(fitted, to)
    if not source.signed:
        overflow = value[kept:].any()
        return _as_type(Mux(overflow, to.maximum, result), to)
    negative = value[-1]
    above = value[kept:-1]
    if to.signed:
        overflow = Mux(negative, ~above.all(), above.any())
        limit = Cat((~negative).replicate(kept), negative)
        return _as_type(Mux(overflow, limit, result), to)
    return _as_type(Mux(negative, 0, Mux(above.any(), to.maximum, result)), to)


def _as_type(value: Value, to: Fixed) -> Value:
    """``value``, already in range, with exactly the width and signedness of ``to``."""
    source = value.shape()
    if source.width < to.bits:
        fill = value[-1] if source.signed else Const(0, 1)
        value = Cat(value, fill.replicate(to.bits - source.width))
    return value[: to.bits].as_signed() if to.signed else value[: to.bits].as_unsigned()
