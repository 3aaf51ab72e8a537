"""Variations of training sequences: what each may change, and what it may not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gruhw.learning.tasks import augment
from gruhw.learning.tasks.data import Augmentation
from gruhw.network.sequences import Split

COUNT, STEPS, ELEMENTS = 400, 20, 6


def ramps() -> Split:
    """Sequences of 4 to 20 steps whose elements count steps; padding is -1000."""
    lengths = 4 + np.arange(COUNT) % (STEPS - 3)
    steps = np.arange(STEPS)[:, np.newaxis] + 100 * np.arange(ELEMENTS)
    x = np.where((np.arange(STEPS) < lengths[:, np.newaxis])[:, :, np.newaxis], steps, -1000)
    return Split(x.astype(np.int16), np.arange(COUNT) % 7, lengths)


def full(x: NDArray[np.int16]) -> Split:
    return Split(x, np.zeros(len(x), np.int64), np.full(len(x), x.shape[1]))


def vary(augmentation: Augmentation, sequences: Split, seed: int = 1) -> Split:
    before = sequences.x.copy()
    varied = augmentation(sequences, np.random.default_rng(seed))
    np.testing.assert_array_equal(sequences.x, before)
    assert varied.x.shape == sequences.x.shape
    np.testing.assert_array_equal(varied.y, sequences.y)
    assert varied.lengths.dtype == np.int64
    return varied


def valid(sequences: Split) -> NDArray[np.bool]:
    return np.arange(STEPS) < sequences.lengths[:, np.newaxis]


ALL: dict[str, Callable[[], Augmentation]] = {
    "roll": lambda: augment.roll(3),
    "time_shift": lambda: augment.time_shift(2.5),
    "time_stretch": lambda: augment.time_stretch(0.2, keep_length=True),
    "time_stretch_lengths": lambda: augment.time_stretch(0.2, keep_length=False),
    "mask_time": lambda: augment.mask_time(4),
    "mask_bands": lambda: augment.mask_bands(2),
    "gain": lambda: augment.gain(9),
    "tilt": lambda: augment.tilt(9),
    "band_stretch": lambda: augment.band_stretch(0.2),
    "cut_ends": lambda: augment.cut_ends(3, 6),
    "amplitude": lambda: augment.amplitude(0.3, 0.1),
    "noise": lambda: augment.noise(2.0),
    "rotate": lambda: augment.rotate(30),
    "compose": lambda: augment.compose(augment.gain(9), augment.noise(1.0), augment.limit(0, 255)),
}


@pytest.mark.parametrize("name", ALL)
def test_seeded_and_different_for_each_sequence(name: str) -> None:
    same = full(np.repeat(ramps().x[STEPS - 4 : STEPS - 3], COUNT, axis=0))
    first, again, other = (vary(ALL[name](), same, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert (first.x != other.x).any()
    assert len(np.unique(first.x, axis=0)) > 2


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"time_stretch_lengths", "cut_ends"}))
def test_lengths_are_kept(name: str) -> None:
    sequences = ramps()
    assert vary(ALL[name](), sequences).lengths is sequences.lengths


def test_roll() -> None:
    sequences = full(ramps().x[np.arange(COUNT) % 17 == 16])
    varied = vary(augment.roll(2), sequences)
    moved = {int(row[0, 0]) for row in varied.x}
    assert moved == {0, 1, 2, 18, 19}
    for row in varied.x:
        np.testing.assert_array_equal(np.roll(row, -int(np.argmin(row[:, 0])), axis=0), range_of())


def range_of() -> NDArray[np.int64]:
    return np.arange(STEPS)[:, np.newaxis] + 100 * np.arange(ELEMENTS)


def test_time_shift() -> None:
    sequences = ramps()
    varied = vary(augment.time_shift(2.5), sequences)
    inside = valid(sequences)
    moved = varied.x[:, :, 0] - np.arange(STEPS)
    assert varied.x.dtype == np.float32
    # No padding is read, and the difference to the neighbouring element stays.
    assert (varied.x[inside][:, 0] >= 0).all()
    np.testing.assert_allclose(varied.x[inside][:, 1] - varied.x[inside][:, 0], 100, atol=1e-4)
    assert np.abs(moved[inside]).max() <= 2.5
    assert moved[inside].min() < -2.3
    assert moved[inside].max() > 2.3
    long = sequences.lengths == STEPS
    np.testing.assert_allclose(np.diff(moved[long][:, 3:-3]), 0, atol=1e-5)


def test_time_stretch_about_the_middle() -> None:
    sequences = ramps()
    varied = vary(augment.time_stretch(0.2, keep_length=True), sequences)
    long = sequences.lengths == STEPS
    x = varied.x[long, :, 0]
    np.testing.assert_allclose(x[:, 9] + x[:, 10], 19, atol=1e-4)
    speed = x[:, 10] - x[:, 9]
    assert np.exp(-0.2) <= speed.min() < 0.9
    assert 1.1 < speed.max() <= np.exp(0.2)
    assert (varied.x[valid(sequences)][:, 0] >= 0).all()


def test_time_stretch_of_lengths() -> None:
    sequences = ramps()
    varied = vary(augment.time_stretch(0.2, keep_length=False), sequences)
    ratio = varied.lengths / sequences.lengths
    assert (varied.lengths >= 1).all()
    assert varied.lengths.max() == STEPS
    assert (ratio <= np.exp(0.2) + 0.5 / sequences.lengths).all()
    assert (ratio >= np.exp(-0.2) - 0.5 / sequences.lengths).all()
    assert ratio.min() < 0.9
    assert ratio.max() > 1.1
    # First and last step are still the first and last.
    rows = np.arange(COUNT)
    np.testing.assert_array_equal(varied.x[:, 0, 0], 0)
    last = varied.x[rows, varied.lengths - 1, 0]
    np.testing.assert_allclose(last, sequences.lengths - 1, atol=1e-4)
    assert (varied.x[valid(varied)][:, 0] >= 0).all()


def test_one_step_stays_one_step() -> None:
    one = Split(np.full((5, 3, 1), 7, np.uint8), np.zeros(5, np.int64), np.ones(5, np.int64))
    for augmentation in (
        augment.time_shift(2),
        augment.time_stretch(0.3, keep_length=True),
        augment.time_stretch(0.3, keep_length=False),
        augment.mask_time(4),
    ):
        varied = vary(augmentation, one)
        assert varied.lengths.tolist() == [1] * 5
        assert (varied.x[:, 0] == 7).all()


@pytest.mark.parametrize("kind", ["time", "bands"])
def test_masks(kind: str) -> None:
    sequences = ramps()
    widest = 5 if kind == "time" else 3
    augmentation = augment.mask_time(widest) if kind == "time" else augment.mask_bands(widest)
    varied = vary(augmentation, sequences)
    inside = valid(sequences)
    mean = sequences.x[inside].mean(axis=0).astype(np.float32)
    masked = varied.x != sequences.x
    np.testing.assert_array_equal(varied.x[masked], np.broadcast_to(mean, masked.shape)[masked])
    # Step 0 stands for all steps, and element 0 for all elements: both are never the mean.
    runs = masked[:, :, 0] & inside if kind == "time" else masked[:, 0, :]
    widths = runs.sum(axis=1)
    assert set(widths) == set(range(widest + 1))
    for run in runs:
        assert np.abs(np.diff(np.pad(run.astype(int), 1))).sum() in (0, 2)
    assert runs[:, 0].any()
    ends = sequences.lengths - 1 if kind == "time" else np.full(COUNT, ELEMENTS - 1)
    assert runs[np.arange(COUNT), ends].any()


def test_gain() -> None:
    added = vary(augment.gain(9), ramps()).x - ramps().x
    np.testing.assert_allclose(added, added[:, :1, :1] * np.ones_like(added), atol=1e-3)
    assert -9 <= added.min() < -8.5
    assert 8.5 < added.max() <= 9


def test_amplitude() -> None:
    sequences = full(np.ones((COUNT, STEPS, ELEMENTS), np.int16))
    factors = vary(augment.amplitude(0.3, 0.1), sequences).x
    assert (factors == factors[:, :1]).all()
    assert (factors[:, 0, :3] == factors[:, 0, :1]).all()
    assert (factors[:, 0, 3:] == factors[:, 0, 3:4]).all()
    assert (factors[:, 0, 0] != factors[:, 0, 3]).all()
    assert 0.7 <= factors.min() < 0.72
    assert 1.28 < factors.max() <= 1.3001
    assert 0.9 <= factors[:, :, 3:].min() < 0.91
    assert 1.09 < factors[:, :, 3:].max() <= 1.1001


def test_tilt() -> None:
    added = vary(augment.tilt(9), ramps()).x - ramps().x
    np.testing.assert_allclose(added[:, :, 0], -added[:, :, -1], atol=1e-3)
    np.testing.assert_allclose(np.diff(added, 2, axis=2), 0, atol=1e-3)
    assert 8.5 < added.max() <= 9.001


def test_band_stretch() -> None:
    varied = vary(augment.band_stretch(0.2), ramps())
    inside = valid(varied)
    bands = (varied.x[inside] - np.where(inside)[1][:, np.newaxis]) / 100
    factor = bands[:, 2] / 2.5 + 0.2
    assert np.exp(-0.2) <= factor.min() < 0.83
    assert 1.2 < factor.max() <= np.exp(0.2)
    expected = np.clip((np.arange(ELEMENTS) + 0.5) * factor[:, np.newaxis] - 0.5, 0, ELEMENTS - 1)
    np.testing.assert_allclose(bands, expected, atol=1e-4)


def test_cut_ends() -> None:
    sequences = ramps()
    varied = vary(augment.cut_ends(3, 6), sequences)
    cut = sequences.lengths - varied.lengths
    assert set(cut[sequences.lengths > 12]) == set(range(7))
    assert (cut[sequences.lengths <= 7] == 0).all()
    assert varied.lengths[sequences.lengths >= 6].min() == 6
    np.testing.assert_array_equal(np.diff(varied.x[:, :2, 0]), 1)
    first, last = varied.x[:, 0, 0], varied.x[np.arange(COUNT), varied.lengths - 1, 0]
    assert set(first) == {0, 1, 2, 3}
    np.testing.assert_array_equal(last - first, varied.lengths - 1)


@pytest.mark.parametrize("smooth", [False, True])
def test_noise(smooth: bool) -> None:
    sequences = full(np.zeros((4000, STEPS, 2), np.int16))
    added = vary(augment.noise(np.array([2.0, 5.0]), smooth=smooth), sequences).x
    np.testing.assert_allclose(added.std(axis=(0, 1)), [2, 5], rtol=0.02)
    neighbours = np.mean(added[:, 1:] * added[:, :-1], axis=(0, 1)) / [4, 25]
    # Of 1 2 1 with itself moved by one: (2 + 2) / 6.
    np.testing.assert_allclose(neighbours, 2 / 3 if smooth else 0, atol=0.02)


def test_rotate() -> None:
    x = np.random.default_rng(2).integers(-9000, 9000, (COUNT, STEPS, ELEMENTS)).astype(np.int16)
    x[:, :, 3:] = x[:, :, :3]
    varied = vary(augment.rotate(30), full(x)).x.astype(np.float64)
    before, after = x[:, :, :3].astype(np.float64), varied[:, :, :3]
    # Lengths and angles between vectors stay, and both sensors turn alike.
    products = [vectors @ vectors.transpose(0, 2, 1) for vectors in (before, after)]
    np.testing.assert_allclose(products[1], products[0], atol=200)
    np.testing.assert_allclose(varied[:, :, 3:], after, atol=0.01)
    lengths = np.linalg.norm(before, axis=2) * np.linalg.norm(after, axis=2)
    angles = np.rad2deg(np.arccos(np.clip((before * after).sum(axis=2) / lengths, -1, 1)))
    assert 29 < angles.max() < 30.1
    # A rotation, not a reflection: the triple product keeps its sign.
    assert (np.sign(np.linalg.det(after[:, :3])) == np.sign(np.linalg.det(before[:, :3]))).all()


def test_limit() -> None:
    varied = vary(augment.limit(0, 255), ramps())
    assert (varied.x.min(), varied.x.max()) == (0, 255)
