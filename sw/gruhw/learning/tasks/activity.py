"""Smartphone activity, the task ``activity``: what someone does who carries a phone.

J. Reyes-Ortiz, L. Oneto, A. Samà, X. Parra and D. Anguita, Transition-aware human activity
recognition using smartphones, Neurocomputing 171, 2016; UCI Machine Learning Repository, data set
341 (HAPT). 30 subjects wore a phone at the waist; its accelerometer and gyroscope were read 50
times a second.

Every labelled segment of a basic activity is cut into windows of 2.56 s that overlap by half;
what does not fill a window at its end, postural transitions and unlabelled parts are left out.
Signals are raw: no filter, gravity included. The nine subjects of the test part are those of the
older data set 240 (HAR). Windows of one subject resemble each other, and even overlap, so
validation data are all windows of four subjects: every fifth of the other 21.
"""

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, fetch
from gruhw.errors import InputError
from gruhw.learning.tasks.augment import amplitude, compose, noise, rotate, time_stretch
from gruhw.learning.tasks.data import Task, TaskData, divide
from gruhw.learning.tasks.files import FOLDER_VARIABLE, read_pack, zip_members
from gruhw.network.fixed import FloatArray
from gruhw.network.sequences import Split

PACK = PinnedFile(
    "har_hapt.npz", (), "f89cb45a7ed7bee326e6719c9a5fb717eb9da06400f9e6399ed6158ed6d2a23d"
)
"""``x_PART, y_PART, subject_PART``; what :func:`read_windows` makes of the published archive."""

FILE = "smartphone+based+recognition+of+human+activities+and+postural+transitions.zip"

PUBLISHED = PinnedFile(
    FILE,
    (f"https://archive.ics.uci.edu/static/public/341/{FILE}",),
    "4ac4ae064227c07045a99551876b54d204837e995e298b6488559e209b3deb09",
)

SCALE = np.array([2.0**-13] * 3 + [2.0**-11] * 3)
"""The value of one code of each element: g for acceleration, rad/s for angular velocity."""

ACTIVITIES = 6
"""Basic activities: walking, upstairs, downstairs, sitting, standing, laying. Labels from 1."""

STEPS = 128
"""Samples of a window."""

HOP = 64
"""Samples from one window to the next."""

TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
VALIDATION_SUBJECTS = (7, 16, 23, 29)

ACCELERATION = re.compile(r"(?:.*/)?RawData/acc_exp([0-9]+)_user([0-9]+)\.txt")


def read_windows(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """Cut the recordings in the published archive into windows.

    Experiments follow each other in the order of their numbers, and windows in that of time.

    Parameters
    ----------
    path
        Named in errors.
    data
        The contents of the archive.

    Returns
    -------
    dict of arrays
        ``x`` [N, 128, 6] in units of :data:`SCALE`, ``y`` [N] and ``subject`` [N].

    Raises
    ------
    InputError
        If the archive is damaged, or lacks a file.
    """
    members = zip_members(path, data)
    inner = [name for name in members if name.endswith(".zip")]
    if len(inner) == 1:  # the repository puts some data sets into an archive in an archive
        path = path / inner[0]
        members = zip_members(path, members[inner[0]])
    recordings = sorted(
        (int(parsed[1]), int(parsed[2]), name)
        for name in members
        if (parsed := ACCELERATION.fullmatch(name)) is not None
    )
    if not recordings:
        raise InputError(f"{path}: RawData/acc_exp01_user01.txt is required, but missing")
    folder = recordings[0][2].rpartition("/")[0]
    segments = _numbers(path, members, f"{folder}/labels.txt", 5).astype(np.int64)
    windows, labels, subjects = [], [], []
    for experiment, subject, name in recordings:
        gyroscope = f"{folder}/gyro_{name.rpartition('/acc_')[2]}"
        codes = _codes(path, _numbers(path, members, name, 3), gyroscope, members)
        of = segments[(segments[:, 0] == experiment) & (segments[:, 2] <= ACTIVITIES)]
        if len(of) and of[:, 4].max() >= len(codes):
            raise InputError(
                f"{path}: {name} must have more than {of[:, 4].max()} samples, as labels.txt "
                f"says, not {len(codes)}"
            )
        for _, _, activity, first, last in of[np.argsort(of[:, 3], kind="stable")]:
            # The first sample of a recording is number 0.
            for start in range(first, last + 2 - STEPS, HOP):
                windows.append(codes[start : start + STEPS])
                labels.append(activity - 1)
                subjects.append(subject)
    return {"x": np.stack(windows), "y": np.array(labels), "subject": np.array(subjects)}


def _numbers(path: Path, members: dict[str, bytes], name: str, columns: int) -> FloatArray:
    """The table of numbers in a text file, shape [rows, columns]."""
    if name not in members:
        raise InputError(f"{path}: {name} is required, but missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file, refused below
            table = np.loadtxt(io.BytesIO(members[name]), ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: {name} must be a table of numbers, but: {error}") from error
    if table.shape[1] != columns:
        raise InputError(f"{path}: {name} must have {columns} columns, not {table.shape[1]}")
    return table


def _codes(
    path: Path, acceleration: FloatArray, gyroscope: str, members: dict[str, bytes]
) -> NDArray[np.int16]:
    """Both signals of a recording in units of :data:`SCALE`, shape [samples, 6]."""
    rotation = _numbers(path, members, gyroscope, 3)
    if len(rotation) != len(acceleration):
        raise InputError(
            f"{path}: {gyroscope} must have {len(acceleration)} samples like the acceleration, "
            f"not {len(rotation)}"
        )
    values = np.round(np.hstack([acceleration, rotation]) / SCALE)
    codes: NDArray[np.int16] = np.clip(values, -(2**15), 2**15 - 1).astype(np.int16)
    return codes


def load_activity(pack: PinnedFile = PACK, published: PinnedFile = PUBLISHED) -> TaskData:
    """Windows from ``pack`` if the user has it, otherwise cut from the published recordings.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-256 or contents.
    ToolError
        If the archive cannot be downloaded.
    """
    arrays = read_pack(pack)
    if arrays is not None:
        arrays = {
            kind: np.concatenate([arrays[f"{kind}_{part}"] for part in ("train", "test")])
            for kind in ("x", "y", "subject")
        }
    else:
        found = fetch(published, folder_variable=FOLDER_VARIABLE)
        arrays = read_windows(*found)
    windows = Split(arrays["x"], arrays["y"])
    in_test = np.isin(arrays["subject"], TEST_SUBJECTS)
    in_val = np.isin(arrays["subject"], VALIDATION_SUBJECTS)
    return divide(windows, in_val, in_test)


ACTIVITY = Task(
    name="activity",
    description=(
        f"what someone with a phone does: {STEPS} steps of 6 accelerations and rotations, "
        f"{ACTIVITIES} classes"
    ),
    outputs=ACTIVITIES,
    inputs=6,
    steps=STEPS,
    source="HAPT, J. Reyes-Ortiz and others",
    licence="CC BY 4.0",
    loader=load_activity,
    augment=compose(
        time_stretch(0.1, keep_length=True),
        rotate(35),
        amplitude(0.05, 0.1),
        noise(0.02 / SCALE),
    ),
)
