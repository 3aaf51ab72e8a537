"""Speech Commands, the task ``keyword-spotting``: ten words, silence, and any other word.

P. Warden, Speech Commands: a dataset for limited-vocabulary speech recognition,
arXiv:1804.03209. Version 0.02 comes with an archive for testing the twelve classes, 4,890 clips of
one second. It is small enough to train on in minutes, so this task divides it among speakers:
accuracies do not compare with those of networks that were trained on the whole data set.

The data set divides speakers by a hash (its README, function ``which_set``), which gives each
clip a percentage. In that archive it is 10 to 20, and here ::

    test        18 to 20
    validation  16.25 to 18
    training    10 to 16.25

so no speaker is in two parts. Clips of silence have no speaker; they are cut from six recordings
of noise, which all parts share.
"""

import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, fetch
from gruhw.errors import InputError
from gruhw.learning.tasks.augment import (
    band_stretch,
    compose,
    gain,
    limit,
    mask_bands,
    mask_time,
    tilt,
    time_shift,
    time_stretch,
)
from gruhw.learning.tasks.data import Task, TaskData, divide
from gruhw.learning.tasks.files import FOLDER_VARIABLE, read_pack, read_wav, tar_members
from gruhw.learning.tasks.log_mel import LogMel
from gruhw.network.sequences import Split

PACK = PinnedFile(
    "speech_commands12_logmel.npz",
    (),
    "fd6460d7b389d137ff7db6716c64b7fd6bb64dd9c1af577f857b138357de3b26",
)
"""Codes of 16 and of 40 bands, and the path of every clip, in the order of the paths."""

FILE = "speech_commands_test_set_v0.02.tar.gz"

PUBLISHED = PinnedFile(
    FILE,
    (
        f"https://storage.googleapis.com/download.tensorflow.org/data/{FILE}",
        f"http://download.tensorflow.org/data/{FILE}",
    ),
    "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
)

SILENCE = "_silence_"
CLASSES = (
    *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    *(SILENCE, "_unknown_"),
)
"""The folder of each class, in the order of the labels."""

TEST_FROM = 18.0
VALIDATION_FROM = 16.25

RATE = 16000
STEPS = 49

SPOKEN = re.compile(r"(?:[a-z]+_)?([0-9a-f]+)_nohash_[0-9]+(?:\.wav)+")
"""A clip's file name; those of other words begin with the word."""

HASHES = 2**27
"""``which_set`` takes the SHA-1 of the speaker modulo this."""


def front_end(bands: int) -> LogMel:
    """How clips become steps: 32 ms windows, one every 20 ms, 60 Hz to 7.6 kHz."""
    return LogMel(RATE, 512, 320, 512, bands, 60.0, 7600.0)


def percentage(path: str) -> float:
    """Where a clip is in the data set's division, 0 to 100; see the module.

    Parameters
    ----------
    path
        ``FOLDER/FILE``, as in the archive.

    Raises
    ------
    InputError
        If the file name is not one of a clip.
    """
    folder, _, file = path.partition("/")
    if folder == SILENCE:
        # Silence has no speaker: its clips are divided at random, in the same proportions.
        return 10.0 + _sha1(file) % 1000 / 100.0
    if (parsed := SPOKEN.fullmatch(file)) is None:
        raise InputError(f"clips must be named like yes/022cd682_nohash_0.wav, not {path}")
    return _sha1(parsed[1]) % HASHES * (100.0 / (HASHES - 1))


def _sha1(text: str) -> int:
    return int(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), 16)


def read_clips(path: Path, data: bytes, bands: int) -> dict[str, NDArray[np.uint8]]:
    """The steps of every clip in the published archive, by ``FOLDER/FILE``.

    Parameters
    ----------
    path
        Named in errors.
    data
        The contents of the archive.
    bands
        Elements of a step.

    Returns
    -------
    dict of arrays
        Each of shape [49, bands].

    Raises
    ------
    InputError
        If the archive or a clip is damaged, or a class has no clip.
    """
    features = front_end(bands)
    clips: dict[str, NDArray[np.uint8]] = {}
    for name, content in tar_members(path, data):
        clip = "/".join(name.split("/")[-2:])
        if clip.split("/")[0] in CLASSES and clip.endswith(".wav"):
            samples = read_wav(f"{path}: {clip}", content, RATE)[:RATE]
            clips[clip] = features(np.pad(samples, (0, RATE - len(samples))))
    for folder in CLASSES:
        if not any(clip.startswith(f"{folder}/") for clip in clips):
            raise InputError(f"{path}: folder {folder} is required, but missing")
    return dict(sorted(clips.items()))


def load_keyword_spotting(
    bands: int, pack: PinnedFile = PACK, published: PinnedFile = PUBLISHED
) -> TaskData:
    """Keywords from ``pack`` if the user has it, otherwise computed from the published clips.

    Parameters
    ----------
    bands
        Elements of a step; packs have 16 and 40.
    pack, published
        Where the data are, and what they must be.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-256 or contents.
    ToolError
        If the archive cannot be downloaded.
    """
    arrays = read_pack(pack)
    if arrays is not None:
        paths, x = [clip.decode() for clip in arrays["path"]], arrays[f"mel{bands}"]
    else:
        found = fetch(published, folder_variable=FOLDER_VARIABLE)
        clips = read_clips(*found, bands)
        paths, x = list(clips), np.stack(list(clips.values()))
    return divide_clips(paths, x)


def divide_clips(paths: list[str], x: NDArray[Any]) -> TaskData:
    """Label the clips by their folders, and divide them by their speakers.

    Parameters
    ----------
    paths
        ``FOLDER/FILE`` of every clip.
    x
        Their steps, shape [N, 49, bands].
    """
    y = np.array([CLASSES.index(path.partition("/")[0]) for path in paths])
    place = np.array([percentage(path) for path in paths])
    in_test = place >= TEST_FROM
    return divide(Split(x, y), (place >= VALIDATION_FROM) & ~in_test, in_test)


def keyword_spotting(bands: int) -> Task:
    """The task, with 16 or 40 bands a step."""
    return Task(
        name="keyword-spotting",
        description=(
            f"ten words, silence or another word: {STEPS} steps of {bands} log-mel bands, "
            f"{len(CLASSES)} classes"
        ),
        outputs=len(CLASSES),
        inputs=bands,
        steps=STEPS,
        source="Speech Commands 0.02, test set, P. Warden",
        licence="CC BY 4.0",
        loader=partial(load_keyword_spotting, bands),
        hidden=48,
        augment=compose(
            time_stretch(0.15, keep_length=True),
            time_shift(5),
            band_stretch(0.1),
            gain(15),
            tilt(10),
            mask_bands(bands // 8),
            mask_time(6),
            limit(0, 255),
        ),
    )


KEYWORD_SPOTTING = keyword_spotting(bands=16)
