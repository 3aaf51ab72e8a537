"""What may be wrong in a Liberty file, in Verilog or in a published archive."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from random import Random

from hostile.damage import Mutation, of_contents
from hostile.values import PATHS, TRAPS

DEPTH = 100_000

NAMES = (
    *(name for name in TRAPS if '"' not in name and "\udcff" not in name),
    *("a b", "_0_", "$_DFF_P_", "\\x", "x;y", "0", "x" * 5000, "gruhw", "DFF", "{", "}", "é"),
)
NUMBERS = ("-1", "0", "nan", "inf", "1e400", "1e-400", "0x10", '""', "1_0", "x", "1,5", "9" * 5000)
FUNCTIONS = (
    *(
        "",
        "(",
        ")",
        "A",
        "A'''''",
        "!A",
        "A B",
        "A*",
        "*A",
        "A+B+C",
        "0",
        "1",
        "A'B'",
        "Q",
        "A ^ B",
    ),
    *("(" * DEPTH, "!" * DEPTH, "A" + "'" * DEPTH, "(" * 900 + "A" + ")" * 900, "A " * DEPTH),
    *(
        "(" * 200 + "!A + !B" + ")" * 200,
        "x;y",
        "A\\nB",
        "A[0]",
        "$(touch trap)",
        "A+" * 2000 + "A",
    ),
)
TABLES = ('"nan, 1", "2, 3"', '"1"', '""', '"1, 2, 3"', "", '"x, y"', '"1e400, 1", "1, 1"')


def _lines(random: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(3)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def _marks(random: Random, data: bytes) -> bytes:
    """A mark of the syntax that is missing, comes twice or is another."""
    at = random.choice([at for at, byte in enumerate(data) if byte in b'(){};:,"\\/*'])
    other = random.choice((b"(", b"}", b'"', b"/*", b"//"))
    new = random.choice((b"", data[at : at + 1] * 2, other))
    return data[:at] + new + data[at + 1 :]


def _exchange(
    random: Random, data: bytes, starts: tuple[bytes, ...], end: bytes, new: str
) -> bytes:
    """The text between one of ``starts`` and the next ``end`` replaced by ``new``."""
    start = random.choice([start for start in starts if start in data])
    places = [at + len(start) for at in range(len(data)) if data[at : at + len(start)] == start]
    at = random.choice(places)
    return data[:at] + new.encode() + data[data.index(end, at) :]


def _named(random: Random, data: bytes) -> bytes:
    name = random.choice(NAMES)
    quoted = f'"{name}"' if random.randrange(2) else name
    starts = (b"cell (", b"pin (", b"library (", b"ff (")
    return _exchange(random, data, starts, b")", quoted)


def _area(random: Random, data: bytes) -> bytes:
    return _exchange(random, data, (b"area : ",), b";", random.choice(NUMBERS))


def _function(random: Random, data: bytes) -> bytes:
    starts = (b'function : "', b'next_state : "', b'clocked_on : "', b'related_pin : "')
    return _exchange(random, data, starts, b'"', random.choice(FUNCTIONS))


def _attribute(random: Random, data: bytes) -> bytes:
    starts = (b"direction : ", b"capacitance : ", b"timing_sense : ", b"delay_model : ", b"unit : ")
    values = (*NUMBERS, *NAMES, "output", "input", "")
    return _exchange(random, data, starts, b";", random.choice(values))


def _table(random: Random, data: bytes) -> bytes:
    starts = (b"values (", b"index_1 (", b"index_2 (")
    return _exchange(random, data, starts, b")", random.choice(TABLES))


def _deep(random: Random, data: bytes) -> bytes:
    groups = b"g () {" * DEPTH
    closed = groups + b"}" * DEPTH
    at = data.index(b"cell (")
    texts = (closed, groups, b"(" * DEPTH, b"/*" * DEPTH, b'"', b"a : " + b"b " * DEPTH + b";")
    return data[:at] + random.choice(texts) + data[at:]


def _repeated(random: Random, data: bytes) -> bytes:
    texts = (data + data, data.replace(b"cell (NAND2)", b"cell (INV)"), b"library (x) {}" + data)
    return random.choice(texts)


def _without(random: Random, data: bytes) -> bytes:
    words = (b"area : ", b"ff (", b"direction : ", b"function : ", b"timing ()", b"values (")
    word = random.choice((*words, b"cell ("))
    return data.replace(word, b"other" + word)


LIBERTY: Mapping[str, Mutation] = {
    name: of_contents(change)
    for name, change in {
        "lines": _lines,
        "marks": _marks,
        "another name": _named,
        "another area": _area,
        "another function": _function,
        "another attribute": _attribute,
        "another table": _table,
        "deep nesting": _deep,
        "repeated": _repeated,
        "something missing": _without,
    }.items()
}
"""What may be wrong with a Liberty file."""

RECORDINGS = "x/recordings"
MEMBER_TYPES = (
    *(tarfile.REGTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE),
    tarfile.FIFOTYPE,
)
LINKS = (f"{RECORDINGS}/0_a_0.wav", "../../x", "/etc/passwd", f"{RECORDINGS}/x.wav")
SIZES = (b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11)


def _summed(block: bytearray) -> bytes:
    """A header of a tar archive with its checksum."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    return bytes(block)


def _member(random: Random, data: bytes) -> bytes:
    """An archive with a hostile member, which no checksum covers before it is read."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(f"{RECORDINGS}/{random.choice((*TRAPS, *PATHS, 'x.wav'))}")
        member.type, member.linkname = random.choice(MEMBER_TYPES), random.choice(LINKS)
        member.size = 5 if member.type == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(b"hello"))
    whole = bytearray(buffer.getvalue())
    kind = random.randrange(4)
    if kind == 0:
        whole[124:136] = random.choice(SIZES)
    elif kind == 1:
        whole[156] = random.choice(b"SLKxgVDM0127")
    elif kind == 2:
        whole[random.randrange(512)] = random.randrange(256)
    return gzip.compress(_summed(whole) if kind < 3 else bytes(whole), mtime=0)


def _sparse_member(random: Random, data: bytes) -> bytes:
    """A member of GNU's sparse format, of holes only."""
    header = bytearray(512)
    name = f"{RECORDINGS}/0.wav\0".encode()
    header[: len(name)] = name
    header[100:108], header[124:136] = b"0000644\0", b"00000000000\0"
    header[156:157], header[257:265] = b"S", b"ustar  \0"
    header[483:495] = random.choice((b"77777777777\0", b"\x80" + b"\0" * 5 + b"\x7f" + b"\xff" * 5))
    return gzip.compress(_summed(header) + b"\0" * 1024, mtime=0)


def _gzip_bomb(random: Random, data: bytes) -> bytes:
    """Zeros, or a member of zeros."""
    header = bytearray(512)
    name = f"{RECORDINGS}/0.wav\0".encode()
    header[: len(name)] = name
    header[100:108], header[124:136], header[257:265] = b"0000644\0", b"01000000000\0", b"ustar  \0"
    start = random.choice((b"", _summed(header)))
    return gzip.compress(start + b"\0" * (1 << 25), 9, mtime=0)


ARCHIVE: Mapping[str, Mutation] = {
    "a hostile member": of_contents(_member),
    "a sparse member": of_contents(_sparse_member),
    "a gzip bomb": of_contents(_gzip_bomb),
}
"""What may be wrong with a published archive."""


def _no_unicode(random: Random, data: bytes) -> bytes:
    return data + random.choice((b"\xff", b"\xed\xa0\x80"))


VERILOG: Mapping[str, Mutation] = {"no Unicode": of_contents(_no_unicode)}
"""What may be wrong with Verilog before a simulator reads it."""
