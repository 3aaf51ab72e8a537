"""Smartphone activity: windows cut from recordings, equal to the packed ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from task_files import absent, assert_same_data, data_folder, pin, zip_archive

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError
from gruhw.learning.tasks.activity import load_activity, read_windows

__all__ = ["data_folder"]

SIGNALS = {
    (experiment, subject): np.random.default_rng(experiment).normal(0, 0.9, (samples, 6))
    for experiment, subject, samples in ((1, 1, 900), (2, 7, 330), (3, 2, 300), (12, 2, 128))
}
"""Four experiments: their numbers, subjects and signals."""

LABELS = """\
1 1 5 250 505
1 1 7 506 700
1 1 1 721 899
2 7 6 0 255
3 2 2 3 129
3 2 3 160 299
1 1 4 10 200
12 2 6 0 127
"""

WINDOWS = [
    *((1, 10, 3), (1, 250, 4), (1, 314, 4), (1, 378, 4), (1, 721, 0)),
    *((2, 0, 5), (2, 64, 5), (2, 128, 5), (3, 160, 2), (12, 0, 5)),
]
"""The experiment, first sample and label of each window that these segments have room for.

The last one of a segment may end with its last sample, which is in it: 721 to 899 has one
window, 250 to 505 has three, 3 to 129 is one sample too short. Activity 7 is a transition.
"""


def files() -> dict[str, str]:
    """The archive's files; numbers are written as in the data set."""
    made = {"README.txt": "", "RawData/labels.txt": LABELS}
    for (experiment, subject), signal in reversed(SIGNALS.items()):
        for sensor, columns in (("acc", signal[:, :3]), ("gyro", signal[:, 3:])):
            rows = "".join(" ".join(f"{value:.15e}" for value in row) + "\n" for row in columns)
            made[f"RawData/{sensor}_exp{experiment:02}_user{subject:02}.txt"] = rows
    return made


def archive(contents: dict[str, str]) -> bytes:
    return zip_archive({name: text.encode() for name, text in contents.items()})


def expected() -> dict[str, NDArray[Any]]:
    signals = {experiment: signal for (experiment, _), signal in SIGNALS.items()}
    subjects = dict(SIGNALS)
    codes = np.stack([signals[of][start : start + 128] for of, start, _ in WINDOWS])
    return {
        "x": np.round(codes * [8192, 8192, 8192, 2048, 2048, 2048]).astype(np.int16),
        "y": np.array([label for *_, label in WINDOWS]),
        "subject": np.array([s for of, *_ in WINDOWS for e, s in subjects if e == of]),
    }


@pytest.mark.parametrize("nested", [False, True])
def test_windows(nested: bool) -> None:
    data = archive(files())
    if nested:
        data = zip_archive({"HAPT Data Set.zip": data, "README.txt": b""})
    found = read_windows(Path("hapt.zip"), data)
    assert found["x"].dtype == np.int16
    for name, array in expected().items():
        np.testing.assert_array_equal(found[name], array)


def test_archive_and_pack_give_the_same_windows(data_folder: Path) -> None:
    from_archive = load_activity(absent("pack.npz"), pin(data_folder, "hapt.zip", archive(files())))
    windows = expected()
    of_test = windows["subject"] == 2
    arrays = {f"{kind}_train": array[~of_test] for kind, array in windows.items()}
    arrays |= {f"{kind}_test": array[of_test] for kind, array in windows.items()}
    pack = pin(data_folder, "pack.npz", npz_bytes(arrays))
    from_pack = load_activity(pack, absent("x.zip"))
    assert_same_data(from_archive, from_pack)
    # Subject 1 is to train on, all of subject 7 for validation, subject 2 for the test.
    assert [len(part) for part in (from_pack.train, from_pack.val, from_pack.test)] == [5, 3, 2]
    assert from_pack.test.lengths.tolist() == [128, 128]


def test_signals_saturate() -> None:
    contents = files()
    row = "-4.000000000000000e+00 3.999938964843750e+00 4.5e0\n"
    contents["RawData/acc_exp12_user02.txt"] = row * 128
    found = read_windows(Path("hapt.zip"), archive(contents))["x"]
    assert found[-1, 0, :3].tolist() == [-32768, 32767, 32767]


def changed(name: str, change: Callable[[str], str]) -> bytes:
    contents = files()
    contents[name] = change(contents[name])
    return archive(contents)


def without(name: str) -> bytes:
    return archive({other: text for other, text in files().items() if other != name})


ACC, GYRO = "RawData/acc_exp02_user07.txt", "RawData/gyro_exp02_user07.txt"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain", "must be a whole .zip archive, but: File is not a zip file"),
        (
            archive(files())[:-2000],
            "must be a whole .zip archive, but: File is not a zip file",
        ),
        (zip_archive({"a": b""}), "RawData/acc_exp01_user01.txt is required, but missing"),
        (without("RawData/labels.txt"), "RawData/labels.txt is required, but missing"),
        (without(GYRO), f"{GYRO} is required, but missing"),
        (changed(ACC, lambda text: ""), f"{ACC} must have 3 columns, not 1"),
        (
            changed(GYRO, lambda text: text[: text.index("\n", 9000) + 1]),
            f"{GYRO} must have 330 samples like the acceleration, not 134",
        ),
        (
            changed("RawData/labels.txt", lambda text: text.replace("2 7 6 0 255", "2 7 6 0 330")),
            f"{ACC} must have more than 330 samples, as labels.txt says, not 330",
        ),
        (
            changed("RawData/labels.txt", lambda text: "1 1 5 250\n"),
            "RawData/labels.txt must have 5 columns, not 4",
        ),
    ],
)
def test_wrong_archives(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_windows(Path("hapt.zip"), data)
    assert str(raised.value) == f"hapt.zip: {message}"


def test_files_that_are_no_tables() -> None:
    with pytest.raises(InputError) as raised:
        read_windows(Path("hapt.zip"), changed(ACC, lambda text: text.replace("e", "x", 1)))
    assert str(raised.value).startswith(f"hapt.zip: {ACC} must be a table of numbers, but: could ")
