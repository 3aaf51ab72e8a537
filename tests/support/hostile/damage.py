"""Ways to damage any file, whatever it holds, and things that are no files at all."""

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TypeAlias

Mutation: TypeAlias = Callable[[Random, Path], None]
"""Changes the file at a path."""

Change: TypeAlias = Callable[[Random, bytes], bytes]
"""Changes the contents of a file."""

SPARSE = 1 << 43
"""The size of a file that has holes only: more than any memory."""


def of_contents(change: Change) -> Mutation:
    """The mutation that applies ``change`` to what the file holds."""

    def mutate(random: Random, path: Path) -> None:
        path.write_bytes(change(random, path.read_bytes()))

    return mutate


def place(random: Random, data: bytes) -> int:
    """Any place in ``data``; its first bytes, where most formats have their headers, more often."""
    return random.randrange(1 + min(len(data), random.choice((16, 256, len(data)))))


def span(random: Random, data: bytes) -> slice:
    """A short part of ``data``, or a long one."""
    first = place(random, data)
    return slice(first, first + random.choice((1, 2, 4, 8, 64, 1000)))


def _truncate(random: Random, data: bytes) -> bytes:
    ends = (1, 8, len(data) // 2, len(data) - 1, len(data) - 22, place(random, data))
    return data[: random.choice(ends)]


def _flip(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[min(place(random, data), len(data) - 1)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, data: bytes) -> bytes:
    part = span(random, data)
    return data[: part.start] + random.randbytes(part.stop - part.start) + data[part.stop :]


def _insert(random: Random, data: bytes) -> bytes:
    at = place(random, data)
    return data[:at] + random.randbytes(random.choice((1, 8, 100))) + data[at:]


def _delete(random: Random, data: bytes) -> bytes:
    part = span(random, data)
    return data[: part.start] + data[part.stop :]


def _duplicate(random: Random, data: bytes) -> bytes:
    part = span(random, data)
    return data[: part.stop] + data[part] + data[part.stop :]


def _run(random: Random, data: bytes) -> bytes:
    part = span(random, data)
    filler = random.choice((b"\0", b"\xff", b" ", b"\n"))
    return data[: part.start] + filler * (part.stop - part.start) + data[part.stop :]


def _swap(random: Random, data: bytes) -> bytes:
    size = random.choice((1, 4, 16, 512))
    one, other = sorted(random.randrange(max(1, len(data) // size)) * size for _ in range(2))
    first, second = data[one : one + size], data[other : other + size]
    return data[:one] + second + data[one + size : other] + first + data[other + size :]


def _append(random: Random, data: bytes) -> bytes:
    return data + random.choice((b"\0", b"\n", b"}", data, random.randbytes(100)))


def _prepend(random: Random, data: bytes) -> bytes:
    return random.choice((b"\0", b"\n", b"\xef\xbb\xbf", b"#!/bin/sh\n", data)) + data


def _empty(random: Random, data: bytes) -> bytes:
    return b""


class _Trap:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch trap",)


def trap_pickle(random: Random, data: bytes = b"") -> bytes:
    """A pickle that makes a file ``trap`` where it is loaded."""
    return pickle.dumps(_Trap(), protocol=random.randrange(5))


def _other_file(random: Random, path: Path) -> None:
    """The contents of some other file."""
    others = sorted(file for file in Path().rglob("*") if file.is_file() and file != path)
    path.write_bytes(random.choice(others).read_bytes())


CONTENTS: Mapping[str, Mutation] = {
    "truncated": of_contents(_truncate),
    "bits flipped": of_contents(_flip),
    "overwritten": of_contents(_overwrite),
    "inserted": of_contents(_insert),
    "deleted": of_contents(_delete),
    "duplicated": of_contents(_duplicate),
    "run of one byte": of_contents(_run),
    "blocks swapped": of_contents(_swap),
    "appended": of_contents(_append),
    "prepended": of_contents(_prepend),
    "empty": of_contents(_empty),
    "a pickle": of_contents(trap_pickle),
    "another file": _other_file,
}
"""Damage to what a file holds."""


def _sparse(random: Random, path: Path) -> None:
    os.truncate(path, SPARSE)


def _absent(random: Random, path: Path) -> None:
    path.unlink()


def _folder(random: Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(random: Random, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(target: str) -> Mutation:
    def mutate(random: Random, path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return mutate


def _link_loop(random: Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _unreadable(random: Random, path: Path) -> None:
    path.chmod(0)


UNREADABLE = "unreadable"
"""The mutation that the superuser would not notice."""

NO_FILES: Mapping[str, Mutation] = {
    "absent": _absent,
    "a folder": _folder,
    "a pipe": _pipe,
    "an endless device": _link("/dev/zero"),
    "an empty device": _link("/dev/null"),
    "a dangling link": _link("nowhere"),
    "a link loop": _link_loop,
    "larger than memory": _sparse,
    UNREADABLE: _unreadable,
}
"""What a path may lead to instead of an ordinary file."""
