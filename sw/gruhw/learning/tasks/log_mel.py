"""The front end of the tasks on speech: recordings become steps of logarithmic mel energies.

For every ``hop`` samples there is one step, computed from the ``window`` samples that begin
there:

1. ``audio = samples / 32768``, times the periodic Hann window
   ``w[i] = 0.5 - 0.5 cos(2 pi i / window)``;
2. the power spectrum ``|rfft|^2 / (sum of w)^2``, zero-padded to ``transform`` samples, so that
   a sine of amplitude 1 has the power 1/4 whatever the window;
3. ``bands`` triangular filters, whose corners are equally spaced from ``lowest`` to ``highest``
   on the mel scale ``2595 log10(1 + f / 700)`` of the Hidden Markov Model Toolkit (S. Young and
   others, The HTK Book, 3.4, section 5.4). Each has the peak 1 in its middle corner and falls to
   0 at its neighbours';
4. decibels, ``10 log10(energy + 1e-12)``, as an unsigned byte: -110 dB is code 0, -10 dB is
   code 255, steps of 0.39 dB are rounded to the nearest, and what lies outside saturates.

Windows are not centred: the first begins with the first sample, and what does not fill a window
at the end is left out. A recording shorter than one window is padded with zeros.

It is computed in single precision. Where that rounds depends on the processor's logarithm in
the last place, which moves about one value in 100,000 by one code.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gruhw.network.fixed import FloatArray

LOWEST_DECIBEL = -110.0
"""The energy of code 0."""

HIGHEST_DECIBEL = -10.0
"""The energy of code 255."""

SILENCE = np.float32(1e-12)
"""Keeps the logarithm of silence finite."""


def hertz_to_mel(hertz: FloatArray) -> FloatArray:
    """Frequencies on HTK's mel scale."""
    mel: FloatArray = 2595.0 * np.log10(1.0 + hertz / 700.0)
    return mel


def mel_to_hertz(mel: FloatArray) -> FloatArray:
    """The inverse of :func:`hertz_to_mel`."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


@dataclass(frozen=True)
class LogMel:
    """Turns recordings into sequences of log-mel bands; see the module.

    Parameters
    ----------
    rate
        Samples a second.
    window, hop
        Samples that a step is computed from, and from one step to the next.
    transform
        Samples of the Fourier transform, at least ``window``.
    bands
        Elements of a step.
    lowest, highest
        The outer corners of the outer filters, in hertz.
    """

    rate: int
    window: int
    hop: int
    transform: int
    bands: int
    lowest: float
    highest: float

    def frames(self, samples: int) -> int:
        """The steps of a recording of that many samples."""
        return 1 + max(0, samples - self.window) // self.hop

    def __call__(self, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
        """The codes of a recording.

        Parameters
        ----------
        samples
            Shape [samples].

        Returns
        -------
        array
            Shape [frames(samples), bands].
        """
        audio = samples.astype(np.float32) / np.float32(32768)
        audio = np.pad(audio, (0, max(0, self.window - len(audio))))
        frames = sliding_window_view(audio, self.window)[:: self.hop]
        spectrum = np.fft.rfft(frames * self._hann.astype(np.float32), self.transform)
        power = np.abs(spectrum) ** 2 / np.float32(self._hann.sum() ** 2)
        # Unlike a matrix product, this sums in the same order with every linear algebra library.
        energy = np.einsum("tf,bf->tb", power, self._filters)
        decibel = np.float32(10) * np.log10(energy + SILENCE)
        span = np.float32(HIGHEST_DECIBEL - LOWEST_DECIBEL)
        exact = (decibel - np.float32(LOWEST_DECIBEL)) / span * np.float32(255)
        codes: NDArray[np.uint8] = np.clip(np.round(exact), 0, 255).astype(np.uint8)
        return codes

    @cached_property
    def _hann(self) -> FloatArray:
        """The periodic Hann window, shape [window]."""
        return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.window) / self.window)

    @cached_property
    def _filters(self) -> NDArray[np.float32]:
        """The weight of every frequency in every band, shape [bands, transform / 2 + 1]."""
        ends = hertz_to_mel(np.array([self.lowest, self.highest]))
        corners = mel_to_hertz(np.linspace(ends[0], ends[1], self.bands + 2))[:, np.newaxis]
        frequencies = np.arange(self.transform // 2 + 1) * self.rate / self.transform
        low, middle, high = corners[:-2], corners[1:-1], corners[2:]
        rising = (frequencies - low) / (middle - low)
        falling = (high - frequencies) / (high - middle)
        return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
