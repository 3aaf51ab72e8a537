"""A task that a few units learn in a second: which of the inputs is the largest on average."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 3
STEPS = 5


def write_tiny_task(path: Path, *, train: int = 90, test: int = 24) -> None:
    """Write its ``.npz`` file; sequences have 2 to 5 steps of 3 elements."""
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
