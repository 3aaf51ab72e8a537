"""Public files with a pinned SHA-256: from a folder of the user's, the cache or the network.

Each file is looked up in three places, in this order:

1. the folder that an environment variable names, so that everything also runs offline;
2. the cache, ``$XDG_CACHE_HOME/gruhw`` or ``~/.cache/gruhw``;
3. its public addresses, one after the other; what arrives goes into the cache.

Wherever it comes from, its contents must have the pinned SHA-256.
"""

import http.client
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from gruhw.errors import InputError, ToolError
from gruhw.files import check_sha256, read_bytes, sha256, write_atomic

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class PinnedFile:
    """A public file: its name, the addresses that serve it, and the SHA-256 of its contents."""

    name: str
    urls: tuple[str, ...]
    sha256: str


def cache_folder() -> Path:
    """Where downloaded files are kept; it need not exist."""
    # The XDG specification has relative paths ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "gruhw"


def local_file(file: PinnedFile, folder_variable: str | None = None) -> tuple[Path, bytes] | None:
    """The path and contents of ``file`` if it is in the user's folder or the cache.

    Raises
    ------
    InputError
        If the environment variable names no folder, or the file found cannot be read or has
        another SHA-256 than the pinned one: it is truncated, damaged or another version.
    """
    folders = [cache_folder()]
    if folder_variable is not None and (named := os.environ.get(folder_variable)):
        if not Path(named).is_dir():
            raise InputError(f"{folder_variable} must name a folder, not {named!r}")
        folders.insert(0, Path(named))
    for folder in folders:
        path = folder / file.name
        if path.exists():
            data = read_bytes(path)
            check_sha256(path, data, file.sha256)
            return path, data
    return None


def fetch(
    name: str,
    urls: tuple[str, ...],
    sha256: str,
    *,
    folder_variable: str | None = None,
    timeout: float = 30.0,
) -> tuple[Path, bytes]:
    """Find or download a file whose contents are known in advance.

    Parameters
    ----------
    name
        Its name in the user's folder and in the cache.
    urls
        Public addresses, tried in turn.
    sha256
        The SHA-256 of its contents, in hexadecimal.
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
    file = PinnedFile(name, urls, sha256)
    if (found := local_file(file, folder_variable)) is not None:
        return found
    failures = []
    for url in urls:
        try:
            data = _download(url, name, timeout)
            _check_download(data, file)
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{url} ({_reason(error)})")
            continue
        path = cache_folder() / name
        write_atomic(path, data)
        return path, data
    offline = f"; to work offline, put it into a folder and name that in {folder_variable}"
    raise ToolError(
        f"{name}: cannot be downloaded from {', '.join(failures)}"
        f"{offline if folder_variable is not None else ''}"
    )


def _check_download(data: bytes, file: PinnedFile) -> None:
    if (found := sha256(data)) != file.sha256:
        raise ValueError(f"SHA-256 must be {file.sha256}, not {found}")


def _download(url: str, name: str, timeout: float) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "gruhw"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdigit() else None
        received = bytearray()
        with _progress(name, total) as progress:
            while chunk := response.read(CHUNK_BYTES):
                received += chunk
                progress.update(progress.task_ids[0], completed=len(received))
    # Reading in chunks, urllib takes a connection that closes early for the end of the file.
    if total is not None and len(received) != total:
        raise ValueError(f"connection closed after {len(received)} of {total} bytes")
    return bytes(received)


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(
        *columns,
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        progress.add_task(name, total=total)
        yield progress


def _reason(error: Exception) -> str:
    """What went wrong with a download, without the wrapping that urllib adds."""
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.request.HTTPError):
        return f"HTTP status {error.code}"
    if isinstance(reason, OSError):
        return (reason.strerror or str(reason)).lower()
    return str(reason or error).lower() if isinstance(error, OSError) else str(error)
