"""The files of the built-in tasks: packed arrays, archives read in memory, recordings.

Nothing is ever extracted to a disk, so the names in an archive cannot lead out of a folder.
"""

import hashlib
import io
import tarfile
import wave
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, local_file
from gruhw.basics.files import check_unpacked, read_npz, reading
from gruhw.errors import InputError

FOLDER_VARIABLE = "GRUHW_DATA"
"""The environment variable that names a folder with data sets, looked in before the cache."""


def read_pack(pack: PinnedFile) -> dict[str, NDArray[Any]] | None:
    """The arrays of a packed data set, if the user has it.

    Nobody serves packs: whoever has one is spared a download and the work of unpacking it.

    Raises
    ------
    InputError
        If it is there, but has another SHA-256 than the pinned one.
    """
    found = local_file(pack, FOLDER_VARIABLE)
    return None if found is None else read_npz(*found)


def tar_members(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The name and contents of each ordinary file in the ``.tar.gz`` whose contents are ``data``.

    Parameters
    ----------
    path
        Named in errors.
    data
        Its contents.

    Raises
    ------
    InputError
        If the archive is truncated or damaged.
    """
    unpacked = 0
    with (
        reading(path, "a whole .tar.gz archive"),
        tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive,
    ):
        for member in archive:
            if member.isreg() and (file := archive.extractfile(member)) is not None:
                # A few bytes can describe holes of any size.
                if member.issparse():
                    raise InputError(f"{path}: {member.name} must not have holes")
                check_unpacked(path, unpacked := unpacked + member.size)
                yield member.name, file.read()


def zip_members(path: Path, data: bytes) -> dict[str, bytes]:
    """The contents of each file in the ``.zip`` whose contents are ``data``, by name.

    Raises
    ------
    InputError
        If the archive is truncated or damaged.
    """
    with reading(path, "a whole .zip archive"), zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_unpacked(path, sum(member.file_size for member in archive.infolist()))
        return {name: archive.read(name) for name in archive.namelist() if name[-1:] != "/"}


def read_wav(name: str, data: bytes, rate: int) -> NDArray[np.int16]:
    """The samples of a recording: 16 bits, one channel, ``rate`` samples a second.

    Parameters
    ----------
    name
        Named in errors.
    data
        The contents of the ``.wav`` file.
    rate
        Samples a second that it must have.

    Returns
    -------
    array
        Shape [samples].

    Raises
    ------
    InputError
        If it is damaged, or in another format.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            found = (file.getframerate(), 8 * file.getsampwidth(), file.getnchannels())
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(f"{name}: must be a whole .wav file, but: {reason}") from error
    if found != (rate, 16, 1):
        raise InputError(
            f"{name}: must have {rate} Hz, 16 bits and 1 channel, "
            f"not {found[0]} Hz, {found[1]} bits and {found[2]}"
        )
    if len(samples) != 2 * file.getnframes():
        raise InputError(
            f"{name}: must have {file.getnframes()} samples as its header says, "
            f"not {len(samples) // 2}"
        )
    return np.frombuffer(samples, dtype="<i2").astype(np.int16)


def git_tree(files: Mapping[str, bytes]) -> str:
    """The SHA-1 by which git names a folder of ordinary files, in hexadecimal.

    It covers the name and the contents of every file, however an archive packs them. The formats
    are those of git's documentation, gitformat-pack and git-hash-object.

    Parameters
    ----------
    files
        The contents of each file, by its name in the folder.
    """
    entries = [
        b"100644 %s\0%s" % (name.encode(), _git_object(b"blob", files[name]).digest())
        for name in sorted(files, key=str.encode)
    ]
    return _git_object(b"tree", b"".join(entries)).hexdigest()


def _git_object(kind: bytes, content: bytes) -> "hashlib._Hash":
    # git's choice of hash, not ours: these are fingerprints that others have published.
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content), usedforsecurity=False)
