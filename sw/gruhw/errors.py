"""The two ways in which a gruhw command can fail, each with its exit status."""


class GruhwError(Exception):
    """A failure that is reported to the user as one line, never as a traceback.

    The message names the file or quantity, what was required and what was found.
    """

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(GruhwError):
    """The user's input is wrong: exit status 2."""

    exit_status = 2


class ToolError(GruhwError):
    """The work failed: a tool failed or a comparison found a mismatch. Exit status 1."""

    exit_status = 1
