"""The cache: folders of the user's where commands keep what the next ones need again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gruhw.basics.files import describe, output_folder
from gruhw.errors import InputError

VARIABLE = "XDG_CACHE_HOME"
"""The environment variable that names the folder of all programs' caches."""

ADVICE = f"let {VARIABLE} name another folder"


def _caches() -> Path:
    # The XDG specification has relative paths ignored.
    named = Path(os.environ.get(VARIABLE, ""))
    if named.is_absolute():
        return named
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:
        raise InputError(
            f"{VARIABLE} must name a folder for the cache: the user has no home folder"
        ) from error


def cache_folder() -> Path:
    """Where gruhw keeps files between commands; it need not exist.

    Raises
    ------
    InputError
        If neither the environment nor the system names a place for it.
    """
    return _caches() / "gruhw"


@contextmanager
def writing_cache(name: str = "") -> Iterator[Path]:
    """Create a folder of the cache for the duration of a write: see :func:`output_folder`.

    Raises
    ------
    InputError
        If it cannot be created or written to. It says which variable moves the cache.
    """
    try:
        with output_folder(cache_folder() / name) as folder:
            yield folder
    except InputError as error:
        raise InputError(f"{error}: {ADVICE}") from error


def check_yosys_cache() -> None:
    """Create the folder without which Amaranth's Yosys does not start, unless it exists.

    Wasmtime, which runs it, keeps compiled programs there, but does not need to write.

    Raises
    ------
    InputError
        If the folder cannot be created. It says which variable moves the cache.
    """
    if sys.platform == "linux":  # elsewhere Wasmtime looks elsewhere
        folder = _caches() / "wasmtime"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {describe(error)}: {ADVICE}") from error
