"""What a task is: sequences in three parts, what is right of each, and their normalisation."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.arrays import IntArray
from gruhw.basics.files import PathLike
from gruhw.basics.values import instance
from gruhw.errors import GruhwWarning, InputError, naming
from gruhw.learning.outliers import outlier_limit
from gruhw.network.architecture import Architecture, Initial, Layer
from gruhw.network.genome import Output
from gruhw.network.normalisation import Normalisation
from gruhw.network.parts import (
    PARTS,
    Target,
    check_target_kind,
    every_step,
    of_classes,
    of_every_step,
)
from gruhw.network.sequences import Split

SPLIT_SEED = 20240601
"""Seeds the choice of validation samples, so that every machine holds out the same ones."""

LARGEST_OFFSET = 2.0**40
"""The most standard deviations that the mean of an input element may lie from 0: double precision
leaves 12 more bits, the most that an input element can have, for its normalised values."""

SMALLEST_DEVIATION = 1 / np.finfo(np.float64).max
"""The smallest standard deviation with a finite inverse."""


Augmentation: TypeAlias = Callable[[Split, np.random.Generator], Split]
"""Varies raw training sequences, and maybe their lengths, without changing what is right."""


@dataclass(frozen=True)
class TaskData:
    """The three parts of a task: to train on, to choose designs by, and for the final figure."""

    train: Split
    val: Split
    test: Split


@dataclass(frozen=True)
class Task:
    """A task on sequences: to classify them or their steps, or to find values of either.

    Parameters
    ----------
    name
        As users give it on the command line: a name of :data:`~gruhw.learning.tasks.TASKS` or a
        path.
    description
        One line for people.
    outputs
        How many classes there are, with labels from 0 on; or how many values a sequence, or a
        step, has.
    inputs
        Elements of each step's input vector.
    steps
        Steps of the longest sequence.
    source
        Where the data come from.
    licence
        Under which terms.
    loader
        Reads the data, downloading them if necessary.
    hidden
        Hidden units of a network for it, unless the user says otherwise.
    target
        What data say of a sequence or of its steps.
    fixed_normalisation
        Of the inputs; if absent, each input element gets mean 0 and variance 1 over the
        training part.
    augment
        Varies training sequences without changing what is right.
    """

    name: str
    description: str
    outputs: int
    inputs: int
    steps: int
    source: str
    licence: str
    loader: Callable[[], TaskData] = field(repr=False)
    hidden: int = 32
    target: Target = "class"
    fixed_normalisation: Normalisation | None = field(repr=False, compare=False, default=None)
    augment: Augmentation | None = field(repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        check_target_kind(self.target)

    def at_every_step(self) -> "Task":
        """The same task, where what is right of a sequence is right of each of its steps."""
        if of_every_step(self.target):
            return self
        augment = None if self.augment is None else partial(_augment_steps, self.augment)
        loader = partial(_steps_of, self.load)
        return replace(self, target=every_step(self.target), loader=loader, augment=augment)

    def load(self) -> TaskData:
        """The data, read once; :class:`~gruhw.errors.GruhwError` if wrong or out of reach.

        All who ask get the same arrays, which cannot be written.
        """
        return self._data

    def network(
        self,
        layers: str | Sequence[str | Layer] | None = None,
        *,
        output: Output | None = None,
        initial: Initial = "zero",
    ) -> Architecture:
        """A network for it.

        Parameters
        ----------
        layers
            See :class:`gruhw.network.architecture.Architecture`; one GRU of :attr:`hidden` units
            if absent.
        output
            What it is to give: of two classes, ``values`` are a single logit.
        initial
            What its states begin with.

        Raises
        ------
        InputError
            If a layer is none, no layer is recurrent, or a number is out of range.
        """
        return Architecture(
            inputs=self.inputs,
            layers=f"gru:{self.hidden}" if layers is None else layers,
            outputs=1 if output == "values" and self._logit else self.outputs,
            initial=initial,
            every_step=of_every_step(self.target),
        )

    def output_of(self, network: Architecture, output: Output | None = None) -> Output:
        """What a network for it gives: ``output``, if something is asked for.

        Otherwise classes where it has them; values where it has those, or a single logit.

        Raises
        ------
        InputError
            If it cannot give that: classes out of values or of a single logit.
        """
        if output is None:
            return "class" if of_classes(self.target) and network.outputs > 1 else "values"
        if output == "class" and not of_classes(self.target):
            raise InputError(
                f"output must be values or states for task {self.name}, which has no classes, "
                f"not {output}"
            )
        return output

    @property
    def _logit(self) -> bool:
        """Whether the sign of a single logit can tell what is right."""
        return of_classes(self.target) and self.outputs == 2

    def check_network(self, network: Architecture, source: PathLike) -> None:
        """Raise :class:`InputError` unless ``network``, from ``source``, suits it."""
        fitting = {"inputs": [self.inputs], "outputs": [self.outputs]}
        if self._logit:
            fitting["outputs"] = [1, 2]
        for name, counts in fitting.items():
            if (found := getattr(network, name)) not in counts:
                raise InputError(
                    f"{source}: {name} of the network must be {' or '.join(map(str, counts))}, "
                    f"as in task {self.name}, not {found}"
                )
        if network.every_step != of_every_step(self.target):
            when = ("after the last step", "at every step")
            raise InputError(
                f"{source}: outputs of the network must be {when[not network.every_step]}, as in "
                f"task {self.name}, not {when[network.every_step]}"
            )

    def normalisation(self) -> Normalisation:
        """What turns raw samples into the network's input; this may need the data.

        :class:`~gruhw.errors.InputError` if they cannot be normalised.
        """
        return self._normalisation

    def may_have_taught(self, trained_on: str | None, source: Path) -> bool:
        """Whether a model may have been trained on validation sequences; warns if so.

        Parameters
        ----------
        trained_on
            What the model records: see :class:`gruhw.network.model.Model`.
        source
            Where the model comes from, for the warning.
        """
        if trained_on == self.load().train.fingerprint:
            return False
        reason = "does not record what it was trained on"
        if trained_on is not None:
            reason = f"was not trained on the training part of task {self.name} as it is now"
        too_good = "validation accuracy may be too high"
        if not of_classes(self.target):
            too_good = "their mean squared error may be too low"
        warnings.warn(
            f"{source}: the model {reason}: validation sequences may be among what it was trained "
            f"on, and {too_good}",
            GruhwWarning,
            stacklevel=2,
        )
        return True

    def warn_of_absent_classes(self) -> None:
        """Warn if validation data have nothing of a class: they say nothing of it then."""
        if not of_classes(self.target):
            return
        val = self.load().val
        absent = np.flatnonzero(np.bincount(val.y[val.counted], minlength=self.outputs) == 0)
        if len(absent):
            what = "step" if val.of_every_step else "sequence"
            warnings.warn(
                f"{self.name}: validation data have no {what} of {len(absent)} of the "
                f"{self.outputs} classes, such as {absent[0]}: validation accuracy says nothing of "
                "them",
                GruhwWarning,
                stacklevel=2,
            )

    # Neither is kept if it fails, so that a user may put the file right and try again.
    @cached_property
    def _data(self) -> TaskData:
        data = instance(f"data of task {self.name}", self.loader(), TaskData)
        for name in PARTS:
            self._check_part(name, getattr(data, name))
        return TaskData(data.train.read_only(), data.val.read_only(), data.test.read_only())

    def _check_part(self, name: str, part: Split) -> None:
        """Raise :class:`InputError` unless what is right of a part is what the task says."""
        if part.target != self.target:
            raise InputError(
                f"{self.name}: y_{name} must be {self.target}, the target of the task, not "
                f"{part.target}"
            )
        if part.x.shape[2] != self.inputs:
            raise InputError(
                f"{self.name}: elements of x_{name} must be {self.inputs}, not {part.x.shape[2]}"
            )
        if not of_classes(self.target):
            if part.y.shape[-1] != self.outputs:
                raise InputError(
                    f"{self.name}: values of y_{name} must be {self.outputs}, "
                    f"not {part.y.shape[-1]}"
                )
        elif (highest := part.y[part.counted].max(initial=0)) >= self.outputs:
            raise InputError(
                f"{self.name}: labels of y_{name} must be 0 to {self.outputs - 1}, not {highest}"
            )

    @cached_property
    def _normalisation(self) -> Normalisation:
        if self.fixed_normalisation is not None:
            return self.fixed_normalisation
        data = self._data
        with naming(self.name):
            return standardise(data.train)


def _steps_of(load: Callable[[], TaskData]) -> TaskData:
    data = load()
    return TaskData(*(getattr(data, name).at_every_step() for name in PARTS))


def _augment_steps(augment: Augmentation, split: Split, generator: np.random.Generator) -> Split:
    """A variation of sequences each of whose steps has the same right."""
    first = split.y[:, 0]
    return augment(Split(split.x, first, split.lengths), generator).at_every_step()


def joined(parts: Sequence[Split]) -> Split:
    """All sequences of ``parts``, which may be padded to different lengths."""
    steps = max(part.x.shape[1] for part in parts)

    def padded(values: NDArray[Any]) -> NDArray[Any]:
        behind = [(0, 0)] * values.ndim
        behind[1] = (0, steps - values.shape[1])
        return np.pad(values, behind)

    every = parts[0].of_every_step
    return Split(
        np.concatenate([padded(part.x) for part in parts]),
        np.concatenate([padded(part.y) if every else part.y for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        parts[0].target,
    )


def divide(data: Split, in_val: NDArray[np.bool], in_test: NDArray[np.bool]) -> TaskData:
    """The parts of ``data``: what is in neither of the two named ones is to train on."""
    return TaskData(data.where(~(in_val | in_test)), data.where(in_val), data.where(in_test))


def hold_out(data: Split, count: int, *, by_class: bool = False) -> tuple[Split, Split]:
    """Split ``data`` into the part to train on and ``count`` sequences for validation.

    The choice is seeded, and both parts keep the order of ``data``. Large sets in which classes
    have about equal parts need no more than chance. With ``by_class``, both parts have classes in
    their proportion, as near as whole sequences allow, and each class keeps a sequence to train
    on: ``count`` must not be greater than sequences less classes.
    """
    # NumPy promises that RandomState's stream never changes; Generator's may.
    order = np.random.RandomState(SPLIT_SEED).permutation(len(data))
    if by_class:
        order = order[_in_proportion(data.y[order])]
    return data.take(np.sort(order[count:])), data.take(np.sort(order[:count]))


def _in_proportion(labels: IntArray) -> IntArray:
    """An order of sequences of which every beginning has classes in their proportion.

    Classes take turns as parties get seats by Webster's method: the k-th sequence of a class of n
    comes by (2k - 1) / n. The last of each class comes at the end. Among equals, the order stays.
    """
    sizes = np.bincount(labels)
    by_class = np.argsort(labels, kind="stable")
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = sizes[labels]
    turn = (2 * place + 1) / size
    turn[place == size - 1] = np.inf
    return np.argsort(turn, kind="stable")


def standardise(data: Split) -> Normalisation:
    """The normalisation that gives each input element mean 0 and variance 1 over ``data``.

    Padding does not count, nor do outliers (see :mod:`gruhw.learning.outliers`, here from the
    median on). An element that never changes is only shifted to 0.

    Raises
    ------
    InputError
        If an element varies by less than double precision can normalise.
    """
    steps = np.arange(data.x.shape[1]) < data.lengths[:, np.newaxis]
    scale, offset = np.ones(data.x.shape[2]), np.zeros(data.x.shape[2])
    for element in range(data.x.shape[2]):
        with naming(f"element {element} of x_train"):
            scale[element], offset[element] = _standard(data.x[:, :, element][steps])
    return Normalisation(scale, offset)


def _standard(values: NDArray[Any]) -> tuple[float, float]:
    """The scale and the offset that give ``values``, outliers left out, mean 0 and variance 1."""
    with np.errstate(over="ignore"):  # infinity is far, too
        distances = values.astype(np.float64) - np.median(values.astype(np.float64))
        values = values[np.abs(distances) <= outlier_limit(distances)]
    low, high = values.min(), values.max()
    if low == high:
        return 1.0, -float(low)
    # A power of two changes no digit, and squares of what it leaves neither overflow nor vanish.
    exponent = np.frexp(max(abs(float(low)), abs(float(high))))[1]
    values = np.ldexp(values.astype(np.float64), -exponent)
    mean, deviation = float(values.mean()), float(values.std())
    with np.errstate(over="ignore"):
        real_mean, real_deviation = (np.ldexp(figure, exponent) for figure in (mean, deviation))
        scale = np.ldexp(1 / deviation, -exponent) if deviation else np.inf
    required = None
    if deviation * LARGEST_OFFSET < abs(mean):
        required = f"2**-40 of its mean {real_mean:.3g}"
    elif not np.isfinite(scale):
        required = f"{SMALLEST_DEVIATION:.3g}"
    if required is not None:
        raise InputError(
            f"standard deviation must be 0 or at least {required}, not {real_deviation:.3g}"
        )
    return float(scale), -mean * (1 / deviation)
