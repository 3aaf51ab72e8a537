"""The Free Spoken Digit Dataset, the task ``spoken-digits``: short recordings of six speakers.

Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset. The project
publishes versions of a git repository; its recordings are 8 kHz, 16 bits, named
``DIGIT_SPEAKER_INDEX.wav``. Its own rule makes the recordings with the indices 0 to 4 of each
speaker and digit the test part. Validation data are those with the indices 5 to 9, so that the
two parts are of the same kind: both share their speakers with the training part.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, fetch_checked
from gruhw.errors import InputError
from gruhw.learning.tasks.augment import (
    compose,
    cut_ends,
    gain,
    limit,
    mask_bands,
    mask_time,
    noise,
    time_stretch,
)
from gruhw.learning.tasks.data import Task, TaskData
from gruhw.learning.tasks.files import FOLDER_VARIABLE, git_tree, read_pack, read_wav, tar_members
from gruhw.learning.tasks.log_mel import LogMel
from gruhw.network.sequences import Split

PACK = PinnedFile(
    "fsdd_logmel.npz", (), "f06d3b13517b77f22b65f7b61f75f5fdee014151f5aac968abd6fb81ae6f4cb7"
)
"""Per part: codes of 16 and of 40 bands one after another, where each begins, labels, indices."""

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
"""The version: tag v1.0.10."""

ARCHIVE = f"free-spoken-digit-dataset-{COMMIT[:10]}.tar.gz"
"""The name of the archive in the user's folder and in the cache."""

URLS = (
    f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.tar.gz",
    f"https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/tar.gz/{COMMIT}",
)
"""These pack the archive anew now and then, with another SHA-256: the tree is pinned instead."""

RECORDINGS_TREE = "d04322e322a9f937f6f4f7c8546693755184df5b"
"""The SHA-1 by which git names the folder of recordings in that version."""

RATE = 8000
STEPS = 113
"""Steps of the longest recording."""

TEST_INDICES = range(5)
VALIDATION_INDICES = range(5, 10)

NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")


def front_end(bands: int) -> LogMel:
    """How recordings become steps: 32 ms windows, one every 20 ms, 60 Hz to 3.8 kHz."""
    return LogMel(RATE, 256, 160, 512, bands, 60.0, 3800.0)


def read_recordings(path: Path, data: bytes, tree: str = RECORDINGS_TREE) -> dict[str, bytes]:
    """The contents of each recording in the project's archive, by file name.

    Parameters
    ----------
    path
        Named in errors.
    data
        The contents of the archive.
    tree
        The SHA-1 of the folder, see :func:`~gruhw.learning.tasks.files.git_tree`.

    Raises
    ------
    InputError
        If the archive is damaged, or its folder ``recordings`` is not the one pinned.
    """
    recordings: dict[str, bytes] = {}
    for name, content in tar_members(path, data):
        folder, _, file = name.partition("/")[2].partition("/")
        if folder == "recordings" and "/" not in file:
            recordings[file] = content
    if not recordings:
        raise InputError(f"{path}: folder recordings is required, but missing")
    if (found := git_tree(recordings)) != tree:
        raise InputError(f"{path}: git tree of recordings must be {tree}, not {found}")
    return recordings


def load_spoken_digits(
    bands: int, pack: PinnedFile = PACK, urls: tuple[str, ...] = URLS, tree: str = RECORDINGS_TREE
) -> TaskData:
    """Spoken digits from ``pack`` if the user has it, otherwise computed from the recordings.

    Parameters
    ----------
    bands
        Elements of a step; packs have 16 and 40.
    pack, urls, tree
        Where the data are, and what they must be.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-1, SHA-256 or contents.
    ToolError
        If the archive cannot be downloaded.
    """
    arrays = read_pack(pack)
    if arrays is not None:
        train, index = _from_pack(arrays, bands, "train")
        test, _ = _from_pack(arrays, bands, "test")
    else:
        everything, indices = _from_recordings(*fetch_recordings(urls, tree), bands)
        held_back = np.isin(indices, TEST_INDICES)
        train, index = everything.where(~held_back), indices[~held_back]
        test = everything.where(held_back)
    chosen = np.isin(index, VALIDATION_INDICES)
    return TaskData(train.where(~chosen), train.where(chosen), test)


def fetch_recordings(urls: tuple[str, ...], tree: str) -> tuple[Path, dict[str, bytes]]:
    """The project's archive, downloaded if necessary, and the contents of its recordings.

    Errors are those of :func:`load_spoken_digits`.
    """

    def check(path: Path, data: bytes) -> None:
        read_recordings(path, data, tree)

    path, data = fetch_checked(ARCHIVE, urls, check, folder_variable=FOLDER_VARIABLE)
    return path, read_recordings(path, data, tree)


def _from_pack(
    arrays: dict[str, NDArray[Any]], bands: int, part: str
) -> tuple[Split, NDArray[Any]]:
    ends = arrays[f"off_{part}"][1:-1]
    sequences = np.split(arrays[f"mel{bands}_{part}"], ends)
    return _padded(sequences, arrays[f"y_{part}"]), arrays[f"index_{part}"]


def _from_recordings(
    path: Path, recordings: dict[str, bytes], bands: int
) -> tuple[Split, NDArray[Any]]:
    features = front_end(bands)
    sequences, labels, indices = [], [], []
    for name in sorted(recordings):
        if (parsed := NAME.fullmatch(name)) is None:
            raise InputError(f"{path}: recordings must be named like 0_george_0.wav, not {name}")
        sequences.append(features(read_wav(f"{path}: {name}", recordings[name], RATE)))
        labels.append(int(parsed[1]))
        indices.append(int(parsed[3]))
    return _padded(sequences, np.array(labels)), np.array(indices)


def _padded(sequences: list[NDArray[np.uint8]], labels: NDArray[Any]) -> Split:
    lengths = np.array([len(sequence) for sequence in sequences])
    x = np.zeros((len(sequences), STEPS, sequences[0].shape[1]), dtype=np.uint8)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Split(x, labels, lengths)


def spoken_digits(bands: int) -> Task:
    """The task, with 16 or 40 bands a step."""
    return Task(
        name="spoken-digits",
        description=f"spoken digits: 6 to {STEPS} steps of {bands} log-mel bands, 10 classes",
        outputs=10,
        inputs=bands,
        steps=STEPS,
        source="Free Spoken Digit Dataset, Z. Jackson and others",
        licence="CC BY-SA 4.0",
        loader=partial(load_spoken_digits, bands),
        # More than this costs accuracy.
        augment=compose(
            cut_ends(3, shortest=8),
            time_stretch(0.15, keep_length=False),
            gain(6),
            mask_bands(1),
            mask_time(2),
            noise(4),
            limit(0, 255),
        ),
    )


SPOKEN_DIGITS = spoken_digits(bands=16)
