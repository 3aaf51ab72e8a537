"""What the area of an operator depends on, as countable terms.

A term is a name that stands for something of which every piece takes about the same area: a bit
of an accumulator, a lane for 3-bit weights and unsigned 5-bit operands. Calibration gives each
term a price. What only one combination of widths has comes on top of what all have in common, so
that a combination which calibration never saw still has a price.
"""

from collections.abc import Mapping
from functools import lru_cache, singledispatch

import numpy as np

from gruhw.fixed import Fixed, IntArray
from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table
from gruhw.parameters import Parameters, product_sums
from gruhw.schedule import Phase, Schedule

Terms = dict[str, float]
"""How many there are of each term."""


@singledispatch
def terms(node: Node, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    """The terms of an operator's component, without its weight memory."""
    raise TypeError(f"no area for {type(node).__name__}")


@terms.register
def _(node: Linear, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    weights, biases = parameters.weights[node.name], parameters.biases[node.name]
    return linear_terms(node, schedule.graph, weights, biases, schedule.phase_of(node))


def linear_terms(
    node: Linear, graph: Graph, weights: IntArray, biases: IntArray, phase: Phase
) -> Mapping[str, float]:
    """The terms of a :class:`gruhw_hw.operators.LinearUnit`."""
    operand = graph[node.operand].type
    shift = node.accumulator.frac - node.type.frac
    rounding = 1 << (shift - 1) if shift > 0 else 0
    lowest, highest = product_sums(weights, operand)
    shared = bool((biases == biases[0]).all())
    start = rounding + (int(biases[0]) if shared else 0)
    accumulator = _bits(start, int(lowest.min()) + start, int(highest.max()) + start)
    total, bias = accumulator, 0
    if not shared:
        total = _bits(
            int((lowest + biases).min()) + rounding, int((highest + biases).max()) + rounding
        )
        bias = _bits(int(biases.min()), int(biases.max()))
    found = _linear(
        operand.bits, operand.signed, node.weight.bits, accumulator, total, bias, shift,
        node.type.bits, phase.lanes, phase.units,
    )  # fmt: skip
    return {**found, **_contents(biases.tobytes(), bias)} if bias else found


@lru_cache(maxsize=1 << 16)
def _linear(
    operand: int, signed: bool, weight: int, accumulator: int, total: int, bias: int, shift: int,
    result: int, lanes: int, units: int,
) -> Mapping[str, float]:  # fmt: skip
    """The terms of a linear operator; all but ``shift``, ``lanes`` and ``units`` are widths."""
    found: Terms = {"linear": 1, "lane": lanes, "accumulator bit": lanes * accumulator}
    add_terms(found, _booth("lane", operand, signed, weight), lanes)
    dropped = min(max(shift, 0), total)
    if lanes > 1:
        # Without a bias to add, what rounding drops is not copied.
        copied = accumulator if bias else accumulator - min(dropped, accumulator)
        found |= {"serialised": 1, "copied bit": lanes * copied, "last copy": copied}
    if bias:
        rows = -(-units // 4)
        found |= {"biased": 1, "biased bit": total - dropped, "biased low bit": dropped}
        found |= {"bias bit": bias, f"bias rom {rows}": bias, "bias rom": bias * units}
        found |= {f"bias rom beyond {n} words": bias * max(0, units - n) for n in (16, 32)}
    add_terms(found, _requantise("linear", total, True, shift, result, True))
    return found


@lru_cache(maxsize=1 << 14)
def _contents(biases: bytes, bits: int) -> Mapping[str, float]:
    """The terms of what stands in a ROM of biases, given as the bytes of 64-bit integers.

    It becomes logic. Constant columns take nothing and equal columns are one; of a longer column,
    what is equal in blocks of 16, 32 or 64 rows needs to be decoded once.
    """
    rows = np.frombuffer(biases, dtype=np.int64)
    columns = (rows[:, None] >> np.arange(bits)) & 1
    # A column and its complement are one, too.
    packed = np.packbits((columns ^ columns[0]).T.astype(np.uint8), axis=1)
    length = -(-len(rows) // 64) * 8
    distinct = {column.tobytes().ljust(length, b"\0") for column in packed if column.any()}
    found: Terms = {"bias column": len(distinct)}
    for size in (2, 4, 8):
        if len(rows) > 4 * size:
            blocks = {
                column[start : start + size]
                for column in distinct
                for start in range(0, length, size)
            }
            found[f"bias block of {8 * size} rows"] = len(blocks - {b"\0" * size, b"\xff" * size})
    return found


@terms.register
def _(node: Add, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    left, right = (schedule.graph[name].type for name in node.operands)
    return adder_terms(left, right, node.type)


@lru_cache(maxsize=1 << 16)
def adder_terms(left: Fixed, right: Fixed, result: Fixed) -> Mapping[str, float]:
    """The terms of a :class:`gruhw_hw.operators.Adder`."""
    finest = max(left.frac, right.frac)
    widths = [left.bits + finest - left.frac, right.bits + finest - right.frac]
    apart = abs(left.frac - right.frac)
    shift = finest - result.frac
    both = max(widths) + 1
    found: Terms = {"add": 1, "add bit": both - apart, "add low bit": apart}
    if shift > 0:
        found |= {"add rounded": 1, "add rounded bit": both - apart}
        # The constant may meet one operand, or be the carry of the sum, or be a third operand.
        place = shift - 1
        if place < apart:
            found |= {"add rounded low": apart - place}
        elif place:
            kind = "at" if place == apart else "within"
            found |= {f"add rounded {kind}": 1, f"add rounded {kind} bit": both - place}
    add_terms(found, _requantise("add", both + (shift > 0), True, shift, result.bits, True))
    return found


@terms.register
def _(node: Multiply, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    left, right = (schedule.graph[name].type for name in node.operands)
    return multiply_terms(left, right, node.type, schedule.serial_products)


@lru_cache(maxsize=1 << 16)
def multiply_terms(left: Fixed, right: Fixed, result: Fixed, serial: bool) -> Mapping[str, float]:
    """The terms of a multiplier, a serial or a parallel one."""
    exact = left.product(right)
    shift = exact.frac - result.frac
    kind = "serial" if serial else "multiply"
    found: Terms = {kind: 1, f"{kind} bit": exact.bits}
    if serial:
        found |= {"serial left": left.bits, "serial right": right.bits}
    else:
        coefficient = left.bits + (not left.signed)
        add_terms(found, _booth("multiply", right.bits, right.signed, coefficient))
    if shift > 0:
        found |= {f"{kind} rounded": 1, f"{kind} rounded bit": exact.bits - (shift - 1)}
        found[f"{kind} rounded low"] = shift - 1
    add_terms(
        found, _requantise(kind, exact.bits + (shift > 0), exact.signed, shift, result.bits, True)
    )
    return found


@terms.register
def _(node: Complement, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    return complement_terms(schedule.graph[node.operand].type, node.type)


@lru_cache(maxsize=1 << 16)
def complement_terms(operand: Fixed, result: Fixed) -> Mapping[str, float]:
    """The terms of a :class:`gruhw_hw.operators.Complementer`."""
    shift = operand.frac - result.frac
    found: Terms = {"complement": 1, "complement bit": operand.bits}
    found[f"complement {operand.bits} {result.bits}"] = 1
    add_terms(found, _requantise("complement", operand.bits + 1, False, shift, result.bits, False))
    return found


@terms.register
def _(node: Table, schedule: Schedule, parameters: Parameters) -> Mapping[str, float]:
    return table_terms(node, schedule.graph[node.operand].type)


def table_terms(node: Table, operand: Fixed) -> Mapping[str, float]:
    """The terms of a :class:`gruhw_hw.operators.Lookup`."""
    return _table(node.function, operand, node.type.bits)


USUAL_RANGES = {"sigmoid": (2, 3), "tanh": (1, 3)}
"""The bits before the point, sign included, that operands of a table usually have: first, last."""


@lru_cache(maxsize=1 << 16)
def _table(function: str, operand: Fixed, bits: int) -> Mapping[str, float]:
    low, high = USUAL_RANGES[function]
    whole = min(max(operand.bits - operand.frac, low), high)
    return {
        "table": 1,
        "table bit": bits,
        f"table {operand.bits}": 1,
        f"table {operand.bits} bit": bits,
        f"table {function} {operand.bits} {whole} {bits}": 1,
    }


def _bits(*values: int) -> int:
    return Fixed.spanning(values, 0).bits


def add_terms(found: Terms, more: Mapping[str, float], count: float = 1) -> None:
    """Add ``count`` times some terms to others."""
    for name, value in more.items():
        found[name] = found.get(name, 0) + value * count


@lru_cache(maxsize=1 << 12)
def _booth(kind: str, multiplicand: int, signed: bool, coefficient: int) -> Mapping[str, float]:
    """The terms of a product out of radix-4 digits, in a register."""
    width = multiplicand + (1 if signed else 2)
    digits = (coefficient + 1) // 2
    joints: list[int] = []  # the widths of the adders that join parts, as booth_product does
    apart, parts = 2, [width] * digits
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        sums = [max(pair[0] - apart, pair[1]) + 1 for pair in pairs if len(pair) == 2]
        parts = [apart + bits for bits in sums] + [pair[0] for pair in pairs if len(pair) == 1]
        joints, apart = joints + sums, 2 * apart
    return {
        f"{kind} digit": digits,
        "digit bit": digits * width,
        "odd digit bit": (coefficient % 2) * width,
        "first digit bit": width,
        "joint": len(joints),
        "joint bit": sum(joints),
        f"{kind} product bit": multiplicand + coefficient,
        f"product {multiplicand}{'s' if signed else 'u'} {coefficient}": 1,
    }


@lru_cache(maxsize=1 << 14)
def _requantise(
    kind: str, total: int, signed: bool, shift: int, result: int, to_signed: bool
) -> Mapping[str, float]:
    """The terms of dropping bits, saturating, and the register of the result."""
    above = max(0, total - shift - result)
    # Unless saturated, zeros that are shifted in and copies of the sign are no registers.
    held = result if above else max(0, min(result, total - shift) - max(0, -shift))
    found: Terms = {"held bit": held, "result bit": result}
    if above > 0:
        found |= {
            "saturated": 1,
            "saturated bit": result,
            "above": above,
            f"{kind} saturated": 1,
            f"{kind} saturated bit": result,
        }
    return found
