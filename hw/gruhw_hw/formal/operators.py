"""What is claimed of each operator: that it gives the integers of its definition, always.

A claim about an operator reads: whatever the operands, enables and resets have been, the result
register holds the definition applied to the operands of the last time it was enabled. Products
are proved in two parts, a lemma about Booth digits and a claim that builds on it, because solvers
find multiplication hard.
"""

from collections.abc import Iterable, Iterator
from functools import singledispatch

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value, signed

from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import Add, Complement, Linear, Multiply, Node, Table
from gruhw.network.schedule import Phase
from gruhw_hw.arithmetic import as_signed, shape_of
from gruhw_hw.formal.definitions import aligned_sum, product_in_digits, requantised
from gruhw_hw.formal.solver import CASE, Property
from gruhw_hw.linear import LinearUnit
from gruhw_hw.operators import Elementwise, SerialMultiplier, component
from gruhw_hw.placed import Placed, placed_operators

FREE_BITS = 4
"""The bits of a coefficient that a proof leaves open; the others are its cases. With more, the
solver's time grows faster than the number of proofs falls."""


def operator_properties(network: Network) -> Iterator[Property]:
    """The claims about every operator of a network, and the lemmas they need."""
    found = placed_operators(network)
    yield from _lemmas(found)
    for placed in found:
        yield from properties(placed.node, placed)


def _lemmas(operators: Iterable[Placed]) -> Iterator[Property]:
    """That products are exact, once for each pair of types that is multiplied."""
    seen = set()
    for placed in operators:
        node, typed = placed.node, placed.scheduled.typed
        lemma = booth_property
        if isinstance(node, Linear):
            pair = (typed[node.operand], typed.weights[node.name])
        elif isinstance(node, Multiply):
            pair = (typed[node.right], typed[node.left])
            lemma = long_multiplication_property if placed.scheduled.serial else lemma
        else:
            continue
        key = (lemma, *((kind.bits, kind.signed) for kind in pair))
        if key not in seen:
            seen.add(key)
            yield lemma(placed.name, *pair)


def booth_property(name: str, multiplicand: Fixed, coefficient: Fixed) -> Property:
    """That Booth digits give the exact product of two types, for all their codes."""
    claim, left, right = _factors(name, multiplicand, coefficient, "the Booth product")
    claim.holds(product_in_digits(left, right) == left * right)
    return claim


def _factors(
    name: str, multiplicand: Fixed, coefficient: Fixed, what: str
) -> tuple[Property, Value, Value]:
    """A claim about all products of two types, and the factors."""
    free = min(coefficient.bits, FREE_BITS)
    fixed = coefficient.bits - free
    claim = Property(
        name,
        f"{what} of {_words(multiplicand)} by {_words(coefficient)} is exact",
        cases=range(1 << fixed) if fixed else (),
    )
    left = claim.input(shape_of(multiplicand), "multiplicand")
    right: Value = claim.input(free, "coefficient")
    if fixed:
        right = Cat(right, claim.input(fixed, CASE))
    return claim, left, right.as_signed() if coefficient.signed else right.as_unsigned()


def _words(kind: Fixed) -> str:
    return f"{kind.bits} {'signed' if kind.signed else 'unsigned'} bits"


@singledispatch
def properties(node: Node, placed: Placed) -> Iterator[Property]:
    """The claims about one operator."""
    raise TypeError(f"no claims for {type(node).__name__}")


@properties.register
def _(node: Add, placed: Placed) -> Iterator[Property]:
    left, right = placed.scheduled.operands
    claim, dut = _claim(placed, "is the sum, rounded and saturated")
    exact = aligned_sum(dut.operands[0], left, dut.operands[1], right)
    _result(claim, dut, requantised(exact, max(left.frac, right.frac), placed.scheduled.result))
    yield claim


@properties.register
def _(node: Complement, placed: Placed) -> Iterator[Property]:
    (kind,) = placed.scheduled.operands
    claim, dut = _claim(placed, "is one minus the operand, rounded and saturated")
    exact = (1 << kind.frac) - dut.operands[0]
    _result(claim, dut, requantised(exact, kind.frac, placed.scheduled.result))
    yield claim


@properties.register
def _(node: Table, placed: Placed) -> Iterator[Property]:
    claim, dut = _claim(placed, f"is {node.function}, as tabulated")
    contents = placed.scheduled.typed.table_values(node).tolist()
    codes = Array(Const(value, shape_of(placed.scheduled.result)) for value in contents)
    _result(claim, dut, codes[dut.operands[0].as_unsigned()])
    yield claim


@properties.register
def _(node: Multiply, placed: Placed) -> Iterator[Property]:
    claim, dut = _claim(placed, "is the product, rounded and saturated")
    if isinstance(dut, SerialMultiplier):
        _serial_product(claim, dut, placed)
    else:
        # The product of the cycle before stands in a register inside.
        claim.depth = 2
        left, right = dut.operands
        exact = _registered(claim, Mux(dut.clear, 0, product_in_digits(right, left)))
        _result(claim, dut, requantised(exact, _product_frac(placed), placed.scheduled.result))
    yield claim


def _product_frac(placed: Placed) -> int:
    return sum(kind.frac for kind in placed.scheduled.operands)


def _serial_product(claim: Property, dut: SerialMultiplier, placed: Placed) -> None:
    """The product of the operands at the start, which the pipeline reads a fixed time later."""
    m, (left, right) = claim.module, dut.operands
    bits = len(left)
    age = Signal(range(bits + 2), init=bits + 1)  # since the start
    rest, factor = Signal(bits), Signal(right.shape())
    partial = Signal(signed(bits + len(right) + 1))
    with m.If(dut.start):
        m.d.sync += [age.eq(0), factor.eq(right), partial.eq(0)]
        m.d.sync += rest.eq(Mux(dut.clear, 0, left))
    with m.Elif(age <= bits):
        m.d.sync += [age.eq(age + 1), rest.eq(rest >> 1)]
        m.d.sync += partial.eq(partial + Mux(rest[0], factor << age, 0))
    # The schedule: units are so far apart that none starts before the one before has ended,
    # and the second operand holds meanwhile.
    claim.given(~dut.start | (age > bits))
    claim.given((age >= bits) | (right == factor))
    claim.given(~dut.enable | (age == bits))
    # What the solver needs to know of the registers inside: the sum so far stands in the high
    # one and, as it grows, takes the place of the bits that are done with in the low one.
    low = claim.probe("low", bits)
    high = claim.probe("high", signed(len(as_signed(right)) + 1))
    _, second = placed.scheduled.operands
    claim.holds((high >= second.minimum) & (high <= second.maximum))
    with m.If(age <= bits):
        left_over = (bits - age).as_unsigned()
        claim.holds((high << age) + (low >> left_over) == partial)
        claim.holds((low & ((1 << left_over) - 1)) == rest)
    _result(claim, dut, requantised(partial, _product_frac(placed), placed.scheduled.result))


def long_multiplication_property(name: str, multiplicand: Fixed, coefficient: Fixed) -> Property:
    """That the sum of the multiplicand's multiples for each bit is the product."""
    claim, left, right = _factors(name, multiplicand, coefficient, "the sum of the bits' multiples")
    multiples = [Mux(bit, left << place, 0) for place, bit in enumerate(right)]
    claim.holds(sum(multiples, start=Const(0, 1)) == left * right)
    return claim


@properties.register
def _(node: Linear, placed: Placed) -> Iterator[Property]:
    yield _weights(node, placed)
    yield _products(node, placed)
    yield _accumulators(node, placed)
    yield _linear_result(node, placed)


def _weights(node: Linear, placed: Placed) -> Property:
    claim, dut = _linear(placed, "reads the weights of the term addressed")
    phase, weights = placed.scheduled.phase, placed.stage.parameters.weights[node.name]
    bits = placed.scheduled.typed.weights[node.name].bits
    read = claim.probe("weight__data", phase.lanes * bits)
    address = _registered(claim, dut.address)
    for lane in range(phase.lanes):
        codes = Array(
            Const(_weight(weights, phase, position, lane), signed(bits))
            for position in range(phase.groups * phase.terms)
        )
        found = read[lane * bits : (lane + 1) * bits].as_signed()
        started = _registered(claim, Const(1, 1))
        inside = address < phase.groups * phase.terms
        claim.holds(~started | ~inside | (found == codes[address]))
    return claim


def _weight(weights: IntArray, phase: Phase, position: int, lane: int) -> int:
    """The weight that belongs to a term of the phase; zero where there is no such unit or input."""
    group, term = divmod(position, phase.terms)
    unit = group * phase.lanes + lane
    return int(weights[unit, term]) if unit < len(weights) and term < weights.shape[1] else 0


def _products(node: Linear, placed: Placed) -> Property:
    claim, dut = _linear(placed, "multiplies operands by the weights it read")
    claim.free("weight__data")
    bits, lanes = placed.scheduled.typed.weights[node.name].bits, placed.scheduled.phase.lanes
    weights = claim.probe("weight__data", lanes * bits)
    for lane in range(lanes):
        weight = weights[lane * bits : (lane + 1) * bits].as_signed()
        exact = Mux(dut.clear, 0, product_in_digits(dut.operand, weight))
        claim.holds(_product(claim, dut, lane) == _registered(claim, exact))
    return claim


def _accumulators(node: Linear, placed: Placed) -> Property:
    claim, dut = _linear(placed, "adds products up, and copies complete sums")
    lanes, start, kind = placed.scheduled.phase.lanes, dut.plan.start, dut.plan.accumulator
    shape = shape_of(kind)
    # It may wrap on the way, but no sum is too large for it in the end.
    lowest, highest = _reach(placed)
    fits = kind.minimum <= start + min(lowest) and start + max(highest) <= kind.maximum
    claim.holds(Const(fits, 1))
    for lane in range(lanes):
        claim.free(f"product_{lane}")
        claim.free(f"carry_{lane}")
        sums = claim.probe(f"accumulator_{lane}", shape)
        more = sums + _product(claim, dut, lane)
        expected = Mux(dut.accumulate, more, start)[: shape.width].as_signed()
        claim.holds(sums == _registered(claim, expected, init=start))
        if lanes > 1:
            copy = claim.probe(f"copy_{lane}", shape)
            following = claim.probe(f"copy_{lane + 1}", shape) if lane + 1 < lanes else copy
            moved = Mux(dut.load, sums, Mux(dut.shift, following, copy))
            claim.holds(copy == _registered(claim, moved))
    return claim


def _linear_result(node: Linear, placed: Placed) -> Property:
    claim, dut = _linear(placed, "adds the bias, rounds and saturates")
    claim.depth = 2  # the bias is read in the cycle before
    phase, biases = placed.scheduled.phase, placed.stage.parameters.biases[node.name]
    source = "accumulator_0" if phase.lanes == 1 else "copy_0"
    claim.free(source)
    total = claim.probe(source, shape_of(dut.plan.accumulator)) - dut.plan.start
    unit = _registered(claim, dut.unit)
    bias = Array(
        Const(int(value), shape_of(Fixed.spanning(biases.tolist(), 0))) for value in biases
    )
    # No sum can be outside the range that the weights span; which unit's it is does not matter.
    lowest, highest = _reach(placed)
    claim.given((total >= min(lowest)) & (total <= max(highest)))
    exact = total + bias[unit]
    claim.given(unit < phase.units)
    claim.given(~dut.enable | _registered(claim, Const(1, 1)))  # not before a bias was read
    pairs = zip(lowest, highest, biases.tolist(), strict=True)
    totals = [(low + value, high + value) for low, high, value in pairs]
    claim.given(exact >= min(low for low, _ in totals))
    claim.given(exact <= max(high for _, high in totals))
    typed = placed.scheduled.typed
    frac = typed[node.operand].frac + typed.weights[node.name].frac
    _result(claim, dut, requantised(exact, frac, placed.scheduled.result))
    return claim


def _reach(placed: Placed) -> tuple[list[int], list[int]]:
    """The least and the greatest dot product of each unit, over all operands."""
    (operand,) = placed.scheduled.operands
    weights = placed.stage.parameters.weights[placed.node.name]
    ends = (operand.minimum, operand.maximum)
    rows = [[[weight * end for end in ends] for weight in row] for row in weights.tolist()]
    lowest = [sum(min(products) for products in row) for row in rows]
    return lowest, [sum(max(products) for products in row) for row in rows]


def _product(claim: Property, dut: LinearUnit, lane: int) -> Value:
    """The product in a lane's registers, with the carry that it lacks."""
    product = claim.probe(f"product_{lane}", shape_of(dut.plan.product))
    return product + claim.probe(f"carry_{lane}", 1)


def _linear(placed: Placed, claim: str) -> tuple[Property, LinearUnit]:
    found = Property(placed.name, claim)
    dut = _component(placed)
    if not isinstance(dut, LinearUnit):
        raise TypeError(f"{placed.name} must be a linear operator")
    found.module.submodules.dut = dut
    found.drive(dut.address, dut.operand, dut.clear, dut.accumulate, dut.load, dut.shift)
    found.drive(dut.unit, dut.enable)
    return found, dut


def _claim(placed: Placed, result: str) -> tuple[Property, Elementwise]:
    found = Property(placed.name, f"the result {result}")
    dut = _component(placed)
    if not isinstance(dut, Elementwise):
        raise TypeError(f"{placed.name} must be an elementwise operator")
    found.module.submodules.dut = dut
    found.drive(*dut.operands, dut.clear, dut.enable)
    if isinstance(dut, SerialMultiplier):
        found.drive(dut.start)
    return found, dut


def _component(placed: Placed) -> LinearUnit | Elementwise:
    """The operator's hardware, with products in logic."""
    return component(placed.node, placed.scheduled, placed.stage.parameters, False)


def _result(claim: Property, dut: Elementwise | LinearUnit, definition: Value) -> None:
    """Claim that the result is the definition as it was when the result was last enabled."""
    loaded = Signal(reset_less=True)
    expected = Signal(dut.result.shape(), reset_less=True)
    with claim.module.If(dut.enable):
        claim.module.d.sync += [loaded.eq(1), expected.eq(definition)]
    claim.holds(~loaded | (dut.result == expected))


def _registered(claim: Property, value: Value, init: int = 0) -> Signal:
    """``value`` as it was in the cycle before."""
    register = Signal(value.shape(), init=init, reset_less=True)
    claim.module.d.sync += register.eq(value)
    return register
