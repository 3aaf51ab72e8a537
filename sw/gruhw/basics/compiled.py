"""Compiled programs that the cache keeps: each beside its SHA-256, and run only if it is whole.

A damaged program would crash, or compute something else than its source says. It counts as absent,
and is compiled anew.
"""

from pathlib import Path

from gruhw.basics.files import read_bytes, sha256, write_atomic
from gruhw.errors import InputError


def keep(file: Path, folder: Path) -> None:
    """Copy ``file`` into ``folder``; a killed command leaves nothing that counts as whole.

    Raises
    ------
    InputError
        If the folder cannot be created or written to.
    """
    data, kept = read_bytes(file), folder / file.name
    write_atomic(kept, data)
    kept.chmod(file.stat().st_mode & 0o777)
    # The last: without it, the file does not count.
    write_atomic(_digest(kept), f"{sha256(data)}\n")


def is_whole(kept: Path) -> bool:
    """Whether ``kept`` is what :func:`keep` put there."""
    try:
        return read_bytes(_digest(kept)) == f"{sha256(read_bytes(kept))}\n".encode()
    except InputError:
        return False


def _digest(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.sha256")
