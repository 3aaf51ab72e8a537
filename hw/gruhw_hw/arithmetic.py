"""Fixed-point arithmetic on Amaranth values, as :mod:`gruhw.network.fixed` has it in integers."""

from amaranth.hdl import Cat, Const, Mux, Shape, Value, signed, unsigned

from gruhw.network.fixed import Fixed


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


def as_signed(value: Value) -> Value:
    """``value`` as a signed one of the same worth."""
    return value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()


def add_with_carry(left: Value, right: Value, carry: Value) -> Value:
    """``left + right + carry`` on one carry chain, for signed operands.

    The carry enters as a generated one below the lowest bit; synthesis would build a third
    operand out of compressors instead.
    """
    total = Cat(Const(1, 1), left).as_signed() + Cat(carry, right).as_signed()
    return total[1:].as_signed()


def booth_product(multiplicand: Value, coefficient: Value) -> tuple[Value, Value]:
    """A product as a sum ``(partial, carry)`` that the next adder completes.

    Radix-4 Booth digits of the signed ``coefficient`` (A. D. Booth, 1951; O. L. MacSorley,
    1961) choose 0, 1 or 2 times the multiplicand, inverted if negative; what is missing from
    an inverted number enters as the carry of the next adder. A coefficient of two bits needs
    one look-up for each bit of the product, and no adder of its own.
    """
    width = len(multiplicand) + (1 if multiplicand.shape().signed else 2)
    once = _as_width(multiplicand, width)
    twice = _as_width(Cat(Const(0, 1), multiplicand), width, multiplicand.shape().signed)
    bits = [Const(0, 1), *coefficient]
    if len(coefficient) % 2:
        bits.append(coefficient[-1])
    digits = [tuple(bits[i : i + 3]) for i in range(0, len(bits) - 1, 2)]
    parts: list[tuple[Value, Value]] = []
    for below, low, high in digits:
        is_one = low ^ below
        is_two = Mux(high, ~(low | below), low & below)
        magnitude = (once & is_one.replicate(width)) | (twice & is_two.replicate(width))
        parts.append(((magnitude ^ high.replicate(width)).as_signed(), high))
    apart = 2  # bits between neighbouring parts
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [_join(pair[0], pair[1], apart) if len(pair) == 2 else pair[0] for pair in pairs]
        apart *= 2
    return parts[0]


def _join(low: tuple[Value, Value], high: tuple[Value, Value], apart: int) -> tuple[Value, Value]:
    """Add two parts of a product; the carry of the low one stays to be added."""
    (lower, carry), (upper, upper_carry) = low, high
    above = add_with_carry(lower >> apart, upper, upper_carry)
    return Cat(lower[:apart], above).as_signed(), carry


def _as_width(value: Value, width: int, is_signed: bool | None = None) -> Value:
    """``value`` extended to ``width`` bits."""
    extend_sign = value.shape().signed if is_signed is None else is_signed
    fill = value[-1] if extend_sign else Const(0, 1)
    return Cat(value, fill.replicate(width - len(value)))
