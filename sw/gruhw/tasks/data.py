"""What a task is: labelled sequences in three parts, and how they become network inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.fixed import FloatArray, IntArray
from gruhw.model import Normalisation

SPLIT_SEED = 20240601
"""Seeds the choice of validation samples, so that every machine holds out the same ones."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled sequences.

    Parameters
    ----------
    x
        Raw numbers, shape [N, T, I], as they are stored: ``uint8`` for MNIST.
    y
        The class of each sequence, shape [N].
    lengths
        The steps of each sequence, shape [N], 1 to T. What follows them in ``x`` is padding.
    """

    x: NDArray[Any]
    y: IntArray
    lengths: IntArray

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: IntArray) -> "Split":
        """The sequences at ``indices``, in that order."""
        return Split(self.x[indices], self.y[indices], self.lengths[indices])


Augmentation: TypeAlias = Callable[[Split, np.random.Generator], Split]
"""Varies raw training sequences, and maybe their lengths, without changing their class."""


@dataclass(frozen=True)
class TaskData:
    """The three parts of a task: to train on, to choose designs by, and for the final figure."""

    train: Split
    val: Split
    test: Split


@dataclass(frozen=True)
class Task:
    """A classification task on sequences.

    Parameters
    ----------
    name
        As users give it on the command line: a name of :data:`gruhw.tasks.TASKS` or a path.
    description
        One line for people.
    classes
        Labels are 0 to ``classes - 1``.
    inputs
        Elements of each step's input vector.
    steps
        Steps of the longest sequence.
    source
        Where the data come from, and their licence.
    loader
        Reads the data, downloading them if necessary.
    scale, offset
        The normalisation of each input element, shape [inputs].
    augment
        Varies training sequences without changing their class.
    """

    name: str
    description: str
    classes: int
    inputs: int
    steps: int
    source: str
    loader: Callable[[], TaskData] = field(repr=False)
    scale: FloatArray = field(repr=False, compare=False)
    offset: FloatArray = field(repr=False, compare=False)
    augment: Augmentation | None = field(repr=False, compare=False, default=None)

    def load(self) -> TaskData:
        """The data; :class:`~gruhw.errors.GruhwError` if they are wrong or out of reach."""
        return self.loader()

    def normalisation(self) -> Normalisation:
        """What turns raw samples into the network's input."""
        return Normalisation(self.scale.copy(), self.offset.copy())


def hold_out(data: Split, count: int) -> tuple[Split, Split]:
    """Split ``data`` into the part to train on and ``count`` sequences for validation.

    The choice is seeded, and both parts keep the order of ``data``.
    """
    # NumPy promises that RandomState's stream never changes; Generator's may.
    order = np.random.RandomState(SPLIT_SEED).permutation(len(data))
    return data.take(np.sort(order[count:])), data.take(np.sort(order[:count]))


def standardise(data: Split) -> tuple[FloatArray, FloatArray]:
    """The scale and offset that give each input element mean 0 and variance 1 over ``data``.

    Padding does not count, and an element that never changes is only shifted to 0.

    Returns
    -------
    tuple of arrays
        Scale and offset, each of shape [I].
    """
    steps = np.arange(data.x.shape[1]) < data.lengths[:, np.newaxis]
    scale = np.ones(data.x.shape[2])
    mean = np.zeros(data.x.shape[2])
    for element in range(data.x.shape[2]):
        values = data.x[:, :, element][steps].astype(np.float64)
        mean[element] = values.mean()
        if values.min() != values.max():
            scale[element] = 1.0 / values.std()
    return scale, -mean * scale
