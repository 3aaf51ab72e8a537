"""What the area of an operator depends on, as countable terms.

A term is a name that stands for something of which every piece takes about the same area: a bit
of an accumulator, a lane for 3-bit weights and unsigned 5-bit operands. Calibration gives each
term a price. What only one combination of widths has comes on top of what all have in common, so
that a combination which calibration never saw still has a price.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import TypeAlias

import numpy as np

from gruhw.fixed import Fixed, IntArray
from gruhw.graph import Add, Complement, Linear, Multiply, Node, Table
from gruhw.parameters import Parameters, product_sums
from gruhw.schedule import Phase, Schedule
from gruhw_hw.area.memory import Memory, Rom, TableRom, memory_terms

Terms = dict[str, float]
"""How many there are of each term."""


BIAS_ROM = "bias rom"
"""The term for each bit of a ROM of biases."""


@dataclass(frozen=True, eq=False)
class Needs:
    """What something takes; equal to itself alone.

    What needs the same shares one of these, as far as it was met lately: it is priced once.

    Parameters
    ----------
    terms
        How many there are of each term, those of memories aside.
    memories
        All but those of biases, for which terms stand.
    slow
        Whether its longest path has carry chains that follow each other.
    """

    terms: Mapping[str, float]
    memories: tuple[Memory, ...] = ()
    slow: bool = False

    def all_terms(self, target: str) -> Terms:
        """All terms for a target, those of memories included."""
        found = dict(self.terms)
        for memory in self.memories:
            add_terms(found, memory_terms(memory, target))
        return found

    def weight_block_rams(self, target: str) -> int:
        """The block RAMs of the weights, which are counted and have no price."""
        return sum(rom.block_rams(target) for rom in self.memories if isinstance(rom, Rom))


@dataclass(frozen=True, kw_only=True, eq=False)
class OperatorNeeds(Needs):
    """What an operator takes, and what there is for others to read.

    Parameters
    ----------
    terms, memories, slow
        As in :class:`Needs`.
    held
        The type of what its result's registers hold: zeros that are shifted in and copies of
        the sign are in none, so that synthesis makes those who read the result narrower.
    """

    held: Fixed


Types: TypeAlias = Mapping[str, Fixed]
"""The types of what operators read, by the name of the node that it comes from."""


@singledispatch
def needs(node: Node, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    """What an operator needs that reads operands of these types."""
    raise TypeError(f"no area for {type(node).__name__}")


@needs.register
def _(node: Linear, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    weights, biases = parameters.weights[node.name], parameters.biases[node.name]
    return linear_needs(node, read[node.operand], weights, biases, schedule.phase_of(node))


def linear_needs(
    node: Linear, operand: Fixed, weights: IntArray, biases: IntArray, phase: Phase
) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.linear.LinearUnit`."""
    shift = node.accumulator.frac - node.type.frac
    return _linear_needs(
        operand, node.weight.bits, shift, node.type, phase, weights.tobytes(), biases.tobytes()
    )


@lru_cache(maxsize=1 << 12)
def _linear_needs(
    operand: Fixed, weight: int, shift: int, result: Fixed, phase: Phase, weight_data: bytes,
    bias_data: bytes,
) -> OperatorNeeds:  # fmt: skip
    """Those of weights and biases that are given as the bytes of 64-bit integers."""
    biases = np.frombuffer(bias_data, dtype=np.int64)
    weights = np.frombuffer(weight_data, dtype=np.int64).reshape(len(biases), -1)
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
    # A lane without any weight computes nothing; its copy only passes on what lanes behind it have.
    lanes = {unit % phase.lanes for unit in np.flatnonzero(weights.any(axis=1)).tolist()}
    copies = max(lanes, default=0) + 1 if phase.lanes > 1 else 0
    found = _linear(
        operand.bits, operand.signed, weight, accumulator, total, bias, shift, result.bits,
        len(lanes), copies, phase.units,
    )  # fmt: skip
    if bias:
        add_terms(found, _contents(biases, bias))
    rom = Rom.of(weights, weight, phase)
    slow = _digits(weight) > 2  # More than two are added one after the other.
    return OperatorNeeds(found, (rom,), slow, held=_held(total, shift, result))


def _linear(
    operand: int, signed: bool, weight: int, accumulator: int, total: int, bias: int, shift: int,
    result: int, lanes: int, copies: int, units: int,
) -> Terms:  # fmt: skip
    """The terms of a linear operator: widths, a shift, lanes that compute, their copies, units."""
    found: Terms = {"linear": 1, "lane": lanes, "accumulator bit": lanes * accumulator}
    add_terms(found, _booth("lane", operand, signed, weight), lanes)
    dropped = min(max(shift, 0), total)
    if copies:
        # Without a bias to add, what rounding drops is not copied.
        copied = accumulator if bias else accumulator - min(dropped, accumulator)
        found |= {"serialised": 1, "copied bit": copies * copied, "last copy": copied}
    if bias:
        rows = -(-units // 4)
        found |= {"biased": 1, "biased bit": total - dropped, "biased low bit": dropped}
        found |= {"bias bit": bias, f"{BIAS_ROM} {rows}": bias, BIAS_ROM: bias * units}
        found |= {f"{BIAS_ROM} beyond {n} words": bias * max(0, units - n) for n in (16, 32)}
    add_terms(found, _requantise("linear", total, shift, result))
    return found


def _contents(biases: IntArray, bits: int) -> Terms:
    """The terms of what stands in a ROM of biases.

    It becomes logic. Constant columns take nothing and equal columns are one; of a longer column,
    what is equal in blocks of 16, 32 or 64 rows needs to be decoded once.
    """
    columns = (biases[:, None] >> np.arange(bits)) & 1
    # A column and its complement are one, too.
    packed = np.packbits((columns ^ columns[0]).T.astype(np.uint8), axis=1)
    length = -(-len(biases) // 64) * 8
    distinct = {column.tobytes().ljust(length, b"\0") for column in packed if column.any()}
    found: Terms = {"bias column": len(distinct)}
    for size in (2, 4, 8):
        if len(biases) > 4 * size:
            blocks = {
                column[start : start + size]
                for column in distinct
                for start in range(0, length, size)
            }
            found[f"bias block of {8 * size} rows"] = len(blocks - {b"\0" * size, b"\xff" * size})
    return found


@needs.register
def _(node: Add, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    left, right = (read[name] for name in node.operands)
    return adder_needs(left, right, node.type)


@lru_cache(maxsize=1 << 16)
def adder_needs(left: Fixed, right: Fixed, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Adder`."""
    finest = max(left.frac, right.frac)
    widths = [left.bits + finest - left.frac, right.bits + finest - right.frac]
    apart = abs(left.frac - right.frac)
    shift = finest - result.frac
    both = max(widths) + 1
    found: Terms = {"add": 1, "add bit": both - apart, "add low bit": apart}
    slow = False
    if shift > 0:
        found |= {"add rounded": 1, "add rounded bit": both - apart}
        # The constant may meet one operand, or be the carry of the sum, or be a third operand.
        place = shift - 1
        if place < apart:
            found |= {"add rounded low": apart - place}
        elif place:
            slow = True
            kind = "at" if place == apart else "within"
            found |= {f"add rounded {kind}": 1, f"add rounded {kind} bit": both - place}
    total = both + (shift > 0)
    add_terms(found, _requantise("add", total, shift, result.bits))
    return OperatorNeeds(found, slow=slow, held=_held(total, shift, result))


@needs.register
def _(node: Multiply, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    if schedule.serial_products:
        # The product's bits shift through the registers: none is known to be a zero or a copy.
        read = {name: schedule.graph[name].type for name in node.operands}
    left, right = (read[name] for name in node.operands)
    return multiplier_needs(left, right, node.type, schedule.serial_products)


@lru_cache(maxsize=1 << 16)
def multiplier_needs(left: Fixed, right: Fixed, result: Fixed, serial: bool) -> OperatorNeeds:
    """The needs of a multiplier, a serial or a parallel one."""
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
    total = exact.bits + (shift > 0)
    add_terms(found, _requantise(kind, total, shift, result.bits))
    return OperatorNeeds(found, slow=not serial, held=_held(total, shift, result))


@needs.register
def _(node: Complement, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    return complement_needs(read[node.operand], node.type)


@lru_cache(maxsize=1 << 16)
def complement_needs(operand: Fixed, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Complementer`."""
    shift = operand.frac - result.frac
    found: Terms = {"complement": 1, "complement bit": operand.bits}
    found[f"complement {operand.bits} {result.bits}"] = 1
    total = operand.bits + 1
    add_terms(found, _requantise("complement", total, shift, result.bits))
    return OperatorNeeds(found, slow=shift > 0, held=_held(total, shift, result))


@needs.register
def _(node: Table, read: Types, schedule: Schedule, parameters: Parameters) -> OperatorNeeds:
    return table_needs(
        TableRom(
            node.function, schedule.graph[node.operand].type, read[node.operand], node.type.bits
        ),
        node.type,
    )


@lru_cache(maxsize=1 << 16)
def table_needs(rom: TableRom, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Lookup`, all of which is a memory.

    But readers save something: of four results, for an operand of 2 bits, some bits are constant
    or equal to others.
    """
    table = Table(name="", type=result, operand="", function=rom.function)
    columns = (table.values(rom.held)[:, None] >> np.arange(result.bits)) & 1
    different = {c.tobytes() for c in columns.T if c.any() and not c.all()}
    return OperatorNeeds({"equal column": result.bits - len(different)}, (rom,), held=result)


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
    digits = _digits(coefficient)
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


def _digits(coefficient: int) -> int:
    """The radix-4 digits of a coefficient of so many bits."""
    return (coefficient + 1) // 2


@lru_cache(maxsize=1 << 14)
def _requantise(kind: str, total: int, shift: int, result: int) -> Mapping[str, float]:
    """The terms of dropping bits, saturating, and the register of the result."""
    above = total - shift - result
    held = _held(total, shift, Fixed(result, 0)).bits
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


@lru_cache(maxsize=1 << 14)
def _held(total: int, shift: int, result: Fixed) -> Fixed:
    """The type of those registers of a result that differ from each other and from zero."""
    zeros = max(0, -shift)
    if total - shift > result.bits:
        zeros = max(0, zeros - 1)  # When it saturates, what else is zero takes one value.
        bits = result.bits - zeros
    else:
        bits = total - max(0, shift)
    return Fixed(max(1, bits), result.frac - zeros, result.signed)
