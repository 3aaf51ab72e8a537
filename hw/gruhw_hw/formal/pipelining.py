"""What is claimed of a phase's pipeline: every unit is where the schedule says, with its number."""

import itertools

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned

from gruhw.network.schedule import Core, Phase
from gruhw_hw.formal.solver import Property
from gruhw_hw.pipeline import Pipeline


def numbered_until(core: Core, phase: Phase) -> int:
    """The last cycle of a phase's unit in which something asks for its number: as it leaves."""
    _, emitted = core.emitted
    return core.numbered_until if phase is core.step else core.slots[emitted].ready


def pipeline_property(of: str, name: str, phase: Phase, ready: int) -> Property:
    """That a phase's units leave the pipeline in order, in the cycles of the schedule.

    Parameters
    ----------
    of
        What the claim is called after.
    name, phase, ready
        The phase, and the cycle of a unit until which it is numbered.
    """
    claim = Property(of, "each group gives its units, in order, in the cycles of the schedule")
    m = claim.module
    m.submodules.dut = inner = Module()
    group_end, last_group = claim.input(1, "group_end"), claim.input(1, "last_group")
    pipeline = Pipeline(inner, phase, group_end, last_group, name)
    unit = pipeline.counter(ready)
    shown = [pipeline.token(cycle) for cycle in range(ready + 1)]
    numbers = [pipeline.at(unit, cycle) for cycle in range(ready + 1)]

    # What ended how long ago, from which the schedule says who is where.
    longest = phase.unit_cycle(phase.lanes - 1) - (phase.terms - 1) + ready
    ended = Signal(longest + 1)
    of_last = Signal(longest + 1)
    all_ended, all_last = Cat(group_end, ended), Cat(last_group, of_last)
    m.d.sync += [ended.eq(all_ended), of_last.eq(all_last)]

    def present(cycle: int) -> Value:
        """Whether a unit is in this cycle of its own."""
        found = []
        for lane in range(phase.lanes):
            age = phase.unit_cycle(lane) - (phase.terms - 1) + cycle
            used = Const(1) if lane < phase.last_lanes else ~all_last[age]
            found.append(all_ended[age] & used)
        return Cat(*found).any()

    # The sequencer's claims: groups do not come faster than that, and the last one is marked.
    group = Signal(range(max(2, phase.groups)))
    claim.given(~group_end | (last_group == (group == phase.groups - 1)))
    claim.given(~(group_end & ended[: phase.group_cycles - 1].any()))
    with m.If(group_end):
        m.d.sync += group.eq(Mux(group == phase.groups - 1, 0, group + 1))

    # Units that have left, of the phase that is leaving.
    left = Signal(range(max(2, phase.units)))
    with m.If(present(ready)):
        m.d.sync += left.eq(Mux(left == phase.units - 1, 0, left + 1))

    def counted(units: Value) -> Value:
        """The number of the unit behind so many that have not left."""
        return (left + units) % phase.units

    behind: Value = Const(0, unsigned(1))
    for cycle in reversed(range(-1, ready + 1)):
        if cycle == unit.last_cycle:
            claim.holds(unit.signal == counted(behind))
        if cycle < 0:
            break
        claim.holds(shown[cycle] == present(cycle))
        claim.holds(~present(cycle) | (numbers[cycle] == counted(behind)))
        behind = behind + present(cycle)

    # How the model stands to the registers that carry the ends of groups to each lane.
    lead, interval = phase.accumulator_cycle - phase.terms, phase.unit_interval
    partial = phase.last_lanes < phase.lanes
    claim.holds(left < phase.units)
    for apart in range(1, min(phase.group_cycles, longest)):
        claim.holds(~(ended & (ended >> apart)).any())
    for age in range(1, lead + 1):
        claim.holds(claim.probe(f"{name}_group_end_{age}", 1) == all_ended[age])
        if partial:
            claim.holds(claim.probe(f"{name}_last_group_{age}", 1) == all_last[age])
    for lane, wait in itertools.product(range(1, phase.lanes), range(1, interval + 1)):
        age = lead + (lane - 1) * interval + wait
        claim.holds(claim.probe(f"{name}_lane_{lane}_{wait}", 1) == all_ended[age])
        if partial:
            beyond = claim.probe(f"{name}_lane_{lane}_not_last_{wait}", 1)
            claim.holds(beyond == (all_ended[age] & ~all_last[age]))
    claim.depth = 2
    return claim
