"""Users' own tasks: an ``.npz`` of sequences and what is right of them, checked before training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.files import PathLike, as_path, read_npz
from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.errors import InputError
from gruhw.learning.tasks.data import Task, TaskData, hold_out
from gruhw.network.fixed import IntArray
from gruhw.network.parts import TARGETS, Target, of_classes, of_every_step
from gruhw.network.sequences import Split

HELD_OUT = 10
"""One in this many training sequences becomes validation data where a file has none."""


def load_npz_task(path: PathLike, *, in_order: bool = False) -> Task:
    """The task in the ``.npz`` at ``path``, its data already read and checked.

    It holds ``x_train, y_train, x_test, y_test`` and may hold ``x_val, y_val`` (otherwise a
    seeded tenth of the training sequences becomes validation data, by class: see
    :func:`~gruhw.learning.tasks.data.hold_out`; or the last tenth, where they follow each other
    ``in_order``) and ``length_train, length_val, length_test``
    (otherwise every sequence has all T steps). ``x`` is [N, T, I] and ``length`` [N]. ``target``
    says what ``y`` is: ``class``, or absent, whole numbers [N]; ``values``, real numbers [N, K];
    ``class every step``, whole numbers [N, T]; ``values every step``, real numbers [N, T, K].

    Raises
    ------
    InputError
        One line naming the file, the array, what was required and what was found.
    """
    path = as_path(path)
    arrays = read_npz(path)
    target = _target(path, arrays)
    train = _read_split(path, arrays, "train", target)
    test = _read_split(path, arrays, "test", target)
    outputs = _check_classes(path, train) if of_classes(target) else train.y.shape[-1]
    if "x_val" in arrays or "y_val" in arrays:
        val = _read_split(path, arrays, "val", target)
    else:
        train, val = _hold_out(path, train, outputs, in_order=in_order)
    for name, part in (("val", val), ("test", test)):
        if part.x.shape[2] != train.x.shape[2]:
            raise InputError(
                f"{path}: x_{name} must have {train.x.shape[2]} input elements like x_train, "
                f"not {part.x.shape[2]}"
            )
        _check_right(path, name, part, outputs)
    data = TaskData(train, val, test)
    steps = max(part.x.shape[1] for part in (train, val, test))
    inputs = train.x.shape[2]
    what = "classes" if of_classes(target) else "values" if outputs > 1 else "value"
    what += " at every step" if of_every_step(target) else ""
    return Task(
        name=str(path),
        description=f"{steps} steps of {inputs} inputs, {outputs} {what}",
        outputs=outputs,
        inputs=inputs,
        steps=steps,
        source=str(path),
        licence="the user's own",
        loader=lambda: data,
        target=target,
    )


def load_samples(path: PathLike, data: bytes | None = None) -> Split:
    """The sequences that travel with a design.

    The file holds ``x_test, y_test`` and maybe ``length_test`` and ``target``.

    Parameters
    ----------
    path
        An ``.npz`` file.
    data
        Its contents, if they have been read already.

    Raises
    ------
    InputError
        If the file cannot be read or holds something else.
    """
    path = as_path(path)
    arrays = read_npz(path, data)
    return _read_split(path, arrays, "test", _target(path, arrays))


def sample_arrays(split: Split) -> dict[str, NDArray[Any]]:
    """What :func:`load_samples` reads, as the arrays of an ``.npz``."""
    arrays = {"x_test": split.x, "y_test": split.y, "length_test": split.lengths}
    return arrays if split.target == "class" else {**arrays, "target": np.asarray(split.target)}


def _target(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Target:
    """What ``y`` says: classes, unless the file has another ``target``."""
    if "target" not in arrays:
        return "class"
    found = arrays["target"]
    required = f"{path}: target must be one of {', '.join(TARGETS)}, not"
    if found.dtype.kind != "U" or found.ndim:
        raise InputError(f"{required} an array {list(found.shape)} of {found.dtype}")
    text = str(found)
    for known in TARGETS:
        if text == known:
            return known
    raise InputError(f"{required} {text!r}")


def _read_split(path: Path, arrays: Mapping[str, NDArray[Any]], part: str, target: Target) -> Split:
    for name in (f"x_{part}", f"y_{part}"):
        if name not in arrays:
            raise InputError(f"{path}: array {name} is required, but missing")
    x = _check_x(path, f"x_{part}", arrays[f"x_{part}"])
    y = arrays[f"y_{part}"]
    steps = x.shape[1]
    places = x.shape[:2] if of_every_step(target) else x.shape[:1]
    if of_classes(target):
        y = _check_integers(path, f"y_{part}", y, places, 0, MAXIMUM_SIZE - 1, "labels")
    else:
        _check_values(path, f"y_{part}", y, places)
    lengths, name = np.full(len(x), steps, dtype=np.int64), f"length_{part}"
    if name in arrays:
        lengths = _check_integers(path, name, arrays[name], x.shape[:1], 1, steps, "lengths")
    return Split(x, y, lengths, target)


def _check_x(path: Path, name: str, x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind not in "uif":
        raise InputError(f"{path}: {name} must hold real numbers, not {x.dtype}")
    if x.ndim != 3 or not all(x.shape):
        raise InputError(
            f"{path}: shape of {name} must be [N, T, I], none of them zero, not {list(x.shape)}"
        )
    if x.shape[2] > MAXIMUM_SIZE:
        raise InputError(
            f"{path}: {name} must have at most {MAXIMUM_SIZE} input elements, not {x.shape[2]}"
        )
    _check_finite(path, name, x)
    return x


def _check_finite(path: Path, name: str, array: NDArray[Any]) -> None:
    # Longer types than double precision hold numbers that nothing here can compute with.
    longer = array.dtype.itemsize > np.dtype(np.float64).itemsize
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(np.float64) if longer else array)
    if not finite.all():
        found = array[~finite].flat[0]
        where = " in double precision" if np.isfinite(found) else ""
        raise InputError(f"{path}: every value of {name} must be finite{where}, not {found!s}")


def _check_values(path: Path, name: str, y: NDArray[Any], places: tuple[int, ...]) -> None:
    if y.dtype.kind not in "uif":
        raise InputError(f"{path}: {name} must hold real numbers, not {y.dtype}")
    if y.shape[:-1] != places or not 1 <= y.shape[-1] <= MAXIMUM_SIZE:
        raise InputError(
            f"{path}: shape of {name} must be [{_text(places)}, K], 1 to {MAXIMUM_SIZE} values for "
            f"each {_what(places)}, not {list(y.shape)}"
        )
    _check_finite(path, name, y)


def _check_right(path: Path, name: str, part: Split, outputs: int) -> None:
    """Raise :class:`InputError` unless a part's labels or values are like those of training."""
    if not part.of_classes:
        if part.y.shape[-1] != outputs:
            each = "step" if part.of_every_step else "sequence"
            raise InputError(
                f"{path}: y_{name} must have {outputs} values for each {each} like y_train, "
                f"not {part.y.shape[-1]}"
            )
    elif (highest := int(part.y[part.counted].max())) >= outputs:
        raise InputError(
            f"{path}: labels in y_{name} must be 0 to {outputs - 1} like y_train's, not {highest}"
        )


def _check_integers(
    path: Path,
    name: str,
    values: NDArray[Any],
    places: tuple[int, ...],
    low: int,
    high: int,
    what: str,
) -> IntArray:
    if values.dtype.kind not in "ui":
        raise InputError(f"{path}: {name} must hold whole numbers, not {values.dtype}")
    if values.shape != places:
        raise InputError(
            f"{path}: shape of {name} must be [{_text(places)}], one entry for each "
            f"{_what(places)}, not {list(values.shape)}"
        )
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise InputError(f"{path}: {what} in {name} must be {low} to {high}, not {outside[0]}")
    return values.astype(np.int64)


def _text(places: tuple[int, ...]) -> str:
    return ", ".join(map(str, places))


def _what(places: tuple[int, ...]) -> str:
    """What there is one entry for in each of these places: of [N], or of [N, T]."""
    return "sequence" if len(places) == 1 else "step"


def _hold_out(path: Path, train: Split, outputs: int, *, in_order: bool) -> tuple[Split, Split]:
    """The part to train on, in which each class stays, and that for validation."""
    by_class = train.target == "class"  # a sequence may have steps of all classes
    most = len(train) - (outputs if by_class else 1)
    if most == 0:
        reason = "y_train has one sequence, which cannot be held out for validation"
        if by_class:
            reason = (
                f"y_train has each of its {outputs} classes once, so that none of its sequences "
                "can be held out for validation"
            )
        raise InputError(f"{path}: array x_val is required, but missing: {reason}")
    count = min(max(1, len(train) // HELD_OUT), most)
    if in_order:
        places = np.arange(len(train))
        return train.take(places[:-count]), train.take(places[-count:])
    return hold_out(train, count, by_class=by_class)


def _check_classes(path: Path, train: Split) -> int:
    labels = train.y[train.counted]
    classes = int(labels.max()) + 1
    if classes < 2:
        raise InputError(f"{path}: y_train must hold 2 or more classes, not {classes}")
    absent = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(absent):
        raise InputError(
            f"{path}: labels in y_train must be 0 to {classes - 1}, each at least once, "
            f"but {absent[0]} is missing"
        )
    return classes
