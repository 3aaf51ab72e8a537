"""Tasks that are there without a download; the tiny one is learnt by a few units in a second."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 3
STEPS = 5


def write_tiny_task(path: Path, *, train: int = 90, test: int = 24) -> None:
    """Write a task: which of the inputs is the largest on average.

    Sequences have 2 to 5 steps of 3 elements.
    """
    rng = np.random.default_rng(4)
    arrays: dict[str, NDArray[Any]] = {}
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count) % CLASSES
        x = rng.normal(0, 0.5, (count, STEPS, CLASSES))
        x[np.arange(count), :, labels] += 2.0
        arrays |= {
            f"x_{part}": x.astype(np.float32),
            f"y_{part}": labels,
            f"length_{part}": rng.integers(2, STEPS + 1, count),
        }
    np.savez(path, allow_pickle=False, **arrays)


def write_task_of_samples(samples: Path, task: Path) -> None:
    """Write the samples of a design of ten classes as a task."""
    with np.load(samples) as archive:
        x, y = archive["x_test"], archive["y_test"]
    y[:10] = np.arange(10)
    np.savez(task, allow_pickle=False, x_train=x, y_train=y, x_test=x, y_test=y)
