"""The log-mel front end, against codes that another program computed."""

import os
from pathlib import Path

import numpy as np
import pytest

from gruhw.learning.tasks.log_mel import LogMel, hertz_to_mel, mel_to_hertz
from gruhw.learning.tasks.spoken_digits import front_end

EXCERPT = Path(__file__).parents[1] / "data" / "spoken_digits.npz"
FOLDER = Path(os.environ.get("GRUHW_DATA", ""))
LOGARITHM = (
    np.lib.introspect.opt_func_info(func_name="^log10$")["log10"].get("ff", {}).get("current")
)


@pytest.mark.parametrize("bands", [16, 40])
def test_equal_to_another_program(bands: int) -> None:
    excerpt = np.load(EXCERPT)
    recordings = np.split(excerpt["audio"], np.cumsum(excerpt["samples"])[:-1])
    expected = np.split(excerpt[f"mel{bands}"], np.cumsum(excerpt["frames"])[:-1])
    assert len(recordings) == 8
    for recording, codes in zip(recordings, expected, strict=True):
        np.testing.assert_array_equal(front_end(bands)(recording), codes)


@pytest.mark.skipif(not (FOLDER / "fsdd_audio.npz").is_file(), reason="needs fsdd_audio.npz")
@pytest.mark.skipif(LOGARITHM != "X86_V4", reason="NumPy has another logarithm here")
@pytest.mark.parametrize("bands", [16, 40])
def test_equal_to_the_whole_pack(bands: int) -> None:
    audio, codes = np.load(FOLDER / "fsdd_audio.npz"), np.load(FOLDER / "fsdd_logmel.npz")
    for part in ("train", "test"):
        recordings = np.split(audio[f"audio_{part}"], audio[f"off_{part}"][1:-1])
        found = [front_end(bands)(recording) for recording in recordings]
        np.testing.assert_array_equal(np.concatenate(found), codes[f"mel{bands}_{part}"])
        lengths = [len(sequence) for sequence in found]
        np.testing.assert_array_equal(lengths, np.diff(codes[f"off_{part}"]))


def test_mel_scale() -> None:
    # HTK's scale is made so that 1000 Hz is about 1000 mel.
    np.testing.assert_allclose(
        hertz_to_mel(np.array([0.0, 700.0, 1000.0])), [0, 781.17, 1000], 1e-4
    )
    np.testing.assert_allclose(mel_to_hertz(hertz_to_mel(np.array([60.0, 3800.0]))), [60, 3800])


def test_frames() -> None:
    features = front_end(16)
    for samples, frames in ((1, 1), (255, 1), (256, 1), (415, 1), (416, 2), (16000, 99)):
        assert features.frames(samples) == frames
        assert features(np.zeros(samples, np.int16)).shape == (frames, 16)


def test_a_sine_is_in_its_band() -> None:
    features = LogMel(8000, 256, 160, 512, 16, 60.0, 3800.0)
    corners = mel_to_hertz(np.linspace(*hertz_to_mel(np.array([60.0, 3800.0])), 18))
    for band in (3, 8, 14):
        sine = np.sin(2 * np.pi * corners[band + 1] / 8000 * np.arange(2560))
        codes = features((sine * 3276.8).astype(np.int16))
        assert set(codes.argmax(axis=1)) == {band}
        # Amplitude 0.1 has the power 0.0025; the window spreads it over three bins' worth.
        decibel = codes[:, band] / 255 * 100 - 110
        np.testing.assert_allclose(decibel, 10 * np.log10(0.0025 * 3), atol=1)


def test_codes_saturate() -> None:
    features = front_end(16)
    assert (features(np.zeros(256, np.int16)) == 0).all()
    square = np.where(np.arange(2560) % 8 < 4, 32767, -32768).astype(np.int16)
    assert features(square).max() == 255
