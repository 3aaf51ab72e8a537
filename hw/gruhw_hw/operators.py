"""A component for every operator of the graph, each exactly as wide as its genes.

All results stand in registers that load when ``enable`` is high and hold until the next unit.
Latencies are those of :func:`gruhw.network.planning.latency`.
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Member, Out

from gruhw.network.fixed import Fixed
from gruhw.network.graph import Add, Complement, Function, Linear, Multiply, Node, Table
from gruhw.network.parameters import Parameters
from gruhw.network.schedule import Scheduled
from gruhw.network.typed import tabulate
from gruhw_hw.arithmetic import (
    add_with_carry,
    as_signed,
    booth_product,
    requantise,
    shape_of,
)
from gruhw_hw.linear import LinearUnit
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.registers import register_result


class Elementwise(wiring.Component):
    """What all operators behind the linear ones have in common.

    Parameters
    ----------
    kinds
        The types of the operands.
    result
        The type of the result.

    Members
    -------
    operand_0, operand_1, ... : In(type of the operand)
    clear : In(1)
        Take the product as zero. Only of products with the state, in a sequence's first step.
    enable : In(1)
        The result is complete: register it.
    result : Out(result type)
    """

    def __init__(
        self,
        kinds: Sequence[Fixed],
        result: Fixed,
        more_ports: Mapping[str, Member] | None = None,
    ) -> None:
        self._kinds = tuple(kinds)
        self._to = result
        ports = {f"operand_{i}": In(shape_of(kind)) for i, kind in enumerate(self._kinds)}
        super().__init__(
            {
                **ports,
                **(more_ports or {}),
                "clear": In(1),
                "enable": In(1),
                "result": Out(shape_of(result)),
            }
        )

    @property
    def operands(self) -> list[Signal]:
        """The operand ports, in their order."""
        return [getattr(self, f"operand_{i}") for i in range(len(self._kinds))]


class Adder(Elementwise):
    """Aligns two operands, adds, rounds and saturates."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        finest = max(kind.frac for kind in self._kinds)
        left, right = (
            port << (finest - kind.frac)
            for port, kind in zip(self.operands, self._kinds, strict=True)
        )
        register_result(m, self, requantise(left + right, finest, self._to))
        return m


class Multiplier(Elementwise):
    """Multiplies into a register, then rounds and saturates.

    Parameters
    ----------
    blocks
        Leave the product to the multiplier blocks of the device, instead of Booth digits.
    """

    def __init__(self, kinds: Sequence[Fixed], result: Fixed, *, blocks: bool = False) -> None:
        self._blocks = blocks
        super().__init__(kinds, result)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, right = self.operands
        exact = self._kinds[0].product(self._kinds[1])
        product = Signal(shape_of(exact), reset_less=True)
        total: Value = product
        if self._blocks:
            m.d.sync += product.eq(left * right)
        else:
            carry = Signal(reset_less=True)
            partial, missing = booth_product(right, as_signed(left))
            m.d.sync += [product.eq(partial), carry.eq(missing)]
            with m.If(self.clear):
                m.d.sync += carry.eq(0)
            completed = add_with_carry(as_signed(product), Const(0, 1), carry)[: exact.bits]
            total = completed.as_signed() if exact.signed else completed
        with m.If(self.clear):
            m.d.sync += product.eq(0)
        register_result(m, self, requantise(total, exact.frac, self._to))
        return m


class SerialMultiplier(Elementwise):
    """Multiplies by one bit of the first operand a cycle, then rounds and saturates.

    Takes a fraction of a parallel multiplier's area where units are far enough apart. The
    first operand is unsigned and read when ``start`` is high; the second must hold meanwhile.

    Members
    -------
    start : In(1)
        The operands are there.
    """

    def __init__(self, kinds: Sequence[Fixed], result: Fixed) -> None:
        super().__init__(kinds, result, {"start": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, right = self.operands
        exact = self._kinds[0].product(self._kinds[1])
        multiplicand = as_signed(right)
        high = Signal(signed(len(multiplicand) + 1), reset_less=True)
        low = Signal(len(left), reset_less=True)
        total = Mux(low[0], (high + multiplicand)[: len(high)].as_signed(), high)
        with m.If(self.start):
            m.d.sync += [high.eq(0), low.eq(Mux(self.clear, 0, left))]
        with m.Else():
            m.d.sync += [high.eq(total >> 1), low.eq(Cat(low[1:], total[0]))]
        product = Cat(low, high)[: exact.bits]
        product = product.as_signed() if exact.signed else product.as_unsigned()
        register_result(m, self, requantise(product, exact.frac, self._to))
        return m


class Complementer(Elementwise):
    """Subtracts an unsigned fraction from one, rounds and saturates."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (kind,) = self._kinds
        exact = ((1 << kind.frac) - self.operands[0])[: kind.bits + 1].as_unsigned()
        register_result(m, self, requantise(exact, kind.frac, self._to))
        return m


class Lookup(Elementwise):
    """A function in ROM, addressed by its operand's two's-complement code.

    Parameters
    ----------
    function
        Its name.
    operand, result
        The types of both.
    """

    def __init__(self, function: Function, operand: Fixed, result: Fixed) -> None:
        self._contents = tabulate(function, operand, result).tolist()
        super().__init__((operand,), result)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        contents = self._contents
        m.submodules.table = table = Memory(
            shape=shape_of(self._to), depth=len(contents), init=contents
        )
        port = table.read_port()
        m.d.comb += [
            port.addr.eq(self.operands[0]),
            port.en.eq(self.enable),
            self.result.eq(port.data),
        ]
        return m


@singledispatch
def component(
    node: Node, scheduled: Scheduled, parameters: Parameters, blocks: bool
) -> LinearUnit | Elementwise:
    """The hardware of an operator, whose stage has these parameters.

    ``blocks`` leaves products to the multiplier blocks of the device.
    """
    raise TypeError(f"no hardware for {type(node).__name__}")


@component.register
def linear_unit(
    node: Linear, scheduled: Scheduled, parameters: Parameters, blocks: bool
) -> LinearUnit:
    """The hardware of a linear operator."""
    return LinearUnit(LinearPlan.of(scheduled, parameters), blocks=blocks)


@component.register
def _(node: Add, scheduled: Scheduled, parameters: Parameters, blocks: bool) -> Elementwise:
    return Adder(scheduled.operands, scheduled.result)


@component.register
def _(node: Multiply, scheduled: Scheduled, parameters: Parameters, blocks: bool) -> Elementwise:
    if scheduled.serial:
        return SerialMultiplier(scheduled.operands, scheduled.result)
    return Multiplier(scheduled.operands, scheduled.result, blocks=blocks)


@component.register
def _(node: Complement, scheduled: Scheduled, parameters: Parameters, blocks: bool) -> Elementwise:
    return Complementer(scheduled.operands, scheduled.result)


@component.register
def _(node: Table, scheduled: Scheduled, parameters: Parameters, blocks: bool) -> Elementwise:
    (operand,) = scheduled.operands
    return Lookup(node.function, operand, scheduled.result)
