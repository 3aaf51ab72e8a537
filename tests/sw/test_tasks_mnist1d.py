"""MNIST-1D: from the pack, from the pickle, and from pickles that would do something else."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from task_files import absent, assert_same_data, data_folder, pin

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError
from gruhw.learning.tasks.mnist1d import PUBLISHED, load_mnist1d, parse_pickle

__all__ = ["data_folder"]


def content() -> dict[str, Any]:
    """What the published pickle holds, smaller."""
    random = np.random.default_rng(5)
    return {
        "x": random.normal(0, 2, (30, 40)),
        "x_test": random.normal(0, 2, (6, 40)),
        "y": random.integers(0, 10, 30),
        "y_test": random.integers(0, 10, 6),
        "t": np.linspace(-5, 5, 40),
        "templates": {"x": np.zeros((10, 12)), "y": np.arange(10)},
    }


def packed() -> dict[str, NDArray[Any]]:
    """The same in the form of the pack."""
    published = content()
    return {
        "x_train": np.round(published["x"] * 4096).astype(np.int16),
        "y_train": published["y"].astype(np.uint8),
        "x_test": np.round(published["x_test"] * 4096).astype(np.int16),
        "y_test": published["y_test"].astype(np.uint8),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_and_pack_give_the_same_data(protocol: int, data_folder: Path) -> None:
    pack = pin(data_folder, "pack.npz", npz_bytes(packed()))
    published = pin(data_folder, "data.pkl", pickle.dumps(content(), protocol))
    from_pack = load_mnist1d(pack, absent("x.pkl"), validation=4)
    assert_same_data(load_mnist1d(absent("x.npz"), published, validation=4), from_pack)
    assert [len(part) for part in (from_pack.train, from_pack.val, from_pack.test)] == [26, 4, 6]
    assert from_pack.train.x.shape == (26, 40, 1)
    assert from_pack.train.x.dtype == np.int16


def test_old_pickles_name_numpy_otherwise() -> None:
    data = pickle.dumps(content(), 2)
    assert b"numpy._core.multiarray" in data
    old = data.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    np.testing.assert_array_equal(
        parse_pickle(Path("x"), old)["x_train"], parse_pickle(Path("x"), data)["x_train"]
    )


class Hostile:
    """Runs a command when it is read."""

    def __init__(self, function: Any, argument: str) -> None:
        self.call = (function, (argument,))

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "named"),
    [(os.system, "posix.system"), (eval, "builtins.eval"), (np.load, "numpy.load")],
)
@pytest.mark.parametrize("protocol", [3, 4])
def test_hostile_pickles_are_refused(
    function: Any, named: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = "open('trap', 'w')" if function is eval else "touch trap"
    data = pickle.dumps({**content(), "t": Hostile(function, command)}, protocol)
    with pytest.raises(InputError) as raised:
        parse_pickle(Path("data.pkl"), data)
    assert str(raised.value) == (
        f"data.pkl: must be a whole pickle of arrays, but: it names {named}"
    )
    assert list(tmp_path.iterdir()) == []


def test_old_pickles_have_one_encoding() -> None:
    data = pickle.dumps(content(), 2).replace(b"X\x06\x00\x00\x00latin1", b"X\x05\x00\x00\x00rot13")
    with pytest.raises(InputError) as raised:
        parse_pickle(Path("data.pkl"), data)
    assert str(raised.value) == (
        "data.pkl: must be a whole pickle of arrays, but: it names the encoding rot13"
    )


def test_another_pickle_is_not_even_read(data_folder: Path) -> None:
    data = pickle.dumps({"x": Hostile(os.system, "touch trap")})
    (data_folder / PUBLISHED.name).write_bytes(data)
    with pytest.raises(InputError, match=f"SHA-256 must be {PUBLISHED.sha256}, not "):
        load_mnist1d(absent("x.npz"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"",
            "must be a whole pickle of arrays, but: Ran out of input",
        ),
        (
            pickle.dumps(content())[:-9],
            "must be a whole pickle of arrays, but: pickle data was truncated",
        ),
        (pickle.dumps([1]), "array x is required, but missing"),
        (pickle.dumps({"x": "?"}), "array x is required, but missing"),
        (pickle.dumps({"x": np.zeros((3, 40))}), "array y is required, but missing"),
        (
            pickle.dumps({"x": np.zeros((3, 41)), "y": np.zeros(3)}),
            "shapes of x and y must be [N, 40] and [N], not [3, 41] and [3]",
        ),
        (
            pickle.dumps({**content(), "y_test": np.zeros(5, int)}),
            "shapes of x_test and y_test must be [N, 40] and [N], not [6, 40] and [5]",
        ),
    ],
)
def test_wrong_pickles(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_pickle(Path("data.pkl"), data)
    assert str(raised.value) == f"data.pkl: {message}"
