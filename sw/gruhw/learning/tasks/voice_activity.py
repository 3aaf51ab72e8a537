"""Speech in noise, the task ``voice-activity``: whether somebody speaks, at every step.

A stream of three seconds holds one to four recordings of one speaker of the Free Spoken Digit
Dataset (see :mod:`gruhw.learning.tasks.spoken_digits`), with pauses between them. To it is added a
clip of recorded background noise of Speech Commands (its class of silence, see
:mod:`gruhw.learning.tasks.keyword_spotting`), forwards and backwards in turn so that it has no
seams. The noise is 0 to 20 dB weaker than the speech while that is there.

What is right follows from the speech before the noise is added: a step is speech if its energy is
within 30 dB of the loudest step of its recording. Pauses of up to 100 ms inside a recording, as
before the t of "eight", are speech, too. What is said of a step is due 80 ms later, four steps: a
sound can be told from noise by what follows it.

No speaker is in two parts, and no clip of noise; but all clips were cut from six recordings, which
the parts share.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gruhw.basics.download import PinnedFile, fetch
from gruhw.errors import InputError
from gruhw.learning.tasks import keyword_spotting, spoken_digits
from gruhw.learning.tasks.augment import band_stretch, compose, gain, limit, mask_bands, tilt
from gruhw.learning.tasks.augment import noise as small_noise
from gruhw.learning.tasks.data import Task, TaskData
from gruhw.learning.tasks.files import FOLDER_VARIABLE, read_pack, read_wav, tar_members
from gruhw.network.fixed import FloatArray, IntArray
from gruhw.network.parts import PARTS, PartName
from gruhw.network.sequences import Split

SPEECH = PinnedFile(
    "fsdd_audio.npz", (), "b84902a945127a1850d3cad5aa773fbf4a3284bf8667e68a7f7936d81165d7a1"
)
"""Recordings one after another, where each begins, digits, speakers and indices."""

NOISE = PinnedFile(
    "speech_commands12_mulaw8k.npz",
    (),
    "27579a6586b20aade39740d253100c4677fa7b56c4fc1b22c975d1c70571089d",
)
"""Clips of one second, 8 kHz, in codes of the mu-law, in the order of the paths in the archive."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
"""In the order of their numbers in the pack."""

PARTS_OF_SPEAKERS: Mapping[PartName, tuple[str, ...]] = {
    "train": ("jackson", "nicolas", "theo"),
    "val": ("george",),
    "test": ("lucas", "yweweler"),
}

STREAMS: Mapping[PartName, int] = {"train": 3200, "val": 300, "test": 600}
"""How many streams each part has."""

SECONDS = 3
RATE = spoken_digits.RATE
MOST_RECORDINGS = 4
SHORTEST_PAUSE = 0.1
"""Seconds between two recordings, at least."""

RATIOS = (0.0, 20.0)
"""Decibels from the noise to the speech."""

SPEECH_BELOW = 30.0
"""Decibels below a recording's loudest step, down to which a step is speech."""

LONGEST_GAP = 5
"""Steps of a pause inside a recording that are speech."""

LATER = 4
"""Steps by which what is right of a step comes later."""

VALIDATION_FROM = 17.0
"""Of noise: where a clip's percentage is in the data set's division, as the pack has it."""

MU = 255.0

FEATURES = spoken_digits.front_end(16)
STEPS = FEATURES.frames(SECONDS * RATE)


Speech: TypeAlias = Mapping[str, Sequence[NDArray[np.int16]]]
"""The recordings of each speaker, in the order of digits and indices."""

Noise: TypeAlias = Sequence[tuple[int, NDArray[np.uint8]]]
"""Clips in codes of the mu-law, each with the number of its part."""


def mu_law(samples: NDArray[np.int16]) -> NDArray[np.uint8]:
    """The 8-bit code of each sample by the mu-law of ITU-T G.711, in its continuous form."""
    values = samples.astype(np.float64) / 32768
    compressed = np.sign(values) * np.log1p(MU * np.abs(values)) / np.log1p(MU)
    codes: NDArray[np.uint8] = np.round((compressed + 1) / 2 * 255).astype(np.uint8)
    return codes


def from_mu_law(codes: NDArray[np.uint8]) -> FloatArray:
    """What codes of :func:`mu_law` stand for, in units of 16-bit samples."""
    compressed = codes.astype(np.float64) / 255 * 2 - 1
    values: FloatArray = np.sign(compressed) * np.expm1(np.abs(compressed) * np.log1p(MU)) / MU
    return values * 32768


def part_of_noise(path: str) -> int:
    """The part that a clip of noise belongs to, a number of :data:`gruhw.network.parts.PARTS`."""
    place = keyword_spotting.percentage(path)
    return int(place >= VALIDATION_FROM) + int(place >= keyword_spotting.TEST_FROM)


def speech_from_pack(arrays: Mapping[str, NDArray[Any]]) -> Speech:
    """The recordings of every speaker, out of a pack."""
    found: dict[tuple[str, int, int], NDArray[np.int16]] = {}
    for part in ("train", "test"):
        ends = arrays[f"off_{part}"][1:-1]
        columns = (arrays[f"{name}_{part}"].tolist() for name in ("speaker", "y", "index"))
        places = zip(*columns, strict=True)
        for place, audio in zip(places, np.split(arrays[f"audio_{part}"], ends), strict=True):
            speaker, digit, index = place
            found[SPEAKERS[speaker], digit, index] = audio
    return _by_speaker(found)


def speech_from_recordings(path: Path, recordings: Mapping[str, bytes]) -> Speech:
    """The recordings of every speaker, out of the project's archive.

    Raises
    ------
    InputError
        If a recording has another name or format.
    """
    found = {}
    for name, content in recordings.items():
        if (parsed := spoken_digits.NAME.fullmatch(name)) is None or parsed[2] not in SPEAKERS:
            raise InputError(f"{path}: recordings must be named like 0_george_0.wav, not {name}")
        place = (parsed[2], int(parsed[1]), int(parsed[3]))
        found[place] = read_wav(f"{path}: {name}", content, RATE)
    return _by_speaker(found)


def _by_speaker(found: Mapping[tuple[str, int, int], NDArray[np.int16]]) -> Speech:
    return {
        speaker: [found[place] for place in sorted(found) if place[0] == speaker]
        for speaker in SPEAKERS
    }


def noise_from_pack(arrays: Mapping[str, NDArray[Any]]) -> Noise:
    """The clips of noise out of a pack."""
    chosen = arrays["y"] == keyword_spotting.CLASSES.index(keyword_spotting.SILENCE)
    return list(zip(arrays["split"][chosen].tolist(), arrays["audio"][chosen], strict=True))


def noise_from_archive(path: Path, data: bytes) -> Noise:
    """The clips of noise in the published archive, in the order of their paths.

    Raises
    ------
    InputError
        If the archive or a clip is damaged, or there is none.
    """
    rate, folder = keyword_spotting.RATE, keyword_spotting.SILENCE
    found = {}
    for name, content in tar_members(path, data):
        clip = "/".join(name.split("/")[-2:])
        if clip.startswith(f"{folder}/") and clip.endswith(".wav"):
            samples = read_wav(f"{path}: {clip}", content, rate)[:rate]
            samples = np.pad(samples, (0, rate - len(samples)))
            slower = resample_poly(samples.astype(np.float64), RATE, rate)
            found[clip] = mu_law(np.clip(np.round(slower), -32768, 32767).astype(np.int16))
    if not found:
        raise InputError(f"{path}: folder {folder} is required, but missing")
    return [(part_of_noise(clip), found[clip]) for clip in sorted(found)]


def load_voice_activity(
    speech: PinnedFile = SPEECH,
    noise: PinnedFile = NOISE,
    urls: tuple[str, ...] = spoken_digits.URLS,
    tree: str = spoken_digits.RECORDINGS_TREE,
    published: PinnedFile = keyword_spotting.PUBLISHED,
) -> TaskData:
    """Streams made of packs if the user has them, otherwise of what is published.

    Parameters
    ----------
    speech, noise
        The packs.
    urls, tree, published
        Where recordings and noise are published, and what they must be.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-1, SHA-256 or contents.
    ToolError
        If an archive cannot be downloaded.
    """
    arrays = read_pack(speech)
    if arrays is None:
        path, recordings = spoken_digits.fetch_recordings(urls, tree)
        recorded = speech_from_recordings(path, recordings)
    else:
        recorded = speech_from_pack(arrays)
    arrays = read_pack(noise)
    if arrays is None:
        clips = noise_from_archive(*fetch(published, folder_variable=FOLDER_VARIABLE))
    else:
        clips = noise_from_pack(arrays)
    return TaskData(**{part: mixed(recorded, clips, part) for part in PARTS})


def mixed(speech: Speech, noise: Noise, part: PartName) -> Split:
    """The streams of a part."""
    number = PARTS.index(part)
    # NumPy promises that RandomState's stream never changes; Generator's may.
    random = np.random.RandomState(number + 1)
    speakers = [speech[speaker] for speaker in PARTS_OF_SPEAKERS[part]]
    clips = [from_mu_law(codes) for place, codes in noise if place == number]
    x = np.empty((STREAMS[part], STEPS, FEATURES.bands), dtype=np.uint8)
    y = np.empty((STREAMS[part], STEPS), dtype=np.int64)
    for features, labels in zip(x, y, strict=True):
        recordings = speakers[random.randint(len(speakers))]
        clean, labels[:] = _stream(recordings, random)
        clip = clips[random.randint(len(clips))]
        both = clean + _noise(clip, clean[_samples_of(labels)], random)
        features[:] = FEATURES(np.clip(np.round(both), -32768, 32767).astype(np.int16))
        labels[:] = np.concatenate([np.zeros(LATER, dtype=np.int64), labels[:-LATER]])
    return Split(x, y, target="class every step")


def _stream(
    recordings: Sequence[NDArray[np.int16]], random: np.random.RandomState
) -> tuple[FloatArray, IntArray]:
    """Some recordings with pauses between them, and which steps are speech."""
    total, pause = SECONDS * RATE, round(SHORTEST_PAUSE * RATE)
    chosen: list[NDArray[np.int16]] = []
    room = total - pause
    for _ in range(random.randint(1, MOST_RECORDINGS + 1)):
        recording = recordings[random.randint(len(recordings))]
        if len(recording) + pause <= room:
            chosen.append(recording)
            room -= len(recording) + pause
    clean, labels = np.zeros(total), np.zeros(STEPS, dtype=np.int64)
    # What is left over becomes longer pauses, before, between and behind them.
    ends = np.sort(random.randint(0, room + 1, len(chosen)))
    begin = 0
    for recording, longer in zip(chosen, np.diff(ends, prepend=0), strict=True):
        begin += pause + longer
        clean[begin : begin + len(recording)] = recording
        labels |= _speaks(clean, begin, begin + len(recording))
        begin += len(recording)
    return clean, labels


def _speaks(clean: FloatArray, begin: int, end: int) -> IntArray:
    """The steps of a stream that are speech of the recording which is in these samples of it.

    Pauses are longer than a window, so that no step has samples of two recordings.
    """
    windows = sliding_window_view(clean, FEATURES.window)[:: FEATURES.hop]
    first = max(0, begin - FEATURES.window) // FEATURES.hop
    last = min(STEPS, -(-end // FEATURES.hop))
    energy = np.zeros(STEPS)
    energy[first:last] = (windows[first:last] ** 2).sum(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 10 ** (-SPEECH_BELOW / 10))
    found = np.zeros(STEPS, dtype=np.int64)
    found[loud] = 1
    for before, after in pairwise(loud):
        if after - before <= LONGEST_GAP + 1:
            found[before:after] = 1
    return found


def _samples_of(labels: IntArray) -> NDArray[np.bool]:
    """The samples in which a step that is speech begins, up to the next step."""
    found = np.zeros(SECONDS * RATE, dtype=np.bool)
    found[: STEPS * FEATURES.hop] = np.repeat(labels == 1, FEATURES.hop)
    return found


def _noise(clip: FloatArray, speech: FloatArray, random: np.random.RandomState) -> FloatArray:
    """Noise for a stream, so much weaker than its samples of speech as a random ratio says."""
    turns = -(-SECONDS * RATE // len(clip)) + 1
    endless = np.concatenate([clip[:: -1 if turn % 2 else 1] for turn in range(turns)])
    start = random.randint(len(clip))
    found = endless[start : start + SECONDS * RATE]
    ratio = 10 ** (random.uniform(*RATIOS) / 10)
    power = (found**2).mean()
    if not power:
        return np.zeros(len(found))
    scaled: FloatArray = found * np.sqrt((speech**2).mean() / ratio / power)
    return scaled


VOICE_ACTIVITY = Task(
    name="voice-activity",
    description=f"speech in noise or noise alone: {STEPS} steps of {FEATURES.bands} log-mel bands, "
    "2 classes at every step",
    outputs=2,
    inputs=FEATURES.bands,
    steps=STEPS,
    source="Free Spoken Digit Dataset, Z. Jackson and others; Speech Commands 0.02, P. Warden",
    licence="CC BY-SA 4.0; CC BY 4.0",
    loader=load_voice_activity,
    hidden=32,
    target="class every step",
    # These move nothing in time, so that what is right of a step stays so.
    augment=compose(
        band_stretch(0.1), gain(10), tilt(10), mask_bands(2), small_noise(4), limit(0, 255)
    ),
)
