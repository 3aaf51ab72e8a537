"""``gruhw calibrate``: fraction bits for widths that were edited, without training."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_design import write_design
from command_line import CommandLine, contents

from gruhw.design import save_design
from gruhw.learning.tasks import TASKS
from gruhw.network.architecture import Architecture
from gruhw.network.bound import read_model
from gruhw.network.genome import Genome

OUTLIER = 1e4


def write_task(path: Path, outlier: float = 0.0) -> None:
    """The class is the input element that drifts upwards."""
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 300), ("val", 60), ("test", 100)):
        y = np.arange(count) % 3
        x = rng.normal(size=(count, 10, 3))
        x[np.arange(count), :, y] += np.linspace(0, 3, 10)
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    arrays["x_train"][17, 3, 1] += outlier
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task and a design of 8 bits for it."""
    from gruhw.design.trained import train_design
    from gruhw.learning.tasks import load_task
    from gruhw.learning.training import Recipe
    from gruhw.network.genes import homogeneous

    folder = tmp_path_factory.mktemp("calibrate")
    write_task(folder / "task.npz")
    recipe = Recipe(float_epochs=8, quantised_epochs=2)
    task = load_task(folder / "task.npz")
    network = task.network("gru:6")
    train_design(
        task,
        network,
        homogeneous(network, 8),
        recipe,
        folder / "design",
        lambda epoch: None,
    )
    return folder


@pytest.fixture
def edited(trained: Path, tmp_path: Path) -> Path:
    """A copy of it whose genome has 5 bits everywhere; nothing else was changed."""
    for file in (trained / "design").iterdir():
        (tmp_path / "design").mkdir(exist_ok=True)
        (tmp_path / "design" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "task.npz").write_bytes((trained / "task.npz").read_bytes())
    path = tmp_path / "design" / "genome.json"
    content = json.loads(path.read_text())
    content["task"] = "task.npz"
    content["genes"] = dict.fromkeys(content["genes"], 5)
    path.write_text(json.dumps(content))
    return path


CALIBRATE = ("calibrate", "--genome", "design/genome.json")


def accuracy(gruhw: CommandLine, genome: str) -> float:
    gruhw.succeeds("evaluate", "--genome", genome, "--json", "found.json")
    return float(json.loads(Path("found.json").read_text())["accuracy"])


def test_edited_widths_work_once_they_are_calibrated(gruhw: CommandLine, edited: Path) -> None:
    refused = gruhw("evaluate", "--genome", "design/genome.json")
    assert refused.status == 2
    assert "gruhw calibrate --genome FILE --task TASK" in refused.err
    before = contents(edited.parent)
    result = gruhw.succeeds(*CALIBRATE, "--out", "out", "--json", "calibrated.json")
    assert contents(edited.parent) == before
    rows = {row[0]: row[1:] for row in result.rows()}
    assert rows["input"][0] == "5"
    assert len([name for name in rows if name.startswith("W_")]) == 12
    found = json.loads(Path("calibrated.json").read_text())
    assert json.loads(Path("out/calibration.json").read_text())["tensors"] == found["tensors"]
    assert found["test_accuracy"] == accuracy(gruhw, "out/genome.json")
    assert found["test_accuracy"] > 0.9
    assert (found["validation_may_be_trained_on"], "may be too high" in result.err) == (False,) * 2
    gruhw.succeeds("generate", "--genome", "out/genome.json", "--out", "hardware")


@pytest.mark.usefixtures("edited")
def test_other_data_than_those_of_training(gruhw: CommandLine) -> None:
    write_task(Path("task.npz"), outlier=1e-3)
    result = gruhw.succeeds(*CALIBRATE, "--out", "out", "--json", "calibrated.json")
    assert result.err == (
        "gruhw: warning: design/genome.json: the model was not trained on the "
        "training part of task task.npz as it is now: validation sequences may be among what it "
        "was trained on, and validation accuracy may be too high\n"
    )
    assert json.loads(Path("calibrated.json").read_text())["validation_may_be_trained_on"]


def test_training_records_the_calibration(trained: Path) -> None:
    tensors = json.loads((trained / "design" / "calibration.json").read_text())["tensors"]
    (found,) = (tensor for tensor in tensors if tensor["tensor"] == "input")
    assert (found["bits"], found["samples"], found["decisive"]) == (8, 9000, None)
    assert 0.5 < found["used"] <= 1


@pytest.mark.parametrize("keep", [False, True])
def test_an_outlier_decides_only_where_it_is_kept(
    keep: bool, gruhw: CommandLine, edited: Path
) -> None:
    gruhw.succeeds(*CALIBRATE, "--out", "clean")
    write_task(Path("task.npz"), OUTLIER)
    option = ("--keep-outliers",) if keep else ()
    result = gruhw.succeeds(*CALIBRATE, *option, "--out", "out")
    warned = "gruhw: warning: one sample of 9,000, " in result.err
    assert warned is keep
    if keep:
        assert "decides the fraction bits of input: calibrate on more sequences" in result.err
        assert accuracy(gruhw, "out/genome.json") < 0.8
    else:
        clean = accuracy(gruhw, "clean/genome.json")
        assert accuracy(gruhw, "out/genome.json") >= clean - 0.01


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("--out", "design"),
            "design: must be another folder than that of design/genome.json",
        ),
        (
            ("--task", "other.npz"),
            (
                "design/genome.json: outputs of the network must be 1 or 2, as in task other.npz, "
                "not 3"
            ),
        ),
        (
            ("--task", "absent"),
            f"task must be {', '.join(TASKS)} or the path of an .npz file, not 'absent'",
        ),
    ],
)
def test_wrong_input(
    arguments: tuple[str, ...], line: str, gruhw: CommandLine, edited: Path, tmp_path: Path
) -> None:
    x, y = np.zeros((4, 2, 3)), np.array([0, 1, 0, 1])
    np.savez("other.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    before = contents(tmp_path)
    result = gruhw(*CALIBRATE, *arguments)
    assert (result.status, result.out, result.err) == (2, "", f"gruhw: {line}\n")
    assert contents(tmp_path) == before


def test_a_genome_without_task_or_model(gruhw: CommandLine, edited: Path) -> None:
    content = json.loads(edited.read_text())
    for name, line in (
        ("task", "task is required, but missing: give --task"),
        ("model", "model is required, but missing: train one first"),
    ):
        edited.write_text(json.dumps({key: content[key] for key in content if key != name}))
        result = gruhw(*CALIBRATE)
        assert (result.status, result.err) == (2, f"gruhw: design/genome.json: {line}\n")
        assert not Path("build").exists()


def test_initial_states_that_are_clipped_are_said(gruhw: CommandLine, tmp_path: Path) -> None:
    network = Architecture(inputs=3, layers="lstm:2", outputs=3, initial="constant")
    write_task(tmp_path / "task.npz")
    path = write_design(tmp_path / "design", network, "task.npz")
    model = read_model(Genome.load(path), path)
    # What is forgotten at once is in no sample of calibration.
    forgetful = dict(model.biases) | {"W_if": np.full(2, -30.0)}
    initial = dict(model.initial) | {"c": np.array([90.0, 0.25])}
    far = replace(model, biases=forgetful, initial=initial)
    save_design(path.parent, Genome.load(path), far, None)
    result = gruhw.succeeds("calibrate", "--genome", path, "--task", "task.npz", "--out", "it")
    (line,) = (line for line in result.err.splitlines() if "initial state" in line)
    assert line.startswith(f"gruhw: warning: {path}: initial state of c was 90, of which these ")
    assert line.endswith(": give c more bits, or train")
    chosen = read_model(Genome.load(tmp_path / "it/genome.json"), tmp_path / "it/genome.json")
    assert chosen.initial["c"][0] < 20
    assert chosen.initial["c"][1] == 0.25
