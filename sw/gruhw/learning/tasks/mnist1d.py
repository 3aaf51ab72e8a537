"""MNIST-1D, the task ``mnist-1d``: one-dimensional drawings of digits, 40 steps of 1 number.

S. Greydanus and D. Kobak, Scaling down deep learning with MNIST-1D, arXiv:2011.14439.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, fetch
from gruhw.errors import InputError
from gruhw.learning.tasks.augment import amplitude, compose, noise, roll
from gruhw.learning.tasks.data import Task, TaskData, hold_out
from gruhw.learning.tasks.files import FOLDER_VARIABLE, read_pack
from gruhw.network.sequences import Split

PACK = PinnedFile(
    "mnist1d.npz", (), "ee7f1bec5b461b26f0694d29cc065b3b54fa573bff675ed24ac2bef086ccdd35"
)
"""``x_train, y_train, x_test, y_test``; what :func:`parse_pickle` makes of the published file."""

PUBLISHED = PinnedFile(
    "mnist1d_data.pkl",
    tuple(
        f"https://github.com/greydanus/mnist1d/raw/{version}/mnist1d_data.pkl"
        for version in ("master", "7878d96082abd200c546a07a4101fa90b30fdf7e")
    ),
    "e95257676e9fb04568e46dda007da22cc8664ccba1451456afde55d7f6dd6aa5",
)
"""The frozen data set, as its authors publish it."""

SCALE = 2.0**-12
"""The value of one code: samples are kept as 16-bit integers, and none is beyond 8."""

STEPS = 40

VALIDATION = 500
"""How many of the 4,000 training sequences are held out for validation."""


def _bytes(text: str, encoding: str) -> bytes:
    """What old pickles call to make bytes; here, with no other encoding than theirs."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it names the encoding {encoding}")
    return text.encode(encoding)


_reconstruct = np.zeros(0).__reduce_ex__(4)[0]
_frombuffer = np.zeros(0).__reduce_ex__(5)[0]

ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _bytes,
}
"""All that a pickle may name: what NumPy makes an array of numbers from."""


class _ArrayUnpickler(pickle.Unpickler):
    """Makes dictionaries, lists, numbers and arrays, and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return ALLOWED[module, name]


def parse_pickle(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """The data set in the published pickle, in the form that it is packed in.

    A pickle is a program that may call any function of Python. This one is only read after its
    SHA-256 has been found to be the pinned one, and even then nothing but :data:`ALLOWED` is
    called.

    Parameters
    ----------
    path
        Named in errors.
    data
        Its contents.

    Returns
    -------
    dict of arrays
        ``x_train`` and ``x_test`` [N, 40] in units of :data:`SCALE`, ``y_train`` and ``y_test``
        [N].

    Raises
    ------
    InputError
        If it is no whole pickle of arrays, or lacks one.
    """
    try:
        content = _ArrayUnpickler(io.BytesIO(data)).load()
    # A damaged pickle raises almost anything, for it is a damaged program.
    except Exception as error:
        reason = str(error) or "it ends too early"
        raise InputError(f"{path}: must be a whole pickle of arrays, but: {reason}") from error
    arrays: dict[str, NDArray[Any]] = {}
    for part, suffix in (("train", ""), ("test", "_test")):
        x, y = (_array(path, content, f"{kind}{suffix}") for kind in "xy")
        if x.ndim != 2 or x.shape[1] != STEPS or y.shape != x.shape[:1]:
            raise InputError(
                f"{path}: shapes of x{suffix} and y{suffix} must be [N, {STEPS}] and [N], "
                f"not {list(x.shape)} and {list(y.shape)}"
            )
        arrays |= {f"x_{part}": np.round(x / SCALE).astype(np.int16), f"y_{part}": y}
    return arrays


def _array(path: Path, content: object, name: str) -> NDArray[Any]:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fi":
        raise InputError(f"{path}: array {name} is required, but missing")
    return found


def load_mnist1d(
    pack: PinnedFile = PACK, published: PinnedFile = PUBLISHED, validation: int = VALIDATION
) -> TaskData:
    """MNIST-1D from ``pack`` if the user has it, otherwise from the ``published`` pickle.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-256 or contents.
    ToolError
        If the file cannot be downloaded.
    """
    arrays = read_pack(pack)
    if arrays is None:
        found = fetch(published, folder_variable=FOLDER_VARIABLE)
        arrays = parse_pickle(*found)
    train, test = (
        Split(arrays[f"x_{part}"][:, :, np.newaxis], arrays[f"y_{part}"])
        for part in ("train", "test")
    )
    return TaskData(*hold_out(train, validation), test)


MNIST_1D = Task(
    name="mnist-1d",
    description="digits drawn as curves: 40 steps of 1 number, 10 classes",
    outputs=10,
    inputs=1,
    steps=STEPS,
    source="MNIST-1D, S. Greydanus and D. Kobak",
    licence="Apache-2.0",
    loader=load_mnist1d,
    augment=compose(roll(6), amplitude(0.15), noise(0.2 / SCALE, smooth=True), noise(0.02 / SCALE)),
)
