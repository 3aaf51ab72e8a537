"""The arithmetic on Amaranth values against Python, over every code of small types."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Shape, Signal, Value, signed
from amaranth.sim import Simulator

from gruhw.network.fixed import Fixed
from gruhw.network.fixed import requantise as reference
from gruhw_hw.arithmetic import (
    add_with_carry,
    booth_product,
    drop_fraction,
    requantise,
    rounding_constant,
    saturate,
    shape_of,
)
from gruhw_hw.operators import Multiplier, SerialMultiplier

TYPES = [Fixed(bits, 0, is_signed) for bits in (1, 2, 3, 5) for is_signed in (False, True)]


def evaluate(
    function: Callable[..., Sequence[Value]],
    shapes: Sequence[Shape],
    cases: Sequence[tuple[int, ...]],
) -> list[tuple[int, ...]]:
    """The results of a combinational function of Amaranth values, for every case."""
    m = Module()
    operands = [Signal(shape, name=f"operand_{i}") for i, shape in enumerate(shapes)]
    values = [Value.cast(value) for value in function(*operands)]
    results = [Signal(value.shape(), name=f"result_{i}") for i, value in enumerate(values)]
    for result, value in zip(results, values, strict=True):
        m.d.comb += result.eq(value)
    found = []

    async def bench(context) -> None:  # type: ignore[no-untyped-def]  # Amaranth's, untyped
        for case in cases:
            for operand, value in zip(operands, case, strict=True):
                context.set(operand, value)
            await context.delay(1e-9)
            found.append(tuple(context.get(result) for result in results))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def codes(*kinds: Fixed) -> list[tuple[int, ...]]:
    return list(product(*(kind.codes().tolist() for kind in kinds)))


@pytest.mark.parametrize("kind", TYPES)
def test_shapes_hold_exactly_the_codes(kind: Fixed) -> None:
    shape = shape_of(kind)
    assert (shape.width, shape.signed) == (kind.bits, kind.signed)


@pytest.mark.parametrize("source", TYPES)
def test_saturate(source: Fixed) -> None:
    cases = codes(source)
    found = evaluate(
        lambda value: [saturate(value, kind) for kind in TYPES], [shape_of(source)], cases
    )
    expected = [tuple(min(max(v, to.minimum), to.maximum) for to in TYPES) for (v,) in cases]
    assert found == expected


@pytest.mark.parametrize("source", [Fixed(6, 2), Fixed(6, 2, signed=False), Fixed(1, 2)])
def test_requantise_equals_the_reference(source: Fixed) -> None:
    targets = [
        Fixed(bits, frac, is_signed)
        for bits in (1, 3, 7)
        for frac in (-6, -1, 1, 2, 4)
        for is_signed in (False, True)
    ]
    cases = codes(source)
    values = np.array(cases)[:, 0]
    expected = np.stack([reference(values, source.frac, to) for to in targets], axis=1)
    whole = evaluate(
        lambda value: [requantise(value, source.frac, to) for to in targets],
        [shape_of(source)],
        cases,
    )
    assert whole == [tuple(row) for row in expected.tolist()]
    parts = evaluate(
        lambda value: [
            drop_fraction(value + rounding_constant(source.frac, to), source.frac, to)
            for to in targets
        ],
        [shape_of(source)],
        cases,
    )
    assert parts == whole


@pytest.mark.parametrize("to", TYPES)
def test_results_have_the_shape_of_their_type(to: Fixed) -> None:
    value = requantise(Signal(signed(9)), 3, to)
    assert value.shape() == shape_of(to)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 3), (2, 4), (4, 2)])
def test_add_with_carry(left: int, right: int) -> None:
    kinds = Fixed(left, 0), Fixed(right, 0), Fixed(1, 0, signed=False)
    cases = codes(*kinds)
    found = evaluate(lambda *v: [add_with_carry(*v)], [shape_of(kind) for kind in kinds], cases)
    assert found == [(sum(case),) for case in cases]


@pytest.mark.parametrize("operand", [*TYPES, Fixed(4, 0), Fixed(4, 0, signed=False)])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_booth_product_and_carry_add_up(operand: Fixed, bits: int) -> None:
    coefficient = Fixed(bits, 0)
    cases = codes(operand, coefficient)
    found = evaluate(booth_product, [shape_of(operand), shape_of(coefficient)], cases)
    assert [partial + carry for partial, carry in found] == [a * b for a, b in cases]
    # What registers of the datapath hold is one wider downwards than any product.
    exact = operand.product(coefficient)
    held = Fixed.spanning((exact.minimum - 1, exact.maximum), 0)
    assert all(held.minimum <= partial <= held.maximum for partial, _ in found)


def test_booth_product_of_constants() -> None:
    found = evaluate(
        lambda value: booth_product(value, Const(-3, 3)[:3]), [signed(3)], codes(Fixed(3, 0))
    )
    assert [partial + carry for partial, carry in found] == [
        -3 * value for (value,) in codes(Fixed(3, 0))
    ]


@pytest.mark.parametrize("kind", ["logic", "blocks", "serial"])
@pytest.mark.parametrize("left_bits", [1, 2, 5])
@pytest.mark.parametrize("right", [Fixed(1, 0), Fixed(4, 2), Fixed(3, 3, signed=False)])
def test_multipliers(kind: str, left_bits: int, right: Fixed) -> None:
    left = Fixed(left_bits, left_bits, signed=False)
    result = left.product(right)
    serial = kind == "serial"
    if serial:
        part = SerialMultiplier((left, right), result)
    else:
        part = Multiplier((left, right), result, blocks=kind == "blocks")
    found = []

    async def bench(context) -> None:  # type: ignore[no-untyped-def]  # Amaranth's, untyped
        for a, b in codes(left, right):
            context.set(part.operand_0, a)
            context.set(part.operand_1, b)
            if serial:
                context.set(part.start, 1)
            await context.tick()
            if serial:
                context.set(part.start, 0)
                context.set(part.operand_0, ~a)
                await context.tick().repeat(left_bits)
            context.set(part.enable, 1)
            await context.tick()
            context.set(part.enable, 0)
            found.append(context.get(part.result))

    simulator = Simulator(part)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [a * b for a, b in codes(left, right)]
