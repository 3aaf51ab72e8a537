"""Tasks to train and search on: those that gruhw knows by name, and users' own ``.npz`` files."""

from gruhw.errors import InputError
from gruhw.files import PathLike, as_path, exists
from gruhw.tasks.activity import ACTIVITY
from gruhw.tasks.custom import load_npz_task, load_samples, sample_arrays
from gruhw.tasks.data import Split, Task, TaskData
from gruhw.tasks.keyword_spotting import KEYWORD_SPOTTING
from gruhw.tasks.mnist import MNIST_ROWS
from gruhw.tasks.mnist1d import MNIST_1D
from gruhw.tasks.spoken_digits import SPOKEN_DIGITS

__all__ = ["TASKS", "Split", "Task", "TaskData", "load_samples", "load_task", "sample_arrays"]

TASKS = {
    task.name: task for task in (MNIST_ROWS, MNIST_1D, SPOKEN_DIGITS, KEYWORD_SPOTTING, ACTIVITY)
}
"""The tasks that gruhw knows by name."""


def load_task(name_or_path: PathLike) -> Task:
    """The task of this name, or the one in the ``.npz`` file at this path.

    Raises
    ------
    InputError
        If it is neither, or the file is wrong.
    """
    path = as_path(name_or_path, "task")
    if (known := TASKS.get(str(name_or_path))) is not None:
        return known
    if path.suffix != ".npz" and not exists(path):
        raise InputError(
            f"task must be {', '.join(TASKS)} or the path of an .npz file, not '{name_or_path}'"
        )
    return load_npz_task(path)
