"""The component of a linear operator, exactly as wide as its genes."""

import numpy as np
from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from gruhw.fixed import Fixed, IntArray
from gruhw.graph import Graph, Linear
from gruhw.parameters import product_sums
from gruhw.schedule import Phase
from gruhw_hw.arithmetic import (
    add_with_carry,
    booth_product,
    drop_fraction,
    rounding_constant,
    shape_of,
)
from gruhw_hw.registers import register_result

BLOCK_ROM = {"rom_style": "block"}
"""Attribute of a memory that belongs into block RAM, however small: as logic it would be large."""


class LinearUnit(wiring.Component):
    """The dot products of a linear operator: weights in ROM, one multiplier for each lane.

    Parameters
    ----------
    node, graph
        The operator and the graph it belongs to.
    weights
        Integers, shape [outputs, inputs].
    biases
        Integers at the accumulator's scale, shape [outputs].
    phase
        When its terms are addressed and its accumulators leave.

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

    def __init__(
        self,
        node: Linear,
        graph: Graph,
        weights: IntArray,
        biases: IntArray,
        phase: Phase,
        *,
        blocks: bool = False,
    ) -> None:
        self._blocks = blocks
        self._node = node
        self._operand = graph[node.operand].type
        self._weights = weights
        self._biases = biases
        self._phase = phase
        super().__init__(
            {
                "address": In(range(max(2, phase.groups * phase.terms))),
                "operand": In(shape_of(self._operand)),
                "clear": In(1),
                "accumulate": In(1),
                "load": In(1),
                "shift": In(1),
                "unit": In(range(max(2, phase.units))),
                "enable": In(1),
                "result": Out(shape_of(node.type)),
            }
        )

    def rom(self) -> list[int]:
        """The weight memory: for each group and term, the codes of all lanes, lane 0 lowest."""
        phase, bits = self._phase, self._node.weight.bits
        padded = np.zeros((phase.groups * phase.lanes, phase.terms), dtype=np.int64)
        padded[: self._node.outputs, : self._node.inputs] = self._weights
        codes = (padded & ((1 << bits) - 1)).reshape(phase.groups, phase.lanes, phase.terms)
        return [
            sum(int(code) << (lane * bits) for lane, code in enumerate(codes[group, :, term]))
            for group in range(phase.groups)
            for term in range(phase.terms)
        ]

    @property
    def start(self) -> int:
        """What accumulators begin with: the rounding constant, and a bias that all units share."""
        return self._rounding + (self._shared_bias or 0)

    @property
    def sums(self) -> tuple[int, int]:
        """The least and the greatest dot product of any unit, without its bias."""
        lowest, highest = product_sums(self._weights, self._operand)
        return int(lowest.min()), int(highest.max())

    @property
    def accumulator(self) -> Fixed:
        """The type of an accumulator: it holds every dot product, and what it begins with."""
        values = (self.start, *(self.start + total for total in self.sums))
        return Fixed.spanning(values, self._node.accumulator.frac)

    @property
    def product(self) -> Fixed:
        """The type of a product register. A Booth product lacks its carry: it may be one less."""
        exact = self._operand.product(self._node.weight)
        return Fixed.spanning((exact.minimum - 1, exact.maximum), exact.frac)

    @property
    def _rounding(self) -> int:
        return rounding_constant(self._node.accumulator.frac, self._node.type)

    @property
    def _shared_bias(self) -> int | None:
        same = (self._biases == self._biases[0]).all()
        return int(self._biases[0]) if same else None

    def elaborate(self, platform: object) -> Module:
        m = Module()
        node, phase, bits = self._node, self._phase, self._node.weight.bits
        word = phase.lanes * bits
        m.submodules.weights = rom = Memory(
            shape=word, depth=phase.groups * phase.terms, init=self.rom(), attrs=BLOCK_ROM
        )
        weight = rom.read_port()
        m.d.comb += weight.addr.eq(self.address)

        accumulators = []
        for lane in range(phase.lanes):
            coefficient = weight.data[lane * bits : (lane + 1) * bits].as_signed()
            product = Signal(shape_of(self.product), name=f"product_{lane}", reset_less=True)
            carry = Signal(name=f"carry_{lane}", reset_less=True)
            accumulator = Signal(
                shape_of(self.accumulator),
                name=f"accumulator_{lane}",
                init=self.start,
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
                m.d.sync += accumulator.eq(self.start)
            accumulators.append(accumulator)

        total: Value = self._serialise(m, accumulators)
        if self._shared_bias is None:
            m.submodules.biases = biases = Memory(
                shape=signed(Fixed.spanning(self._biases.tolist(), 0).bits),
                depth=phase.units,
                init=self._biases.tolist(),
            )
            bias = biases.read_port()
            m.d.comb += bias.addr.eq(self.unit)
            lowest, highest = product_sums(self._weights, self._operand)
            extremes = np.concatenate([lowest, highest]) + np.tile(self._biases, 2) + self._rounding
            fitted = Fixed.spanning(extremes.tolist(), node.accumulator.frac)
            total = (total + bias.data)[: fitted.bits].as_signed()
        register_result(m, self, drop_fraction(total, node.accumulator.frac, node.type))
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
