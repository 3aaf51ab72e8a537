"""Wrong data: one line says what was required and what was found."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from bad_input import CLASSES, GENOME, INPUTS, Refused, generate, save


def test_truncated_data(refused: Refused) -> None:
    data = Path("design/samples.npz").read_bytes()
    Path("short.npz").write_bytes(data[: len(data) // 2])
    refused(
        "short.npz: must be a whole .npz archive, but: File is not a zip file",
        *generate("--data", "short.npz"),
    )


def test_truncated_samples(refused: Refused) -> None:
    path = Path("design/samples.npz")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    expected, found = (hashlib.sha256(part).hexdigest() for part in (data, data[:-1]))
    refused(
        f"{path}: SHA-256 must be {expected}, not {found}",
        *("simulate", "--genome", GENOME, "--samples", "1"),
    )


MNIST = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "--genome", GENOME),
        ("report", "--genome", GENOME),
        ("train", "--task", "mnist-rows"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_truncated_data_set(
    arguments: tuple[str | Path, ...], refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data").mkdir()
    archive = io.BytesIO()
    np.savez(archive, x_train=np.zeros((9, 28, 28), np.uint8))
    data = archive.getvalue()[:-9]
    Path("data/mnist.npz").write_bytes(data)
    monkeypatch.setenv("GRUHW_DATA", "data")
    found = hashlib.sha256(data).hexdigest()
    refused(f"data/mnist.npz: SHA-256 must be {MNIST}, not {found}", *arguments)


def test_data_folder_that_is_none(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUHW_DATA", "file")
    refused("GRUHW_DATA must name a folder, not 'file'", "evaluate", "--genome", GENOME)


def test_data_without_sequences(refused: Refused) -> None:
    save("data.npz", y_test=np.zeros(3, int))
    refused("data.npz: array x_test is required, but missing", *generate("--data", "data.npz"))


def test_data_with_another_number_of_inputs(refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS + 1)), y_test=np.zeros(3, int))
    refused(
        f"data.npz: elements of a time step must be {INPUTS}, as in {GENOME}, not {INPUTS + 1}",
        *generate("--data", "data.npz"),
    )


@pytest.mark.parametrize(
    ("label", "required"),
    [
        (CLASSES, f"data.npz: labels must be 0 to {CLASSES - 1}, as in {GENOME}, not {CLASSES}"),
        (-1, "data.npz: labels in y_test must be 0 to 1023, not -1"),
    ],
)
def test_data_with_labels_out_of_range(label: int, required: str, refused: Refused) -> None:
    save("data.npz", x_test=np.zeros((3, 2, INPUTS)), y_test=np.array([0, 1, label]))
    refused(required, *generate("--data", "data.npz"))


def test_data_that_is_no_number(refused: Refused) -> None:
    save("data.npz", x_test=np.full((3, 2, INPUTS), np.inf), y_test=np.zeros(3, int))
    refused(
        "data.npz: every value of x_test must be finite, not inf", *generate("--data", "data.npz")
    )


def test_pickled_data(refused: Refused) -> None:
    np.savez("data.npz", x_test=np.array([{}]), y_test=np.zeros(1, int), allow_pickle=True)
    refused(
        "data.npz: must be a whole .npz archive, but: "
        "Object arrays cannot be loaded when allow_pickle=False",
        *generate("--data", "data.npz"),
    )
