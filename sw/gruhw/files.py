"""Reading and writing files so that nothing is ever half-written or silently different."""

import errno
import hashlib
import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.errors import InputError, ToolError

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, RuntimeError)
"""What reading a damaged archive raises, besides ordinary errors."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the operating system says when no more can be written."""


def describe(error: OSError) -> str:
    """What the operating system said, without its error number: ``permission denied``."""
    return (error.strerror or str(error)).lower()


def read_bytes(path: Path) -> bytes:
    """The contents of ``path``; :class:`InputError` naming the file if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {describe(error)}") from error


def read_text(path: Path) -> str:
    """The UTF-8 text at ``path``; :class:`InputError` naming the file if it is none."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be UTF-8 text, but is not: {error.reason}") from error


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def check_sha256(path: Path, data: bytes, expected: str) -> None:
    """Raise :class:`InputError` unless ``data``, the contents of ``path``, has this SHA-256."""
    if (found := sha256(data)) != expected:
        raise InputError(f"{path}: SHA-256 must be {expected}, not {found}")


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Create ``folder`` for the duration of a write and report why that failed, if it did.

    Raises
    ------
    InputError
        If the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_writable(folder)
        yield folder
    except FileExistsError as error:
        raise InputError(f"{folder}: must be a folder, but is a file") from error
    except OSError as error:
        # Of a renaming, the second name is the one that the user knows.
        names = (error.filename2, error.filename)
        named = next((name for name in names if isinstance(name, str | os.PathLike)), folder)
        raise InputError(f"{named}: cannot be written: {describe(error)}") from error


def _check_writable(folder: Path) -> None:
    """Create a file and remove it; an error names the folder, which is what the user knows."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = folder
        raise


@contextmanager
def scratch_folder(prefix: str, parent: str | None = None) -> Iterator[Path]:
    """A temporary folder below ``parent``, or where the user's ``TMPDIR`` says.

    Raises
    ------
    ToolError
        If there is no room in it.
    """
    folder = parent or tempfile.gettempdir()
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as name:
            yield Path(name)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise ToolError(
            f"{folder}: {describe(error)}: make room, or let TMPDIR name another folder"
        ) from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace ``path`` by ``data`` in one step: a killed command leaves the old file or the new.

    Raises
    ------
    InputError
        If the folder cannot be created or written to.
    """
    payload = data.encode() if isinstance(data, str) else data
    with output_folder(path.parent):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = path
            raise


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A compressed ``.npz`` archive of ``arrays``; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            contents = io.BytesIO()
            np.lib.format.write_array(contents, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(member, contents.getvalue())
    return buffer.getvalue()


def read_npz(path: Path, data: bytes | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of the ``.npz`` at ``path``, or of ``data`` already read from there.

    Raises
    ------
    InputError
        If the file cannot be read, or is truncated or damaged.
    """
    contents = read_bytes(path) if data is None else data
    try:
        with np.load(io.BytesIO(contents), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, KeyError, *ZIP_ERRORS) as error:
        raise InputError(f"{path}: must be a whole .npz archive, but: {error}") from error
