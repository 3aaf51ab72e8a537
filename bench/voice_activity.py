"""What an energy threshold makes of voice-activity, beside which a network must do better.

A step is taken for speech if the energy, averaged over the last steps, exceeds a threshold; or if
it exceeds the noise by so much, of which the least energy of some steps is the estimate. Averages,
the steps of the estimate and the threshold are those that are best on the training part.

    GRUHW_DATA=... python bench/voice_activity.py
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from rich.console import Console
from rich.table import Table

from gruhw.learning.tasks import Split, load_task
from gruhw.learning.tasks.log_mel import HIGHEST_DECIBEL, LOWEST_DECIBEL
from gruhw.network.figures import StepAccuracy
from gruhw.network.fixed import FloatArray

AVERAGED = (1, 3, 5, 9, 15, 21)
"""Steps of an average. Of nine, four came before the step that a decision is about, and four after
it: those by which decisions come later."""

REMEMBERED = (None, 25, 50, 100, 149)
"""Steps whose least energy is the noise; None where the threshold is an absolute one."""

THRESHOLDS = 201


@dataclass(frozen=True)
class Detector:
    """An energy threshold, in decibels."""

    averaged: int
    remembered: int | None
    threshold: float

    def right(self, split: Split) -> np.ndarray:
        """Which steps it takes for what they are, shape [N, T]."""
        found = level(energy(split.x), self.averaged, self.remembered) > self.threshold
        return found == (split.y == 1)


def energy(codes: np.ndarray) -> FloatArray:
    """The energy of every step, in decibels: of all bands together."""
    decibels = LOWEST_DECIBEL + codes / 255 * (HIGHEST_DECIBEL - LOWEST_DECIBEL)
    found: FloatArray = 10 * np.log10((10 ** (decibels / 10)).sum(axis=-1))
    return found


def level(energies: FloatArray, averaged: int, remembered: int | None) -> FloatArray:
    """What is compared with a threshold."""
    edges = np.pad(energies, ((0, 0), (averaged - 1, 0)), mode="edge")
    smooth: FloatArray = sliding_window_view(edges, averaged, axis=1).mean(axis=-1)
    if remembered is None:
        return smooth
    before = np.pad(smooth, ((0, 0), (remembered - 1, 0)), mode="edge")
    return smooth - sliding_window_view(before, remembered, axis=1).min(axis=-1)


def detectors(train: Split) -> Iterator[tuple[float, Detector]]:
    """The best threshold of each kind, and the part of the training steps that it gets right."""
    energies, speech = energy(train.x), train.y == 1
    for averaged in AVERAGED:
        for remembered in REMEMBERED:
            found = level(energies, averaged, remembered)
            thresholds = np.quantile(found, np.linspace(0, 1, THRESHOLDS))
            shares = [((found > each) == speech).mean() for each in thresholds]
            best = int(np.argmax(shares))
            yield shares[best], Detector(averaged, remembered, float(thresholds[best]))


def main() -> None:
    """Print the best detector of either kind."""
    data = load_task("voice-activity").load()
    tuned = list(detectors(data.train))
    table = Table(title="Energy thresholds for voice-activity, tuned on the training part")
    for heading in ("threshold", "steps averaged", "training", "validation", "test"):
        table.add_column(heading, justify="right")
    for absolute in (True, False):
        kind = [one for one in tuned if (one[1].remembered is None) == absolute]
        share, detector = max(kind, key=lambda one: one[0])
        text = f"{detector.threshold:.1f} dB"
        if not absolute:
            text += f" above the least of {detector.remembered} steps"
        figures = [
            str(StepAccuracy.of_steps(detector.right(part), part.counted))
            for part in (data.val, data.test)
        ]
        table.add_row(text, str(detector.averaged), f"{100 * share:.2f} %", *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
