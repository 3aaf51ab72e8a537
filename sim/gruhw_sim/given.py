"""What hardware gave for each sequence, and what that is worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy, Figure, MeanSquaredError, StepAccuracy
from gruhw.network.fixed import IntArray
from gruhw.network.reference import classes_of


def given_classes(network: Network, given: Sequence[Sequence[str]], steps: int) -> IntArray:
    """The class that the hardware gave each sequence, -1 if it gave none; shape [N] or [N, T]."""
    places = steps if network.architecture.every_step else 1
    found = np.full((len(given), places), -1, dtype=np.int64)
    for row, texts in zip(found, given, strict=True):
        classes = [int(text) if text.isdigit() else -1 for text in texts[:places]]
        row[: len(classes)] = classes
    return found if network.architecture.every_step else found[:, 0]


def given_values(
    network: Network, given: Sequence[Sequence[str]], lengths: IntArray, steps: int
) -> IntArray | None:
    """The integers that it gave each sequence, shape [N, outputs] or [N, T, outputs].

    None if any is missing.
    """
    every_step, outputs = network.architecture.every_step, network.architecture.outputs
    found = np.zeros((len(given), steps if every_step else 1, outputs), dtype=np.int64)
    for row, texts, length in zip(found, given, lengths.tolist(), strict=True):
        try:
            values = np.array(list(map(int, texts)), dtype=np.int64)
        except ValueError:  # unknown bits
            return None
        places = length if every_step else 1
        if values.size != places * outputs:
            return None
        row[:places] = values.reshape(places, outputs)
    return found if every_step else found[:, 0]


def worth(
    network: Network, found: IntArray, labels: NDArray[Any] | None, lengths: IntArray
) -> Figure | None:
    """How well a network does that gave ``found`` where ``labels`` are right; None without them.

    Parameters
    ----------
    found
        Classes, shape [N]; or the head's integers, shape [N, outputs]. At every step, of shapes
        [N, T] and [N, T, outputs].
    labels
        Classes, or values in the unit of the data; of the same shapes.
    lengths
        Steps of each sequence, shape [N].
    """
    if labels is None:
        return None
    every_step = network.architecture.every_step
    counted = np.arange(found.shape[1]) < lengths[:, None] if every_step else None
    if labels.ndim > 1 + every_step:
        right = labels if network.span is None else network.span.relative(labels)
        scale = network.head.typed.emitted.scale
        return MeanSquaredError.of(found * scale, right, counted=counted)
    classes = classes_of(found) if found.ndim > 1 + every_step else found
    if counted is None:
        return Accuracy.of(classes, labels)
    return StepAccuracy.of_steps(classes == labels, counted)
