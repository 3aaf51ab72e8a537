"""What a task's data consist of: their parts, and what they say of each sequence."""

from typing import Literal, TypeAlias, get_args

from gruhw.errors import InputError

PartName: TypeAlias = Literal["train", "val", "test"]

PARTS: tuple[PartName, ...] = get_args(PartName)
"""Every part, to train on, to choose designs by, and for the final figure;
:class:`gruhw.learning.tasks.TaskData` has a field for each."""

VALIDATION_SEEN = "validation_may_be_trained_on"
"""How JSON calls what :meth:`gruhw.learning.tasks.Task.may_have_taught` finds."""

Target: TypeAlias = Literal["class", "values"]

TARGETS: tuple[Target, ...] = get_args(Target)
"""What data say of a sequence: its class, or real numbers."""


def check_target_kind(target: object) -> Target:
    """``target`` itself, one of :data:`TARGETS`; :class:`InputError` if it is something else."""
    for known in TARGETS:
        if target == known:
            return known
    raise InputError(f"target must be one of {', '.join(TARGETS)}, not {target!r}")
