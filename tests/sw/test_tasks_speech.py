"""Spoken digits and keywords: from packs, from archives of recordings, and damaged ones."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from task_files import absent, assert_same_data, data_folder, pin, tar_gz, wav

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError, ToolError
from gruhw.learning.tasks import keyword_spotting, spoken_digits
from gruhw.learning.tasks.data import TaskData
from gruhw.learning.tasks.files import git_tree
from gruhw.learning.tasks.keyword_spotting import (
    CLASSES,
    divide_clips,
    load_keyword_spotting,
    percentage,
    read_clips,
)
from gruhw.learning.tasks.spoken_digits import ARCHIVE, load_spoken_digits

__all__ = ["data_folder"]

EXCERPTS = Path(__file__).parents[1] / "data"
DIGITS = np.load(EXCERPTS / "spoken_digits.npz")
CLIPS = np.load(EXCERPTS / "speech_commands.npz")
RECORDINGS = {
    str(name): wav(samples, 8000)
    for name, samples in zip(
        DIGITS["name"],
        np.split(DIGITS["audio"], np.cumsum(DIGITS["samples"])[:-1]),
        strict=True,
    )
}
TREE = git_tree(RECORDINGS)


def digits_archive(recordings: dict[str, bytes]) -> bytes:
    """Packed like the project's own, in an order of its own."""
    files = {f"top/recordings/{name}": recordings[name] for name in reversed(recordings)}
    return tar_gz({"top/README.md": b"#", **files, "top/recordings/more/0_x_0.wav": b"?"})


def digits_pack() -> bytes:
    """The excerpt in the form of the pack."""
    index = np.array([int(str(name)[:-4].split("_")[2]) for name in DIGITS["name"]])
    digit = np.array([int(str(name)[0]) for name in DIGITS["name"]])
    starts = np.concatenate([[0], np.cumsum(DIGITS["frames"])])
    arrays: dict[str, NDArray[Any]] = {}
    for part, chosen in (("train", index >= 5), ("test", index < 5)):
        rows = np.flatnonzero(chosen)
        arrays |= {f"y_{part}": digit[rows], f"index_{part}": index[rows]}
        arrays[f"off_{part}"] = np.concatenate([[0], np.cumsum(DIGITS["frames"][rows])])
        for mel in ("mel16", "mel40"):
            codes = [DIGITS[mel][starts[row] : starts[row + 1]] for row in rows]
            arrays[f"{mel}_{part}"] = np.concatenate(codes)
    return npz_bytes(arrays)


def digits_from_archive(archive: bytes, folder: Path, tree: str = TREE) -> TaskData:
    (folder / ARCHIVE).write_bytes(archive)
    return load_spoken_digits(16, absent("pack.npz"), (), tree)


@pytest.mark.parametrize("bands", [16, 40])
def test_recordings_and_pack_give_the_same_digits(bands: int, data_folder: Path) -> None:
    pack = pin(data_folder, "pack.npz", digits_pack())
    from_pack = load_spoken_digits(bands, pack, ())
    (data_folder / ARCHIVE).write_bytes(digits_archive(RECORDINGS))
    from_archive = load_spoken_digits(bands, absent("other.npz"), (), TREE)
    assert_same_data(from_archive, from_pack)
    assert [len(part) for part in (from_pack.train, from_pack.val, from_pack.test)] == [1, 4, 3]
    assert from_pack.train.y.tolist() == [1]
    assert from_pack.val.y.tolist() == [1, 4, 6, 7]
    assert from_pack.test.lengths.tolist() == [11, 11, 11]
    assert from_pack.test.x.shape == (3, 113, bands)
    assert not from_pack.test.x[:, 11:].any()


def test_archives_with_holes_are_refused(data_folder: Path) -> None:
    # GNU's sparse format: a member of 8 GiB in one block of an archive.
    block = bytearray(512)
    for start, text in {
        0: b"x/recordings/0_a_0.wav", 100: b"0000644", 124: b"00000000000", 156: b"S",
        257: b"ustar  ", 483: b"77777777777",
    }.items():  # fmt: skip
        block[start : start + len(text)] = text
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    archive = gzip.compress(bytes(block) + bytes(1024))
    with pytest.raises(InputError) as caught:
        digits_from_archive(archive, data_folder)
    path = data_folder / ARCHIVE
    assert str(caught.value) == f"{path}: x/recordings/0_a_0.wav must not have holes"


def test_git_tree() -> None:
    # What "git write-tree" says of these files, and of none.
    assert git_tree({}) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert git_tree({"b": b"two\n", "a": b"one\n"}) == GIT_SAYS


GIT_SAYS = "280bd343acd3b99e6f369110283329b8c3c5be24"


def changed(name: str, content: bytes | None) -> dict[str, bytes]:
    files = {**RECORDINGS, name: content}
    return {name: content for name, content in files.items() if content is not None}


FIRST = next(iter(RECORDINGS))
SAMPLES = np.arange(300, dtype=np.int16)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(changed(FIRST, None), "git tree of recordings must be {tree}, not {found}"),
        pytest.param(changed(FIRST, b"?"), "git tree of recordings must be {tree}, not {found}"),
        pytest.param({}, "folder recordings is required, but missing"),
    ],
)
def test_other_recordings(files: dict[str, bytes], message: str, data_folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        digits_from_archive(
            digits_archive(files) if files else tar_gz({"top/README.md": b"#"}), data_folder
        )
    text = message.format(tree=TREE, found=git_tree(files))
    assert str(raised.value) == f"{data_folder / ARCHIVE}: {text}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (FIRST, wav(SAMPLES, 16000), "must have 8000 Hz, 16 bits and 1 channel, not 16000 Hz, 16"),
        (
            FIRST,
            wav(SAMPLES, 8000).replace(b"\x02\x00\x10\x00data", b"\x01\x00\x08\x00data"),
            "must have 8000 Hz, 16 bits and 1 channel, not 8000 Hz, 8",
        ),
        (FIRST, b"plain", "must be a whole .wav file, but: it ends too early"),
        (
            FIRST,
            b"RIFF\x04\x00\x00\x00WAXX",
            "must be a whole .wav file, but: not a WAVE file",
        ),
        (
            FIRST,
            wav(SAMPLES, 8000)[:-100],
            "must have 300 samples as its header says, not 250",
        ),
        ("seven.wav", wav(SAMPLES, 8000), "recordings must be named like 0_george_0.wav, not"),
    ],
)
def test_wrong_recordings(name: str, content: bytes, message: str, data_folder: Path) -> None:
    files = changed(name, content)
    with pytest.raises(InputError) as raised:
        digits_from_archive(digits_archive(files), data_folder, git_tree(files))
    if name == FIRST:
        ending = " bits and 1" if message.startswith("must have 8000") else ""
        assert str(raised.value) == f"{data_folder / ARCHIVE}: {name}: {message}{ending}"
    else:
        assert str(raised.value) == f"{data_folder / ARCHIVE}: {message} {name}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda archive: archive[: len(archive) // 2],
            "Compressed file ended before the end-of-stream marker was reached",
        ),
        (lambda archive: b"plain" + archive, "not a gzip file"),
    ],
)
def test_damaged_archive(change: Any, reason: str, data_folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        digits_from_archive(change(digits_archive(RECORDINGS)), data_folder)
    assert str(raised.value) == (
        f"{data_folder / ARCHIVE}: must be a whole .tar.gz archive, but: {reason}"
    )


def test_names_in_archives_lead_nowhere(data_folder: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    archive = tar_gz(
        {f"top/recordings/{name}": content for name, content in RECORDINGS.items()}
        | {"../../evil": b"!", "top/../../evil": b"!", str(tmp_path / "evil"): b"!"}
    )
    digits_from_archive(archive, data_folder)
    assert sorted(tmp_path.rglob("*")) == [*before, data_folder / ARCHIVE]


def test_digits_out_of_reach(data_folder: Path) -> None:
    with pytest.raises(ToolError) as raised:
        load_spoken_digits(16, absent("pack.npz"), ("http://127.0.0.1:1/x",))
    assert str(raised.value) == (
        f"{ARCHIVE}: cannot be downloaded from http://127.0.0.1:1/x (connection refused); "
        "to work offline, put it into a folder and name that in GRUHW_DATA"
    )


def test_speakers_are_divided_as_the_data_set_says() -> None:
    places = [percentage(path.decode()) for path in CLIPS["path"]]
    parts = [2 if place >= 18 else 1 if place >= 17 else 0 for place in places]
    assert parts == CLIPS["split"].tolist()
    labels = [CLASSES.index(path.decode().split("/")[0]) for path in CLIPS["path"]]
    assert labels == CLIPS["y"].tolist()


def test_no_speaker_is_in_two_parts() -> None:
    paths = [path.decode() for path in CLIPS["path"]]
    data = divide_clips(paths, np.arange(len(paths)).reshape(-1, 1, 1))
    speakers = [
        {paths[row].split("_nohash_")[0][-8:] for row in part.x[:, 0, 0] if part.y[0] >= 0}
        for part in (data.train, data.val, data.test)
    ]
    assert [len(part) for part in (data.train, data.val, data.test)] == [177, 41, 55]
    assert not speakers[0] & speakers[1] | speakers[0] & speakers[2] | speakers[1] & speakers[2]


def clips() -> dict[str, bytes]:
    """One clip for each class and some more, of all lengths."""
    random = np.random.default_rng(3)
    paths = [next(p.decode() for p in CLIPS["path"] if p.startswith(c.encode())) for c in CLASSES]
    files = {}
    for number, path in enumerate(
        [*paths, "yes/ffb86d3c_nohash_0.wav", "no/022cd682_nohash_1.wav"]
    ):
        samples = random.integers(-9000, 9000, 15000 + 100 * number).astype(np.int16)
        files[f"./{path}"] = wav(samples, 16000)
    return files | {"./README.md": b"#", "./_background_noise_/x.wav": b"?"}


def test_clips_and_pack_give_the_same_keywords(data_folder: Path) -> None:
    archive = pin(data_folder, "clips.tar.gz", tar_gz(clips()))
    found = load_keyword_spotting(16, absent("pack.npz"), archive)
    steps = read_clips(Path("clips.tar.gz"), tar_gz(clips()), 16)
    assert list(steps) == sorted(steps)
    assert len(steps) == 14
    assert {codes.shape for codes in steps.values()} == {(49, 16)}
    arrays = {
        "path": np.array([path.encode() for path in steps]),
        "mel16": np.stack(list(steps.values())),
    }
    pack = pin(data_folder, "pack.npz", npz_bytes(arrays))
    assert_same_data(load_keyword_spotting(16, pack, absent("x.tar.gz")), found)
    # Shorter clips end with silence, longer ones are cut.
    features = keyword_spotting.front_end(16)
    (shortest,) = (path for path in steps if path.startswith("yes/022"))
    assert (steps[shortest][-1] == features(np.zeros(512, np.int16))[0]).all()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"yes/022cd682_nohash_0.wav": wav(SAMPLES, 8000)},
            (
                "yes/022cd682_nohash_0.wav: must have 16000 Hz, 16 bits and 1 channel, "
                "not 8000 Hz, 16 bits and 1"
            ),
        ),
        (
            {"yes/022cd682_nohash_0.wav": wav(SAMPLES, 16000)},
            "folder no is required, but missing",
        ),
    ],
)
def test_wrong_clips(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError) as raised:
        read_clips(Path("clips.tar.gz"), tar_gz(files), 16)
    assert str(raised.value) == f"clips.tar.gz: {message}"


def test_unknown_clip_name() -> None:
    with pytest.raises(InputError) as raised:
        percentage("yes/me.wav")
    assert str(raised.value) == (
        "clips must be named like yes/022cd682_nohash_0.wav, not yes/me.wav"
    )


@pytest.mark.parametrize(
    ("module", "load"),
    [
        (spoken_digits, lambda: load_spoken_digits(16)),
        (keyword_spotting, lambda: load_keyword_spotting(16)),
    ],
)
def test_a_damaged_pack(module: Any, load: Any, data_folder: Path) -> None:
    pack = data_folder / module.PACK.name
    pack.write_bytes(b"PK")
    found = hashlib.sha256(b"PK").hexdigest()
    with pytest.raises(InputError) as raised:
        load()
    assert str(raised.value) == f"{pack}: SHA-256 must be {module.PACK.sha256}, not {found}"
