"""The contents of tables against the functions themselves, in arithmetic of any precision."""

import time

from mpmath import mp, mpf

from gruhw.network.bound import BoundStage
from gruhw.network.graph import Table
from gruhw_hw.formal.solver import Outcome

DIGITS = 60
"""Decimal digits: far more than any code has, so that no rounding can be decided wrongly."""


def check_table(node: Table, bound: BoundStage) -> Outcome:
    """Whether every code's entry is the function's value, rounded half up and saturated."""
    started = time.monotonic()
    operand, result = bound.typed[node.operand], bound.typed[node.name]
    codes = operand.codes().tolist()
    found = bound.typed.table_values(node).tolist()
    failure = ""
    with mp.workdps(DIGITS):
        for code, entry in zip(codes, found, strict=True):
            real = mpf(code) * mpf(2) ** -operand.frac
            value = mp.tanh(real) if node.function == "tanh" else 1 / (1 + mp.exp(-real))
            nearest = int(mp.floor(value * mpf(2) ** result.frac + mpf("0.5")))
            right = min(max(nearest, result.minimum), result.maximum)
            if entry != right:
                failure = f"entry of code {code} must be {right}, not {entry}"
                break
    claim = f"entries are {node.function}, rounded half up and saturated"
    name = bound.stage.spell(node.name)
    return Outcome(name, claim, len(codes), time.monotonic() - started, failure)
