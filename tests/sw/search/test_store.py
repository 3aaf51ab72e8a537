"""The search's file: what is stored stays, and whatever is wrong with it gets one line."""

import multiprocessing
import os
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gruhw.errors import GruhwError, InputError, ToolError
from gruhw.search.store import FILE, Store


def fill(store: Store, count: int, start: int = 0) -> None:
    numbers = range(start, start + count)
    store.add(
        {f"w{number}": number for number in numbers},
        [(f"g{number}", (number, number / 2)) for number in numbers],
    )


def fill_one_by_one(store: Store, count: int, start: int) -> None:
    for number in range(start, start + count):
        fill(store, 1, start=number)


def check(store: Store, count: int) -> None:
    assert store.count() == count
    for number in range(count):
        assert store.correct(f"w{number}") == number
        assert store.costs(f"g{number}") == (number, number / 2)


def test_what_is_stored_is_found_again(tmp_path: Path) -> None:
    with Store(tmp_path / "new", create=True) as store:
        store.bind({"seed": 1})
        fill(store, 5)
        store.add_refined({"w1": (7, b"\0model"), "w2": (8, b"")})
        store.add_measured("g1", {"luts": 12})
        assert store.correct("w9") is store.costs("g9") is store.refined("w9") is None
    with Store(tmp_path / "new", create=False) as store:
        store.bind({"seed": 1})
        check(store, 5)
        assert store.refined("w1") == (7, b"\0model")
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
        ("DROP TABLE search", "must be a whole search file, but: no such table: search"),
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


@pytest.mark.parametrize("value", ["x", -1, 1.5, None])
def test_a_stored_count_must_be_one(value: object, tmp_path: Path) -> None:
    with Store(tmp_path, create=True) as store:
        store._connection.execute("DROP TABLE accuracies")
        store._connection.execute("CREATE TABLE accuracies (widths, correct)")
        store._connection.execute("INSERT INTO accuracies VALUES ('w', ?)", (value,))
        with pytest.raises(InputError) as caught:
            store.correct("w")
        assert str(caught.value) == (
            f"{store.path}: a count of sequences must be a number, not {value!r}"
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert message(tmp_path, create=True) == f"{tmp_path}: cannot be written: permission denied"


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
        known = store.count()
        assert known > 3
        check(store, known)
        fill(store, 10, start=known)  # there is room again
    with Store(tmp_path, create=False) as store:
        check(store, known + 10)
