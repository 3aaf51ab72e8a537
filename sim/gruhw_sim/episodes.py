"""Sequences with stalls and resets in any cycle, through a compiled simulation.

An *episode* lasts from one reset to the next. The first one sends every sequence without a stall,
and everything is compared in its exact cycle, the result of every operator too. Those that follow
may stall, which changes cycles but no value, and may be cut short by the next reset, after which
everything, cycles included, must be as if nothing had been before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gruhw.network.graph import INPUT
from gruhw_hw.top import axi_width
from gruhw_sim.comparison import NOBODY, Comparison
from gruhw_sim.expectations import Scenario
from gruhw_sim.harness import END, FREE, OFFER, RESET, TAKE, Harness, Trace, Words
from gruhw_sim.report import Mismatch


@dataclass(frozen=True)
class Regime:
    """One kind of stalls.

    Parameters
    ----------
    cycles
        How long it lasts.
    offer, take
        The probability in percent that the source has an element, and that the sink is ready.
    """

    cycles: int
    offer: int
    take: int


@dataclass(frozen=True)
class Episode:
    """Sequences between two resets.

    Parameters
    ----------
    first, end
        The sequences from ``first`` up to ``end`` are sent.
    regimes
        The stalls, one kind after the other; none after them.
    cut
        The cycles until the next reset; None if everything comes out before.
    reset_cycles
        How long the reset lasts that ends the episode.
    """

    first: int
    end: int
    regimes: tuple[Regime, ...] = ()
    cut: int | None = None
    reset_cycles: int = 1


@dataclass(frozen=True)
class Outcome:
    """What a run compared, and its first mismatch."""

    cycles: int
    values: int
    mismatch: Mismatch | None


def run_episodes(
    harness: Harness,
    folder: Path,
    scenario: Scenario,
    episodes: Sequence[Episode],
    random: np.random.Generator,
) -> Outcome:
    """Run all sequences without a stall, then ``episodes``, and compare with the reference.

    Parameters
    ----------
    folder
        Where files of the run go.
    random
        Draws the stalls, and what stands in the bits of the input port that nobody reads.
    """
    everything = Episode(0, len(scenario.lengths))
    planned = [everything, *episodes]
    comparisons = [Comparison.of(scenario.part(e.first, e.end)) for e in planned]
    elements = np.concatenate([_episode_elements(c, random) for c in comparisons])
    plans = [_plan(e, c.cycles, random) for e, c in zip(planned, comparisons, strict=True)]
    plan = b"".join(plans)
    whole = comparisons[0]
    window = (0, whole.cycles - 1)
    trace = harness.run(folder, elements, len(plan), whole.watched, window, plan)
    values = len(whole.scenario.probes(len(scenario.lengths))["probe_value"])
    mismatch, begin, free = None, -1, 0
    for number, (episode, comparison) in enumerate(zip(planned, comparisons, strict=True)):
        start, end = (int(cycle) for cycle in trace.episodes[number].tolist())
        start = min(start, end)
        part = _between(trace, begin, end, start)
        values += len(part.outputs) + sum(map(len, part.states))
        late = 0 if episode.regimes else start - free
        mismatch = _compare(episode, comparison, part, end - start, late)
        if number == 0 and (mismatch is None or mismatch.quantity == "value"):
            mismatch = comparison.wrong_result(trace.window) or mismatch
        if mismatch is not None:
            mismatch = mismatch.moved(sequence=episode.first, cycle=start)
            mismatch = replace(mismatch, test=f"episode {number}")
            break
        begin, free = end, end + episode.reset_cycles
    return Outcome(len(plan), values, mismatch)


def _episode_elements(comparison: Comparison, random: np.random.Generator) -> Words:
    """The input elements of an episode; what nobody reads in the port is random."""
    kind = comparison.scenario.network.input_type
    elements = comparison.elements.copy()
    unread = random.integers(1 << (axi_width(kind) - kind.bits), size=len(elements))
    elements |= unread.astype(np.uint64) << np.uint64(kind.bits)
    elements[-1] |= np.uint64(1 << END)
    return elements


def _plan(episode: Episode, cycles: int, random: np.random.Generator) -> bytes:
    """A byte for each cycle of an episode and of the reset after it."""
    stalled = [
        OFFER * (random.random(regime.cycles) * 100 < regime.offer)
        + TAKE * (random.random(regime.cycles) * 100 < regime.take)
        for regime in episode.regimes
    ]
    # Once nothing stalls any more, the rest cannot take longer than all does without stalls.
    chosen = np.concatenate([*stalled, np.full(cycles, FREE)]).astype(np.uint8)
    if episode.cut is not None:
        chosen = np.resize(np.pad(chosen, (0, episode.cut), constant_values=FREE), episode.cut)
    reset = np.full(episode.reset_cycles, FREE | RESET, dtype=np.uint8)
    return np.concatenate([chosen, reset]).tobytes()


def _between(trace: Trace, begin: int, end: int, start: int) -> Trace:
    """What came after cycle ``begin`` and before ``end``, its cycles counted from ``start``."""

    def part(rows: Words) -> Words:
        cycles = rows[:, 0].astype(np.int64)
        inside = (cycles > begin) & (cycles < end)
        found = rows[inside].copy()
        found[:, 0] = (cycles[inside] - start).astype(np.uint64)
        return found

    return replace(
        trace,
        outputs=part(trace.outputs),
        states=tuple(map(part, trace.states)),
        broken=part(trace.broken),
    )


def _compare(
    episode: Episode, comparison: Comparison, trace: Trace, end: int, late: int
) -> Mismatch | None:
    """The first mismatch of an episode.

    It lasted ``end`` cycles from its first element on, which was accepted ``late`` cycles after
    it could be.
    """
    if late:
        place = (comparison.scenario.operators.index(INPUT), 0, 0, 0)
        return comparison.mismatch("cycle", place, 0, "the first after the reset", f"{late} later")
    if len(trace.broken):
        cycle = int(trace.broken[0, 0])
        return comparison.mismatch(
            "rule", NOBODY, cycle, "an element that stays until it is taken", "another"
        )
    return comparison.first_mismatch(
        trace, timed=not episode.regimes, end=None if episode.cut is None else end
    )
