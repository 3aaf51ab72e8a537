"""What may be wrong inside a safetensors file."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from hostile.archives import REALS, SHAPES
from hostile.damage import Mutation, of_contents
from hostile.values import TRAPS, change_document

METADATA = "__metadata__"

DTYPES = (
    *("F64", "F16", "BF16", "I64", "I32", "U8", "I8", "BOOL", "F8_E4M3", "C64", "U64", "F4", "x"),
)
SHAPE_VALUES: tuple[Any, ...] = ([], [0], [-1], [2**63], [2**32, 2**32], [1.5], "x", [1] * 100)
OFFSETS: tuple[Any, ...] = ([0, 0], [8, 0], [0, 2**63], [-8, 8], [0], [0, 8, 16], "x", [0, 10**6])


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def _join(header: str | dict[str, Any], tensors: bytes) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header)
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "little") + encoded + tensors


def _names(header: dict[str, Any]) -> list[str]:
    return [name for name in header if name != METADATA]


def _header(random: Random, data: bytes) -> bytes:
    header, tensors = _split(data)
    return _join(change_document(random, header), tensors)


def _metadata(random: Random, data: bytes) -> bytes:
    header, tensors = _split(data)
    (name,) = header[METADATA]
    header[METADATA][name] = change_document(random, json.loads(header[METADATA][name]))
    return _join(header, tensors)


def _header_size(random: Random, data: bytes) -> bytes:
    sizes = (0, 1, len(data) - 8, len(data), 2**31, 2**63 - 1, 2**64 - 1, random.randrange(2000))
    return random.choice(sizes).to_bytes(8, "little") + data[8:]


def _described(random: Random, data: bytes) -> bytes:
    """Another type, shape or place of a tensor."""
    header, tensors = _split(data)
    entry = header[random.choice(_names(header))]
    kind = random.choice(("dtype", "shape", "data_offsets"))
    shape = entry["shape"]
    shapes = (*SHAPE_VALUES, shape[::-1], [1, *shape], [*shape, 1])
    values = {"dtype": DTYPES, "shape": shapes, "data_offsets": OFFSETS}[kind]
    entry[kind] = random.choice(values)
    return _join(header, tensors)


def _values(random: Random, data: bytes) -> bytes:
    """Other numbers in a tensor."""
    header, tensors = _split(data)
    entry = header[random.choice(_names(header))]
    start, end = entry["data_offsets"]
    array = np.frombuffer(tensors[start:end], {"F32": "<f4", "F64": "<f8"}[entry["dtype"]]).copy()
    with np.errstate(all="ignore"):
        array[random.randrange(len(array))] = random.choice(REALS)
        if random.randrange(2):
            array[:] = random.choice(REALS)
    return _join(header, tensors[:start] + array.tobytes() + tensors[end:])


def _retyped(random: Random, data: bytes) -> bytes:
    """A whole file in which one tensor is of another type or shape."""
    header, _ = _split(data)
    tensors = dict(load(data))
    name = random.choice(sorted(tensors))
    dtype = random.choice(("f8", "f2", "i8", "u1", "?", "i4", "c8"))
    tensors[name] = tensors[name].astype(dtype)
    if not random.randrange(3):
        tensors[name] = np.resize(tensors[name], random.choice(SHAPES))
    if dtype == "i8" and tensors[name].size:
        tensors[name].flat[0] = random.choice((2**62, -(2**63)))
    return save(tensors, header[METADATA])


def _fewer(random: Random, data: bytes) -> bytes:
    header, _ = _split(data)
    tensors = dict(load(data))
    if random.randrange(2):
        del tensors[random.choice(sorted(tensors))]
    else:
        name = random.choice([*(name for name in TRAPS if "\udcff" not in name), "x"])
        tensors[name] = np.zeros(3, np.float32)
    return save(tensors, random.choice((header[METADATA], None, {"x": "y"})))


SAFETENSORS: Mapping[str, Mutation] = {
    name: of_contents(change)
    for name, change in {
        "the header": _header,
        "the metadata": _metadata,
        "the header's size": _header_size,
        "a tensor's description": _described,
        "other values": _values,
        "a tensor of another type": _retyped,
        "a tensor more or less": _fewer,
    }.items()
}
"""What may be wrong with a safetensors file."""
