"""Files: atomic writes, identical archives, and one line for every way in which a file fails."""

import io
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from gruhw.basics.files import (
    check_sha256,
    npz_bytes,
    read_bytes,
    read_npz,
    sha256,
    unfinished,
    write_atomic,
)
from gruhw.errors import InputError

ARRAYS = {
    "zeta": np.arange(12, dtype=np.int64).reshape(3, 4).T,
    "alpha": np.array(["one", "two"]),
    "empty": np.zeros((0, 3)),
}

HASH_IN_NEW_PROCESS = """
import numpy as np
from gruhw.basics.files import npz_bytes, sha256
names = sorted({"b", "a", "c"})
print(sha256(npz_bytes({name: np.arange(1000) for name in names})))
"""


def error_of(action: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InputError) as caught:
        action(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("data", [b"\x00\xff", "grüße\n"])
def test_write_atomic_creates_folders_and_replaces(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"old")
    write_atomic(path, data)
    assert path.read_bytes() == (data.encode() if isinstance(data, str) else data)
    assert list(path.parent.iterdir()) == [path]


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("full", [True, False])
def test_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, full: bool
) -> None:
    error = OSError(28, "No space left on device") if full else KeyboardInterrupt()
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises((InputError, KeyboardInterrupt)) as caught:
        write_atomic(path, "new")
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert str(caught.value) == f"{path}: cannot be written: no space left on device"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_write_leaves_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: names.extend(p.name for p in tmp_path.iterdir()))
    for name in ("file.json", "x"):
        write_atomic(tmp_path / name, "new")
        assert unfinished(names.pop()) == name
        assert unfinished(name) is None
        (tmp_path / name).unlink()
    for other in (".file.json", "file.json.abcdefgh", ".file.json.abc", ".abcdefgh"):
        assert unfinished(other) is None


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    message = error_of(write_atomic, folder / "x", "new")
    assert message == f"{folder}: cannot be written: not a directory"


def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    assert error_of(read_bytes, path) == f"{path}: cannot be read: no such file or directory"
    assert error_of(read_bytes, tmp_path) == f"{tmp_path}: cannot be read: is a directory"


def test_sha256_is_checked() -> None:
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"abc") == digest
    check_sha256(Path("file"), b"abc", digest)
    message = error_of(check_sha256, Path("file"), b"abc", "0" * 64)
    assert message == f"file: SHA-256 must be {'0' * 64}, not {digest}"


def test_npz_round_trip() -> None:
    found = read_npz(Path("file.npz"), npz_bytes(ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_npz_keeps_scalars() -> None:
    found = read_npz(Path("file.npz"), npz_bytes({"x": np.array(7)}))
    assert found["x"].shape == ()


def test_npz_depends_on_contents_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = npz_bytes(ARRAYS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 0, 0, 0, 0, 0, 0))
    in_c_order = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    assert npz_bytes(in_c_order) == before


def test_npz_is_the_same_in_every_process() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", HASH_IN_NEW_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npz_bytes(ARRAYS)[:-30], "File is not a zip file"),
        (b"", "File is not a zip file"),
    ],
)
def test_truncated_npz(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "file.npz"
    path.write_bytes(data)
    assert error_of(read_npz, path) == f"{path}: must be a whole .npz archive, but: {reason}"


def damage(data: bytes, position: int, mask: int) -> bytes:
    return data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def assert_whole_or_refused(data: bytes) -> None:
    with suppress(InputError):
        read_npz(Path("file.npz"), data)


def test_damaged_npz_is_an_input_error() -> None:
    data = npz_bytes({"x": np.arange(5000)})
    for position in range(64, data.index(b"PK\x01\x02"), 17):
        assert_whole_or_refused(damage(data, position, 0xFF))


@pytest.mark.parametrize("flag", [0, 5, 6])
def test_unsupported_zip_features_are_an_input_error(flag: int) -> None:
    data = npz_bytes({"x": np.arange(5)})
    local, central = 6, data.index(b"PK\x01\x02") + 8
    flagged = damage(damage(data, local, 1 << flag), central, 1 << flag)
    assert_whole_or_refused(flagged)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    np.savez(path, x=np.array([{}], dtype=object))
    assert error_of(read_npz, path) == (
        f"{path}: must be a whole .npz archive, but: "
        "Object arrays cannot be loaded when allow_pickle=False"
    )


def test_npy_is_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    assert error_of(read_npz, path).startswith(f"{path}: must be a whole .npz archive, but: ")


def archive_of(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive, also of members of the same name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + content


FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("x", b"text")], "must be a whole .npz archive, but: "),
        ([("x.npy", npy("(" * 5000))], "must be a whole .npz archive, but: "),
        ([("x.npy", npy("{"))], "must be a whole .npz archive, but: "),
        ([("x.npy", npy(FLOATS % "(10**9, 10**9)"))], "must be a whole .npz archive, but: "),
        ([("x.npy", npy(FLOATS % "(10000000000000,)"))], "must be a whole .npz archive, but: "),
        ([("x.npy", npy(FLOATS % "(1,)", b"8 bytes.+"))], "x.npy must end with its array"),
        (
            [("x.npy", npy(FLOATS % "(0,)")), ("x", npy(FLOATS % "(0,)"))],
            "array x must be there once, but is there twice",
        ),
    ],
)
def test_hostile_archives_are_one_line(members: list[tuple[str, bytes]], message: str) -> None:
    found = error_of(read_npz, Path("file.npz"), archive_of(members))
    assert found.startswith(f"file.npz: {message}")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_of_any_compression(method: int) -> None:
    data = archive_of([("x.npy", npy(FLOATS % "(50,)", bytes(range(200)) * 2))], method)
    for position in range(30, data.index(b"PK\x01\x02")):
        assert_whole_or_refused(damage(data, position, 0x11))


def test_arrays_that_python_2_wrote(recwarn: pytest.WarningsRecorder) -> None:
    data = archive_of([("x.npy", npy(FLOATS % "(2L,)", bytes(16)))])
    assert read_npz(Path("file.npz"), data)["x"].tolist() == [0, 0]
    assert not list(recwarn)


def test_archives_that_unpack_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    data = npz_bytes({"x": np.zeros(1000)})
    size = 8 * 1000 + 128
    read_npz(Path("file.npz"), data)
    monkeypatch.setattr("gruhw.basics.files.LARGEST_FILE", size - 1)
    assert error_of(read_npz, Path("file.npz"), data) == (
        f"file.npz: must unpack to at most {size - 1:,} bytes, not {size:,}"
    )
