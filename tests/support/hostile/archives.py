"""What may be wrong inside an ``.npz`` whose container is whole, and with the container."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np

from hostile.damage import Change, Mutation, of_contents, trap_pickle
from hostile.values import PATHS, TRAPS

Members = list[tuple[str, bytes]]

BOMB = 1 << 26
"""Bytes of zeros that a small archive unpacks to."""

DTYPES = (
    *("<f16", "<f8", "<f4", "<f2", ">f8", ">i4", "<u8", "<i8", "|i1", "|u1", "|b1", "<c16"),
    *("|S5", "<U5", "<M8[s]", "<m8[ns]", "|V8"),
)


def _described(descr: str, shape: str, order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


SHAPE_TEXTS = (
    *("(-1,)", "(10000000000000,)", "(9223372036854775807, 2, 3)", "(3.0,)", "(3L, 2L, 3L)", "3"),
    *(
        "(True, 2, 3)",
        "(0, 5, 3)",
        "(" + "1, " * 70 + ")",
        "(" + "9" * 5000 + ",)",
        "()",
        "(1,) * 9",
    ),
)
DESCR_TEXTS = (
    *(
        "'|O'",
        "[]",
        "[()]",
        "[('a', '<f8'), ('b', '|O')]",
        "[('a', '<f8', (2, 2))]",
        "'x'",
        "'<f3'",
    ),
    *("'|S0'", "'|V0'", "'<f8,'", "'<a5'", "('<f8', 10000000000)", "None", "{'a': 1}", "['<f8']"),
)
HEADERS = (
    *("", "{", "(" * 5000, "__import__('os').system('touch trap')", "{" * 90 + "}" * 90, "\0" * 50),
    *(_described("'<f8'", shape) for shape in SHAPE_TEXTS),
    *(_described(descr, "(3,)") for descr in DESCR_TEXTS),
    *(_described("'<f8'", "(3,)", order) for order in ("1", "None", "True")),
    "{'descr': '<f8', 'shape': (3,), }",
)
REALS = (np.nan, np.inf, -np.inf, 1e308, -1e308, 1e30, 1e-320, 0.0)
INTEGERS = (-1, -(2**31), 0, 3, 1023, 1024, 2**31, 2**62)
SHAPES = ((0, 5, 3), (3, 0, 3), (3, 5, 0), (3, 5), (3,), (), (1, 1, 1, 1), (3, 5, 1025), (3, 5, 4))


def _members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _archive(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        # Not written by name, which would warn of names that come twice.
        archive.NameToInfo = _Forgetful()
        for name, content in members:
            info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
            info.filename, info.compress_type = name, method
            archive.writestr(info, content)
    return buffer.getvalue()


class _Forgetful(dict[str, zipfile.ZipInfo]):
    def __contains__(self, name: object) -> bool:
        return False


def _npy(array: Any, *, pickles: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=pickles)
    return buffer.getvalue()


def _array(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _of_one(change: Callable[[Random, str, bytes], tuple[str, bytes]]) -> Change:
    """The change of one member."""

    def apply(random: Random, data: bytes) -> bytes:
        members = _members(data)
        at = random.randrange(len(members))
        members[at] = change(random, *members[at])
        return _archive(members)

    return apply


def _of_array(change: Callable[[Random, np.ndarray], Any]) -> Change:
    return _of_one(lambda random, name, content: (name, _npy(change(random, _array(content)))))


def _without(random: Random, data: bytes) -> bytes:
    members = _members(data)
    del members[random.randrange(len(members))]
    return _archive(members)


def _zip_names() -> list[str]:
    return [name for name in (*TRAPS, *PATHS) if name.isascii()]


def _renamed(random: Random, name: str, content: bytes) -> tuple[str, bytes]:
    stem = name.removesuffix(".npy")
    names = (stem, f"../{name}", f"/{name}", f"{name}/", name.upper(), f"{name}.npy")
    return random.choice((*names, *_zip_names())), content


def _twice(random: Random, data: bytes) -> bytes:
    members = _members(data)
    name, content = random.choice(members)
    name = random.choice((name, name.removesuffix(".npy")))
    return _archive([*members, (name, random.choice((content, b"", _npy([1, 2]))))])


def _more(random: Random, data: bytes) -> bytes:
    name, content = random.choice((*_zip_names(), "x.npy", "y_val.npy", "x_val")), b"x"
    if random.randrange(2):
        content = random.choice([content for _, content in _members(data)])
    return _archive([*_members(data), (name, content)])


def _many(random: Random, data: bytes) -> bytes:
    return _archive([*_members(data), *((f"{n}.npy", _npy(n)) for n in range(500))])


def _headed(random: Random, name: str, content: bytes) -> tuple[str, bytes]:
    """Another header; the numbers are as they were."""
    header = random.choice(HEADERS).encode() + b"\n"
    version = random.choice((1, 1, 1, 2, 3))
    size = len(header) if random.randrange(10) else 60000
    start = 10 + int.from_bytes(content[8:10], "little")
    shown = version if random.randrange(10) else random.choice((0, 4, 255))
    packed = struct.pack("<H" if version == 1 else "<I", size)
    return name, b"\x93NUMPY" + bytes((shown, 0)) + packed + header + content[start:]


def _bomb(random: Random, name: str, content: bytes) -> tuple[str, bytes]:
    shape = random.choice(((BOMB // 24, 1, 3), (1, BOMB // 24, 3), (BOMB // 8,)))
    header = _described("'<f8'", str(shape)).encode() + b"\n"
    return name, b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"\0" * BOMB


def _objects(random: Random, name: str, content: bytes) -> tuple[str, bytes]:
    array = np.empty(3, dtype=object)
    array[:] = [b"x", {}, None]
    whole = _npy(array, pickles=True)
    start = 10 + int.from_bytes(whole[8:10], "little")
    return name, random.choice((whole, whole[:start] + trap_pickle(random), trap_pickle(random)))


def _typed(random: Random, array: np.ndarray) -> np.ndarray:
    dtype = np.dtype(random.choice(DTYPES))
    if random.randrange(2) and dtype.kind not in "MmV":
        return array.astype(dtype)
    return np.zeros(array.shape, dtype)


def _values(random: Random, array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    choices = REALS if array.dtype.kind == "f" else INTEGERS
    with np.errstate(all="ignore"):
        for _ in range(random.choice((1, 1, 5))):
            at = tuple(random.randrange(size) for size in array.shape)
            changed[at] = random.choice(choices)
        return changed if random.randrange(4) else np.full_like(array, random.choice(choices))


def _shaped(random: Random, array: np.ndarray) -> np.ndarray:
    return np.resize(array, random.choice((*SHAPES, array.shape[::-1], (1, *array.shape))))


def _longer(random: Random, array: np.ndarray) -> np.ndarray:
    axis = random.randrange(array.ndim)
    if random.randrange(2):
        return np.concatenate([array, array], axis)
    return np.take(array, range(array.shape[axis] - 1), axis)


def _fortran(random: Random, array: np.ndarray) -> np.ndarray:
    return np.asfortranarray(array)


def _packed(random: Random, data: bytes) -> bytes:
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    packed = bytearray(_archive(_members(data), random.choice(methods)))
    if random.randrange(2):  # and damage of it, which other packers report differently
        packed[random.randrange(200)] ^= 1 << random.randrange(8)
    return bytes(packed)


FIELDS = {4: 2, 6: 2, 8: 2, 10: 2, 16: 4, 20: 4, 24: 4, 28: 2, 30: 2, 32: 2, 36: 2, 38: 4, 42: 4}
"""Offsets and sizes of the fields of an entry of a zip archive's directory."""


def _directory(random: Random, data: bytes) -> bytes:
    """Another value of a field in the archive's directory: sizes, offsets, methods, flags."""
    changed = bytearray(data)
    at = random.choice([at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"])
    offset, size = random.choice(list(FIELDS.items()))
    value = random.choice((0, 1, 8, 9, 12, 14, 99, 255, 2 ** (8 * size) - 1, 2 ** (8 * size - 1)))
    changed[at + offset : at + offset + size] = value.to_bytes(size, "little")
    return bytes(changed)


def _plain_npy(random: Random, data: bytes) -> bytes:
    return random.choice(_members(data))[1]


def _plain_pickle(random: Random, data: bytes) -> bytes:
    return pickle.dumps(dict(_members(data)), 4)


NPZ: Mapping[str, Mutation] = {
    name: of_contents(change)
    for name, change in {
        "a missing member": _without,
        "a member renamed": _of_one(_renamed),
        "a member twice": _twice,
        "one member more": _more,
        "many members": _many,
        "another array header": _of_one(_headed),
        "a zip bomb": _of_one(_bomb),
        "an array of objects": _of_one(_objects),
        "another type": _of_array(_typed),
        "other values": _of_array(_values),
        "another shape": _of_array(_shaped),
        "another length": _of_array(_longer),
        "Fortran order": _of_array(_fortran),
        "another compression": _packed,
        "the zip directory": _directory,
        "an .npy": _plain_npy,
        "a pickle of the arrays": _plain_pickle,
    }.items()
}
"""What may be wrong with an ``.npz``."""
