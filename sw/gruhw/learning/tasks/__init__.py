"""Tasks to train and search on: those that gruhw knows by name, and users' own ``.npz`` files."""

from gruhw.basics.files import PathLike, as_path, exists
from gruhw.errors import InputError
from gruhw.learning.tasks.activity import ACTIVITY
from gruhw.learning.tasks.custom import load_npz_task, load_samples, sample_arrays
from gruhw.learning.tasks.data import Task, TaskData
from gruhw.learning.tasks.keyword_spotting import KEYWORD_SPOTTING
from gruhw.learning.tasks.mnist import MNIST_ROWS
from gruhw.learning.tasks.mnist1d import MNIST_1D
from gruhw.learning.tasks.spoken_digits import SPOKEN_DIGITS
from gruhw.learning.tasks.voice_activity import VOICE_ACTIVITY
from gruhw.network.architecture import CARRY, Architecture, Initial
from gruhw.network.sequences import Split

__all__ = [
    "TASKS",
    "Split",
    "Task",
    "TaskData",
    "load_samples",
    "load_task",
    "sample_arrays",
    "task_for",
]

TASKS = {
    task.name: task
    for task in (
        *(MNIST_ROWS, MNIST_1D, SPOKEN_DIGITS, KEYWORD_SPOTTING, ACTIVITY),
        VOICE_ACTIVITY,
    )
}
"""The tasks that gruhw knows by name."""


def load_task(
    name_or_path: PathLike, *, every_step: bool = False, initial: Initial | None = None
) -> Task:
    """The task of this name, or the one in the ``.npz`` file at this path.

    Parameters
    ----------
    every_step
        Whether what is right of a sequence is right of each of its steps: see
        :meth:`Task.at_every_step`.
    initial
        What states of networks begin with. If they are carried on, sequences follow each other, and
        what is held out must do so, too.

    Raises
    ------
    InputError
        If it is neither, or the file is wrong.
    """
    found = _load_task(name_or_path, in_order=initial == CARRY)
    return found.at_every_step() if every_step else found


def task_for(name_or_path: PathLike, network: Architecture) -> Task:
    """The task of :func:`load_task`, as a network takes it."""
    return load_task(name_or_path, every_step=network.every_step, initial=network.initial)


def _load_task(name_or_path: PathLike, *, in_order: bool) -> Task:
    path = as_path(name_or_path, "task")
    if (known := TASKS.get(str(name_or_path))) is not None:
        return known
    if path.suffix != ".npz" and not exists(path):
        raise InputError(
            f"task must be {', '.join(TASKS)} or the path of an .npz file, not '{name_or_path}'"
        )
    return load_npz_task(path, in_order=in_order)
