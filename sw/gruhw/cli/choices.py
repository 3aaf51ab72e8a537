"""The choices that options offer: the names in the tables that define them.

Every command imports these tables, and so does the completion of a shell: they must not bring
NumPy, PyTorch or Amaranth.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from gruhw.network.architecture import INITIALS, Initial
from gruhw.network.genes import PRESETS
from gruhw.network.genome import OUTPUTS, Output
from gruhw.network.parts import PARTS, PartName
from gruhw.search.objectives import OBJECTIVES
from gruhw_hw.synthesis.targets import TARGETS
from gruhw_sim.simulators import SIMULATORS, SimulatorName

SIMULATED = tuple(name for name, target in TARGETS.items() if target.has_models)
"""The targets whose netlists can be simulated."""

# Where the tables have literal types, these are what type checkers see.
if TYPE_CHECKING:
    Target: TypeAlias = str
    SimulatedTarget: TypeAlias = str
    Preset: TypeAlias = str
    Objective: TypeAlias = str
    Simulator: TypeAlias = SimulatorName
    OutputKind: TypeAlias = Output
    InitialState: TypeAlias = Initial
    Part: TypeAlias = PartName
    OneOfTargets: TypeAlias = str
    OneOfObjectives: TypeAlias = str
else:
    Target = Literal[*TARGETS]
    SimulatedTarget = Literal[*SIMULATED]
    Preset = Literal[*PRESETS]
    Objective = Literal[*OBJECTIVES]
    Simulator = Literal[*SIMULATORS]
    OutputKind = Literal[*OUTPUTS]
    InitialState = Literal[*INITIALS]
    Part = Literal[*PARTS]
    # Of options that may be repeated, Typer takes enumerations only.
    OneOfTargets = StrEnum("OneOfTargets", {name: name for name in TARGETS})
    OneOfObjectives = StrEnum("OneOfObjectives", {name: name for name in OBJECTIVES})
