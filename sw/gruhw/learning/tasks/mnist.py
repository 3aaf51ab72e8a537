"""MNIST read row by row: 28 steps of 28 pixels, the task ``mnist-rows``."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw.basics.download import PinnedFile, fetch
from gruhw.errors import InputError
from gruhw.learning.tasks.data import Task, TaskData, hold_out
from gruhw.learning.tasks.files import FOLDER_VARIABLE, read_pack
from gruhw.network.model import Normalisation
from gruhw.network.sequences import Split

BASES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

ARCHIVE = PinnedFile(
    "mnist.npz", (), "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
)
"""All four arrays in one file. Nobody serves it; who has it saves four downloads."""

PARTS = {
    name: PinnedFile(file, tuple(base + file for base in BASES), sha256)
    for name, file, sha256 in (
        (
            "x_train",
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        (
            "y_train",
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        (
            "x_test",
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        (
            "y_test",
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )
}
"""The official files, by the array that each holds."""

VALIDATION = 5_000
"""How many of the 60,000 training images are held out for validation."""


def parse_idx(path: Path, data: bytes, dimensions: int) -> NDArray[np.uint8]:
    """Parse a gzipped ``idx`` file of bytes, the format that MNIST is published in.

    Parameters
    ----------
    path
        Named in errors.
    data
        Its contents.
    dimensions
        How many dimensions the array must have.

    Raises
    ------
    InputError
        If it is not a whole gzip file, or its header and its size disagree.
    """
    try:
        content = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: must be a whole gzip file, but: {error}") from error
    required = bytes((0, 0, 8, dimensions))
    if content[:4] != required:
        raise InputError(
            f"{path}: idx header must be {required.hex()}, not {content[:4].hex() or 'empty'}"
        )
    header, body = content[4 : 4 + 4 * dimensions], content[4 + 4 * dimensions :]
    shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4)]
    if len(header) != 4 * dimensions or len(body) != prod(shape):
        raise InputError(
            f"{path}: idx data of shape {shape} must have {prod(shape)} bytes, not {len(body)}"
        )
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def load_mnist(
    archive: PinnedFile = ARCHIVE,
    parts: Mapping[str, PinnedFile] = PARTS,
    validation: int = VALIDATION,
) -> TaskData:
    """MNIST from ``archive`` if the user has it, otherwise from the official ``parts``.

    Raises
    ------
    InputError
        If a file found has the wrong SHA-256 or contents.
    ToolError
        If a file cannot be downloaded.
    """
    arrays = read_pack(archive)
    if arrays is None:
        fetched = {
            name: fetch(part, folder_variable=FOLDER_VARIABLE) for name, part in parts.items()
        }
        arrays = {
            name: parse_idx(*file, dimensions=3 if name.startswith("x") else 1)
            for name, file in fetched.items()
        }
    train, val = hold_out(Split(arrays["x_train"], arrays["y_train"]), validation)
    return TaskData(train, val, Split(arrays["x_test"], arrays["y_test"]))


def shift_images(images: Split, generator: np.random.Generator) -> Split:
    """Each image moved by up to one pixel in both directions; what comes in is blank."""
    count, rows, columns = images.x.shape
    padded = np.pad(images.x, ((0, 0), (1, 1), (1, 1)))
    down, right = generator.integers(0, 3, size=(2, count))
    moved: NDArray[Any] = padded[
        np.arange(count)[:, None, None],
        (down[:, None] + np.arange(rows))[:, :, None],
        (right[:, None] + np.arange(columns))[:, None, :],
    ]
    return replace(images, x=moved)


MNIST_ROWS = Task(
    name="mnist-rows",
    description="handwritten digits read row by row: 28 steps of 28 pixels, 10 classes",
    outputs=10,
    inputs=28,
    steps=28,
    source="MNIST, Y. LeCun and C. Cortes",
    licence="CC BY-SA 3.0",
    loader=load_mnist,
    fixed_normalisation=Normalisation(np.full(28, 1 / 255), np.zeros(28)),
    augment=shift_images,
)
