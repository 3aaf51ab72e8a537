"""Files of the built-in tasks as the tests of their loaders make them."""

import hashlib
import io
import tarfile
import wave
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile
from gruhw.learning.tasks import Split, TaskData


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that GRUHW_DATA names, empty; the cache is empty too."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GRUHW_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def pin(folder: Path, name: str, data: bytes) -> PinnedFile:
    """Write a file, and pin it."""
    (folder / name).write_bytes(data)
    return PinnedFile(name, (), hashlib.sha256(data).hexdigest())


def absent(name: str) -> PinnedFile:
    """A file that is nowhere."""
    return PinnedFile(name, (), "0" * 64)


def wav(samples: NDArray[np.int16], rate: int) -> bytes:
    """A recording with one channel of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_archive(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def assert_equal(left: Split, right: Split) -> None:
    """Fail unless both hold the same sequences in the same order."""
    for one, other in ((left.x, right.x), (left.y, right.y), (left.lengths, right.lengths)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def assert_same_data(left: TaskData, right: TaskData) -> None:
    """Fail unless all three parts are equal."""
    for part in ("train", "val", "test"):
        assert_equal(getattr(left, part), getattr(right, part))
