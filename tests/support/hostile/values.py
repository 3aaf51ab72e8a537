"""Hostile names, and JSON documents with something wrong in one place."""

import json
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, TypeAlias

from hostile.damage import Change, Mutation, of_contents

TRAPS = (
    """a b$(touch trap)';touch trap;'";touch trap;" #[b]x %s *é""",
    "`touch trap`",
    "x; touch trap",
    "x\n!touch trap\n",
    "| touch trap",
    "-o",
    "--help",
    "-",
    "%s%n",
    "$PATH",
    "module",
    "endmodule",
    "\\escaped ",
    "x'y\"z",
    "\x1b[2J",
    "\u202e\u2028x",
    "a\tb",
    "*",
    "~",
    "[bold]x[/bold]",
    "[/]",
    "aux.",
    "é" * 100,
    "\udcff",
)
"""Names that shells, Yosys, Verilog, printf, terminals or Rich would read as something else."""

PATHS = ("..", ".", "", "/", "../x", "/etc/passwd", "/dev/zero", "a/../../b", "a\\b", "x\0y", "~/x")
"""Paths that lead elsewhere."""

Raw: TypeAlias = str
"""A piece of JSON text, which need not be valid."""

NUMBERS: tuple[Raw, ...] = (
    *("0", "-1", "1", "2", "-0", "1.0", "0.5", "1e400", "-1e400", "1e-400", "NaN", "-Infinity"),
    *(str(2**31), str(2**63), str(-(2**63)), str(2**64), str(10**400), "1" * 5000, "0x10", "1_0"),
)
DEPTH = 100_000
STRUCTURES: tuple[Raw, ...] = (
    *("null", "true", "false", "[]", "{}", "[1]", '{"a": 1}', "[[]]", "", "x", "'x'", "/**/1"),
    "[" * DEPTH + "]" * DEPTH,
    '{"a":' * DEPTH + "1" + "}" * DEPTH,
    *("[" * depth + "]" * depth for depth in (300, 600, 900, 980)),
    '{"a":' * 300 + "1" + "}" * 300,
    "[" + "0," * 100_000 + "0]",
)
STRINGS: tuple[Raw, ...] = (
    *('""', '"x"', '"8"', r'"\ud800"', r'"\ud800.npz"', r'"\u0000"', r'"x\u0000.npz"', r'"\x"'),
    '"' + "x" * 1_000_000 + '"',
    '"' + "x" * 300 + '.npz"',
    '"' + "x/" * 3000 + '.npz"',
    '"unclosed',
    *(json.dumps(name) for name in (*TRAPS, *PATHS)),
)
VALUES = {"numbers": NUMBERS, "structures": STRUCTURES, "strings": STRINGS}

_MARK = "a place for raw text"


def paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON document, the document's own first."""
    yield path
    if isinstance(content, dict | list):
        names = content if isinstance(content, dict) else range(len(content))
        for name in names:
            yield from paths(content[name], (*path, name))


def _parts(content: Any) -> list[tuple[Any, ...]]:
    return list(paths(content))[1:]


def _changed(content: Any, path: tuple[Any, ...], change: Callable[[Any, Any], Any]) -> Any:
    """``content`` with the container of ``path`` changed by ``change(container, last name)``."""
    copied = json.loads(json.dumps(content))
    parent = copied
    for name in path[:-1]:
        parent = parent[name]
    change(parent, path[-1])
    return copied


def replaced(random: Random, content: Any, values: tuple[Raw, ...]) -> str:
    """The text of a document in which one value is one of ``values``."""
    chosen, raw = random.choice(list(paths(content))), random.choice(values)
    if not chosen:
        return raw

    def put(parent: Any, name: Any) -> None:
        parent[name] = _MARK

    return json.dumps(_changed(content, chosen, put)).replace(f'"{_MARK}"', raw)


def _without(random: Random, content: Any) -> str:
    def drop(parent: Any, name: Any) -> None:
        del parent[name]

    return json.dumps(_changed(content, random.choice(_parts(content)), drop))


def _with_more(random: Random, content: Any) -> str:
    name = random.choice((*TRAPS, *PATHS, "x", "format", "\ud800"))
    raw = random.choice((*NUMBERS, *STRUCTURES, *STRINGS))

    def add(parent: Any, _: Any) -> None:
        if isinstance(parent, dict):
            parent[name] = _MARK
        else:
            parent.append(_MARK)

    return json.dumps(_changed(content, random.choice(_parts(content)), add)).replace(
        f'"{_MARK}"', raw
    )


def _twice(random: Random, content: Any) -> str:
    chosen = random.choice([path for path in _parts(content) if isinstance(path[-1], str)])
    raw = random.choice((*NUMBERS, *STRINGS[:8]))

    def rename(parent: Any, name: Any) -> None:
        parent[_MARK] = parent.pop(name)

    name = json.dumps(chosen[-1])
    text = json.dumps(_changed(content, chosen, rename))
    return text.replace(f'"{_MARK}"', f"{name}: {raw}, {name}", 1)


def _exchanged(random: Random, content: Any) -> str:
    values = [_value(content, path) for path in paths(content)]

    def put(parent: Any, name: Any) -> None:
        parent[name] = random.choice(values)

    return json.dumps(_changed(content, random.choice(_parts(content)), put))


def _value(content: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        content = content[name]
    return content


def _replacing(values: tuple[Raw, ...]) -> Callable[[Random, Any], str]:
    return lambda random, content: replaced(random, content, values)


DOCUMENTS: Mapping[str, Callable[[Random, Any], str]] = {
    **{f"{kind} in JSON": _replacing(values) for kind, values in VALUES.items()},
    "a missing name": _without,
    "one name more": _with_more,
    "a name twice": _twice,
    "values exchanged": _exchanged,
}
"""What may be wrong in a JSON document, whose new text each returns."""

ENCODINGS = ("utf-8-sig", "utf-16", "utf-32-be", "latin-1")


def _encoded(random: Random, data: bytes) -> bytes:
    return data.decode().encode(random.choice(ENCODINGS), "replace")


def _not_unicode(random: Random, data: bytes) -> bytes:
    at = random.choice([place for place, byte in enumerate(data) if byte == ord('"')]) + 1
    return data[:at] + random.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\0")) + data[at:]


def _of_document(change: Callable[[Random, Any], str]) -> Change:
    return lambda random, data: change(random, json.loads(data)).encode("utf-8", "surrogatepass")


JSON: Mapping[str, Mutation] = {
    **{name: of_contents(_of_document(change)) for name, change in DOCUMENTS.items()},
    "another encoding": of_contents(_encoded),
    "no Unicode": of_contents(_not_unicode),
}
"""What may be wrong with a JSON file."""


def change_document(random: Random, content: Any) -> str:
    """The text of a JSON document with anything wrong in it."""
    return random.choice(list(DOCUMENTS.values()))(random, content)
