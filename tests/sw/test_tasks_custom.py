"""Users' own tasks, to classify or to find values: their archives, and all ways to be wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gruhw.basics.files import npz_bytes, write_atomic
from gruhw.errors import InputError
from gruhw.learning.tasks import TaskData, load_samples, load_task, sample_arrays

Arrays = dict[str, NDArray[Any]]


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
    assert (task.outputs, task.inputs, task.steps, task.hidden) == (3, 3, 5, 32)
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


def of_classes(*sizes: int) -> Arrays:
    """A task with so many training sequences of each class, and two of each to test."""
    train, test = (np.repeat(np.arange(len(sizes)), counts) for counts in (sizes, 2))
    return {
        "x_train": np.arange(len(train), dtype=float).reshape(-1, 1, 1),
        "y_train": np.random.default_rng(3).permutation(train),
        "x_test": np.zeros((len(test), 1, 1)),
        "y_test": test,
    }


@pytest.mark.parametrize(
    ("sizes", "held"),
    [
        ((200, 200), [20, 20]),
        ((380, 16, 4), [38, 2, 0]),
        ((376, 18, 6), [37, 2, 1]),
        ((399, 1), [40, 0]),  # a class stays in training
        ((300, 2), [30, 0]),
        ((4, 3, 3, 3), [1, 0, 0, 0]),
        ((1, 2), [0, 1]),
        ((1, 1, 3, 1), [0, 0, 1, 0]),
        ((*[1] * 30, 2), [*[0] * 30, 1]),  # a tenth would be 3
    ],
)
def test_each_class_stays_in_training(
    tmp_path: Path, sizes: tuple[int, ...], held: list[int]
) -> None:
    data = load(tmp_path, of_classes(*sizes))
    counts = np.bincount(data.val.y, minlength=len(sizes))
    assert counts.tolist() == held
    np.testing.assert_array_equal(np.bincount(data.train.y), sizes - counts)


def test_nothing_can_be_held_out(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, of_classes(1, 1, 1))
    assert str(raised.value) == (
        f"{tmp_path / 'own.npz'}: array x_val is required, but missing: y_train has each of its 3 "
        "classes once, so that none of its sequences can be held out for validation"
    )
    arrays = of_classes(1, 1, 1)
    arrays |= {"x_val": arrays["x_test"], "y_val": arrays["y_test"]}
    assert len(load(tmp_path, arrays).train) == 3


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
        pytest.param(
            {"x_train": np.full((30, 1, 1), np.longdouble("1e400"))},
            "every value of x_train must be finite in double precision, not 1e+400",
            marks=pytest.mark.skipif(
                np.finfo(np.longdouble).max <= np.finfo(np.float64).max,
                reason="needs a longer type than double precision",
            ),
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


def of_values() -> Arrays:
    """A task to find two values of each sequence."""
    arrays = custom()
    for part in ("train", "test"):
        arrays[f"y_{part}"] = arrays[f"x_{part}"][:, -1, :2] / 2
    return {**arrays, "target": np.array("values")}


TARGETS = "class, values, class every step, values every step"
V = of_values()


def test_own_task_of_values(tmp_path: Path) -> None:
    data = load(tmp_path, V)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 6)
    np.testing.assert_array_equal(data.test.y, V["y_test"])
    task = load_task(tmp_path / "own.npz")
    assert (task.target, task.outputs, task.description) == (
        "values", 2, "5 steps of 3 inputs, 2 values"
    )  # fmt: skip
    assert data.train.target == "values"
    task.warn_of_absent_classes()  # there are none


@pytest.mark.parametrize("kind", ["class", "values"])
def test_own_task_of_every_step(kind: str, tmp_path: Path) -> None:
    arrays: Arrays = V | {"target": np.array(f"{kind} every step")}
    for part, count in (("train", 30), ("test", 6)):
        labels = (np.arange(count)[:, np.newaxis] + np.arange(5)) % 3
        values = np.stack([labels, labels * 0.5], axis=-1)
        arrays[f"y_{part}"] = labels if kind == "class" else values
        arrays[f"length_{part}"] = np.arange(count) % 5 + 1
    # Labels of padding are not looked at.
    if kind == "class":
        arrays["y_test"][0, 1:] = 1000
    data = load(tmp_path, arrays)
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 6)
    np.testing.assert_array_equal(data.test.y, arrays["y_test"])
    task = load_task(tmp_path / "own.npz")
    what = "3 classes" if kind == "class" else "2 values"
    assert (task.target, task.description) == (
        f"{kind} every step", f"5 steps of 3 inputs, {what} at every step"
    )  # fmt: skip
    assert task.network().every_step
    assert task.output_of(task.network()) == kind
    assert task.at_every_step() is task


def test_labels_of_steps_beyond_those_of_training(tmp_path: Path) -> None:
    arrays = {**C, "target": np.array("class every step")}
    for part, count in (("train", 30), ("test", 6)):
        arrays[f"y_{part}"] = np.arange(count * 5).reshape(count, 5) % 3
    arrays["y_test"][3, 4] = 3
    with pytest.raises(InputError) as raised:
        load(tmp_path, arrays)
    assert str(raised.value).endswith("labels in y_test must be 0 to 2 like y_train's, not 3")


def test_one_value_and_whole_numbers(tmp_path: Path) -> None:
    arrays = V | {
        f"y_{part}": np.arange(n)[:, np.newaxis] for part, n in (("train", 30), ("test", 6))
    }
    data = load(tmp_path, arrays)
    assert data.test.y.tolist() == [[0], [1], [2], [3], [4], [5]]
    assert load_task(tmp_path / "own.npz").description == "5 steps of 3 inputs, 1 value"


def test_classes_may_be_said_to_be_ones(tmp_path: Path) -> None:
    said, unsaid = (load(tmp_path, C | more) for more in ({"target": np.array("class")}, {}))
    assert said.train.fingerprint == unsaid.train.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.array("colours")}, f"target must be one of {TARGETS}, not 'colours'"),
        (
            {"target": np.array(["values"])},
            f"target must be one of {TARGETS}, not an array [1] of <U6",
        ),
        ({"target": np.array(1)}, f"target must be one of {TARGETS}, not an array [] of int64"),
        (
            {"target": np.array("class every step")},
            "y_train must hold whole numbers, not float32",
        ),
        (
            {"target": np.array("class every step"), "y_train": np.zeros((30, 2), int)},
            "shape of y_train must be [30, 5], one entry for each step, not [30, 2]",
        ),
        (
            {"target": np.array("class every step"), "y_train": np.zeros(30, int)},
            "shape of y_train must be [30, 5], one entry for each step, not [30]",
        ),
        (
            {"target": np.array("values every step")},
            "shape of y_train must be [30, 5, K], 1 to 1024 values for each step, not [30, 2]",
        ),
        (
            {"y_train": np.zeros((30, 5, 2))},
            "shape of y_train must be [30, K], 1 to 1024 values for each sequence, not [30, 5, 2]",
        ),
        ({"target": None}, "y_train must hold whole numbers, not float32"),
        (
            {"y_train": V["y_train"][:, 0]},
            "shape of y_train must be [30, K], 1 to 1024 values for each sequence, not [30]",
        ),
        (
            {"y_test": V["y_test"][1:]},
            "shape of y_test must be [6, K], 1 to 1024 values for each sequence, not [5, 2]",
        ),
        (
            {"y_train": np.zeros((30, 0))},
            "shape of y_train must be [30, K], 1 to 1024 values for each sequence, not [30, 0]",
        ),
        (
            {"y_train": np.zeros((30, 1025))},
            "shape of y_train must be [30, K], 1 to 1024 values for each sequence, not [30, 1025]",
        ),
        ({"y_train": V["y_train"].astype(str)}, "y_train must hold real numbers, not <U32"),
        (
            {"y_train": changed(V["y_train"], (3, 1), np.inf)},
            "every value of y_train must be finite, not inf",
        ),
        (
            {"y_test": V["y_test"][:, :1]},
            "y_test must have 2 values for each sequence like y_train, not 1",
        ),
        (
            {"x_train": V["x_train"][:1], "y_train": V["y_train"][:1]},
            (
                "array x_val is required, but missing: y_train has one sequence, which cannot be "
                "held out for validation"
            ),
        ),
    ],
)
def test_wrong_task_of_values(
    change: dict[str, NDArray[Any] | None], message: str, tmp_path: Path
) -> None:
    arrays = {name: array for name, array in {**V, **change}.items() if array is not None}
    with pytest.raises(InputError) as raised:
        load(tmp_path, arrays)
    assert str(raised.value) == f"{tmp_path / 'own.npz'}: {message}"


@pytest.mark.parametrize("arrays", [C, V], ids=["class", "values"])
def test_samples_are_read_as_they_are_written(arrays: Arrays, tmp_path: Path) -> None:
    test = load(tmp_path, arrays).test
    written = sample_arrays(test)
    assert ("target" in written) == ("target" in arrays)
    found = load_samples(tmp_path / "samples.npz", npz_bytes(written))
    assert found.fingerprint == test.fingerprint
