"""The command ``gruhw search`` with the evaluator of :mod:`toy_search`."""

from command_line import CommandLine

ARGUMENTS = ("search", "--task", "task.npz", "--out", "out", "--workers", "1")
SMALL = ("--population", "12", "--generations", "4", "--finalists", "4")
"""A search of the task that the fixture ``toy`` writes, and a small one."""


def refuses(gruhw: CommandLine, line: str, *arguments: str) -> None:
    """Run a command that must fail, with this as its last line."""
    result = gruhw(*arguments)
    lines = result.err.splitlines()
    assert (result.status, result.out, lines[-1]) == (2, "", f"gruhw: {line}")
