"""Standard-cell libraries: fetching the default one and reading what area needs from a Liberty.

Of a Liberty file only names, areas, functions and the presence of flip-flops are used
here; Yosys and OpenSTA read the rest themselves.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import isfinite
from pathlib import Path

from gruhw.basics.download import PinnedFile, fetch
from gruhw.basics.files import PathLike, as_path, read_bytes, sha256
from gruhw.errors import InputError

FOLDER_VARIABLE = "GRUHW_PDK"
"""The environment variable that names a folder with Liberty files, looked in before the cache."""

_SG13G2_NAME = "sg13g2_stdcell_typ_1p20V_25C.lib"
_SG13G2_URL = (
    "https://raw.githubusercontent.com/IHP-GmbH/IHP-Open-PDK/"
    "5cccb161f7492697cfa52eb14dc03beb00bdca9e/"
    f"ihp-sg13g2/libs.ref/sg13g2_stdcell/lib/{_SG13G2_NAME}"
)

SG13G2 = PinnedFile(
    _SG13G2_NAME,
    (_SG13G2_URL,),
    "7677a8918689f452e80405ad16a83e744709342574f2aedcc507c2758986b396",
)
"""The open 130 nm process IHP SG13G2: typical corner, 1.2 V, 25 C, Apache-2.0."""


@dataclass(frozen=True)
class StandardCell:
    """A cell of a library.

    Parameters
    ----------
    area
        In the library's unit, which is um2 by convention; ``None`` if the library gives none.
    flip_flop
        Whether it stores a bit at a clock edge.
    inputs
        Names of its input pins.
    functions
        The Boolean function of each output pin that has one, as written in the library.
    """

    area: float | None
    flip_flop: bool
    inputs: tuple[str, ...]
    functions: tuple[str, ...]


@dataclass(frozen=True)
class Liberty:
    """A standard-cell library: its own name, its file's contents, and its cells by name."""

    name: str
    data: bytes = field(repr=False)
    cells: Mapping[str, StandardCell] = field(repr=False)
    nand2_area: float

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file, in hexadecimal."""
        return sha256(self.data)


def load_liberty(path: PathLike | None = None) -> Liberty:
    """The library at ``path``, by default IHP SG13G2, which is fetched if it is not here.

    Raises
    ------
    InputError
        If the file cannot be read, is no Liberty or has no 2-input NAND with an area.
    ToolError
        If the default library cannot be downloaded.
    """
    if path is None:
        return parse_liberty(*fetch(SG13G2, folder_variable=FOLDER_VARIABLE))
    path = as_path(path, "liberty")
    return parse_liberty(path, read_bytes(path))


@dataclass
class _Group:
    """``kind (arguments) { attributes and groups }``."""

    kind: str
    arguments: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list["_Group"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.arguments[0] if self.arguments else ""


def parse_liberty(path: Path, data: bytes) -> Liberty:
    """Parse a Liberty file's contents; :class:`InputError` naming ``path`` if that fails."""
    try:
        library = _parse_groups(data.decode("utf-8", "replace"))
    except _MalformedError as error:
        raise InputError(f"{path}: line {error.line}: {error}") from None
    cells = {}
    for group in library.groups:
        if group.kind == "cell":
            cells[group.name] = _cell(path, group)
    if not cells:
        raise InputError(f"{path}: library {library.name} must have cells, but has none")
    areas = [cell.area for cell in cells.values() if cell.area and _is_nand2(cell)]
    if not areas:
        raise InputError(
            f"{path}: library {library.name} must have a 2-input NAND with an area, "
            f"the unit of gate counts, but has none"
        )
    return Liberty(library.name, data, cells, min(areas))


def _cell(path: Path, group: _Group) -> StandardCell:
    written = group.attributes.get("area")
    try:
        area = None if written is None else float(written)
        valid = area is None or (isfinite(area) and area >= 0)
    except ValueError:
        valid = False
    if not valid:
        raise InputError(
            f"{path}: area of cell {group.name} must be a number, 0 or more, not {written!r}"
        )
    pins = [inner for inner in group.groups if inner.kind == "pin"]
    return StandardCell(
        area,
        any(inner.kind in ("ff", "ff_bank") for inner in group.groups),
        tuple(pin.name for pin in pins if pin.attributes.get("direction") == "input"),
        tuple(pin.attributes["function"] for pin in pins if "function" in pin.attributes),
    )


class _MalformedError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


_TOKEN = re.compile(
    r"""(?P<blank>(?:\s|\\\r?\n|/\*.*?\*/|//[^\n]*)+)
      | "(?P<string>(?:[^"\\]|\\.)*)"
      | (?P<mark>[(){}:;,])
      | (?P<word>(?:[^\s"(){}:;,\\/]|/(?![*/]))+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    line: int
    text: str
    mark: bool


def _tokens(text: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _MalformedError(line, f"must be Liberty, but has {text[position]!r}")
        if match.lastgroup != "blank":
            string = match["string"]
            token_text = match[0] if string is None else string
            yield _Token(line, token_text, match.lastgroup == "mark")
        line += match[0].count("\n")
        position = match.end()
    yield _Token(line, "", True)


def _parse_groups(text: str) -> _Group:
    """The outermost group of a Liberty file, which must be a library."""
    tokens = deque(_tokens(text))
    root = _Group("", [])
    stack = [root]
    while not ((token := tokens.popleft()).mark and token.text == ""):
        if token.mark and token.text == ";":
            continue
        if token.mark and token.text == "}" and len(stack) > 1:
            stack.pop()
            continue
        if token.mark:
            raise _MalformedError(token.line, f"must have a name, not {token.text!r}")
        _parse_statement(token, tokens, stack)
    if len(stack) > 1:
        unfinished = f"{stack[-1].kind} ({stack[-1].name})"
        raise _MalformedError(token.line, f"the file must close {unfinished}, but it ends here")
    if len(root.groups) != 1 or root.groups[0].kind != "library":
        kinds = ", ".join(group.kind for group in root.groups) or "nothing"
        raise _MalformedError(1, f"must hold one library, not {kinds}")
    return root.groups[0]


def _parse_statement(name: _Token, tokens: deque[_Token], stack: list[_Group]) -> None:
    """What follows ``name``: ``: value ;``, ``(arguments) ;`` or ``(arguments) {``."""
    following = tokens.popleft()
    if following.mark and following.text == ":":
        # Real libraries forget the semicolon here and there; then the value ends with its line.
        value = [tokens.popleft()]
        if value[0].mark:
            found = value[0].text or "end"
            raise _MalformedError(value[0].line, f"{name.text} must have a value, not {found!r}")
        while not tokens[0].mark and tokens[0].line == value[0].line:
            value.append(tokens.popleft())
        stack[-1].attributes[name.text] = " ".join(token.text for token in value)
    elif following.mark and following.text == "(":
        arguments: list[str] = []
        while not ((token := tokens.popleft()).mark and token.text in "){};"):
            if not token.mark:
                arguments.append(token.text)
        if token.text != ")":
            raise _MalformedError(
                token.line, f"{name.text} must close its '(', not {token.text or 'end'!r}"
            )
        ending = tokens.popleft()
        if ending.mark and ending.text == "{":
            group = _Group(name.text, arguments)
            stack[-1].groups.append(group)
            stack.append(group)
        elif not (ending.mark and ending.text == ";"):
            raise _MalformedError(
                ending.line,
                f"{name.text} (...) must be followed by '{{' or ';', not {ending.text or 'end'!r}",
            )
    else:
        raise _MalformedError(
            following.line,
            f"{name.text} must be followed by ':' or '(', not {following.text or 'end'!r}",
        )


def _is_nand2(cell: StandardCell) -> bool:
    """Whether the cell has two inputs and one output, low only when both inputs are high."""
    if len(cell.inputs) != 2 or len(cell.functions) != 1 or cell.flip_flop:
        return False
    table = [
        _evaluate(cell.functions[0], dict(zip(cell.inputs, values, strict=True)))
        for values in product((False, True), repeat=2)
    ]
    return table == [True, True, True, False]


_OPERATORS = ({"+", "|"}, {"*", "&"}, {"^"})
"""Binary operators of Liberty functions, the loosest first; a space also means ``&``."""


def _evaluate(function: str, values: Mapping[str, bool]) -> bool | None:
    """The value of a Liberty function, or ``None`` if it is not one of ``values`` alone."""
    tokens = re.findall(r"[A-Za-z_]\w*|\S", function)
    tokens.append("")

    def binary(level: int) -> bool:
        if level == len(_OPERATORS):
            return unary()
        left = binary(level + 1)
        while tokens[0] in _OPERATORS[level] or (level == 1 and _starts_operand(tokens[0])):
            operator = tokens.pop(0) if tokens[0] in _OPERATORS[level] else "&"
            right = binary(level + 1)
            if operator in "+|":
                left = left or right
            elif operator == "^":
                left = left != right
            else:
                left = left and right
        return left

    def unary() -> bool:
        token = tokens.pop(0)
        if token == "!":
            return not unary()
        if token == "(":
            result = binary(0)
            if tokens.pop(0) != ")":
                raise KeyError(token)
        else:
            result = token == "1" if token in ("0", "1") else values[token]
        while tokens[0] == "'":
            tokens.pop(0)
            result = not result
        return result

    try:
        result = binary(0)
    except (KeyError, IndexError, RecursionError):
        return None
    return result if tokens == [""] else None


def _starts_operand(token: str) -> bool:
    return token in ("!", "(") or token[:1].isalnum() or token[:1] == "_"
