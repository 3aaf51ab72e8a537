"""Everything that is proved of a network's hardware, and the report of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from rich.table import Table

from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.programs import in_parallel
from gruhw.basics.values import instance, whole_number
from gruhw.network.bound import Network
from gruhw_hw.formal.control import control_properties
from gruhw_hw.formal.operators import operator_properties
from gruhw_hw.formal.solver import Outcome, problem, prove
from gruhw_hw.formal.tables import check_table
from gruhw_hw.synthesis.yosys import tool_versions

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Proof:
    """What was proved of a network's hardware, claim by claim.

    Parameters
    ----------
    outcomes
        One for each claim, in the order of the stages and graphs; streams and control last.
    tools
        The versions of what proved it.
    """

    outcomes: tuple[Outcome, ...]
    tools: Mapping[str, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tools", FrozenMapping(self.tools))

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The claims that are not proved."""
        return tuple(outcome for outcome in self.outcomes if not outcome.proved)

    def table(self, title: str) -> Table:
        """The claims as a table for people."""
        table = Table(title=title, title_justify="left")
        for column, justify in (
            ("of", "left"),
            ("claim", "left"),
            ("cases", "right"),
            ("", "left"),
        ):
            table.add_column(column, justify=justify)  # type: ignore[arg-type]  # a literal
        for outcome in self.outcomes:
            result = outcome.failure or "proved"
            table.add_row(outcome.name, outcome.claim, f"{outcome.cases:,}", result)
        return table

    def to_json(self) -> dict[str, Any]:
        """The claims and their outcomes, for programs."""
        claims = [
            {
                "name": outcome.name,
                "claim": outcome.claim,
                "cases": outcome.cases,
                "seconds": round(outcome.seconds, 3),
                "proved": outcome.proved,
                "failure": outcome.failure,
            }
            for outcome in self.outcomes
        ]
        return {"proved": not self.failures, "claims": claims, "tools": dict(self.tools)}


def prove_network(
    network: Network, *, jobs: int | None = None, progress: Progress | None = None
) -> Proof:
    """Prove every claim about a network's operators, buffers and control.

    Parameters
    ----------
    jobs
        Proofs at a time; one a processor core if not given.
    progress
        Called with the number of claims that are done, and of all.

    Raises
    ------
    InputError
        If it is no network, or ``jobs`` no number of them.
    ToolError
        If Yosys is not installed or fails. A claim that is not proved is part of the result.
    """
    network = instance("network", network, Network)
    jobs = None if jobs is None else whole_number("jobs", jobs, 1)
    tools = tool_versions()
    tell = progress or (lambda done, total: None)
    claims = list(_claims(network))
    found = []
    for outcome in in_parallel(lambda check: check(), claims, jobs):
        found.append(outcome)
        tell(len(found), len(claims))
    return Proof(tuple(found), tools)


def _claims(network: Network) -> Iterator[Callable[[], Outcome]]:
    """What is to be proved, each ready for a thread; hardware is elaborated here, in this one."""
    for bound in network.layers:
        yield from (partial(check_table, table, bound) for table in bound.graph.tables)
    for claim in chain(operator_properties(network), control_properties(network)):
        yield partial(prove, problem(claim))
