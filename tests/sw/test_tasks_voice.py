"""Voice activity: streams of speech in noise, and which of their steps are speech."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from task_files import absent, assert_same_data, data_folder, pin, tar_gz, wav

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError
from gruhw.learning.tasks import voice_activity
from gruhw.learning.tasks.files import git_tree
from gruhw.learning.tasks.keyword_spotting import CLASSES, SILENCE
from gruhw.learning.tasks.spoken_digits import ARCHIVE
from gruhw.learning.tasks.voice_activity import (
    LATER,
    LONGEST_GAP,
    PARTS_OF_SPEAKERS,
    RATE,
    SPEAKERS,
    STEPS,
    from_mu_law,
    load_voice_activity,
    mixed,
    mu_law,
    noise_from_archive,
    part_of_noise,
    speech_from_recordings,
)

__all__ = ["data_folder"]

HOP = voice_activity.FEATURES.hop


@pytest.fixture(autouse=True)
def few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_activity, "STREAMS", {"train": 5, "val": 3, "test": 4})


def tone(seconds: float, seed: int, level: float = 8000) -> NDArray[np.int16]:
    """A loud sound."""
    random = np.random.default_rng(seed)
    return (level * random.normal(0, 0.3, round(seconds * RATE))).astype(np.int16)


def recordings() -> dict[tuple[str, int, int], NDArray[np.int16]]:
    """Two of each speaker, by speaker, digit and index; one of them is of the test part."""
    return {
        (speaker, digit, index): tone(0.3 + 0.1 * digit, 10 * number + digit)
        for number, speaker in enumerate(SPEAKERS)
        for digit, index in ((0, 3), (1, 7))
    }


def noises() -> dict[str, NDArray[np.int16]]:
    """Clips of noise, at 16 kHz, of which every part has some."""
    names = [f"{SILENCE}/{number}.wav" for number in range(60)]
    assert {part_of_noise(name) for name in names} == {0, 1, 2}
    random = np.random.default_rng(5)
    return {name: random.integers(-3000, 3000, 16000).astype(np.int16) for name in names}


def speech_pack() -> bytes:
    """The recordings in the form of the pack."""
    arrays: dict[str, Any] = {}
    for part, wanted in (("train", 7), ("test", 3)):
        chosen = {place: a for place, a in recordings().items() if place[2] == wanted}
        arrays[f"audio_{part}"] = np.concatenate(list(chosen.values()))
        lengths = [len(audio) for audio in chosen.values()]
        arrays[f"off_{part}"] = np.concatenate([[0], np.cumsum(lengths)])
        arrays[f"speaker_{part}"] = np.array([SPEAKERS.index(s) for s, _, _ in chosen])
        arrays[f"y_{part}"] = np.array([digit for _, digit, _ in chosen])
        arrays[f"index_{part}"] = np.array([index for _, _, index in chosen])
    return npz_bytes(arrays)


def noise_archive() -> bytes:
    files = {f"./{name}": wav(samples, 16000) for name, samples in reversed(noises().items())}
    return tar_gz(files | {"./yes/022cd682_nohash_0.wav": b"?"})


def noise_pack() -> bytes:
    """The clips in the form of the pack, one of a word among them."""
    clips = noise_from_archive(Path("noise.tar.gz"), noise_archive())
    label = CLASSES.index(SILENCE)
    return npz_bytes(
        {
            "y": np.array([0, *[label] * len(clips)]),
            "split": np.array([0, *(part for part, _ in clips)]),
            "audio": np.stack([np.zeros(8000, np.uint8), *(codes for _, codes in clips)]),
        }
    )


def test_packs_and_archives_give_the_same_streams(data_folder: Path) -> None:
    packs = (
        pin(data_folder, "speech.npz", speech_pack()),
        pin(data_folder, "noise.npz", noise_pack()),
    )
    from_packs = load_voice_activity(*packs)
    files = {
        f"{digit}_{speaker}_{index}.wav": wav(audio, RATE)
        for (speaker, digit, index), audio in recordings().items()
    }
    (data_folder / ARCHIVE).write_bytes(
        tar_gz({f"top/recordings/{name}": content for name, content in files.items()})
    )
    published = pin(data_folder, "noise.tar.gz", noise_archive())
    nothing = absent("a.npz"), absent("b.npz")
    from_archives = load_voice_activity(*nothing, (), git_tree(files), published)
    assert_same_data(from_archives, from_packs)
    assert from_packs.train.target == "class every step"
    assert from_packs.train.x.shape == (5, STEPS, 16)
    assert 0.05 < from_packs.train.y.mean() < 0.8


def stream(*loud: tuple[float, float]) -> NDArray[np.float64]:
    """Three seconds of silence with loud sounds from one second to another."""
    found = np.zeros(3 * RATE)
    for begin, end in loud:
        part = slice(round(begin * RATE), round(end * RATE))
        found[part] = tone(end - begin, 1)[: part.stop - part.start]
    return found


def test_speech_is_what_is_loud() -> None:
    clean = stream((1.0, 1.5))
    found = voice_activity._speaks(clean, RATE, round(1.5 * RATE))
    expected = [
        int(step * HOP + 256 > 1.0 * RATE + 20 and step * HOP < 1.5 * RATE - 20)
        for step in range(STEPS)
    ]
    assert np.abs(found - expected).sum() <= 1
    # 40 dB weaker sounds are none.
    clean[: RATE // 2] = tone(0.5, 2, level=80)
    assert (voice_activity._speaks(clean, 0, round(1.5 * RATE)) == found).all()


def test_short_pauses_are_speech() -> None:
    seconds = LONGEST_GAP * HOP / RATE
    short, long = stream((1.0, 1.2), (1.2 + seconds, 1.5)), stream((1.0, 1.2), (1.6, 1.8))
    found = voice_activity._speaks(short, RATE, round(1.5 * RATE))
    assert np.diff(found).tolist().count(1) == 1
    found = voice_activity._speaks(long, RATE, round(1.8 * RATE))
    assert np.diff(found).tolist().count(1) == 2


def test_noise_is_as_strong_as_a_ratio_says() -> None:
    random, speech = np.random.RandomState(1), np.full(1000, 500.0)
    clip = np.random.default_rng(1).normal(0, 40, 8000)
    decibels = []
    for _ in range(200):
        found = voice_activity._noise(clip, speech, random)
        assert len(found) == 3 * RATE
        decibels.append(10 * np.log10(500.0**2 / (found**2).mean()))
    assert min(decibels) == pytest.approx(0, abs=0.5)
    assert max(decibels) == pytest.approx(20, abs=0.5)
    # It has no seams: neighbours are neighbours in the clip, or an end and itself.
    scale = np.abs(found).max() / np.abs(clip).max()
    steps = np.abs(np.diff(found)) / scale
    assert steps.max() <= np.abs(np.diff(clip)).max() * 1.001
    assert not voice_activity._noise(np.zeros(8000), speech, random).any()


def test_what_is_right_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    of_speakers = {s: [tone(0.5, 1)] for s in SPEAKERS}
    clips = [(part, mu_law(tone(1.0, part))) for part in range(3)]
    monkeypatch.setattr(voice_activity, "_noise", lambda *_: np.zeros(3 * RATE))
    split = mixed(of_speakers, clips, "train")
    for features, labels in zip(split.x, split.y, strict=True):
        loud = features.max(axis=1) > 100
        first, right = int(np.flatnonzero(loud)[0]), int(np.flatnonzero(labels)[0])
        assert abs(right - first - LATER) <= 1
        assert not labels[:LATER].any()


def test_no_speaker_is_in_two_parts() -> None:
    together = [speaker for speakers in PARTS_OF_SPEAKERS.values() for speaker in speakers]
    assert sorted(together) == sorted(SPEAKERS)


def test_the_mu_law() -> None:
    samples = np.array([-32768, -1000, -1, 0, 1, 1000, 32767], dtype=np.int16)
    codes = mu_law(samples)
    assert codes.tolist() == [0, 78, 127, 128, 128, 177, 255]
    found = from_mu_law(codes)
    assert np.abs(found[[0, -1]]) == pytest.approx([32768, 32768], abs=1)
    assert found[1] == pytest.approx(-1000, rel=0.03)


@pytest.mark.parametrize("name", ["0_george.wav", "0_nobody_1.wav"])
def test_recordings_of_other_names(name: str) -> None:
    with pytest.raises(InputError) as raised:
        speech_from_recordings(Path("x.tar.gz"), {name: wav(tone(0.1, 1), RATE)})
    message = f"x.tar.gz: recordings must be named like 0_george_0.wav, not {name}"
    assert str(raised.value) == message


def test_an_archive_without_noise() -> None:
    with pytest.raises(InputError) as raised:
        noise_from_archive(Path("x.tar.gz"), tar_gz({"yes/a.wav": b"?"}))
    assert str(raised.value) == "x.tar.gz: folder _silence_ is required, but missing"
