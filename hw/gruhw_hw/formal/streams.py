"""What is claimed of the streams: nothing is lost, added or reordered, in buffers and between them.

Data are followed by watching one element, any one: the solver chooses which. What holds for it
holds for all of them. A claim that needs to know of registers inside a buffer reads them as
probes; what it says of them is proved along with the rest.
"""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value
from amaranth.utils import ceil_log2

from gruhw.network.graph import INPUT
from gruhw.network.schedule import Core
from gruhw_hw.core import emitted_type
from gruhw_hw.datapath import Chain
from gruhw_hw.formal.solver import Property
from gruhw_hw.streams import InputBuffer, OutputBuffer

CLOSE_DEPTH = 2
"""The depth at which Amaranth's FIFO cannot take elements in two cycles one behind the other."""


class InputModel:
    """What an input buffer holds: how many whole vectors, and where the next element goes.

    Parameters
    ----------
    claim
        Whose module it becomes a part of.
    size
        Elements of a vector.
    accepted, release
        An element enters; the oldest vector is no longer needed.
    """

    def __init__(self, claim: Property, size: int, accepted: Value, release: Value) -> None:
        m = claim.module
        self._claim, self._size = claim, size
        self.stored = Signal(range(3), name="stored")
        self.place = Signal(range(max(2, size)), name="place")
        self.write_bank, self.read_bank = Signal(name="write_bank"), Signal(name="read_bank")
        self.whole = Signal(name="whole")
        m.d.comb += self.whole.eq(accepted & (self.place == size - 1))
        with m.If(accepted):
            m.d.sync += self.place.eq(Mux(self.whole, 0, self.place + 1))
        m.d.sync += [
            self.stored.eq(self.stored + self.whole - release),
            self.write_bank.eq(self.write_bank ^ self.whole),
            self.read_bank.eq(self.read_bank ^ release),
        ]

    def compare(self, below: str = "") -> Signal:
        """Claim that the registers ``below`` a path say the same; returns which banks are full."""
        claim, stored = self._claim, self.stored
        full = claim.probe(f"{below}whole", 2)
        claim.holds(claim.probe(f"{below}index", self.place.shape()) == self.place)
        claim.holds(self.place < self._size)
        claim.holds(claim.probe(f"{below}write_bank", 1) == self.write_bank)
        claim.holds(claim.probe(f"{below}read_bank", 1) == self.read_bank)
        claim.holds(full.bit_select(self.read_bank, 1) == (stored != 0))
        claim.holds(full.bit_select(~self.read_bank, 1) == (stored == 2))
        claim.holds((self.write_bank == self.read_bank) == (stored != 1))
        claim.holds(stored <= 2)
        return full


def input_buffer_property(name: str, core: Core) -> Property:
    """That the oldest whole vector can be read, each element at its place, until it is released."""
    kind, size = core.typed[INPUT], core.typed.graph.input.size
    claim = Property(name, "every element is kept, in its place, until its vector is released")
    m = claim.module
    m.submodules.dut = dut = InputBuffer(kind, size, core.step.terms)
    claim.drive(dut.sink.valid, dut.address)
    data, last = claim.input(kind.bits, "data"), claim.input(1, "last")
    release = claim.input(1, "release")
    m.d.comb += [
        dut.sink.payload.data.eq(data),
        dut.sink.payload.last.eq(last),
        dut.release.eq(release),
    ]
    claim.given(~release | dut.full)  # the sequencer has a claim of its own that says so
    accepted = Signal()
    m.d.comb += accepted.eq(dut.sink.valid & dut.sink.ready)
    model = InputModel(claim, size, accepted, release)
    claim.holds(dut.full == (model.stored != 0))
    claim.holds(dut.sink.ready == (model.stored != 2))

    # The element that is watched.
    watch = claim.input(1, "watch")
    watching, complete, its_bank, its_last = Signal(), Signal(), Signal(), Signal()
    its_place, its_data = Signal(model.place.shape()), Signal(kind.bits)
    oldest = Signal()
    m.d.comb += oldest.eq(watching & complete & (its_bank == model.read_bank))
    with m.If(watching):
        with m.If(model.whole & ~complete):
            m.d.sync += [complete.eq(1), its_last.eq(last)]
        with m.If(oldest & release):
            m.d.sync += watching.eq(0)
    with m.Elif(accepted & watch):
        m.d.sync += [watching.eq(1), its_place.eq(model.place), its_data.eq(data)]
        m.d.sync += [complete.eq(model.whole), its_bank.eq(model.write_bank), its_last.eq(last)]
    read = Signal()
    m.d.sync += read.eq(oldest & (dut.address == its_place))
    claim.holds(~read | (dut.element.as_unsigned() == its_data))
    claim.holds(~oldest | (dut.last == its_last))

    # How the model stands to the registers.
    full, lasts = model.compare(), claim.probe("ends", 2)
    bank_bits = ceil_log2(size)
    words = Array(claim.probe(f"vectors[{word}]", kind.bits) for word in range(2 << bank_bits))
    with m.If(watching):
        claim.holds(words[Cat(its_place[:bank_bits], its_bank)] == its_data)
        claim.holds(its_place < size)
        claim.holds(full.bit_select(its_bank, 1) == complete)
        claim.holds(complete | ((its_bank == model.write_bank) & (its_place < model.place)))
        claim.holds(~complete | (lasts.bit_select(its_bank, 1) == its_last))
    return claim


class OutputModel:
    """How many elements an output buffer holds.

    Parameters
    ----------
    claim
        Whose module it becomes a part of.
    depth
        The most that it can hold.
    promised
        For how many more it has promised a place.
    push, taken
        One enters; one leaves.
    """

    def __init__(
        self, claim: Property, depth: int, promised: Value, push: Value, taken: Value
    ) -> None:
        self._claim, self._depth, self._promised = claim, depth, promised
        self.held = Signal(range(depth + 1), name="held")
        claim.module.d.sync += self.held.eq(self.held + push - taken)

    def compare(self, valid: Value, below: str = "") -> Value:
        """Claim that the registers ``below`` a path say the same; returns how many wait inside.

        ``valid`` is high while an element is offered.
        """
        claim, held, inner = self._claim, self.held, self._depth - 1
        reserved = claim.probe(f"{below}reserved", range(self._depth + 1))
        claim.holds(reserved == self._promised + held)
        claim.holds(self._promised + held <= self._depth)
        claim.holds(~valid | (held != 0))
        if inner == 0:
            claim.holds(valid == (held != 0))
            return Const(0)
        level: Value = claim.probe(f"{below}fifo.inner_level", range(inner + 1))
        claim.holds(held == level + valid)
        claim.holds(valid | (level <= 1))
        return level


def output_buffer_property(name: str, core: Core) -> Property:
    """That elements come out in the order in which they went in, and stay until they are taken."""
    kind, depth, groups = emitted_type(core), core.output_depth, core.emitting.groups
    places = max(core.group_outputs(0), core.group_outputs(groups - 1))
    claim = Property(name, "elements leave in order, none is lost, and promises are kept")
    m = claim.module
    m.submodules.dut = dut = OutputBuffer(kind, depth, places)
    claim.drive(dut.places, dut.reserve, dut.push, dut.last)
    ready, data = claim.input(1, "ready"), claim.input(kind.bits, "data")
    m.d.comb += [dut.source.ready.eq(ready), dut.element.eq(data)]
    valid, payload = dut.source.valid, dut.source.payload.as_value()

    count = range(depth + 1)
    promised, taken = Signal(count), Signal()
    m.d.comb += taken.eq(valid & ready)
    m.d.sync += promised.eq(promised + Mux(dut.reserve, dut.places, 0) - dut.push)
    model = OutputModel(claim, depth, promised, dut.push, taken)
    # What the pipeline and the sequencer keep to.
    claim.given(dut.places <= places)
    claim.given(~dut.reserve | dut.available)
    claim.given(~dut.push | (promised != 0))
    if depth == CLOSE_DEPTH:
        pushed = Signal()
        m.d.sync += pushed.eq(dut.push)
        claim.given(~(pushed & dut.push))
    claim.holds(dut.available == (promised + model.held + dut.places <= depth))

    offered, before = Signal(), Signal(payload.shape())
    waiting = Signal()
    m.d.sync += [offered.eq(valid & ~ready), before.eq(payload)]
    m.d.sync += waiting.eq(~valid & (model.held != 0))
    claim.holds(~offered | (valid & (payload == before)))
    claim.holds(~waiting | valid)

    watch = claim.input(1, "watch")
    watching, ahead, its_data = Signal(), Signal(count), Signal(kind.bits + 1)
    with m.If(watching & taken):
        m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead != 0)]
    with m.Elif(~watching & dut.push & watch):
        m.d.sync += [watching.eq(1), ahead.eq(model.held - taken), its_data.eq(Cat(data, dut.last))]
    first = watching & (ahead == 0)
    claim.holds(~(first & valid) | (payload == its_data))

    # How the model stands to the registers of Amaranth's FIFO.
    level = model.compare(valid)
    claim.holds(~watching | (ahead < model.held))
    inner = depth - 1
    if inner == 0:
        return claim
    produce = claim.probe("fifo.produce", range(inner)) if inner > 1 else Const(0)
    consume = claim.probe("fifo.consume", range(inner)) if inner > 1 else Const(0)
    claim.holds((produce < inner) & (consume < inner))
    claim.holds(produce == _wrapped(consume + level, inner))
    words = Array(claim.probe(f"fifo.storage[{word}]", kind.bits + 1) for word in range(inner))
    with m.If(watching & ~(first & valid)):
        claim.holds(words[_wrapped(consume + ahead - valid, inner)] == its_data)
    return claim


def _wrapped(position: Value, size: int) -> Value:
    """A position of less than twice the size, counted around."""
    return Mux(position >= size, position - size, position)[: max(1, (size - 1).bit_length())]


def joints_property(name: str, chain: Chain, paths: Sequence[str]) -> Property:
    """That what one core offers is what the next one is offered, and is taken when that takes it.

    Parameters
    ----------
    name
        What the claim is called after.
    chain, paths
        The cores, and where each stands below the datapath.
    """
    claim = Property(name, "each core is offered what the one before gives, in vectors of its size")
    claim.memories = False
    claim.module.submodules.dut = chain
    for before, after, path, following in zip(
        chain.units, chain.units[1:], paths, paths[1:], strict=False
    ):
        given, taken = before.core, after.core
        kind, wanted = emitted_type(given), taken.typed[INPUT]
        fits = kind == wanted and not given.classifies
        claim.holds(Const(fits and given.emitting.units == taken.typed.graph.input.size, 1))
        for signal, bits in (("valid", 1), ("ready", 1), ("payload", kind.bits + 1)):
            offered = claim.probe(f"{path}.output.source__{signal}", bits)
            claim.holds(offered == claim.probe(f"{following}.input.sink__{signal}", bits))
    return claim
