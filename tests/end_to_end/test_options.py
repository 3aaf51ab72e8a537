"""The choices that the command line offers are those that the packages behind it have."""

from typing import get_args

from gruhw.cli.hardware import OutputKind, Simulator, Target
from gruhw.cli.search import Objective, PresetName
from gruhw.genome import PRESETS, Output
from gruhw.search.front import Rule, Selection
from gruhw.search.objectives import OBJECTIVES
from gruhw_hw.synthesis.targets import TARGETS
from gruhw_sim.simulators import SimulatorName


def test_targets() -> None:
    assert [str(target) for target in Target] == list(TARGETS)


def test_simulators() -> None:
    assert {str(simulator) for simulator in Simulator} == set(get_args(SimulatorName))


def test_outputs() -> None:
    assert {str(output) for output in OutputKind} == set(get_args(Output))


def test_objectives() -> None:
    assert [str(objective) for objective in Objective] == list(OBJECTIVES)


def test_presets() -> None:
    assert {str(preset) for preset in PresetName} == set(PRESETS)


def test_rules() -> None:
    assert {Selection.parse("budget=1").rule, "smallest", "knee", "max-accuracy"} == set(
        get_args(Rule)
    )
