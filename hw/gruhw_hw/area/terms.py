"""What the area of an operator depends on, as countable terms.

A term stands for something of which every piece takes about the same area: a bit of an accumulator,
a lane for 3-bit weights and unsigned 5-bit operands. Calibration gives each term a price. What only
one combination of widths has comes on top of what all have in common, so that a combination which
calibration never saw still has a price.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from typing import TypeAlias

import numpy as np

from gruhw.network.fixed import Fixed
from gruhw.network.graph import Add, Complement, Linear, Multiply, Node, Table
from gruhw.network.parameters import Parameters
from gruhw.network.schedule import Phase, Scheduled
from gruhw.network.typed import tabulate
from gruhw_hw.area.memory import ConstantRom, Memory, Rom, TableRom, memory_terms
from gruhw_hw.area.priced import Terms, add_terms, exact, general, specific
from gruhw_hw.linear_plan import LinearPlan


@dataclass(frozen=True, eq=False)
class Needs:
    """What something takes; equal to itself alone.

    What needs the same shares one of these, as far as it was met lately: it is priced once.

    Parameters
    ----------
    terms
        How many there are of each term, those of memories aside.
    memories
        All of them.
    slow
        Whether its longest path has carry chains that follow each other.
    """

    terms: Terms
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
def needs(node: Node, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    """What an operator of a core needs, whose operands' registers hold what ``read`` says.

    ``parameters`` are those of its stage.
    """
    raise TypeError(f"no area for {type(node).__name__}")


@needs.register
def _(node: Linear, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    # Its operand comes out of a memory, which has all bits of its type.
    return linear_needs(LinearPlan.of(scheduled, parameters))


def linear_needs(plan: LinearPlan) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.linear.LinearUnit`."""
    weights, biases = plan.weights.tobytes(), plan.biases.tobytes()
    return _linear_needs(
        plan.operand, plan.weight, plan.result, plan.frac, plan.phase, weights, biases
    )


@lru_cache(maxsize=1 << 12)
def _linear_needs(
    operand: Fixed, weight: Fixed, result: Fixed, frac: int, phase: Phase, weights: bytes,
    biases: bytes,
) -> OperatorNeeds:  # fmt: skip
    """Those of a plan that is taken apart; weights and biases are bytes of 64-bit integers."""
    constants = np.frombuffer(biases, dtype=np.int64)
    matrix = np.frombuffer(weights, dtype=np.int64).reshape(len(constants), -1)
    plan = LinearPlan(operand, weight, result, frac, matrix, constants, phase)
    memories: list[Memory] = [Rom.of(plan)]
    if plan.shared_bias is None:
        memories.append(ConstantRom.of(constants, plan.bias.bits))
    slow = _digits(weight.bits) > 2  # More than two are added one after the other.
    held = _held(plan.total, plan.shift, result)
    return OperatorNeeds(_linear(plan), tuple(memories), slow, held=held)


def _linear(plan: LinearPlan) -> Terms:
    """The terms of a linear operator, those of its memories aside."""
    # A lane without any weight computes nothing; its copy only passes on what lanes behind it have.
    used = np.flatnonzero(plan.weights.any(axis=1)) % plan.phase.lanes
    lanes = len(np.unique(used))
    accumulator, total = plan.accumulator.bits, plan.total.bits
    found = general({"linear": 1, "lane": lanes, "accumulator bit": lanes * accumulator})
    add_terms(found, _booth("lane", plan.operand, plan.weight.bits), lanes)
    dropped = min(max(plan.shift, 0), total)
    own_bias = plan.shared_bias is None
    if plan.phase.lanes > 1:
        copies = int(used.max(initial=0)) + 1
        # Without a bias to add, what rounding drops is not copied.
        copied = accumulator if own_bias else accumulator - min(dropped, accumulator)
        counts = {"serialised": 1, "copied bit": copies * copied, "last copy": copied}
        add_terms(found, general(counts))
    if own_bias:
        counts = {"biased": 1, "biased bit": total - dropped, "biased low bit": dropped}
        add_terms(found, general(counts))
    add_terms(found, _requantise("linear", plan.total, plan.shift, plan.result))
    return found


@needs.register
def _(node: Add, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    return adder_needs(read[node.left], read[node.right], scheduled.result)


@lru_cache(maxsize=1 << 16)
def adder_needs(left: Fixed, right: Fixed, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Adder`."""
    finest = max(left.frac, right.frac)
    signed = left.signed or right.signed
    # Beside a signed operand, an unsigned one has a sign of zero.
    widths = [kind.bits + finest - kind.frac + (signed > kind.signed) for kind in (left, right)]
    apart = abs(left.frac - right.frac)
    shift = finest - result.frac
    both = max(widths) + 1
    found = general({"add": 1, "add bit": both - apart, "add low bit": apart})
    slow = False
    if shift > 0:
        add_terms(found, general({"add rounded": 1, "add rounded bit": both - apart}))
        # The constant may meet one operand, or be the carry of the sum, or be a third operand.
        place = shift - 1
        if place < apart:
            add_terms(found, general({"add rounded low": apart - place}))
        elif place:
            slow = True
            kind = "at" if place == apart else "within"
            counts = {f"add rounded {kind}": 1, f"add rounded {kind} bit": both - place}
            add_terms(found, general(counts))
    total = Fixed(both + (shift > 0), finest, signed)
    add_terms(found, _requantise("add", total, shift, result))
    return OperatorNeeds(found, slow=slow, held=_held(total, shift, result))


@needs.register
def _(node: Multiply, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    left, right = read[node.left], read[node.right]
    if scheduled.serial:
        # The product's bits shift through the registers: none is known to be a zero or a copy.
        left, right = scheduled.operands
    return multiplier_needs(left, right, scheduled.result, scheduled.serial)


@lru_cache(maxsize=1 << 16)
def multiplier_needs(left: Fixed, right: Fixed, result: Fixed, serial: bool) -> OperatorNeeds:
    """The needs of a multiplier, a serial or a parallel one."""
    product = left.product(right)
    shift = product.frac - result.frac
    kind = "serial" if serial else "multiply"
    found = general({kind: 1, f"{kind} bit": product.bits})
    if serial:
        counts = {"serial left": left.bits, "serial right": right.bits + (not right.signed)}
        add_terms(found, general(counts))
    else:
        add_terms(found, _booth("multiply", right, left.bits + (not left.signed)))
    if shift > 0:
        counts = {f"{kind} rounded": 1, f"{kind} rounded bit": product.bits - (shift - 1)}
        add_terms(found, general(counts | {f"{kind} rounded low": shift - 1}))
    total = Fixed(product.bits + (shift > 0), product.frac, product.signed)
    add_terms(found, _requantise(kind, total, shift, result))
    return OperatorNeeds(found, slow=not serial, held=_held(total, shift, result))


@needs.register
def _(node: Complement, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    return complement_needs(read[node.operand], scheduled.result)


@lru_cache(maxsize=1 << 16)
def complement_needs(operand: Fixed, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Complementer`."""
    shift = operand.frac - result.frac
    found = general({"complement": 1, "complement bit": operand.bits})
    add_terms(found, exact({f"complement {operand.bits} {result.bits}": 1}))
    total = Fixed(operand.bits + 1, operand.frac, signed=False)
    add_terms(found, _requantise("complement", total, shift, result))
    return OperatorNeeds(found, slow=shift > 0, held=_held(total, shift, result))


@needs.register
def _(node: Table, scheduled: Scheduled, read: Types, parameters: Parameters) -> OperatorNeeds:
    (operand,), result = scheduled.operands, scheduled.result
    return table_needs(TableRom(node.function, operand, read[node.operand], result.bits), result)


@lru_cache(maxsize=1 << 16)
def table_needs(rom: TableRom, result: Fixed) -> OperatorNeeds:
    """The needs of a :class:`gruhw_hw.operators.Lookup`, all of which is a memory.

    But readers save something: of four results, for an operand of 2 bits, some bits are constant
    or equal to others.
    """
    values = tabulate(rom.function, rom.held, result)
    columns = (values[:, None] >> np.arange(result.bits)) & 1
    different = {c.tobytes() for c in columns.T if c.any() and not c.all()}
    terms = general({"equal column": result.bits - len(different)})
    return OperatorNeeds(terms, (rom,), held=result)


@lru_cache(maxsize=1 << 12)
def _booth(kind: str, multiplicand: Fixed, coefficient: int) -> Terms:
    """The terms of a product out of radix-4 digits, in a register."""
    bits = multiplicand.bits
    width = bits + (1 if multiplicand.signed else 2)
    digits = _digits(coefficient)
    joints: list[int] = []  # the widths of the adders that join parts, as booth_product does
    apart, parts = 2, [width] * digits
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        sums = [max(pair[0] - apart, pair[1]) + 1 for pair in pairs if len(pair) == 2]
        parts = [apart + bits for bits in sums] + [pair[0] for pair in pairs if len(pair) == 1]
        joints, apart = joints + sums, 2 * apart
    found = general(
        {
            f"{kind} digit": digits,
            "digit bit": digits * width,
            "odd digit bit": (coefficient % 2) * width,
            "first digit bit": width,
            "joint": len(joints),
            "joint bit": sum(joints),
            f"{kind} product bit": bits + coefficient,
        }
    )
    sign = "s" if multiplicand.signed else "u"
    return found | specific({f"product {bits}{sign} {coefficient}": 1})


def _digits(coefficient: int) -> int:
    """The radix-4 digits of a coefficient of so many bits."""
    return (coefficient + 1) // 2


@lru_cache(maxsize=1 << 14)
def _requantise(kind: str, total: Fixed, shift: int, result: Fixed) -> Terms:
    """The terms of dropping bits, saturating, and the register of the result."""
    bits, above = result.bits, _above(total, shift, result)
    held = _held(total, shift, result).bits
    found = general({"held bit": held, "result bit": bits})
    if above > 0:
        counts = {"saturated": 1, "saturated bit": bits, "above": above}
        add_terms(found, general(counts | {f"{kind} saturated": 1, f"{kind} saturated bit": bits}))
    if total.signed > result.signed:
        add_terms(found, general({"rectified": 1, "rectified bit": held}))
    return found


def _above(total: Fixed, shift: int, result: Fixed) -> int:
    """The bits by which a total is wider than a result, besides a sign that the result lacks.

    The result saturates if there are some.
    """
    return (total.bits - total.signed) - shift - (result.bits - result.signed)


@lru_cache(maxsize=1 << 14)
def _held(total: Fixed, shift: int, result: Fixed) -> Fixed:
    """The type of those registers of a result that differ from each other and from zero."""
    zeros = max(0, -shift)
    if _above(total, shift, result) > 0:
        zeros = max(0, zeros - 1)  # When it saturates, what else is zero takes one value.
        return Fixed(max(1, result.bits - zeros), result.frac - zeros, result.signed)
    # A total's sign stays in a register, also where the result is never below zero.
    bits = min(result.bits - zeros, total.bits - max(0, shift))
    return Fixed(max(1, bits), result.frac - zeros, total.signed and result.signed)
