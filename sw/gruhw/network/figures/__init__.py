"""How well a network does on sequences, and what that is worth: accuracies and squared errors.

All are a :class:`Figure`: tables, JSON and searches need to know no more.
"""

from numpy.typing import ArrayLike

from gruhw.basics.arrays import whole_values
from gruhw.network.figures.accuracy import Accuracy, StepAccuracy
from gruhw.network.figures.figure import CONFIDENCE, Figure
from gruhw.network.figures.squared_error import MeanSquaredError
from gruhw.network.sequences import Split

__all__ = ["CONFIDENCE", "Accuracy", "Figure", "MeanSquaredError", "StepAccuracy", "figure_of"]


def figure_of(found: ArrayLike, split: Split) -> Figure:
    """How well a network does that gave ``found`` for the sequences of ``split``.

    Parameters
    ----------
    found
        Classes of shape [N] where the split's target is ``class``; real numbers of shape [N, K],
        in the unit of the data, where it is ``values``. At every step, of shape [N, T] and
        [N, T, K].
    split
        The sequences.

    Returns
    -------
    Figure
        An :class:`Accuracy`, a :class:`StepAccuracy` or a :class:`MeanSquaredError`.

    Raises
    ------
    InputError
        If shapes differ, there is no sequence, or something is of another type.
    """
    counted = split.counted if split.of_every_step else None
    if not split.of_classes:
        return MeanSquaredError.of(found, split.y, counted=counted)
    if counted is None:
        return Accuracy.of(found, split.y)
    classes = whole_values("classes", found, split.y.shape)
    return StepAccuracy.of_steps(classes == split.y, counted)
