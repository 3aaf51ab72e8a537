"""Buffers between the AXI4-Stream ports and the datapath.

Stream rules (Amaranth's ``lib.stream``, which AXI4-Stream shares): an element moves in each
cycle in which valid and ready are both high; valid never waits for ready, and once high it and
the payload stay until the element has moved.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from gruhw.network.fixed import Fixed
from gruhw_hw.arithmetic import shape_of

NO_COLLISION = {"no_rw_check": 1}
"""Attribute of a memory whose read data is never used while the same address is written, so that
Yosys adds no logic for that case."""


def element_layout(kind: Fixed) -> data.StructLayout:
    """A stream's payload: an element and whether it is the last of its sequence."""
    return data.StructLayout({"data": shape_of(kind), "last": 1})


class InputBuffer(wiring.Component):
    """Collects a step's input vector while the one before is in use.

    Parameters
    ----------
    kind
        The type of an element.
    size
        Elements of a vector.
    terms
        The addresses that may be read; what stands beyond ``size`` is arbitrary.

    Members
    -------
    sink : In(stream.Signature(element_layout))
        ``last`` counts with the last element of a vector and is ignored elsewhere.
    address : In(range(terms))
    element : Out(element type)
        The element of the oldest vector that was addressed in the cycle before.
    full : Out(1)
        A whole vector is there.
    last : Out(1)
        It is the last one of its sequence.
    release : In(1)
        The oldest vector is no longer needed.
    """

    def __init__(self, kind: Fixed, size: int, terms: int) -> None:
        self._kind = kind
        self._size = size
        super().__init__(
            {
                "sink": In(stream.Signature(element_layout(kind))),
                "address": In(range(max(2, terms))),
                "element": Out(shape_of(kind)),
                "full": Out(1),
                "last": Out(1),
                "release": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bank_bits = ceil_log2(self._size)
        m.submodules.vectors = vectors = Memory(
            shape=shape_of(self._kind), depth=2 << bank_bits, init=[], attrs=NO_COLLISION
        )
        write, read = vectors.write_port(), vectors.read_port()
        write_bank = Signal()
        read_bank = Signal()
        whole = Signal(2)
        ends = Signal(2)
        index = Signal(range(max(2, self._size)))
        accepted = Signal()
        m.d.comb += [
            self.sink.ready.eq(~Mux(write_bank, whole[1], whole[0])),
            accepted.eq(self.sink.valid & self.sink.ready),
            write.addr.eq(Cat(index[:bank_bits], write_bank)),
            write.data.eq(self.sink.payload.data),
            write.en.eq(accepted),
            read.addr.eq(Cat(self.address[:bank_bits], read_bank)),
            self.element.eq(read.data),
            self.full.eq(Mux(read_bank, whole[1], whole[0])),
            self.last.eq(Mux(read_bank, ends[1], ends[0])),
        ]
        with m.If(accepted):
            m.d.sync += index.eq(index + 1)
            with m.If(index == self._size - 1):
                m.d.sync += [
                    index.eq(0),
                    write_bank.eq(~write_bank),
                    whole.bit_select(write_bank, 1).eq(1),
                    ends.bit_select(write_bank, 1).eq(self.sink.payload.last),
                ]
        with m.If(self.release):
            m.d.sync += [read_bank.eq(~read_bank), whole.bit_select(read_bank, 1).eq(0)]
        return m


class OutputBuffer(wiring.Component):
    """Holds results until they are taken, and counts the places that are promised to others.

    Parameters
    ----------
    kind
        The type of an element.
    depth
        Elements that it must hold.
    largest_group
        The most places that are reserved at once.

    Members
    -------
    places : In(range(largest_group + 1))
        How many places the next group of results needs.
    available : Out(1)
        So many places are free and promised to nobody.
    reserve : In(1)
        Promise them.
    push : In(1)
    element, last : In
        A result, for which a place was reserved.
    source : Out(stream.Signature(element_layout))
    """

    def __init__(self, kind: Fixed, depth: int, largest_group: int) -> None:
        self._kind = kind
        self._depth = depth
        super().__init__(
            {
                "places": In(range(largest_group + 1)),
                "available": Out(1),
                "reserve": In(1),
                "push": In(1),
                "element": In(shape_of(kind)),
                "last": In(1),
                "source": Out(stream.Signature(element_layout(kind))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=self._kind.bits + 1, depth=self._depth)
        reserved = Signal(range(self._depth + 1))
        popped = Signal()
        m.d.comb += [
            self.available.eq(reserved + self.places <= self._depth),
            fifo.w_data.eq(Cat(self.element, self.last)),
            fifo.w_en.eq(self.push),
            self.source.payload.as_value().eq(fifo.r_data),
            self.source.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.source.ready),
            popped.eq(self.source.valid & self.source.ready),
        ]
        with m.If(~self.reserve):
            m.d.sync += reserved.eq(reserved - popped)
        with m.Else():
            m.d.sync += reserved.eq(reserved + self.places - popped)
        return m
