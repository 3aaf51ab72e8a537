"""The component of a linear operator, exactly as wide as its genes."""

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gruhw_hw.arithmetic import add_with_carry, booth_product, drop_fraction, shape_of
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.registers import register_result

BLOCK_ROM = {"rom_style": "block"}
"""Attribute of a memory that belongs into block RAM, however small: as logic it would be large."""


class LinearUnit(wiring.Component):
    """The dot products of a linear operator: weights in ROM, one multiplier for each lane.

    Parameters
    ----------
    plan
        Its widths and constants.
    blocks
        Leave products to the multiplier blocks of the device, instead of Booth digits in logic.

    Members
    -------
    address : In(range(groups * terms))
        The term whose weights are wanted.
    operand : In(operand type)
        The element of the operand that belongs to the term addressed in the cycle before.
    clear : In(1)
        Take that element as zero.
    accumulate : In(1)
        The product registered now belongs to a dot product; otherwise accumulators restart.
    load, shift : In(1)
        Copy the complete accumulators aside; move on to the next lane's. Only with several
        lanes.
    unit : In(range(outputs))
        The unit that ``enable`` will belong to in the next cycle.
    enable : In(1)
        Register the result of the accumulator that is now complete.
    result : Out(result type)
    """

    def __init__(self, plan: LinearPlan, *, blocks: bool = False) -> None:
        self.plan = plan
        self._blocks = blocks
        phase = plan.phase
        super().__init__(
            {
                "address": In(range(max(2, phase.groups * phase.terms))),
                "operand": In(shape_of(plan.operand)),
                "clear": In(1),
                "accumulate": In(1),
                "load": In(1),
                "shift": In(1),
                "unit": In(range(max(2, phase.units))),
                "enable": In(1),
                "result": Out(shape_of(plan.result)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        plan, phase, bits = self.plan, self.plan.phase, self.plan.weight.bits
        word = phase.lanes * bits
        m.submodules.weights = rom = Memory(
            shape=word, depth=phase.groups * phase.terms, init=plan.rom, attrs=BLOCK_ROM
        )
        weight = rom.read_port()
        m.d.comb += weight.addr.eq(self.address)

        accumulators = []
        for lane in range(phase.lanes):
            coefficient = weight.data[lane * bits : (lane + 1) * bits].as_signed()
            product = Signal(shape_of(plan.product), name=f"product_{lane}", reset_less=True)
            carry = Signal(name=f"carry_{lane}", reset_less=True)
            accumulator = Signal(
                shape_of(plan.accumulator),
                name=f"accumulator_{lane}",
                init=plan.start,
                reset_less=True,
            )
            if self._blocks:
                m.d.sync += product.eq(self.operand * coefficient)
                m.d.sync += accumulator.eq(accumulator + product)
            else:
                partial_product, missing = booth_product(self.operand, coefficient)
                m.d.sync += [product.eq(partial_product), carry.eq(missing)]
                m.d.sync += accumulator.eq(add_with_carry(accumulator, product, carry))
            with m.If(self.clear):
                m.d.sync += [product.eq(0), carry.eq(0)]
            with m.If(~self.accumulate):
                m.d.sync += accumulator.eq(plan.start)
            accumulators.append(accumulator)

        total: Value = self._serialise(m, accumulators)
        if plan.shared_bias is None:
            m.submodules.biases = biases = Memory(
                shape=signed(plan.bias.bits), depth=phase.units, init=plan.biases.tolist()
            )
            bias = biases.read_port()
            m.d.comb += bias.addr.eq(self.unit)
            total = (total + bias.data)[: plan.total.bits].as_signed()
        register_result(m, self, drop_fraction(total, plan.frac, plan.result))
        return m

    def _serialise(self, m: Module, accumulators: list[Signal]) -> Value:
        """The accumulator that is next; with several lanes, out of copies that shift."""
        if len(accumulators) == 1:
            return accumulators[0]
        copies = [
            Signal(accumulator.shape(), name=f"copy_{lane}", reset_less=True)
            for lane, accumulator in enumerate(accumulators)
        ]
        for lane, copy in enumerate(copies):
            following = copies[lane + 1] if lane + 1 < len(copies) else copy
            with m.If(self.load):
                m.d.sync += copy.eq(accumulators[lane])
            with m.Elif(self.shift):
                m.d.sync += copy.eq(following)
        return copies[0]
