"""Variations of training sequences that keep what is right of them, to be composed for a task.

Every function here returns an :data:`~gruhw.learning.tasks.data.Augmentation`; its parameters say
how far it may go. Each sequence is varied independently, by amounts drawn uniformly from the given
range unless something else is said. Results are single-precision numbers in the units of the raw
data.
What follows the last step of a sequence is padding, whose values mean nothing.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.learning.tasks.data import Augmentation
from gruhw.network.fixed import FloatArray
from gruhw.network.sequences import Split


def compose(*steps: Augmentation) -> Augmentation:
    """One variation after another."""

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        for step in steps:
            sequences = step(sequences, generator)
        return sequences

    return vary


def roll(steps: int) -> Augmentation:
    """Move sequences by up to ``steps`` whole steps in time; what leaves at an end enters again.

    For sequences that all have the same length.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        count, length, _ = sequences.x.shape
        moved = generator.integers(-steps, steps, size=(count, 1), endpoint=True)
        rows = (np.arange(length) - moved) % length
        return replace(sequences, x=sequences.x[np.arange(count)[:, np.newaxis], rows])

    return vary


def time_shift(steps: float) -> Augmentation:
    """Move sequences by up to ``steps`` steps in time, repeating their first or last step."""

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        moved = generator.uniform(-steps, steps, size=(len(sequences), 1))
        positions = np.arange(sequences.x.shape[1]) - moved
        return replace(sequences, x=_resample(sequences, positions))

    return vary


def time_stretch(amount: float, *, keep_length: bool) -> Augmentation:
    """Play sequences faster or slower by a factor of up to ``exp(amount)``.

    Parameters
    ----------
    amount
        0.1 is about 10 %.
    keep_length
        Stretch about the middle and repeat the first or last step where there is nothing, or cut
        off what is too much. Otherwise lengths change, as far as there is room.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        speed = np.exp(generator.uniform(-amount, amount, size=(len(sequences), 1)))
        time = np.arange(sequences.x.shape[1])
        last = sequences.lengths[:, np.newaxis] - 1
        if keep_length:
            positions = last / 2 + (time - last / 2) * speed
            return replace(sequences, x=_resample(sequences, positions))
        lengths = np.clip(np.round((last + 1) / speed), 1, len(time)).astype(np.int64)
        positions = time * last / np.maximum(lengths - 1, 1)
        return replace(sequences, x=_resample(sequences, positions), lengths=lengths[:, 0])

    return vary


def cut_ends(steps: int, shortest: int) -> Augmentation:
    """Cut up to ``steps`` steps off either end, but leave at least the ``shortest`` length.

    Sequences that are no longer than that stay as they are.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        spare = np.maximum(sequences.lengths - shortest, 0) // 2
        drawn = generator.integers(0, steps, size=(2, len(sequences)), endpoint=True)
        early, late = np.minimum(drawn, spare)
        positions = np.arange(sequences.x.shape[1]) + early[:, np.newaxis]
        lengths = sequences.lengths - early - late
        return replace(sequences, x=_resample(sequences, positions), lengths=lengths)

    return vary


def band_stretch(amount: float) -> Augmentation:
    """Move what is in band ``b``, counted from 0.5, to ``b`` times up to ``exp(amount)``.

    On a mel scale this is roughly what another length of the vocal tract does.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        count, _, bands = sequences.x.shape
        factor = np.exp(generator.uniform(-amount, amount, size=(count, 1)))
        positions = (np.arange(bands) + 0.5) * factor - 0.5
        moved = _interpolate(sequences.x.transpose(0, 2, 1), positions, np.array(bands - 1))
        return replace(sequences, x=moved.transpose(0, 2, 1))

    return vary


def _resample(sequences: Split, positions: FloatArray | NDArray[np.int64]) -> NDArray[np.float32]:
    """Sequences read at ``positions`` [N, T] in steps, interpolated linearly between steps."""
    return _interpolate(sequences.x, positions, sequences.lengths[:, np.newaxis] - 1)


def _interpolate(
    x: NDArray[Any], positions: FloatArray | NDArray[np.int64], last: NDArray[np.int64]
) -> NDArray[np.float32]:
    """``x`` [N, T, I] read at ``positions`` [N, T], 0 to ``last``, along its second axis."""
    inside = np.clip(positions, 0, last)
    before = np.floor(inside).astype(np.int64)
    weight = (inside - before).astype(np.float32)[:, :, np.newaxis]
    rows = np.arange(len(x))[:, np.newaxis]
    x = x.astype(np.float32, copy=False)
    early, late = x[rows, before], x[rows, np.minimum(before + 1, last)]
    mixed: NDArray[np.float32] = early + (late - early) * weight
    return mixed


def mask_time(widest: int) -> Augmentation:
    """Blank up to ``widest`` consecutive steps (SpecAugment, arXiv:1904.08779, section 2).

    They become the mean of the batch, element by element, which is 0 once normalised.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        hidden = _interval(sequences.x.shape[1], sequences.lengths, widest, generator)
        x = np.where(hidden[:, :, np.newaxis], _mean(sequences), sequences.x)
        return replace(sequences, x=x.astype(np.float32))

    return vary


def mask_bands(widest: int) -> Augmentation:
    """Blank up to ``widest`` neighbouring elements of every step, as :func:`mask_time` does."""

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        bands = sequences.x.shape[2]
        hidden = _interval(bands, np.full(len(sequences), bands), widest, generator)
        x = np.where(hidden[:, np.newaxis, :], _mean(sequences), sequences.x)
        return replace(sequences, x=x.astype(np.float32))

    return vary


def _interval(
    size: int, lengths: NDArray[np.int64], widest: int, generator: np.random.Generator
) -> NDArray[np.bool]:
    """For each of ``lengths``, an interval of 0 to ``widest`` below it, shape [N, size]."""
    width = np.minimum(generator.integers(0, widest, size=len(lengths), endpoint=True), lengths)
    start = generator.integers(0, lengths - width, endpoint=True)[:, np.newaxis]
    inside = np.arange(size)
    hidden: NDArray[np.bool] = (inside >= start) & (inside < start + width[:, np.newaxis])
    return hidden


def _mean(sequences: Split) -> NDArray[np.float32]:
    """The mean of every element over all steps that are not padding, shape [inputs]."""
    steps = np.arange(sequences.x.shape[1]) < sequences.lengths[:, np.newaxis]
    mean: NDArray[np.float32] = sequences.x[steps].mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def gain(amount: float) -> Augmentation:
    """Add one number of up to ``amount`` to a sequence: in log-mel codes, make it louder."""

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        added = generator.uniform(-amount, amount, size=(len(sequences), 1, 1))
        return replace(sequences, x=sequences.x + added.astype(np.float32))

    return vary


def tilt(amount: float) -> Augmentation:
    """Add up to ``amount`` to the last element and subtract it from the first, linearly between.

    In log-mel codes this is another microphone or room.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        added = generator.uniform(-amount, amount, size=(len(sequences), 1, 1))
        slope = np.linspace(-1, 1, sequences.x.shape[2])
        return replace(sequences, x=sequences.x + (added * slope).astype(np.float32))

    return vary


def amplitude(*amounts: float) -> Augmentation:
    """Multiply sequences by a factor of ``1 - amount`` to ``1 + amount``.

    Parameters
    ----------
    amounts
        One for all elements, or for each of equal groups of neighbouring elements, such as the
        axes of each sensor. 0.1 is 10 %.
    """
    most = np.array(amounts)

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        count, _, elements = sequences.x.shape
        factors = generator.uniform(1 - most, 1 + most, size=(count, 1, len(most)))
        repeated = np.repeat(factors, elements // len(most), axis=2).astype(np.float32)
        return replace(sequences, x=sequences.x * repeated)

    return vary


def noise(deviation: float | FloatArray, *, smooth: bool = False) -> Augmentation:
    """Add independent normal noise to every value.

    Parameters
    ----------
    deviation
        Its standard deviation, one for all elements or one each.
    smooth
        Weigh the noise of each step with that of its neighbours, 1 to 2 to 1, which gives it the
        same deviation and less of the high frequencies. It wraps around at the ends.
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        added = generator.standard_normal(sequences.x.shape, dtype=np.float32)
        if smooth:
            neighbours = np.roll(added, 1, axis=1) + np.roll(added, -1, axis=1)
            added = ((2 * added + neighbours) / np.sqrt(6)).astype(np.float32)
        scaled = added * np.asarray(deviation, dtype=np.float32)
        return replace(sequences, x=sequences.x + scaled)

    return vary


def rotate(degrees: float) -> Augmentation:
    """Turn the frame of reference of sensors with three axes by up to ``degrees``.

    The axis is random. Each three neighbouring elements are one sensor, and all sensors of a
    sequence turn together (Rodrigues' rotation formula).
    """

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        count, steps, elements = sequences.x.shape
        axis = generator.normal(size=(count, 3))
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        angle = np.deg2rad(generator.uniform(-degrees, degrees, size=(count, 1, 1)))
        # The rows of cross @ v are the components of the cross product of axis and v.
        cross = np.cross(axis[:, np.newaxis], np.eye(3)).transpose(0, 2, 1)
        turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
        sensors = sequences.x.reshape(count, steps * elements // 3, 3).astype(np.float32)
        turned = sensors @ turn.transpose(0, 2, 1).astype(np.float32)
        return replace(sequences, x=turned.reshape(count, steps, elements))

    return vary


def limit(lowest: float, highest: float) -> Augmentation:
    """Keep values in the range that real data have."""

    def vary(sequences: Split, generator: np.random.Generator) -> Split:
        return replace(sequences, x=np.clip(sequences.x, lowest, highest))

    return vary
