"""What is claimed of a core as a whole: it waits for nothing but its streams.

The claim speaks of what moves on the core's streams, and of whether it issues terms; what lies
between is the hardware itself. So it refuses a core whose parts all do what they should, and which
stops for ever because one of them asks for what another one never gives.
"""

from amaranth.hdl import Mux, Signal

from gruhw_hw.core import CoreUnit
from gruhw_hw.formal.places import Places
from gruhw_hw.formal.sequencing import Sequence
from gruhw_hw.formal.solver import Property
from gruhw_hw.formal.streams import InputModel, OutputModel


class _Core:
    """A core between two streams that move as they like, and a model of all its control.

    Attributes
    ----------
    valid, ready
        An element is offered to the input; the output would be taken.
    full, last
        A whole vector is there; it is the last of its sequence.
    active
        A term is issued.
    sequence, places, vectors, output
        The models of the sequencer, of what it makes the pipeline give, and of both buffers.
    """

    def __init__(self, claim: Property, unit: CoreUnit) -> None:
        self._claim, self._unit, core = claim, unit, unit.core
        m = claim.module
        m.submodules.dut = unit
        self.valid, self.ready = claim.input(1, "sink_valid"), claim.input(1, "source_ready")
        payload = unit.sink.payload.as_value()
        m.d.comb += [
            unit.sink.valid.eq(self.valid),
            payload.eq(claim.input(len(payload), "sink_payload")),
            unit.source.ready.eq(self.ready),
        ]
        self.full, self.last = claim.probe("input.full", 1), claim.probe("input.last", 1)
        self.active = claim.probe("sequencer.active", 1)
        available = claim.probe("output.available", 1)
        self.sequence = Sequence(claim, core, self.full, self.last, available)
        self.places = Places(claim, self.sequence, self.last)
        accepted, taken = self.valid & unit.sink.ready, unit.source.valid & self.ready
        size, depth = core.typed.graph.input.size, core.output_depth
        self.vectors = InputModel(claim, size, accepted, self.sequence.release)
        self.output = OutputModel(claim, depth, self.places.promised, self.places.push, taken)

    def compare(self) -> None:
        """Claim that the hardware does what the models do."""
        claim, unit = self._claim, self._unit
        for condition in self.sequence.keep(self.full, self.last):
            claim.holds(condition)
        self.sequence.compare("sequencer.")
        self.places.compare()
        self.vectors.compare("input.")
        claim.holds(self.full == (self.vectors.stored != 0))
        claim.holds(unit.sink.ready == (self.vectors.stored != 2))
        self.output.compare(unit.source.valid, "output.")


def progress_property(name: str, unit: CoreUnit) -> Property:
    """That a core begins a group once its streams allow it, and that every group ends.

    While no term is issued, the pipeline becomes empty, and states can be read, after so many
    cycles as the schedule says. From then on a group begins if

    - its vector is there, or as many elements have been offered as a vector has; and
    - its results have room, or the output could be taken in as many cycles as it can hold elements,
      and one more.

    In which cycles that was does not matter, so that cores that are joined cannot wait for each
    other for ever.
    """
    claim = Property(name, "a group begins once the streams allow it, and ends", depth=2)
    claim.memories = False
    m, found = claim.module, _Core(claim, unit)
    sequence, places, vectors, output = found.sequence, found.places, found.vectors, found.output
    active, size, depth = found.active, unit.core.typed.graph.input.size, unit.core.output_depth

    # How often the streams could move since a term was issued; the output's, since all is quiet.
    offered, could_leave = Signal(range(size + 1)), Signal(range(depth + 2))
    is_quiet, is_fed, has_room = Signal(), Signal(), Signal()
    fits = output.held + places.next <= depth
    m.d.comb += [
        is_quiet.eq(~active & (sequence.idle == 0) & places.groups.have_left),
        is_fed.eq(sequence.in_head | (vectors.stored != 0) | (offered == size)),
        has_room.eq(~sequence.emits | fits | (could_leave == depth + 1)),
    ]
    with m.If(active):
        m.d.sync += [offered.eq(0), could_leave.eq(0)]
    with m.Else():
        m.d.sync += offered.eq(offered + (found.valid & (offered != size)))
        with m.If(is_quiet & found.ready & (could_leave != depth + 1)):
            m.d.sync += could_leave.eq(could_leave + 1)
    overdue = Signal()
    m.d.sync += overdue.eq(is_quiet & is_fed & has_room)
    claim.holds(~overdue | active)

    # And a group that began ends.
    longest = max(phase.terms for phase in sequence.phases)
    issued = Signal(range(longest + 1))
    m.d.sync += issued.eq(Mux(active, issued + 1, 0))
    claim.holds(~active | (issued < longest))

    # What the solver needs to know: what is missing is not missing for long.
    found.compare()
    claim.holds(~active | (issued == sequence.term))
    claim.holds(active | found.full | (offered <= vectors.place))
    claim.holds(active | is_quiet | (could_leave == 0))
    leaving = could_leave + output.held <= depth + unit.source.valid
    claim.holds(active | (output.held == 0) | leaving)
    return claim
