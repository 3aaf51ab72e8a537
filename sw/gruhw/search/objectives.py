"""What a search can minimise besides its loss: costs of an accelerator, by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from gruhw.errors import InputError
from gruhw_hw.synthesis.targets import TARGETS

# The command line offers the names below: what costs are computed with is imported late.
if TYPE_CHECKING:
    from gruhw.network.bound import Network
    from gruhw.search.accelerators import Accelerator
    from gruhw.search.front import Number
    from gruhw_hw.area import AreaModel

DEFAULT_TARGET = "ice40"
"""The target that LUTs are counted for, if none is chosen."""

CELLS = "asic"
"""The target that has an area instead of LUTs."""

MOST_COSTS = 3
"""Costs that a search minimises at once; accuracy comes on top."""


class Cost(Protocol):
    """A figure to minimise; can be pickled.

    Attributes
    ----------
    name
        As users give it.
    label
        What it is, for people.
    unit
        Of the figure.
    identity
        All that the figures depend on besides the network.
    estimated
        Whether synthesis finds a figure that this one only estimates.
    """

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def estimated(self) -> bool: ...

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        """Do once what takes long; ``progress`` takes the steps that are done, and all steps."""
        ...

    def __call__(self, accelerator: "Accelerator") -> "Number":
        """The figure of an accelerator."""
        ...

    def measure(self, network: "Network") -> "Number | None":
        """The figure that real synthesis finds; None if this cost is no estimate."""
        ...


@dataclass(frozen=True)
class ExactCost:
    """A cost that follows from the network alone.

    Parameters
    ----------
    name, label, unit
        As in :class:`Cost`.
    steps
        Steps of the sequence that it is counted for; 0 if it does not depend on it.
    count
        Computes it, from the accelerator and ``steps``; a function of a module.
    """

    name: str
    label: str
    unit: str
    steps: int
    count: "Callable[[Accelerator, int], Number]"

    @property
    def estimated(self) -> bool:
        return False

    @property
    def identity(self) -> str:
        return f"{self.name} of {self.steps} steps" if self.steps else self.name

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        pass

    def __call__(self, accelerator: "Accelerator") -> "Number":
        return self.count(accelerator, self.steps)

    def measure(self, network: "Network") -> "Number | None":
        return None


@dataclass(frozen=True)
class AreaCost:
    """LUTs of a device or standard-cell area: estimated while searching, then synthesised.

    Parameters
    ----------
    name, label, unit
        As in :class:`Cost`.
    target
        A name of :data:`gruhw_hw.synthesis.TARGETS`.
    resource
        A field of :class:`gruhw_hw.synthesis.Resources`.
    """

    name: str
    label: str
    unit: str
    target: str
    resource: str

    @property
    def estimated(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        return f"{self.resource} of {self.target}, model {_area_model(self.target).fingerprint}"

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        """Calibrate the area model, unless that is done: then it is found in the cache."""
        _load_area_model(self.target, progress)

    def __call__(self, accelerator: "Accelerator") -> "Number":
        (estimate,) = _area_model(self.target).estimate_measures([accelerator.measures])
        found: float = getattr(estimate, self.resource)
        return round(found)

    def measure(self, network: "Network") -> "Number | None":
        found: float = getattr(_synthesised(network, self.target), self.resource)
        return round(found)


@cache
def _area_model(target: str) -> "AreaModel":
    return _load_area_model(target)


def _load_area_model(
    target: str, progress: Callable[[int, int], None] | None = None
) -> "AreaModel":
    # It brings NumPy tables and Amaranth, which other costs need not wait for.
    from gruhw_hw.area import AreaModel

    return AreaModel.load(target, progress=progress)


def with_unit(cost: Cost) -> str:
    """The cost's label with its unit, for axes and tables."""
    return cost.label if cost.unit in cost.label else f"{cost.label} / {cost.unit}"


def _synthesised(network: "Network", target: str) -> Any:
    # Imported here, because Amaranth takes a second that most searches need not wait.
    from gruhw_hw.synthesis import synthesise
    from gruhw_hw.top import TOP, generate_verilog

    verilog = generate_verilog(network).verilog
    return synthesise(verilog, TOP, target, by_operator=False).total


def _size(accelerator: "Accelerator", steps: int) -> int:
    from gruhw.network.bound import weight_bits

    return weight_bits(accelerator.genome)


def _memory(accelerator: "Accelerator", steps: int) -> int:
    return accelerator.measures.memory_bits


def _cycles(accelerator: "Accelerator", steps: int) -> int:
    from gruhw.network.planning import schedule_of

    return schedule_of(accelerator.network).sequence_interval(steps)


def _energy(accelerator: "Accelerator", steps: int) -> int:
    from gruhw_hw.energy import sequence_energy

    return round(sequence_energy(accelerator.network, steps))


def _make_size(target: str, steps: int) -> Cost:
    return ExactCost("size", "model size", "weight bits", 0, _size)


def _make_luts(target: str, steps: int) -> Cost:
    from gruhw_hw.area.calibration import MODELLED  # brings Amaranth, as the estimates do

    if target not in (counted := [name for name in MODELLED if name != CELLS]):
        raise InputError(
            f"target of objective luts must be one of {', '.join(counted)}, not {target!r}"
        )
    return AreaCost("luts", f"{target} LUTs", "LUTs", target, "luts")


def _make_area(target: str, steps: int) -> Cost:
    return AreaCost("area", "standard-cell area", "um2", CELLS, "area_um2")


def _make_memory(target: str, steps: int) -> Cost:
    return ExactCost("memory", "memory", "bits", 0, _memory)


def _make_cycles(target: str, steps: int) -> Cost:
    return ExactCost("cycles", f"cycles a sequence of {steps} steps", "cycles", steps, _cycles)


def _make_energy(target: str, steps: int) -> Cost:
    return ExactCost("energy", f"energy a sequence of {steps} steps (proxy)", "pJ", steps, _energy)


_Maker: TypeAlias = Callable[[str, int], Cost]

OBJECTIVES: Mapping[str, _Maker] = {
    "size": _make_size,
    "luts": _make_luts,
    "area": _make_area,
    "memory": _make_memory,
    "cycles": _make_cycles,
    "energy": _make_energy,
}
"""What makes each cost, by name, from a target and the steps of a sequence."""


def make_costs(names: Sequence[str], *, target: str = DEFAULT_TARGET, steps: int) -> list[Cost]:
    """The costs of these names, in their order.

    Parameters
    ----------
    names
        Of :data:`OBJECTIVES`, each once.
    target
        What LUTs are counted for.
    steps
        Steps of the sequence that cycles and energy are counted for.

    Raises
    ------
    InputError
        If a name or the target is unknown, or there are too many or too few names.
    """
    if not 1 <= len(names) <= MOST_COSTS or len(set(names)) < len(names):
        raise InputError(
            f"objectives must be 1 to {MOST_COSTS} different ones, not {', '.join(names) or 'none'}"
        )
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(f"objective must be one of {', '.join(OBJECTIVES)}, not {name!r}")
    if target not in TARGETS:
        raise InputError(f"target must be one of {', '.join(TARGETS)}, not {target!r}")
    return [OBJECTIVES[name](target, steps) for name in names]
