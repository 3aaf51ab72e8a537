"""Many cases: in a process that has imported what commands import, one after the other."""

import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from gruhw.cli import main
from hostile.cases import draw
from hostile.kinds import KINDS
from hostile.running import judge, run

COMMANDS = (
    *("gruhw.report", "gruhw.search.prepare", "gruhw.search.results", "gruhw.search.run"),
    *(
        "gruhw.learning.training",
        "gruhw_sim.verify",
        "gruhw_hw.area.calibrate",
        "gruhw_hw.synthesis",
    ),
    *("torch._dynamo", "matplotlib.font_manager", "gruhw.search.plots"),
)
"""Modules that commands import."""

Row = dict[str, str | int | float]
"""What became of a case."""


def warm_up() -> None:
    """Import what commands import, so that it need not be imported for every case."""
    for name in COMMANDS:
        import_module(name)


def try_case(seed: int, names: Sequence[str], world: Path, kept: Path, number: int) -> Row:
    """Run a case of one of the kinds of these names; one with a fault is kept below ``kept``."""
    case = draw(seed, number, [kind for kind in KINDS if kind.name in names])
    started = time.monotonic()
    outcome = run(case, world, main)
    problem = judge(case, outcome)
    if problem is not None:
        run(case, world, lambda command: None, kept / case.name)
    return {
        "number": number,
        "kind": case.kind.name,
        "mutation": case.mutation,
        "outcome": outcome.words if problem is None else "fault",
        "problem": problem or "",
        "line": outcome.err.strip()[-300:],
        "seconds": round(time.monotonic() - started, 2),
    }
