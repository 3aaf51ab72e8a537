"""The search's file: what is stored stays, and whatever is wrong with it gets one line."""

import itertools
import multiprocessing
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from command_line import no_permission, run_process

from gruhw.errors import GruhwError, InputError, ToolError
from gruhw.search.store import BESIDE, FILE, Store


def fill(store: Store, count: int, start: int = 0) -> None:
    numbers = range(start, start + count)
    store.add(
        {f"w{number}": number for number in numbers},
        [(f"g{number}", (number, number / 2)) for number in numbers],
    )


def fill_one_by_one(store: Store, count: int, start: int) -> None:
    for number in range(start, start + count):
        fill(store, 1, start=number)


def filled(store: Store) -> int:
    return next(number for number in itertools.count() if store.figure(f"w{number}") is None)


def check(store: Store, count: int) -> None:
    assert filled(store) == count
    for number in range(count):
        assert store.figure(f"w{number}") == number
        assert store.costs(f"g{number}") == (number, number / 2)


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    with Store(tmp_path / "new", create=True) as store:
        store.bind({"seed": 1})
        fill(store, 5)
        store.add_refined({"w1": (7, b"\0model"), "w2": ((0.1, 2.5e-9), b"")})
        store.add_measured("g1", {"luts": 12})
        assert store.figure("w9") is store.costs("g9") is store.refined("w9") is None
    with Store(tmp_path / "new", create=False) as store:
        store.bind({"seed": 1})
        check(store, 5)
        assert store.refined("w1") == (7, b"\0model")
        assert store.refined("w2") == ([0.1, 2.5e-9], b"")
        assert store.measured("g1") == {"luts": 12}
        assert store.measured("g2") is None


def test_a_batch_is_stored_whole_or_not(tmp_path: Path) -> None:
    def costs() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "g1", (1,)
        raise KeyboardInterrupt

    with Store(tmp_path, create=True) as store:
        fill(store, 1)
        with pytest.raises(KeyboardInterrupt):
            store.add({"w1": 1}, costs())
        check(store, 1)
        fill(store, 1, start=1)
        check(store, 2)


def message(folder: Path, *, create: bool = False, kind: type[GruhwError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        Store(folder, create=create)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_search_is_neither_overwritten_nor_made_up(tmp_path: Path) -> None:
    assert message(tmp_path) == f"{tmp_path / FILE}: a search to resume is required, but missing"
    with Store(tmp_path, create=True) as store:
        fill(store, 1)
    with Store(tmp_path, create=True) as store:  # it was not bound to anything yet
        store.bind({})
        check(store, 1)
    assert message(tmp_path, create=True) == (
        f"{tmp_path}: holds a search already: continue it with --resume, "
        "or choose another folder with --out"
    )


def test_settings_must_be_those_of_the_beginning(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.bind({"seed": 1, "pe": (1, 2)})
        store.bind({"seed": 1, "pe": [1, 2]})
        with pytest.raises(InputError) as caught:
            store.bind({"seed": 2, "pe": [1, 2]})
        assert str(caught.value) == (
            f"{store.path}: seed must be 1, as when the search began, not 2"
        )


CHANGED = (
    "must be as when the search began, but changed: put back what was there, or choose another "
    "folder with --out"
)


def test_contents_must_be_those_of_the_beginning(tmp_path: Path) -> None:
    contents = {"validation data": "12ab", "shared weights": "34cd"}
    with Store(tmp_path, create=True) as store:
        store.bind({"validation sequences": 5}, contents=contents)
        store.bind({"validation sequences": 5}, contents=contents)
        with pytest.raises(InputError) as caught:
            store.bind({"validation sequences": 6}, contents=contents | {"validation data": "0"})
        assert str(caught.value) == f"{store.path}: the validation data {CHANGED}"


def test_contents_are_kept_before_the_first_evaluation(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.bind_contents({"training data": "12ab"})
    with Store(tmp_path, create=True) as store:  # what was interrupted before may begin again
        for bind in (store.bind_contents, lambda contents: store.bind({}, contents=contents)):
            with pytest.raises(InputError) as caught:
                bind({"training data": "34cd", "validation data": "56ef"})
            assert str(caught.value) == f"{store.path}: the training data {CHANGED}"
        # What was refused was not stored.
        store.bind_contents({"validation data": "78ab"})
        assert store.get("settings") is None


def test_settings_of_one_kind_are_told_apart(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.bind({"fine-tuning": {"epochs": 3, "seed": 1}})
        with pytest.raises(InputError) as caught:
            store.bind({"fine-tuning": {"epochs": 3, "seed": 2}})
        assert str(caught.value) == (
            f"{store.path}: fine-tuning: seed must be 1, as when the search began, not 2"
        )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("evaluator", "validation data, shared weights or fraction bits"),
        ("fine-tuning", "training data, float network, recipe or version of gruhw"),
    ],
)
def test_a_store_that_told_nothing_apart(name: str, what: str, tmp_path: Path) -> None:
    before = {"evaluator": "12ab", "fine-tuning": "Recipe(...) gruhw 0.1.0 and data 34cd"}
    now = {"seed": 1, "fine-tuning": {"epochs": 3}}
    with Store(tmp_path, create=True) as store:
        store.put({"settings": {"seed": 1} | before})
        store.bind(now, contents={"validation data": "56ef"}, before=before)
        with pytest.raises(InputError) as caught:
            store.bind(now, contents={"validation data": "56ef"}, before=before | {name: "0"})
        assert str(caught.value) == f"{store.path}: the {what} {CHANGED}"
        with pytest.raises(InputError) as caught:
            store.bind(now | {"seed": 2}, before=before)
        assert str(caught.value).endswith(": seed must be 1, as when the search began, not 2")


def test_a_second_search_in_the_folder_is_refused(tmp_path: Path) -> None:
    expected = f"{tmp_path}: must be used by one search at a time, but another is at work in it"
    with Store(tmp_path, create=True) as store:
        assert message(tmp_path) == message(tmp_path, create=True) == expected
        check(store, 0)
    with Store(tmp_path, create=False):
        pass


def _hold(folder: Path, ready: object) -> None:
    with Store(folder, create=True) as store:
        fill(store, 3)
        ready.set()  # type: ignore[attr-defined]  # an event
        signal.pause()


def test_a_killed_search_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(20)
    assert message(tmp_path).endswith("another is at work in it")
    process.kill()
    process.join()
    with Store(tmp_path, create=False) as store:
        check(store, 3)


def test_killed_before_its_first_commit(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with Store(tmp_path, create=False) as store:
        fill(store, 1)
        check(store, 1)


@pytest.mark.parametrize("damage", ["text", "zeros", "header", "half", "page"])
def test_a_damaged_file_gets_one_line_and_stays(damage: str, tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        fill(store, 400)
    path = tmp_path / FILE
    whole = path.read_bytes()
    damaged = {
        "text": b"not a database " * 100,
        "zeros": whole[:100] + bytes(len(whole) - 100),
        "header": bytes(100) + whole[100:],
        "half": whole[: len(whole) // 2],
        "page": whole[:-4096] + bytes([255] * 4096),
    }[damage]
    path.write_bytes(damaged)
    assert message(tmp_path).startswith(f"{path}: must be a whole search file, but: ")
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE search SET value = '\"x\"' WHERE name = 'format'", "format must be gruhw-search"),
        ("UPDATE search SET value = '9' WHERE name = 'version'", "version must be 1, not 9"),
        ("DROP TABLE search", "must be a whole search file, but: its tables are not those of a"),
        ("DELETE FROM search", "format must be gruhw-search, not None"),
    ],
)
def test_a_foreign_database_is_refused(change: str, expected: str, tmp_path: Path) -> None:
    Store(tmp_path, create=True).__exit__(None, None, None)
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute(change)
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match=expected):
        Store(tmp_path, create=False)


@pytest.mark.parametrize("value", ["{}", "3", -1, 1.5, None])
def test_a_stored_count_must_be_one(value: object, tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store._connection.execute("DROP TABLE accuracies")
        store._connection.execute("CREATE TABLE accuracies (widths, correct)")
        store._connection.execute("INSERT INTO accuracies VALUES ('w', ?)", (value,))
        with pytest.raises(InputError) as caught:
            store.figure("w")
        assert str(caught.value) == (
            f"{store.path}: a count of sequences must be a number, not {value!r}"
        )


OPEN_A_STORE = """
import sys
from pathlib import Path
from gruhw.errors import InputError
from gruhw.search.store import Store
try:
    Store(Path(sys.argv[1]), create=True)
except InputError as error:
    print(error)
"""


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    result = run_process(folder, cwd=tmp_path, script=OPEN_A_STORE, spoil=no_permission)
    assert result.out == f"{folder}: cannot be written: permission denied\n", result.err


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file"
    assert message(folder, create=True) == f"{folder}: must be a folder, but is a file"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes: to SQLite, the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_gets_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        fill(store, 3)
        with largest_file(200_000), pytest.raises(ToolError) as caught:
            fill_one_by_one(store, 10_000, start=3)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{store.path}: cannot be used: ")
        known = filled(store)
        assert known > 3
        check(store, known)
        fill(store, 10, start=known)  # there is room again
    with Store(tmp_path, create=False) as store:
        check(store, known + 10)


ENDLESS = (
    "WITH RECURSIVE n(name, value) AS "
    "(SELECT 'format', '1' UNION ALL SELECT name, value || '1' FROM n) SELECT * FROM n"
)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (x)",
        "CREATE TRIGGER t AFTER INSERT ON search BEGIN DELETE FROM costs; END",
        "CREATE INDEX i ON costs (figures)",
        "ALTER TABLE costs ADD COLUMN more",
        f"DROP TABLE search; CREATE VIEW search AS {ENDLESS}",
    ],
)
def test_a_file_of_other_tables_is_not_read(change: str, tmp_path: Path) -> None:
    Store(tmp_path, create=True).__exit__(None, None, None)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(change)
    assert message(tmp_path) == (
        f"{tmp_path / FILE}: must be a whole search file, but: its tables are not those of a search"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "the costs of a genome are {}"),
        ("5", "the costs of a genome are 5"),
        ('["x"]', "a figure is 'x'"),
        ("[null]", "a figure is None"),
        ("[true]", "a figure is True"),
        ("[-1]", "a figure is -1"),
        ("[NaN]", "a figure is nan"),
        ("[1e400]", "a figure is inf"),
        (f"[{10**30}]", f"a figure is {10**30}"),
        (
            "[" * 10**5,
            "maximum recursion depth exceeded while decoding a JSON array from a unicode",
        ),
        (b"\xff", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_stored_costs_must_be_numbers(text: str | bytes, problem: str, tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store._connection.execute("INSERT INTO costs VALUES ('g', ?)", (text,))
        with pytest.raises(InputError) as caught:
            store.costs("g")
    expected = f"{tmp_path / FILE}: must be a whole search file, but: {problem}"
    assert str(caught.value).startswith(expected)


def test_a_stored_model_is_bytes(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        # Python would make as many zero bytes of the number.
        store._connection.execute("INSERT INTO refined VALUES ('g', 1, ?)", (10**12,))
        with pytest.raises(InputError) as caught:
            store.refined("g")
    assert str(caught.value).endswith(f"must be a whole search file, but: a model is {10**12}")


def test_stored_figures_of_a_synthesis_have_names(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store._connection.execute("INSERT INTO measured VALUES ('g', '[1]')")
        with pytest.raises(InputError) as caught:
            store.measured("g")
    assert str(caught.value).endswith("but: the figures of a synthesis are [1]")


def test_stored_settings_have_names(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store.put({"settings": [1]})  # type: ignore[dict-item]  # damage
        with pytest.raises(InputError) as caught:
            store.bind({"seed": 1})
        assert str(caught.value).endswith("must be a whole search file, but: its settings are [1]")
        store.put({"settings": {"seed": 1}, "contents": "x"})  # type: ignore[dict-item]  # damage
        with pytest.raises(InputError) as caught:
            store.bind({"seed": 1})
    assert str(caught.value).endswith("must be a whole search file, but: its contents are 'x'")


def test_text_that_is_none(tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store._connection.execute("INSERT INTO search VALUES ('x', CAST(x'ff' AS TEXT))")
        with pytest.raises(InputError) as caught:
            store.get("x")
    assert str(caught.value).startswith(f"{tmp_path / FILE}: must be a whole search file, but: ")


def test_a_schema_that_is_no_text(tmp_path: Path) -> None:
    Store(tmp_path, create=True).__exit__(None, None, None)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT), "
            "tbl_name = CAST(x'ff' AS TEXT), sql = 'x' WHERE name = 'costs'"
        )
    assert message(tmp_path).startswith(f"{tmp_path / FILE}: must be a whole search file, but: ")


@pytest.mark.parametrize("name", [FILE, *(f"{FILE}{suffix}" for suffix in BESIDE)])
def test_no_ordinary_file(name: str, tmp_path: Path) -> None:
    Store(tmp_path, create=True).__exit__(None, None, None)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert message(tmp_path) == f"{tmp_path / name}: must be a regular file, but is none"
