"""What a task's data consist of: their parts, and what they say of sequences."""

from typing import Literal, TypeAlias, get_args

from gruhw.errors import InputError

PartName: TypeAlias = Literal["train", "val", "test"]

PARTS: tuple[PartName, ...] = get_args(PartName)
"""Every part, to train on, to choose designs by, and for the final figure;
:class:`gruhw.learning.tasks.TaskData` has a field for each."""

VALIDATION_SEEN = "validation_may_be_trained_on"
"""How JSON calls what :meth:`gruhw.learning.tasks.Task.may_have_taught` finds."""

Target: TypeAlias = Literal["class", "values", "class every step", "values every step"]

TARGETS: tuple[Target, ...] = get_args(Target)
"""What data say of a sequence, or of each of its steps: a class, or real numbers."""


def of_classes(target: Target) -> bool:
    """Whether data say classes, and no values."""
    return target in ("class", "class every step")


def every_step(target: Target) -> Target:
    """The same of each step."""
    return "class every step" if of_classes(target) else "values every step"


def of_every_step(target: Target) -> bool:
    """Whether they say something of each step, and not of the sequence as a whole."""
    return target in ("class every step", "values every step")


def check_target_kind(target: object) -> Target:
    """``target`` itself, one of :data:`TARGETS`; :class:`InputError` if it is something else."""
    for known in TARGETS:
        if target == known:
            return known
    raise InputError(f"target must be one of {', '.join(TARGETS)}, not {target!r}")
