"""Tasks: MNIST from either kind of file, users' own archives, and every way to get one wrong."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gruhw.download import PinnedFile
from gruhw.errors import InputError, ToolError
from gruhw.files import npz_bytes, write_atomic
from gruhw.tasks import TASKS, Split, TaskData, load_samples, load_task
from gruhw.tasks.data import hold_out
from gruhw.tasks.mnist import ARCHIVE, PARTS, load_mnist, parse_idx

Arrays = dict[str, NDArray[Any]]

HELD_OUT_SHA256 = "47303c1dc1d37c462ee352708915972e68bdd3ccb97e52055a22ff10011fa5ae"


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GRUHW_DATA", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def digits() -> Arrays:
    random = np.random.default_rng(1)
    return {
        "x_train": random.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "y_train": random.integers(0, 10, 40, dtype=np.uint8),
        "x_test": random.integers(0, 256, (7, 28, 28), dtype=np.uint8),
        "y_test": random.integers(0, 10, 7, dtype=np.uint8),
    }


def idx(array: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes())


def pin(folder: Path, name: str, data: bytes) -> PinnedFile:
    (folder / name).write_bytes(data)
    return PinnedFile(name, (), hashlib.sha256(data).hexdigest())


def absent(name: str) -> PinnedFile:
    return PinnedFile(name, (), "0" * 64)


def assert_equal(left: Split, right: Split) -> None:
    for one, other in ((left.x, right.x), (left.y, right.y), (left.lengths, right.lengths)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_both_kinds_of_file_give_the_same_mnist(data_folder: Path) -> None:
    arrays = digits()
    parts = {name: pin(data_folder, PARTS[name].name, idx(array)) for name, array in arrays.items()}
    from_idx = load_mnist(absent("mnist.npz"), parts, validation=10)
    archive = pin(data_folder, "mnist.npz", npz_bytes(arrays))
    from_npz = load_mnist(archive, {}, validation=10)
    for part in ("train", "val", "test"):
        assert_equal(getattr(from_idx, part), getattr(from_npz, part))
    assert (len(from_npz.train), len(from_npz.val), len(from_npz.test)) == (30, 10, 7)
    assert from_npz.test.x.dtype == np.uint8
    assert from_npz.test.y.dtype == np.int64
    assert from_npz.test.lengths.tolist() == [28] * 7
    np.testing.assert_array_equal(from_npz.test.x, arrays["x_test"])


def test_the_pins_are_those_of_the_official_files() -> None:
    assert ARCHIVE.sha256.startswith("06af5dfe")
    assert {part.name: part.sha256[:8] for part in PARTS.values()} == {
        "train-images-idx3-ubyte.gz": "440fcabf",
        "train-labels-idx1-ubyte.gz": "3552534a",
        "t10k-images-idx3-ubyte.gz": "8d422c7b",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f9",
    }
    assert all(len(part.urls) == 2 for part in PARTS.values())


def test_held_out_samples_are_always_the_same() -> None:
    x = np.arange(60_000, dtype=np.uint16).reshape(-1, 1, 1)
    y = np.arange(60_000, dtype=np.int64)
    train, val = hold_out(Split(x, y, np.ones_like(y)), 5_000)
    np.testing.assert_array_equal(np.sort(np.concatenate([train.y, val.y])), y)
    assert (np.diff(train.y) > 0).all()
    assert (np.diff(val.y) > 0).all()
    # Reported accuracies are tied to this choice: it must not move.
    assert hashlib.sha256(val.y.astype("<i8").tobytes()).hexdigest() == HELD_OUT_SHA256


def test_mnist_is_scaled_to_one() -> None:
    task = load_task("mnist-rows")
    assert task is TASKS["mnist-rows"]
    assert (task.classes, task.inputs, task.steps) == (10, 28, 28)
    normalised = task.normalisation()(np.array([[0] * 28, [255] * 28], dtype=np.uint8))
    np.testing.assert_array_equal(normalised, [[0.0] * 28, [1.0] * 28])


def test_mnist_out_of_reach(data_folder: Path) -> None:
    with pytest.raises(ToolError) as raised:
        load_mnist(parts={"x_train": PinnedFile("images.gz", ("http://127.0.0.1:1/x",), "0" * 64)})
    assert str(raised.value) == (
        "images.gz: cannot be downloaded from http://127.0.0.1:1/x (connection refused); "
        "to work offline, put it into a folder and name that in GRUHW_DATA"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain", "must be a whole gzip file, but: Not a gzipped file (b'pl')"),
        (
            idx(np.zeros((2, 3, 4), np.uint8))[:-9],
            (
                "must be a whole gzip file, but: Compressed file ended before the "
                "end-of-stream marker was reached"
            ),
        ),
        (gzip.compress(b""), "idx header must be 00000803, not empty"),
        (idx(np.zeros(3, np.uint8)), "idx header must be 00000803, not 00000801"),
        (
            gzip.compress(gzip.decompress(idx(np.zeros((2, 3, 4), np.uint8)))[:-1]),
            "idx data of shape [2, 3, 4] must have 24 bytes, not 23",
        ),
        (
            gzip.compress(bytes((0, 0, 8, 3)) + bytes((255,)) * 12),
            (
                "idx data of shape [4294967295, 4294967295, 4294967295] must have "
                "79228162458924105385300197375 bytes, not 0"
            ),
        ),
    ],
)
def test_damaged_idx(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_idx(Path("file.gz"), data, dimensions=3)
    assert str(raised.value) == f"file.gz: {message}"


def custom() -> Arrays:
    random = np.random.default_rng(2)
    return {
        "x_train": random.normal(3, 2, (30, 5, 3)).astype(np.float32),
        "y_train": (np.arange(30) % 3).astype(np.uint8),
        "x_test": random.normal(3, 2, (6, 5, 3)).astype(np.float32),
        "y_test": (np.arange(6) % 3).astype(np.int32),
    }


def load(tmp_path: Path, arrays: Mapping[str, NDArray[Any]]) -> TaskData:
    write_atomic(tmp_path / "own.npz", npz_bytes(arrays))
    return load_task(str(tmp_path / "own.npz")).load()


def test_own_task(tmp_path: Path) -> None:
    arrays = custom()
    data = load(tmp_path, arrays)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 6)
    np.testing.assert_array_equal(data.test.x, arrays["x_test"])
    assert data.test.lengths.tolist() == [5] * 6
    task = load_task(tmp_path / "own.npz")
    assert (task.classes, task.inputs, task.steps) == (3, 3, 5)
    normalised = task.normalisation()(data.train.x)
    np.testing.assert_allclose(normalised.mean(axis=(0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(normalised.std(axis=(0, 1)), 1)


def test_own_validation_data_and_lengths(tmp_path: Path) -> None:
    arrays = custom()
    arrays["x_train"][:, 3:] = 1e6
    arrays["x_train"][:, :, 1] = 7
    arrays |= {
        "x_val": arrays["x_test"][:2, :4],
        "y_val": arrays["y_test"][:2],
        "length_train": np.full(30, 3),
        "length_val": np.array([4, 1]),
        "length_test": np.array([1, 2, 3, 4, 5, 5]),
    }
    data = load(tmp_path, arrays)
    assert (len(data.train), len(data.val), len(data.test)) == (30, 2, 6)
    assert data.val.lengths.tolist() == [4, 1]
    assert data.test.lengths.tolist() == [1, 2, 3, 4, 5, 5]
    normalised = load_task(tmp_path / "own.npz").normalisation()(data.train.x)[:, :3]
    np.testing.assert_allclose(normalised.mean(axis=(0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(normalised.std(axis=(0, 1)), [1, 0, 1])


def changed(array: NDArray[Any], index: Any, value: object) -> NDArray[Any]:
    copy = array.copy()
    copy[index] = value
    return copy


C = custom()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "array x_train is required, but missing"),
        ({"y_train": None}, "array y_train is required, but missing"),
        ({"x_test": None}, "array x_test is required, but missing"),
        ({"y_test": None}, "array y_test is required, but missing"),
        ({"y_val": C["y_test"]}, "array x_val is required, but missing"),
        ({"x_val": C["x_test"]}, "array y_val is required, but missing"),
        (
            {"x_train": C["x_train"][:, 0]},
            "shape of x_train must be [N, T, I], none of them zero, not [30, 3]",
        ),
        (
            {"x_test": C["x_test"][:0]},
            "shape of x_test must be [N, T, I], none of them zero, not [0, 5, 3]",
        ),
        (
            {"x_train": C["x_train"].astype(str)},
            "x_train must hold real numbers, not <U32",
        ),
        (
            {"x_train": np.zeros((30, 1, 1025))},
            "x_train must have at most 1024 input elements, not 1025",
        ),
        (
            {"x_train": changed(C["x_train"], (3, 2, 1), np.nan)},
            "every value of x_train must be finite, not nan",
        ),
        (
            {"x_test": changed(C["x_test"], (3, 2, 1), -np.inf)},
            "every value of x_test must be finite, not -inf",
        ),
        (
            {"x_test": C["x_test"][:, :, :2]},
            "x_test must have 3 input elements like x_train, not 2",
        ),
        (
            {"y_train": C["y_train"][1:]},
            "shape of y_train must be [30], one entry for each sequence, not [29]",
        ),
        (
            {"y_test": C["y_test"][:, np.newaxis]},
            "shape of y_test must be [6], one entry for each sequence, not [6, 1]",
        ),
        (
            {"y_train": C["y_train"].astype(np.float64)},
            "y_train must hold whole numbers, not float64",
        ),
        (
            {"y_test": changed(C["y_test"], 2, -1)},
            "labels in y_test must be 0 to 1023, not -1",
        ),
        (
            {"y_train": changed(C["y_train"].astype(np.uint64), 2, 2**63)},
            "labels in y_train must be 0 to 1023, not 9223372036854775808",
        ),
        (
            {"y_train": C["y_train"] + 1},
            "labels in y_train must be 0 to 3, each at least once, but 0 is missing",
        ),
        ({"y_train": C["y_train"] * 0}, "y_train must hold 2 or more classes, not 1"),
        (
            {"y_test": C["y_test"] + 1},
            "labels in y_test must be 0 to 2 like y_train's, not 3",
        ),
        (
            {"length_train": np.full(30, 6)},
            "lengths in length_train must be 1 to 5, not 6",
        ),
        (
            {"length_test": np.array([5, 5, 0, 5, 5, 5])},
            "lengths in length_test must be 1 to 5, not 0",
        ),
        (
            {"length_test": np.full(5, 5)},
            "shape of length_test must be [6], one entry for each sequence, not [5]",
        ),
    ],
)
def test_wrong_own_task(
    change: dict[str, NDArray[Any] | None], message: str, tmp_path: Path
) -> None:
    arrays = {name: array for name, array in ({**custom(), **change}).items() if array is not None}
    with pytest.raises(InputError) as raised:
        load(tmp_path, arrays)
    assert str(raised.value) == f"{tmp_path / 'own.npz'}: {message}"


def test_unknown_task() -> None:
    with pytest.raises(InputError) as raised:
        load_task("mnist-columns")
    assert str(raised.value) == (
        "task must be mnist-rows or the path of an .npz file, not 'mnist-columns'"
    )


def test_absent_own_task(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_task(tmp_path / "absent.npz")
    assert str(raised.value) == (
        f"{tmp_path / 'absent.npz'}: cannot be read: no such file or directory"
    )


def test_samples_of_a_design(tmp_path: Path) -> None:
    arrays = {"x_test": C["x_test"], "y_test": C["y_test"]}
    path = tmp_path / "samples.npz"
    samples = load_samples(path, npz_bytes(arrays))
    np.testing.assert_array_equal(samples.x, arrays["x_test"])
    assert samples.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert samples.lengths.tolist() == [5] * 6
    path.write_bytes(npz_bytes({**arrays, "length_test": np.arange(6) % 5 + 1}))
    assert load_samples(path).lengths.tolist() == [1, 2, 3, 4, 5, 1]
    with pytest.raises(InputError) as raised:
        load_samples(path, npz_bytes({"x_test": C["x_test"]}))
    assert str(raised.value) == f"{path}: array y_test is required, but missing"
