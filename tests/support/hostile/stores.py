"""What may be wrong inside a search's memory, or a checkpoint of training."""

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import torch

from hostile.damage import Mutation, of_contents, trap_pickle
from hostile.values import TRAPS, change_document

CELLS: tuple[object, ...] = (
    *(0, -1, 10**12, 2**63 - 1, 1.5, float("inf"), "", "x", "5", "null", "[]", "{}", "[1e400]"),
    *('["x", 1]', "[1]", "[1, 2]", "[1, 2, 3]", "[null, 1]", "[NaN, 1]", "[-1, 1e308]"),
    *(b"", b"\0" * 9, b"\xff\xfe", b"[1, 2]"),
)
"""Wrong values of a column."""


def _of_database(change: Callable[[Random, sqlite3.Connection], None]) -> Mutation:
    def mutate(random: Random, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            change(random, connection)

    return mutate


def _row(random: Random, connection: sqlite3.Connection) -> tuple[str, str, int]:
    """A random table, one of its columns and one of its rows."""
    filled = [
        table
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    ]
    # The small table says what the search is.
    table = random.choice((*filled, "search"))
    column = random.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
    rows = connection.execute(f"SELECT rowid FROM {table}").fetchall()
    return table, column, random.choice(rows)[0]


def _cell(random: Random, connection: sqlite3.Connection) -> None:
    table, column, row = _row(random, connection)
    connection.execute(
        f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?", (random.choice(CELLS), row)
    )


COLUMNS = (
    *(("accuracies", "correct"), ("costs", "figures"), ("search", "value")),
    *(("refined", "correct"), ("refined", "model")),
)


def _column(random: Random, connection: sqlite3.Connection) -> None:
    """The same wrong value in a whole column that is no key."""
    table, column = random.choice(COLUMNS)
    connection.execute(f"UPDATE {table} SET {column} = ?", (random.choice(CELLS),))


def _document(random: Random, connection: sqlite3.Connection) -> None:
    """A JSON value with something wrong in it: settings and request above all."""
    name = random.choice(("settings", "request", "request", "format", "version"))
    (text,) = connection.execute("SELECT value FROM search WHERE name = ?", (name,)).fetchone()
    content = json.loads(text)
    # A bare value has no parts that could be missing.
    changed = change_document(random, content if isinstance(content, dict) else {name: content})
    connection.execute(
        "UPDATE search SET value = CAST(? AS TEXT) WHERE name = ?",
        (changed.encode("utf-8", "surrogatepass"), name),
    )


def _rows_gone(random: Random, connection: sqlite3.Connection) -> None:
    if random.randrange(2):
        table, _, row = _row(random, connection)
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
    else:
        table = random.choice(("search", "accuracies", "costs", "refined"))
        connection.execute(f"DELETE FROM {table}")


ENDLESS = (
    "WITH RECURSIVE n(name, value) AS "
    "(SELECT 'format', '1' UNION ALL SELECT name, value || '1' FROM n) SELECT * FROM n"
)
SCHEMAS = (
    "DROP TABLE costs",
    "DROP TABLE search",
    "ALTER TABLE costs RENAME TO prices",
    "ALTER TABLE costs RENAME COLUMN figures TO figure",
    "ALTER TABLE accuracies ADD COLUMN more TEXT",
    "ALTER TABLE search ADD COLUMN more TEXT NOT NULL DEFAULT 'x'",
    "CREATE TABLE more (x)",
    "CREATE TRIGGER t AFTER INSERT ON search BEGIN DELETE FROM costs; END",
    "CREATE TRIGGER t BEFORE INSERT ON search BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE INDEX i ON costs (figures)",
    f"DROP TABLE search; CREATE VIEW search AS {ENDLESS}",
    "DROP TABLE search; CREATE VIEW search AS SELECT * FROM costs",
    "DROP TABLE costs; CREATE TABLE costs (genome INTEGER PRIMARY KEY, figures BLOB)",
    "PRAGMA user_version = 99",
    "PRAGMA application_id = 99",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM",
    "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = FULL; VACUUM",
)


def _schema(random: Random, connection: sqlite3.Connection) -> None:
    connection.executescript(random.choice(SCHEMAS))


def _neighbour(random: Random, path: Path) -> None:
    """Something in the place of the files that SQLite keeps beside its own."""
    neighbour = path.with_name(path.name + random.choice(("-wal", "-shm", "-journal")))
    kind = random.randrange(4)
    if kind == 0:
        neighbour.mkdir()
    elif kind == 1:
        neighbour.symlink_to("nowhere")
    else:
        magic = random.choice((b"", b"\x37\x7f\x06\x82", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"))
        neighbour.write_bytes(magic + random.randbytes(random.choice((0, 32, 5000))))


def _pages(random: Random, data: bytes) -> bytes:
    """Damage at the start of a page, where its kind and its cells' places are."""
    changed = bytearray(data)
    at = 4096 * random.randrange(len(data) // 4096) + random.randrange(12)
    changed[at] = random.choice((0, 1, 2, 5, 10, 13, 255, random.randrange(256)))
    return bytes(changed)


SQLITE: Mapping[str, Mutation] = {
    "a wrong cell": _of_database(_cell),
    "a wrong column": _of_database(_column),
    "a wrong document": _of_database(_document),
    "rows gone": _of_database(_rows_gone),
    "another schema": _of_database(_schema),
    "journals": _neighbour,
    "a page": of_contents(_pages),
}
"""What may be wrong with a search's memory."""


def _content(random: Random, data: bytes) -> bytes:
    """A whole checkpoint with another value in one place."""
    content: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    parent, name = content, random.choice(sorted(content))
    while isinstance(parent[name], dict) and parent[name] and random.randrange(4):
        parent = parent[name]
        name = random.choice(list(parent))
    found = parent[name]
    values: list[Any] = [None, -1, 0, 10**9, 2**70, 1.5, float("nan"), "", "x", [], {}, *TRAPS[:2]]
    if isinstance(found, torch.Tensor):
        values += [found * float("nan"), found.flatten(), found[..., :0], found.double() * 1e300]
    if isinstance(found, list) and found and isinstance(found[0], str):
        values += [[change_document(random, json.loads(found[0])), *found[1:]]] * 9
    if random.randrange(8):
        parent[name] = random.choice(values)
    else:
        del parent[name]
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _hidden_pickle(random: Random, data: bytes) -> bytes:
    """A malicious pickle in the place of the one that a checkpoint is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            wanted = name.endswith("data.pkl")
            archive.writestr(name, trap_pickle(random) if wanted else source.read(name))
    return buffer.getvalue()


def _legacy(random: Random, data: bytes) -> bytes:
    """A checkpoint in the format of older versions, which is pickles alone."""
    content = torch.load(io.BytesIO(data), weights_only=True)
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


CHECKPOINT: Mapping[str, Mutation] = {
    "other content": of_contents(_content),
    "a hidden pickle": of_contents(_hidden_pickle),
    "an old format": of_contents(_legacy),
}
"""What may be wrong with a checkpoint."""
