"""The two ends of the accelerator's streams, and the clock by which everything is timed.

A cycle lasts from a rising clock edge to the next. All signals are read and driven in its
middle, at the falling edge: what is driven there is what the edge that ends the cycle sees.
Python wakes only where something can happen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, First, RisingEdge, Timer, ValueChange

PERIOD = 10
"""Simulation steps of a clock cycle."""


class UnknownValueError(Exception):
    """A signal holds bits that are neither 0 nor 1."""


def read(handle: Any, signed: bool = False) -> int:
    """The integer of a signal; ports in Verilog do not know whether they are signed.

    Raises
    ------
    UnknownValueError
        If a bit is X or Z.
    """
    text = str(handle.value)
    try:
        value = int(text, 2)
    except ValueError:
        raise UnknownValueError(text.lower()) from None
    return value - (1 << len(text)) if signed and text[0] == "1" else value


class Timebase:
    """The clock, which starts with a cycle 0."""

    def __init__(self, clock: Any) -> None:
        self._origin = int(get_sim_time("step"))
        # cocotb's own clock in C: a Python one would be most of the simulation's time.
        Clock(clock, PERIOD, "step", impl="gpi").start()

    @property
    def now(self) -> int:
        """The number of the cycle."""
        return (int(get_sim_time("step")) - self._origin) // PERIOD

    async def middle(self, cycle: int) -> None:
        """Wait for the middle of ``cycle``; no time passes if it is over."""
        wait = self._origin + cycle * PERIOD + PERIOD // 2 - int(get_sim_time("step"))
        if wait > 0:
            await Timer(wait, "step")


@dataclass
class Source:
    """Sends elements; ``gaps`` gives the idle cycles before each, if there are any.

    While no element is offered, and in the bits of ``tdata`` that are not used, garbage stands.
    """

    dut: Any
    time: Timebase
    bits: int
    garbage: Random
    gaps: Iterator[int] | None = None
    accepted: int = 0
    first_cycle: int = -1
    first: Event = field(default_factory=Event)

    async def send(self, elements: Sequence[int], last: Sequence[int]) -> None:
        """Send all elements, from the middle of the running cycle on."""
        dut, width = self.dut, len(self.dut.s_axis_tdata)
        for element, end in zip(elements, last, strict=True):
            gap = next(self.gaps) if self.gaps else 0
            if gap:
                self.idle()
                await self.time.middle(self.time.now + gap)
            code = element & ((1 << self.bits) - 1)
            code |= self.garbage.getrandbits(width) >> self.bits << self.bits
            dut.s_axis_tdata.value = code
            dut.s_axis_tlast.value = end
            dut.s_axis_tvalid.value = 1
            if not read(dut.s_axis_tready):
                await RisingEdge(dut.s_axis_tready)
                await self.time.middle(self.time.now)
            if not self.accepted:
                self.first_cycle = self.time.now
                self.first.set()
            self.accepted += 1
            await self.time.middle(self.time.now + 1)
        self.idle()

    def idle(self) -> None:
        """Offer nothing."""
        self.dut.s_axis_tvalid.value = 0
        self.dut.s_axis_tdata.value = self.garbage.getrandbits(len(self.dut.s_axis_tdata))
        self.dut.s_axis_tlast.value = self.garbage.getrandbits(1)


@dataclass(frozen=True)
class Stall:
    """How long the sink lets an element wait.

    ``cycles`` are counted from the element before, or ``offered``: from when it is valid.
    """

    cycles: int
    offered: bool


@dataclass
class Sink:
    """Takes elements as they come, or after the ``stalls`` that belong to each of them."""

    dut: Any
    time: Timebase
    signed: bool
    take: Callable[[int, str, str], None]
    stalls: Iterator[Stall] | None = None
    taken: int = 0
    taken_cycle: int = -1

    async def run(self) -> None:
        """Take elements until cancelled: call ``take`` with cycle, value and last flag."""
        dut, time = self.dut, self.time
        while True:
            stall = next(self.stalls) if self.stalls else None
            if stall and stall.cycles:
                dut.m_axis_tready.value = 0
                if stall.offered:
                    await self._valid()
                await time.middle(time.now + stall.cycles)
            dut.m_axis_tready.value = 1
            await self._valid()
            self.taken_cycle = time.now
            self.taken += 1
            self.take(self.taken_cycle, self._payload(), str(dut.m_axis_tlast.value))
            await time.middle(self.taken_cycle + 1)

    async def _valid(self) -> None:
        if not read(self.dut.m_axis_tvalid):
            await RisingEdge(self.dut.m_axis_tvalid)
            await self.time.middle(self.time.now)

    def _payload(self) -> str:
        try:
            return str(read(self.dut.m_axis_tdata, self.signed))
        except UnknownValueError as error:
            return str(error)


@dataclass
class Rules:
    """Watches that an offered element stays as it is until it has been taken."""

    dut: Any
    time: Timebase
    sink: Sink
    broken: Callable[[int, str, str], None]

    async def run(self) -> None:
        """Watch until cancelled: call ``broken`` with cycle, what was offered, and what is."""
        dut = self.dut
        signals = (dut.m_axis_tvalid, dut.m_axis_tdata, dut.m_axis_tlast)
        before = self._sample()
        while True:
            await First(*(ValueChange(signal) for signal in signals))
            cycle = self.time.now
            await self.time.middle(cycle)
            now = self._sample()
            waiting = before[0] == "1" and self.sink.taken_cycle < cycle - 1
            if waiting and now != before:
                self.broken(cycle, "/".join(before), "/".join(now))
            before = now

    def _sample(self) -> tuple[str, str, str]:
        dut = self.dut
        return (
            str(dut.m_axis_tvalid.value),
            str(dut.m_axis_tdata.value),
            str(dut.m_axis_tlast.value),
        )


async def power_on(dut: Any) -> Timebase:
    """Drive all inputs, then start the clock and reset.

    An edge that found an input undriven would fill gates' registers with unknown values.
    """
    _begin_reset(dut)
    await Timer(PERIOD, "step")
    time = Timebase(dut.clk)
    await reset(dut, time)
    return time


async def reset(dut: Any, time: Timebase) -> None:
    """Reset for one cycle, with nothing offered and everything taken."""
    _begin_reset(dut)
    await time.middle(time.now + 1)
    dut.rst.value = 0


def _begin_reset(dut: Any) -> None:
    dut.s_axis_tvalid.value = 0
    dut.s_axis_tdata.value = 0
    dut.s_axis_tlast.value = 0
    dut.m_axis_tready.value = 1
    dut.rst.value = 1


def start(task: Any) -> Any:
    """Run a coroutine beside the test; an exception in it fails the test."""
    return cocotb.start_soon(task)
