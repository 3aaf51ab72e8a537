"""The parts of a task's data: to train on, to choose designs by, and for the final figure."""

from typing import Literal, TypeAlias, get_args

PartName: TypeAlias = Literal["train", "val", "test"]

PARTS: tuple[PartName, ...] = get_args(PartName)
"""Every part; :class:`gruhw.tasks.TaskData` has a field for each."""

VALIDATION_SEEN = "validation_may_be_trained_on"
"""How JSON calls what :meth:`gruhw.tasks.Task.may_have_taught` finds."""
