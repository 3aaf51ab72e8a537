"""The two ways in which a gruhw command can fail, each with its exit status; and warnings."""

from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_LINE = 1000
"""Characters of a message; a longer one, of which a file can be the reason, loses its middle."""


def one_line(text: str) -> str:
    """``text`` as a line of moderate length that no terminal takes for commands."""
    line = " ".join(text.split())
    if len(line) > LONGEST_LINE:
        half = LONGEST_LINE // 2
        line = f"{line[:half]} ... {line[-half:]}"
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in line
    )


class GruhwError(Exception):
    """A failure that is reported to the user as one line, never as a traceback.

    The message names the file or quantity, what was required and what was found.
    """

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(GruhwError):
    """The user's input is wrong: exit status 2."""

    exit_status = 2


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Let the message of an :class:`InputError` inside begin with ``source``: the file, say."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


class ToolError(GruhwError):
    """The work failed: a tool failed or a comparison found a mismatch. Exit status 1."""

    exit_status = 1


class GruhwWarning(UserWarning):
    """Something that the user should know, although the work goes on: one line."""
