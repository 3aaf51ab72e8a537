"""The pipeline that the units of a phase share: who is where, and values that wait."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from gruhw.network.schedule import Phase


def delayed(m: Module, signal: Value, cycles: int, name: str) -> Value:
    """``signal`` as it was ``cycles`` cycles ago; control, so it is reset."""
    for age in range(1, cycles + 1):
        register = Signal(len(signal), name=f"{name}_{age}")
        m.d.sync += register.eq(signal)
        signal = register
    return signal


@dataclass(frozen=True)
class Timed:
    """A value that changes from unit to unit; cycles as in ``Schedule.ready``.

    ``last_cycle`` is the last one in which ``signal`` surely still belongs to the unit.
    """

    signal: Signal
    last_cycle: int


class Pipeline:
    """What the units of a phase share behind the accumulators.

    Parameters
    ----------
    m
        The module that it adds its registers to.
    phase
        When units enter.
    group_end, last_group
        High with the last term of a group; and if that group is the last of its phase.
    name
        Of the phase, for the names of signals.

    Attributes
    ----------
    load
        High when the accumulators of a group are complete.
    """

    def __init__(
        self, m: Module, phase: Phase, group_end: Value, last_group: Value, name: str
    ) -> None:
        self._m = m
        self._phase = phase
        self._name = name
        self._lead = phase.accumulator_cycle - phase.terms
        self.load = delayed(m, group_end, self._lead, f"{name}_group_end")
        self._tokens = [self._entry(last_group)]
        self._held: dict[tuple[str, int], Signal] = {}

    def _entry(self, last_group: Value) -> Signal:
        """High in the cycle before a unit's accumulator enters: the lanes of a group in turn."""
        m, phase = self._m, self._phase
        entering = beyond = self.load
        if phase.last_lanes < phase.lanes:
            shown = delayed(m, last_group, self._lead, f"{self._name}_last_group")
            beyond = self.load & ~shown
        entries = [entering]
        for lane in range(1, phase.lanes):
            suffix = f"{self._name}_lane_{lane}"
            entering = delayed(m, entering, phase.unit_interval, suffix)
            if phase.last_lanes < phase.lanes:
                beyond = delayed(m, beyond, phase.unit_interval, f"{suffix}_not_last")
            entries.append(entering if lane < phase.last_lanes else beyond)
        token = Signal(name=f"{self._name}_token_enter")
        m.d.comb += token.eq(Cat(*entries).any())
        return token

    def of_group(self, value: Value, name: str) -> Timed:
        """A flag that is shown with the last term of a group, for the units of that group."""
        shown = delayed(self._m, value, self._lead, name)
        flag = Signal(name=f"{name}_of_group")
        with self._m.If(self.load):
            self._m.d.sync += flag.eq(shown)
        return Timed(flag, self._phase.unit_interval - 1)

    def token(self, cycle: int) -> Value:
        """High in the given cycle of every unit, from -1: see ``Schedule.ready``."""
        while len(self._tokens) <= cycle + 1:
            age = len(self._tokens) - 1
            self._tokens.append(delayed(self._m, self._tokens[-1], 1, f"{self._name}_token_{age}"))
        return self._tokens[cycle + 1]

    def at(self, value: Timed, cycle: int) -> Signal:
        """``value`` as it can be read in the given cycle of its unit.

        A value that the next unit has overwritten by then is carried on in further registers.
        """
        interval = self._phase.unit_interval
        signal, last = value.signal, value.last_cycle
        while cycle > last:
            key = (value.signal.name, last)
            if key not in self._held:
                held = Signal(
                    signal.shape(), name=f"{value.signal.name}_held_{last}", reset_less=True
                )
                with self._m.If(self.token(last)):
                    self._m.d.sync += held.eq(signal)
                self._held[key] = held
            signal, last = self._held[key], last + interval
        return signal

    def counter(self, needed_until: int) -> Timed:
        """The number of the unit, from the cycle before its accumulator enters the pipeline."""
        phase = self._phase
        unit = Signal(range(max(2, phase.units)), name=f"{self._name}_unit")
        last = min(phase.unit_interval - 2, needed_until)
        with self._m.If(self.token(last)):
            self._m.d.sync += unit.eq(Mux(unit == phase.units - 1, 0, unit + 1))
        return Timed(unit, last)
