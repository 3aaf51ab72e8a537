"""Reading and writing files so that nothing is ever half-written or silently different."""

import errno
import hashlib
import io
import json
import os
import re
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gruhw.errors import InputError, ToolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_FILE = 1 << 34
"""Bytes of the largest file that is read, and the most that an archive may unpack to: several times
those of the largest data set that gruhw knows."""


MALFORMED = (
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What comes of JSON that holds something else than was expected."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the operating system says when no more can be written."""


PathLike: TypeAlias = str | os.PathLike[str]
"""A path as the Python interface takes it."""


def as_path(path: PathLike, name: str = "path") -> Path:
    """``path``, called ``name``, as a :class:`Path`; :class:`InputError` if it is none."""
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{name} must be a str or a Path, not {path!r}")
    return Path(path)


def describe(error: Exception) -> str:
    """What was wrong, as the operating system says it: ``permission denied``."""
    if isinstance(error, MemoryError):
        return str(error) or "it does not fit into memory"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``; :class:`InputError` if that cannot be found out."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {describe(error)}") from error


def read_bytes(path: Path) -> bytes:
    """The contents of the file at ``path``.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit into memory; if it is larger than
        :data:`LARGEST_FILE`; or if it is a pipe or a device, which need not have an end.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise InputError(f"{path}: must be a regular file, but is a pipe or a device")
            if found.st_size > LARGEST_FILE:
                raise InputError(
                    f"{path}: must have at most {LARGEST_FILE:,} bytes, not {found.st_size:,}"
                )
            return file.read()
    # Names that no file can have, with a zero byte in them, are wrong values.
    except (OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read: {describe(error)}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for the other end, if it is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def read_text(path: Path) -> str:
    """The UTF-8 text at ``path``; :class:`InputError` naming the file if it is none."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: must be UTF-8 text, but is not: {error.reason}") from error


def parse_json(data: bytes | str, source: object) -> Any:
    """The JSON document in ``data``, in whose objects every name appears once.

    Raises
    ------
    InputError
        Naming ``source``, if it is none.
    """
    try:
        return json.loads(data, object_pairs_hook=_unique_names)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{source}: must be JSON, but: {error}") from error


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"every name must appear once, but {name!r} appears twice")
        found[name] = value
    return found


@contextmanager
def reading(path: object, what: str) -> Iterator[None]:
    """Report whatever goes wrong inside as damage to the file at ``path``.

    For formats whose readers raise almost anything where a file is damaged.

    Parameters
    ----------
    path
        Of the file; for messages.
    what
        What the file must be: ``a whole .npz archive``.
    """
    try:
        # The one line says it all.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError):
            reason = describe(error)
        elif isinstance(error, AttributeError | TypeError | LookupError):
            reason = "its parts do not fit together"  # Python's words would be about itself
        else:
            reason = str(error) or type(error).__name__
        raise InputError(f"{path}: must be {what}, but: {reason}") from error


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


UNFINISHED = re.compile(r"\.(.+)\.[a-z0-9_]{8}")
"""The names that :func:`write_atomic` gives what is not yet whole."""


def unfinished(name: str) -> str | None:
    """What a file of this name was to be called, if it is one that :func:`write_atomic` left.

    It does so when it is killed. None for any other name.
    """
    found = UNFINISHED.fullmatch(name)
    return found[1] if found else None


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


def npz_bytes(arrays: "Mapping[str, NDArray[Any]]") -> bytes:
    """A compressed ``.npz`` archive of ``arrays``; the same arrays give the same bytes."""
    import numpy as np  # late: commands without arrays should not wait for it

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            contents = io.BytesIO()
            np.lib.format.write_array(contents, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(member, contents.getvalue())
    return buffer.getvalue()


def read_npz(path: Path, data: bytes | None = None) -> "dict[str, NDArray[Any]]":
    """The arrays of the ``.npz`` at ``path``, or of ``data`` already read from there.

    Raises
    ------
    InputError
        If the file cannot be read, or is truncated or damaged.
    """
    import numpy as np

    contents = read_bytes(path) if data is None else data
    arrays: dict[str, NDArray[Any]] = {}
    with (
        reading(path, "a whole .npz archive"),
        zipfile.ZipFile(io.BytesIO(contents)) as archive,
    ):
        check_unpacked(path, sum(member.file_size for member in archive.infolist()))
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise InputError(f"{path}: array {name} must be there once, but is there twice")
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
                # Only at its end is a member compared with its checksum.
                if file.read(1):
                    raise InputError(f"{path}: {member.filename} must end with its array")
    return arrays


def check_unpacked(path: Path, size: int) -> None:
    """Raise :class:`InputError` if so many bytes are more than an archive may unpack to."""
    if size > LARGEST_FILE:
        raise InputError(f"{path}: must unpack to at most {LARGEST_FILE:,} bytes, not {size:,}")
