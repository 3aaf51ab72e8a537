"""The built-in tasks, and MNIST from either kind of file."""

import gzip
import hashlib
import operator
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from task_files import absent, assert_same_data, data_folder, pin

from gruhw.basics.download import PinnedFile
from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError, ToolError
from gruhw.learning.tasks import TASKS, Split, TaskData, load_task
from gruhw.learning.tasks.data import Task, hold_out, joined, standardise
from gruhw.learning.tasks.mnist import ARCHIVE, PARTS, load_mnist, parse_idx
from gruhw.network.architecture import Architecture
from gruhw.network.fixed import Fixed, quantise
from gruhw.network.genome import Output
from gruhw.network.model import Normalisation
from gruhw.network.parts import Target

__all__ = ["data_folder"]

Arrays = dict[str, NDArray[Any]]

REFUSED = (
    r"^element 0 of x_train: standard deviation must be 0 or at least "
    r"(5\.56e-309|2\*\*-40 of its mean -?\d[\d.]*(e[+-]\d+)?), not \d[\d.]*(e[+-]\d+)?$"
)
SMALLEST_DEVIATION = Fraction(1) / Fraction(np.finfo(np.float64).max)

HELD_OUT_SHA256 = "47303c1dc1d37c462ee352708915972e68bdd3ccb97e52055a22ff10011fa5ae"


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


def test_both_kinds_of_file_give_the_same_mnist(data_folder: Path) -> None:
    arrays = digits()
    parts = {name: pin(data_folder, PARTS[name].name, idx(array)) for name, array in arrays.items()}
    from_idx = load_mnist(absent("mnist.npz"), parts, validation=10)
    archive = pin(data_folder, "mnist.npz", npz_bytes(arrays))
    from_npz = load_mnist(archive, {}, validation=10)
    assert_same_data(from_idx, from_npz)
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
    parts = hold_out(Split(x, np.zeros(60_000, dtype=np.int64)), 5_000)
    train, val = (part.x.ravel().astype("<i8") for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(60_000))
    assert (np.diff(train) > 0).all()
    assert (np.diff(val) > 0).all()
    # Reported accuracies are tied to this choice: it must not move.
    assert hashlib.sha256(val.tobytes()).hexdigest() == HELD_OUT_SHA256


@given(st.lists(st.integers(1, 60), min_size=1, max_size=9), st.data())
def test_classes_keep_their_proportion(sizes: list[int], drawn: st.DataObject) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.random.default_rng(1).permutation(labels)
    count = drawn.draw(st.integers(0, len(labels) - len(sizes)))
    x = np.arange(len(labels)).reshape(-1, 1, 1)
    data = Split(x, labels)
    train, val = hold_out(data, count, by_class=True)
    assert len(val) == count
    for part in (train, val):
        assert (np.diff(part.x.ravel()) > 0).all()
        np.testing.assert_array_equal(part.y, labels[part.x.ravel()])
    assert sorted([*train.x.ravel(), *val.x.ravel()]) == list(range(len(labels)))
    kept, held = (np.bincount(part.y, minlength=len(sizes)) for part in (train, val))
    assert kept.min() >= 1
    # Webster's method: with one divisor for all, each class has its rounded part, unless that is
    # all of it.
    room = np.array(sizes) - 1 > held
    lowest = max((2 * held[c] - 1) / sizes[c] for c in range(len(sizes)))
    assert all((2 * held[c] + 1) / sizes[c] >= lowest for c in np.flatnonzero(room))
    again = hold_out(data, count, by_class=True)
    np.testing.assert_array_equal(again[1].x, val.x)


def test_mnist_is_scaled_to_one() -> None:
    task = load_task("mnist-rows")
    assert task is TASKS["mnist-rows"]
    assert (task.outputs, task.inputs, task.steps) == (10, 28, 28)
    normalised = task.normalisation()(np.array([[0] * 28, [255] * 28], dtype=np.uint8))
    np.testing.assert_array_equal(normalised, [[0.0] * 28, [1.0] * 28])


@pytest.mark.usefixtures("data_folder")
def test_mnist_out_of_reach() -> None:
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
    # The data hold the time: names made of them would differ between parallel processes.
    ids=["plain", "truncated", "empty", "wrong-dimensions", "too-short", "huge"],
)
def test_damaged_idx(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_idx(Path("file.gz"), data, dimensions=3)
    assert str(raised.value) == f"file.gz: {message}"


def test_unknown_task() -> None:
    with pytest.raises(InputError) as raised:
        load_task("mnist-columns")
    assert str(raised.value) == (
        f"task must be {', '.join(TASKS)} or the path of an .npz file, not 'mnist-columns'"
    )


def task(loader: Callable[[], TaskData], **fields: Any) -> Task:
    return Task("t", "d", 2, 2, 3, "s", "l", loader, **fields)


def few() -> Split:
    x = np.array([[[1, 7], [3, 7], [90, 90]], [[5, 7], [7, 7], [9, 7]]], dtype=np.int16)
    return Split(x, np.array([0, 1]), np.array([2, 3]))


def test_data_are_read_once_and_inputs_are_standardised() -> None:
    calls: list[TaskData] = []

    def loader() -> TaskData:
        calls.append(TaskData(few(), few(), few()))
        return calls[-1]

    own = task(loader)
    assert calls == []
    normalised = own.normalisation()(own.load().train.x)
    assert own.load() is own.load()
    assert own.normalisation() is own.normalisation()
    assert len(calls) == 1
    # 1, 3, 5, 7, 9 without the padding: mean 5, variance 8. The other element never changes.
    expected = (np.array([1, 3, 90, 5, 7, 9]) - 5) / np.sqrt(8)
    np.testing.assert_allclose(normalised[:, :, 0].reshape(-1), expected)
    np.testing.assert_array_equal(normalised[:, :, 1], [[0, 0, 83], [0, 0, 0]])


MAGNITUDES = st.integers(-1074, 1023).map(lambda exponent: 2.0**exponent)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(operator.mul, st.floats(-1, 1), MAGNITUDES),
    st.sampled_from([0.0, 5e-324, 1e-200, 1.0, 1e200, np.finfo(np.float64).max]),
)
"""Finite numbers of every magnitude: Hypothesis' own lie near 1 for the most part."""


@st.composite
def channels(draw: st.DrawFn) -> NDArray[Any]:
    """Values of one input element: alike in magnitude, of all magnitudes, of any type."""
    if draw(st.booleans()):
        values = np.array(draw(st.lists(NUMBERS, min_size=1, max_size=30)))
    elif draw(st.booleans()):
        size = draw(MAGNITUDES)
        values = np.array(draw(st.lists(st.floats(-1, 1), min_size=1, max_size=30))) * size
    else:
        kind = draw(st.sampled_from([np.uint8, np.int16, np.int64, np.uint64]))
        limits = np.iinfo(kind)
        drawn = st.lists(st.integers(int(limits.min), int(limits.max)), min_size=1, max_size=30)
        return np.array(draw(drawn), dtype=kind)
    if draw(st.booleans()):
        with np.errstate(over="ignore"):
            narrow = values.astype(draw(st.sampled_from([np.float32, np.float16])))
        return narrow[np.isfinite(narrow)] if np.isfinite(narrow).any() else values
    return values


def normalised(values: NDArray[Any]) -> Normalisation:
    """The normalisation of these values of a single input element."""
    return standardise(Split(values.reshape(1, -1, 1), np.zeros(1, int)))


@pytest.mark.filterwarnings("error")
@given(
    values=channels(),
    later=st.lists(NUMBERS, max_size=20),
    bits=st.integers(1, 12),
    frac=st.integers(-40, 40),
)
@example(values=np.array([2**62, 2**62 + 1]), later=[], bits=8, frac=4)  # equal as doubles
@example(values=np.array([0.0, 1e-200]), later=[1.0], bits=8, frac=4)
@example(values=np.array([5e-324, 0.0]), later=[], bits=8, frac=4)
def test_every_finite_number_is_normalised_or_named(
    values: NDArray[Any], later: list[float], bits: int, frac: int
) -> None:
    exact = [Fraction(float(value)) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    # Less than that cannot be normalised, or hardly.
    differ = values.min() != values.max()
    if differ and variance < max(SMALLEST_DEVIATION**2, mean**2 / 2**80):
        with pytest.raises(InputError, match=REFUSED):
            normalised(values)
        return
    normalise = normalised(values)
    assert np.isfinite([normalise.scale, normalise.offset]).all()
    found = normalise(values.reshape(-1, 1))
    if not differ:
        assert not found.any()
    else:
        lost = 2.0**-50 * (1 + abs(normalise.offset[0]))
        assert abs(found.mean()) < lost * len(values)
        assert found.std() == pytest.approx(1, abs=lost * len(values))
        assert np.abs(found.astype(np.float32)).max() <= len(values)
    # Any other number becomes the code nearest to it, and order stays order.
    kind = Fixed(bits, frac)
    raw = np.sort(np.array([*later, *values.astype(np.float64)]))
    normal = normalise(raw[:, np.newaxis])[:, 0]
    codes = quantise(normal, kind)
    assert (np.diff(codes) >= 0).all()
    for value, code in zip(normal, codes, strict=True):
        assert kind.minimum <= code <= kind.maximum
        if np.isinf(value) or abs(Fraction(value) * Fraction(2) ** frac) > 2**40:
            assert code == (kind.maximum if value > 0 else kind.minimum)
        else:
            nearest = np.clip(value * 2.0**frac, kind.minimum, kind.maximum)
            assert abs(code - nearest) <= 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [50.0, -1e3, 1e30, 1e200])
def test_outliers_do_not_decide_the_normalisation(size: float) -> None:
    values = np.random.default_rng(1).normal(1013, 2, 10_000)
    clean = normalised(values)
    values[777] += size
    found = normalised(values)
    assert found.scale[0] == pytest.approx(clean.scale[0], rel=1e-3)
    assert found.offset[0] == pytest.approx(clean.offset[0], rel=1e-3)
    assert abs(found(values[:, np.newaxis])[777]) > 20  # it saturates, if anything does


def test_rare_events_decide_the_normalisation() -> None:
    values = np.zeros(10_000)
    values[5] = 3.0
    assert normalised(values).scale[0] == pytest.approx(1 / values.std())


def test_what_cannot_be_normalised_is_named_with_its_file(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(6, 1, 2)
    path = tmp_path / "own.npz"
    for factor, shift, required in (
        (1e-310, 0, "at least 5.56e-309, not 3.42e-310"),
        (1, 1e15, "at least 2**-40 of its mean 1e+15, not 3.42"),
    ):
        x[:, 0, 1] = np.arange(0, 12, 2) * factor + shift
        y = np.arange(6) % 2
        arrays = {"x_train": x, "y_train": y, "x_val": x, "y_val": y, "x_test": x, "y_test": y}
        path.write_bytes(npz_bytes(arrays))
        own = load_task(path)
        with pytest.raises(InputError) as raised:
            own.normalisation()
        assert str(raised.value) == (
            f"{path}: element 1 of x_train: standard deviation must be 0 or {required}"
        )


def test_the_fingerprint_is_of_the_sequences_alone() -> None:
    data = few()
    same = Split(np.asfortranarray(data.x).astype(">i2"), data.y.copy(), data.lengths[::1])
    assert same.fingerprint == data.fingerprint
    others = [
        replace(data, x=data.x.astype(np.int32)),
        replace(data, x=data.x + 1),
        Split(data.x.transpose(0, 2, 1), data.y),
        Split(data.x.reshape(2, 2, 3), data.y),
        replace(data, y=data.y[::-1]),
        replace(data, lengths=data.lengths[::-1]),
        data.take(np.array([1, 0])),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_a_failure_is_not_remembered() -> None:
    results: list[TaskData | None] = [None, TaskData(few(), few(), few())]

    def loader() -> TaskData:
        if (result := results.pop(0)) is None:
            raise InputError("absent")
        return result

    own = task(loader)
    with pytest.raises(InputError, match=r"^absent$"):
        own.normalisation()
    assert len(own.load().train) == 2


def test_data_have_the_target_of_the_task() -> None:
    part = few()
    values = Split(part.x, np.zeros((2, 1)), part.lengths)
    with pytest.raises(InputError, match=r"^t: y_val must be class, the target .*, not values$"):
        task(lambda: TaskData(part, values, part)).load()
    with pytest.raises(InputError, match=r"^t: y_train must be values, the target .*, not class$"):
        task(lambda: TaskData(part, values, part), target="values").load()
    with pytest.raises(InputError, match=r"^t: values of y_train must be 2, not 1$"):
        task(lambda: TaskData(values, values, values), target="values").load()
    with pytest.raises(InputError, match=r"^t: labels of y_train must be 0 to 0, not 1$"):
        replace(task(lambda: TaskData(part, part, part)), outputs=1).load()
    with pytest.raises(InputError, match=r"^t: elements of x_train must be 5, not 2$"):
        replace(task(lambda: TaskData(part, part, part)), inputs=5).load()


def test_a_fixed_normalisation_needs_no_data() -> None:
    normalise = TASKS["mnist-rows"].fixed_normalisation
    assert normalise is not None
    assert task(lambda: pytest.fail("loaded"), fixed_normalisation=normalise).normalisation() is (
        normalise
    )


def test_built_in_tasks_have_their_names() -> None:
    assert list(TASKS) == list(COUNTS)
    for name, known in TASKS.items():
        assert known.name == name
        assert load_task(name) is known


@pytest.mark.parametrize("name", TASKS)
def test_default_sizes(name: str) -> None:
    assert TASKS[name].hidden == (48 if name == "keyword-spotting" else 32)
    assert TASKS[name].licence


COUNTS = {
    "mnist-rows": (55_000, 5_000, 10_000),
    "mnist-1d": (3_500, 500, 1_000),
    "spoken-digits": (2_400, 300, 300),
    "keyword-spotting": (3_306, 670, 914),
    "activity": (6_022, 1_393, 2_996),
    "voice-activity": (3_200, 300, 600),
}


@pytest.mark.skipif(not os.environ.get("GRUHW_DATA"), reason="needs the data: GRUHW_DATA")
@pytest.mark.parametrize("name", TASKS)
def test_real_data(name: str) -> None:
    known = TASKS[name]
    data = known.load()
    assert (len(data.train), len(data.val), len(data.test)) == COUNTS[name]
    for part in (data.train, data.val, data.test):
        assert part.x.shape == (len(part), known.steps, known.inputs)
        assert set(part.y.ravel()) == set(range(known.outputs))
        assert 1 <= part.lengths.min() <= part.lengths.max() <= known.steps
        padding = np.arange(known.steps) >= part.lengths[:, np.newaxis]
        assert not part.x[padding].any()
    assert known.augment is not None
    few = data.train.take(np.arange(64))
    varied = known.augment(few, np.random.default_rng(1))
    assert varied.x.shape == few.x.shape
    assert np.isfinite(varied.x).all()
    # It is still the same kind of data: neither element nor length moves far from the real ones.
    spread = known.normalisation()(varied.x).std(axis=(0, 1))
    assert (spread < 2 * known.normalisation()(few.x).std(axis=(0, 1)) + 0.1).all()
    assert (np.abs(varied.lengths - few.lengths) <= 6 + 0.2 * few.lengths).all()
    if known.fixed_normalisation is None:
        steps = np.arange(known.steps) < data.train.lengths[:, np.newaxis]
        normalised = known.normalisation()(data.train.x)[steps]
        np.testing.assert_allclose(normalised.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(normalised.std(axis=0), 1)


def to_find(target: Target, outputs: int) -> Task:
    """A task without data."""
    return Task(
        "it", "a task", outputs, 3, 5, "nowhere", "none", lambda: EMPTY, hidden=6, target=target
    )


EMPTY = TaskData(*[Split(np.zeros((0, 5, 3)), np.zeros(0, dtype=int))] * 3)


@pytest.mark.parametrize(
    ("task", "output", "outputs", "gives"),
    [
        (to_find("class", 3), None, 3, "class"),
        (to_find("class", 3), "values", 3, "values"),
        (to_find("class", 3), "states", 3, "states"),
        (to_find("class", 2), None, 2, "class"),
        (to_find("class", 2), "values", 1, "values"),  # a single logit
        (to_find("values", 2), None, 2, "values"),
        (to_find("values", 1), "states", 1, "states"),
    ],
)
def test_a_network_for_a_task(
    task: Task, output: Output | None, outputs: int, gives: Output
) -> None:
    network = task.network(output=output)
    assert network == Architecture(inputs=3, layers="gru:6", outputs=outputs)
    assert task.output_of(network, output) == gives
    task.check_network(network, "here")
    other = task.network("dense:4:relu,lstm:5", output=output, initial="constant")
    assert (str(other), other.initial) == (
        f"3 inputs, dense:4:relu, lstm:5, {outputs} outputs, constant initial states", "constant"
    )  # fmt: skip


def test_a_single_logit_gives_values() -> None:
    task = to_find("class", 2)
    assert task.output_of(task.network(output="values")) == "values"


@pytest.mark.parametrize(
    ("task", "inputs", "outputs", "message"),
    [
        (to_find("class", 3), 4, 3, "inputs of the network must be 3, as in task it, not 4"),
        (to_find("class", 3), 3, 2, "outputs of the network must be 3, as in task it, not 2"),
        (to_find("class", 2), 3, 3, "outputs of the network must be 1 or 2, as in task it, not 3"),
        (to_find("values", 2), 3, 1, "outputs of the network must be 2, as in task it, not 1"),
    ],
)
def test_a_network_that_does_not_suit(task: Task, inputs: int, outputs: int, message: str) -> None:
    network = Architecture(inputs=inputs, layers="gru:6", outputs=outputs)
    with pytest.raises(InputError) as raised:
        task.check_network(network, "here")
    assert str(raised.value) == f"here: {message}"


def test_values_are_no_classes() -> None:
    task = to_find("values", 2)
    with pytest.raises(InputError) as raised:
        task.output_of(task.network(), "class")
    assert str(raised.value) == (
        "output must be values or states for task it, which has no classes, not class"
    )


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(InputError) as raised:
        to_find("colours", 2)  # type: ignore[arg-type]
    targets = "class, values, class every step, values every step"
    assert str(raised.value) == f"target must be one of {targets}, not 'colours'"


def test_values_stay_with_their_sequences() -> None:
    data = Split(np.arange(12.0).reshape(6, 2, 1), np.arange(12.0).reshape(6, 2))
    train, val = hold_out(data, 2)
    np.testing.assert_array_equal(joined([train, val]).x[:, :, 0], joined([train, val]).y)
    assert data.take(np.array([3])).y.tolist() == [[6.0, 7.0]]
    with pytest.raises(ValueError, match="read-only"):
        data.read_only().y[0, 0] = 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((2, 1)), "shape of values must be [6, values], not [2, 1]"),
        (np.zeros((6, 0)), "at least 1 value of a sequence is required, but there are 0"),
        (np.full((6, 1), np.nan), "every value of values must be finite, not nan"),
        (np.zeros((6, 1, 1)), "shape of values must be [6, 2, values], not [6, 1, 1]"),
        (np.zeros(6), "labels must be whole numbers, not float64"),
    ],
)
def test_values_that_are_none(y: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        Split(np.zeros((6, 2, 1)), y)
    assert str(raised.value) == message
