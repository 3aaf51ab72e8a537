"""Messages: always one line, short enough to read, and nothing that a terminal would obey."""

import pytest

from gruhw.errors import LONGEST_LINE, GruhwError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.json:\n  must\tbe", "a.json: must be"),
        ("\x1b[2Jx\x00\x07: é 日", r"\x1b[2Jx\x00\x07: é 日"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\udcff.npz", r"\udcff.npz"),
    ],
)
def test_messages_are_one_printable_line(text: str, line: str) -> None:
    assert str(GruhwError(text)) == line


def test_long_messages_keep_their_start_and_their_end() -> None:
    line = str(GruhwError(f"a.json: width must be 1, not {'9' * 10**6}: see"))
    assert line.startswith("a.json: width must be 1, not 9")
    assert line.endswith("9: see")
    assert len(line) == LONGEST_LINE + len(" ... ")
