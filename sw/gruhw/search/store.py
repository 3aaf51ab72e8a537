"""The search's memory: one SQLite file in which every evaluation is kept as soon as it is known.

With the networks beside it, the file is all that a search needs to go on after it was killed: a
search repeats its steps from its seed and finds what it evaluated before.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from gruhw.basics.files import exists, output_folder
from gruhw.errors import InputError, ToolError
from gruhw.search.front import Number
from gruhw.search.scores import Stored

FILE = "search.sqlite"
"""The name of the file in the search's folder."""

BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite adds to its name for the files of unfinished work."""

FORMAT = "gruhw-search"
VERSION = 1

TABLES = (
    "CREATE TABLE search (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE accuracies (widths TEXT PRIMARY KEY, correct INTEGER NOT NULL)",
    "CREATE TABLE costs (genome TEXT PRIMARY KEY, figures TEXT NOT NULL)",
    "CREATE TABLE refined (genome TEXT PRIMARY KEY, correct INTEGER NOT NULL, model BLOB NOT NULL)",
    "CREATE TABLE measured (genome TEXT PRIMARY KEY, figures TEXT NOT NULL)",
)

TOGETHER = {
    "evaluator": "validation data, shared weights or fraction bits",
    "fine-tuning": "training data, float network, recipe or version of gruhw",
}
"""What older stores have only one text of, by the name of the setting."""

LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
UNUSABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
FAILED = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM)
"""What SQLite says of files that another process uses, of those that the user must mend, and of
disks and memory; whatever else it says, the file is damaged."""

PRIMARY = 0xFF
"""The part of SQLite's error codes that is not about details."""

LARGEST_FIGURE = 2**53
"""Up to here, floating point has every whole number."""


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
        if not create and not exists(self.path):
            raise InputError(f"{self.path}: a search to resume is required, but missing")
        for path in (self.path.with_name(f"{FILE}{suffix}") for suffix in ("", *BESIDE)):
            if exists(path) and not path.is_file():
                raise InputError(f"{path}: must be a regular file, but is none")
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
            # Killed before its first commit, a search leaves an empty file.
            if not self._tables():
                for table in TABLES:
                    cursor.execute(table)
                self._set("format", FORMAT)
                self._set("version", VERSION)
        # Views and triggers would be programs; nothing is read before they are ruled out.
        if self._tables() != sorted(TABLES):
            raise sqlite3.DatabaseError("its tables are not those of a search")
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        for name, required in (("format", FORMAT), ("version", VERSION)):
            if (value := self.get(name)) != required:
                raise InputError(f"{self.path}: {name} must be {required}, not {value!r}")

    def _tables(self) -> list[str]:
        """How everything in the file was made, save what SQLite makes itself."""
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql"
        return [text for (text,) in self._connection.execute(made)]

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
        # SQLite quotes what it finds in a damaged file, which need not be text.
        except (sqlite3.Error, UnicodeDecodeError) as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & PRIMARY
            if code in LOCKED:
                raise InputError(
                    f"{self.path.parent}: must be used by one search at a time, "
                    "but another is at work in it"
                ) from error
            if code in (*UNUSABLE, *FAILED):
                kind = ToolError if code in FAILED else InputError
                raise kind(f"{self.path}: cannot be used: {error}") from error
            raise self._damaged(error) from error

    def _damaged(self, problem: object) -> InputError:
        return InputError(f"{self.path}: must be a whole search file, but: {problem}")

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

    def bind(
        self,
        settings: Mapping[str, Any],
        *,
        contents: Mapping[str, str] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        """Store what the search's figures depend on, or check that it is what was stored.

        Parameters
        ----------
        settings
            JSON values by name; those of an object are compared one by one.
        contents
            The SHA-256 of data and files by what people call them.
        before
            What stores have instead that were made when contents were not told apart.

        Raises
        ------
        InputError
            Naming the first content or setting that differs.
        """
        stored = self._object("settings")
        if stored is None:
            self.bind_contents(contents or {})
            self.put({"settings": dict(settings)})
            return
        if TOGETHER.keys() <= stored.keys():
            settings = {**settings, **(before or {})}
        else:
            self.bind_contents(contents or {})
        for name, known, found in _differences(stored, json.loads(json.dumps(dict(settings)))):
            if name in TOGETHER and isinstance(known, str):
                raise self._changed(TOGETHER[name])
            raise InputError(
                f"{self.path}: {name} must be {json.dumps(known)}, as when the search began, "
                f"not {json.dumps(found)}"
            )

    def bind_contents(self, contents: Mapping[str, str]) -> None:
        """Store what figures or checkpoints depend on, or check that it is what was stored.

        Parameters
        ----------
        contents
            As in :meth:`bind`. What is stored of others stays.

        Raises
        ------
        InputError
            Naming the first that differs.
        """
        known = self._object("contents") or {}
        for name in sorted(contents):
            if known.get(name, contents[name]) != contents[name]:
                raise self._changed(name)
        if not contents.keys() <= known.keys():  # what is refused later must change nothing
            self.put({"contents": {**known, **contents}})

    def _object(self, name: str) -> dict[str, Any] | None:
        """The JSON object that was stored under ``name``."""
        found = self.get(name)
        if not isinstance(found, dict | None):
            raise self._damaged(f"its {name} are {found!r}")
        return found

    def _changed(self, what: str) -> InputError:
        return InputError(
            f"{self.path}: the {what} must be as when the search began, but changed: put back "
            "what was there, or choose another folder with --out"
        )

    def _json(self, text: object) -> Any:
        try:
            return json.loads(str(text))
        except (ValueError, RecursionError) as error:
            raise self._damaged(error) from error

    def _cost(self, value: object) -> Number:
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 <= value <= LARGEST_FIGURE
        ):
            raise self._damaged(f"a figure is {value!r}")
        return value

    def _stored(self, value: object) -> Stored:
        """What a column ``correct`` holds: a count of sequences, or numbers as JSON text.

        The column is named after the counts, which were all that there was at first.
        """
        if isinstance(value, str) and isinstance(found := self._json(value), list):
            return found
        if type(value) is not int or value < 0:
            raise InputError(f"{self.path}: a count of sequences must be a number, not {value!r}")
        return value

    def figure(self, widths: str) -> Stored | None:
        """How well a genome of these widths does, if known."""
        row = self._one("SELECT correct FROM accuracies WHERE widths = ?", widths)
        return None if row is None else self._stored(row[0])

    def costs(self, genome: str) -> tuple[Number, ...] | None:
        """The costs of a genome, if known."""
        row = self._one("SELECT figures FROM costs WHERE genome = ?", genome)
        if row is None:
            return None
        if not isinstance(figures := self._json(row[0]), list):
            raise self._damaged(f"the costs of a genome are {figures!r}")
        return tuple(self._cost(figure) for figure in figures)

    def add(
        self,
        figures: Mapping[str, Stored],
        costs: Iterable[tuple[str, Sequence[Number]]],
    ) -> None:
        """Store evaluations, all of them or none: figures by widths, then costs."""
        with self._explained(), self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO accuracies VALUES (?, ?)",
                [(widths, _column(stored)) for widths, stored in figures.items()],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO costs VALUES (?, ?)",
                [(genome, json.dumps(list(figures))) for genome, figures in costs],
            )

    def refined(self, genome: str) -> tuple[Stored, bytes] | None:
        """How well a refined genome does, and its model file, if known.

        Its text may say more than the genome, if the result depends on it.
        """
        row = self._one("SELECT correct, model FROM refined WHERE genome = ?", genome)
        if row is None:
            return None
        stored, model = row
        if not isinstance(model, bytes):
            raise self._damaged(f"a model is {model!r}")
        return self._stored(stored), model

    def add_refined(self, found: Mapping[str, tuple[Stored, bytes]]) -> None:
        """Store refined genomes, all or none."""
        with self._explained(), self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO refined VALUES (?, ?, ?)",
                [(genome, _column(stored), model) for genome, (stored, model) in found.items()],
            )

    def measured(self, genome: str) -> dict[str, Number] | None:
        """What synthesis found for a genome, by cost, if known."""
        row = self._one("SELECT figures FROM measured WHERE genome = ?", genome)
        if row is None:
            return None
        if not isinstance(figures := self._json(row[0]), dict):
            raise self._damaged(f"the figures of a synthesis are {figures!r}")
        return {name: self._cost(figure) for name, figure in figures.items()}

    def add_measured(self, genome: str, figures: Mapping[str, Number]) -> None:
        """Store what synthesis found."""
        with self._explained(), self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO measured VALUES (?, ?)", (genome, json.dumps(dict(figures)))
            )


def _column(stored: Stored) -> int | str:
    """What :meth:`Store._stored` reads."""
    return stored if isinstance(stored, int) else json.dumps(list(stored))


def _differences(
    stored: Mapping[str, Any], given: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Each setting that differs: its name, what was stored and what is given."""
    for name in sorted({*stored, *given}):
        known, found = stored.get(name), given.get(name)
        if isinstance(known, dict) and isinstance(found, dict):
            yield from _differences(known, found, f"{prefix}{name}: ")
        elif known != found:
            yield f"{prefix}{name}", known, found
