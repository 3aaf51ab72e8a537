"""Public files with pinned contents: from a folder of the user's, the cache or the network.

Each file is looked up in three places, in this order:

1. the folder that an environment variable names, so that everything also runs offline;
2. the cache, ``$XDG_CACHE_HOME/gruhw`` or ``~/.cache/gruhw``;
3. its public addresses, one after the other; what arrives goes into the cache.

Wherever it comes from, its contents must be the pinned ones. What has arrived of an interrupted
download stays in the cache as ``NAME.part``, and the next attempt asks for the rest only.
"""

import fcntl
import http.client
import os
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gruhw.basics.cache import cache_folder, writing_cache
from gruhw.basics.files import check_sha256, describe, exists, output_folder, read_bytes
from gruhw.errors import InputError, ToolError

CHUNK_BYTES = 1 << 16

Check: TypeAlias = Callable[[Path, bytes], None]
"""Raises :class:`InputError` if a file does not have the contents that were pinned."""


@dataclass(frozen=True)
class PinnedFile:
    """A public file: its name, the addresses that serve it, and the SHA-256 of its contents."""

    name: str
    urls: tuple[str, ...]
    sha256: str

    def check(self, path: Path, data: bytes) -> None:
        """Raise :class:`InputError` unless ``data``, found at ``path``, are its contents."""
        check_sha256(path, data, self.sha256)


def local_file(file: PinnedFile, folder_variable: str | None = None) -> tuple[Path, bytes] | None:
    """The path and contents of ``file`` if it is in the user's folder or the cache.

    Raises
    ------
    InputError
        If the environment variable names no folder, or the file found cannot be read or has
        another SHA-256 than the pinned one: it is truncated, damaged or another version.
    """
    return _find(file.name, file.check, folder_variable)


def _find(name: str, check: Check, folder_variable: str | None) -> tuple[Path, bytes] | None:
    folders = [cache_folder()]
    if folder_variable is not None and (named := os.environ.get(folder_variable)):
        if not exists(Path(named)) or not Path(named).is_dir():
            raise InputError(f"{folder_variable} must name a folder, not {named!r}")
        folders.insert(0, Path(named))
    for folder in folders:
        path = folder / name
        if exists(path):
            data = read_bytes(path)
            check(path, data)
            return path, data
    return None


def fetch(
    file: PinnedFile, *, folder_variable: str | None = None, timeout: float = 30.0
) -> tuple[Path, bytes]:
    """Find or download a file whose contents are known in advance.

    Parameters
    ----------
    file
        Its name in the user's folder and in the cache; its addresses are tried in turn.
    folder_variable
        The environment variable that may name a folder to look in first.
    timeout
        How long to wait for a server that is silent, in seconds.

    Returns
    -------
    tuple of Path and bytes
        Where the file is, and its contents.

    Raises
    ------
    InputError
        As for :func:`local_file`, or if the cache cannot be written.
    ToolError
        If no address serves the file.
    """
    return fetch_checked(
        file.name, file.urls, file.check, folder_variable=folder_variable, timeout=timeout
    )


def fetch_checked(
    name: str,
    urls: tuple[str, ...],
    check: Check,
    *,
    folder_variable: str | None = None,
    timeout: float = 30.0,
) -> tuple[Path, bytes]:
    """Find or download a file that is pinned by something else than its own SHA-256.

    Like :func:`fetch`, but ``check`` says whether the contents are the right ones: an archive
    that its server packs anew every time never has the same SHA-256.
    """
    if (found := _find(name, check, folder_variable)) is not None:
        return found
    failures = []
    with writing_cache() as folder:
        path = folder / name
    with _locked_part(path) as part:
        # Another process may have fetched the file while this one waited for the lock.
        if exists(path):
            data = read_bytes(path)
            check(path, data)
            return path, data
        for url in urls:
            try:
                data = _download(url, part, check, timeout)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures.append(f"{url} ({_reason(error)})")
                continue
            part.become(path)
            return path, data
    offline = f"; to work offline, put it into a folder and name that in {folder_variable}"
    raise ToolError(
        f"{name}: cannot be downloaded from {', '.join(failures)}"
        f"{offline if folder_variable is not None else ''}"
    )


class _Part:
    """What has arrived of a file: ``NAME.part``, opened and locked.

    Trouble with writing it raises :class:`InputError`, so that ``OSError`` is always the
    network's.
    """

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def append(self, data: bytes) -> None:
        with _writing(self.path):
            self._file.write(data)
            self.size += len(data)

    def clear(self) -> None:
        with _writing(self.path):
            self._file.seek(0)
            self._file.truncate()
            self.size = 0

    def read(self) -> bytes:
        with _writing(self.path):
            self._file.flush()
        return read_bytes(self.path)

    def become(self, path: Path) -> None:
        with _writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self.path.replace(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {describe(error)}") from error


@contextmanager
def _locked_part(path: Path) -> Iterator[_Part]:
    """Open and lock the ``.part`` of the file at ``path``; remove it at the end if it is empty.

    A process that fetches the same file at the same time waits here.
    """
    name = path.with_name(f"{path.name}.part")
    while True:
        with output_folder(path.parent), _writing(name):
            file = name.open("a+b")
        # Closing the file writes what it still holds.
        with _writing(name), file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # While this process waited, the other one may have renamed or removed the file.
            if not _is_still(file, name):
                continue
            part = _Part(name, file)
            try:
                yield part
            finally:
                if part.size == 0:
                    name.unlink(missing_ok=True)
            return


def _is_still(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _download(url: str, part: _Part, check: Check, timeout: float) -> bytes:
    """Complete ``part`` from ``url`` and return its contents.

    If the contents turn out wrong, ``part`` is emptied. If they began with an earlier
    download, that may have been what was wrong, and all is fetched once more.
    """
    if part.size:
        data = part.read()
        with suppress(InputError):
            check(part.path, data)
            return data
    resumed = _receive(url, part, timeout)
    data = part.read()
    try:
        check(part.path, data)
    except InputError as error:
        part.clear()
        if resumed:
            return _download(url, part, check, timeout)
        raise ValueError(str(error).removeprefix(f"{part.path}: ")) from error
    return data


def _receive(url: str, part: _Part, timeout: float) -> bool:
    """Append to ``part`` what it lacks, or fetch all if the server does not serve pieces.

    Returns
    -------
    bool
        Whether ``part`` still begins with what an earlier download left.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "gruhw"})
    if part.size:
        request.add_header("Range", f"bytes={part.size}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.request.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not part.size:
            raise
        # There is no rest: what has arrived is as long as the file, or longer, and wrong.
        part.clear()
        return _receive(url, part, timeout)
    with response:
        continued = response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-")
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or not continued:
            part.clear()
        resumed = part.size > 0
        announced = response.headers.get("Content-Length", "")
        total = part.size + int(announced) if announced.isdigit() else None
        with _progress(part.path.stem, part.size, total) as progress:
            while chunk := response.read1(CHUNK_BYTES):
                part.append(chunk)
                progress.update(progress.task_ids[0], completed=part.size)
    # Reading in chunks, urllib takes a connection that closes early for the end of the file.
    if total is not None and part.size != total:
        raise ValueError(f"connection closed after {part.size} of {total} bytes")
    return resumed


@contextmanager
def _progress(name: str, completed: int, total: int | None) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        progress.add_task(name, completed=completed, total=total)
        yield progress


def _reason(error: Exception) -> str:
    """What went wrong with a download, without the wrapping that urllib adds."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.request.HTTPError):
        return f"HTTP status {error.code}"
    if isinstance(reason, OSError):
        return (reason.strerror or str(reason)).lower()
    return str(reason or error).lower() if isinstance(error, OSError) else str(error)
