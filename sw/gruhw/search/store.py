"""The search's memory: one SQLite file in which every evaluation is kept as soon as it is known.

The file is all that a search needs to go on after it was killed: a search repeats its steps
from its seed and finds what it evaluated before.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from gruhw.errors import InputError, ToolError
from gruhw.files import output_folder
from gruhw.search.front import Number

FILE = "search.sqlite"
"""The name of the file in the search's folder."""

FORMAT = "gruhw-search"
VERSION = 1

TABLES = (
    "CREATE TABLE search (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE accuracies (widths TEXT PRIMARY KEY, correct INTEGER NOT NULL)",
    "CREATE TABLE costs (genome TEXT PRIMARY KEY, figures TEXT NOT NULL)",
    "CREATE TABLE refined (genome TEXT PRIMARY KEY, correct INTEGER NOT NULL, model BLOB NOT NULL)",
    "CREATE TABLE measured (genome TEXT PRIMARY KEY, figures TEXT NOT NULL)",
)

INPUT_ERRORS = ("readonly", "read-only", "unable to open")
"""What SQLite says of a file that is the user's to mend, besides damage."""


class Store:
    """An open search file. Only one process can have it open at a time.

    Parameters
    ----------
    folder
        The search's folder.
    create
        Whether to begin a new search, or to open one that exists.

    Raises
    ------
    InputError
        If the file exists although a new one is asked for, or the reverse; if it is damaged,
        cannot be opened, or another search has it open.
    ToolError
        If the disk is full or fails.
    """

    def __init__(self, folder: Path, *, create: bool) -> None:
        self.path = folder / FILE
        exists = self.path.exists()
        if not create and not exists:
            raise InputError(f"{self.path}: a search to resume is required, but missing")
        with output_folder(folder):
            pass
        with self._explained():
            # No waiting for locks: whoever holds one keeps it until its search ends.
            self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            with self._explained():
                self._open()
            # One that never came to its first evaluation has nothing to lose.
            if create and self.get("settings") is not None:
                raise InputError(
                    f"{folder}: holds a search already: continue it with --resume, "
                    "or choose another folder with --out"
                )
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        # The operating system releases an exclusive lock with its process, however it ends.
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        with self._transaction(), closing(self._connection.cursor()) as cursor:
            tables = cursor.execute("SELECT name FROM sqlite_master").fetchall()
            # Killed before its first commit, a search leaves an empty file.
            if not tables:
                for table in TABLES:
                    cursor.execute(table)
                self._set("format", FORMAT)
                self._set("version", VERSION)
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        for name, required in (("format", FORMAT), ("version", VERSION)):
            if (value := self.get(name)) != required:
                raise InputError(f"{self.path}: {name} must be {required}, not {value!r}")

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors as one line that names the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "locked" in text:
                raise InputError(
                    f"{self.path.parent}: must be used by one search at a time, "
                    "but another is at work in it"
                ) from error
            if "no such" in text:
                raise InputError(
                    f"{self.path}: must be a whole search file, but: {text}"
                ) from error
            kind = InputError if any(part in text for part in INPUT_ERRORS) else ToolError
            raise kind(f"{self.path}: cannot be used: {text}") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: must be a whole search file, but: {error}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # After some errors, a full disk among them, SQLite has rolled back itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _one(self, query: str, key: str) -> Any:
        with self._explained():
            return self._connection.execute(query, (key,)).fetchone()

    def _set(self, name: str, value: Any) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO search VALUES (?, ?)", (name, json.dumps(value))
        )

    def get(self, name: str) -> Any:
        """What was stored under ``name``; None if nothing was."""
        row = self._one("SELECT value FROM search WHERE name = ?", name)
        return None if row is None else self._json(row[0])

    def put(self, values: Mapping[str, Any]) -> None:
        """Store JSON values by name, replacing older ones."""
        with self._explained(), self._transaction():
            for name, value in values.items():
                self._set(name, value)

    def bind(self, settings: Mapping[str, Any]) -> None:
        """Store what the search's figures depend on, or check that it is what was stored.

        Raises
        ------
        InputError
            Naming the first setting that differs.
        """
        stored = self.get("settings")
        if stored is None:
            self.put({"settings": dict(settings)})
            return
        given = json.loads(json.dumps(dict(settings)))
        for name in sorted({*stored, *given}):
            if stored.get(name) != given.get(name):
                raise InputError(
                    f"{self.path}: {name} must be {json.dumps(stored.get(name))}, as when the "
                    f"search began, not {json.dumps(given.get(name))}"
                )

    def _json(self, text: object) -> Any:
        try:
            return json.loads(str(text))
        except ValueError as error:
            raise self._damaged(error) from error

    def _whole(self, value: object) -> int:
        if type(value) is not int or value < 0:
            raise InputError(f"{self.path}: a count of sequences must be a number, not {value!r}")
        return value

    def correct(self, widths: str) -> int | None:
        """Sequences that a genome of these widths classifies right, if known."""
        row = self._one("SELECT correct FROM accuracies WHERE widths = ?", widths)
        return None if row is None else self._whole(row[0])

    def costs(self, genome: str) -> tuple[Number, ...] | None:
        """The costs of a genome, if known."""
        row = self._one("SELECT figures FROM costs WHERE genome = ?", genome)
        return None if row is None else tuple(self._json(row[0]))

    def add(
        self,
        accuracies: Mapping[str, int],
        costs: Iterable[tuple[str, Sequence[Number]]],
    ) -> None:
        """Store evaluations, all of them or none: correct sequences by widths, then costs."""
        with self._explained(), self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO accuracies VALUES (?, ?)", list(accuracies.items())
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO costs VALUES (?, ?)",
                [(genome, json.dumps(list(figures))) for genome, figures in costs],
            )

    def refined(self, genome: str) -> tuple[int, bytes] | None:
        """Correct sequences and model file of a refined genome, if known.

        Its text may say more than the genome, if the result depends on it.
        """
        row = self._one("SELECT correct, model FROM refined WHERE genome = ?", genome)
        return None if row is None else (self._whole(row[0]), bytes(row[1]))

    def add_refined(self, found: Mapping[str, tuple[int, bytes]]) -> None:
        """Store refined genomes, all or none."""
        with self._explained(), self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO refined VALUES (?, ?, ?)",
                [(genome, *result) for genome, result in found.items()],
            )

    def measured(self, genome: str) -> dict[str, Number] | None:
        """What synthesis found for a genome, by cost, if known."""
        row = self._one("SELECT figures FROM measured WHERE genome = ?", genome)
        return None if row is None else self._json(row[0])

    def add_measured(self, genome: str, figures: Mapping[str, Number]) -> None:
        """Store what synthesis found."""
        with self._explained(), self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO measured VALUES (?, ?)", (genome, json.dumps(dict(figures)))
            )

    def count(self) -> int:
        """How many accuracies are stored."""
        with self._explained():
            (count,) = self._connection.execute("SELECT COUNT(*) FROM accuracies").fetchone()
        return self._whole(count)
