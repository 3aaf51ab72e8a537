"""The contents of tables against the functions themselves, in arithmetic of any precision."""

import time

from mpmath import mp, mpf

from gruhw.graph import Graph, Table
from gruhw_hw.formal.solver import Outcome

DIGITS = 60
"""Decimal digits: far more than any code has, so that no rounding can be decided wrongly."""


def check_table(node: Table, graph: Graph) -> Outcome:
    """Whether every code's entry is the function's value, rounded half up and saturated."""
    started = time.monotonic()
    operand = graph[node.operand].type
    codes = operand.codes().tolist()
    found = graph.table_values(node).tolist()
    failure = ""
    with mp.workdps(DIGITS):
        for code, entry in zip(codes, found, strict=True):
            real = mpf(code) * mpf(2) ** -operand.frac
            value = mp.tanh(real) if node.function == "tanh" else 1 / (1 + mp.exp(-real))
            nearest = int(mp.floor(value * mpf(2) ** node.type.frac + mpf("0.5")))
            right = min(max(nearest, node.type.minimum), node.type.maximum)
            if entry != right:
                failure = f"entry of code {code} must be {right}, not {entry}"
                break
    claim = f"entries are {node.function}, rounded half up and saturated"
    return Outcome(node.name, claim, len(codes), time.monotonic() - started, failure)
