"""Training of any network from the command line: several layers, values, a single logit, states."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine
from numpy.typing import NDArray
from tiny_task import CLASSES, write_tiny_task

STEPS = 6
TEST = 50


@pytest.fixture
def means(gruhw: CommandLine) -> None:
    """Tasks in the test's folder: of two means of a sequence, and whether the first is positive."""
    rng = np.random.default_rng(1)
    values: dict[str, NDArray[Any]] = {"target": np.array("values")}
    signs: dict[str, NDArray[Any]] = {}
    for part, count in (("train", 200), ("test", TEST)):
        x = rng.normal(size=(count, STEPS, 2)).astype(np.float32)
        mean = x.mean(axis=1)
        values |= {f"x_{part}": x, f"y_{part}": mean * 2 + 1}
        signs |= {f"x_{part}": x, f"y_{part}": (mean[:, 0] > 0).astype(int)}
    np.savez("means.npz", allow_pickle=False, **values)
    np.savez("signs.npz", allow_pickle=False, **signs)


def evaluate(gruhw: CommandLine, genome: str = "design/genome.json") -> dict[str, Any]:
    gruhw.succeeds("evaluate", "--genome", genome, "--json", "e.json")
    found: dict[str, Any] = json.loads(Path("e.json").read_text())
    return found


def train(gruhw: CommandLine, *arguments: str) -> dict[str, Any]:
    """Train a design in ``design``; its figures."""
    gruhw.succeeds("train", *arguments, "--out", "design", "--json", "t.json")
    found: dict[str, Any] = json.loads(Path("t.json").read_text())
    return found


def genome() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("design/genome.json").read_text())
    return found


@pytest.mark.parametrize(
    ("layers", "initial"),
    [("dense:4:relu,ugrnn:4,lstm:3", "constant"), ("mgu:4,dense:3:tanh", "zero")],
)
def test_layers_of_any_cells(layers: str, initial: str, gruhw: CommandLine) -> None:
    write_tiny_task(Path("task.npz"))
    options = ("--bits", "6", "--float-epochs", "60", "--epochs", "1")
    figures = train(gruhw, "--task", "task.npz", "--layers", layers, "--initial", initial, *options)
    assert genome()["network"] == {
        "inputs": CLASSES,
        "layers": layers.split(","),
        "outputs": CLASSES,
        "initial": initial,
    }
    assert set(genome()["genes"].values()) == {6}
    assert figures["test_accuracy"] == evaluate(gruhw)["accuracy"] > 0.8
    gruhw.succeeds("generate", "--genome", "design/genome.json", "--out", "it")
    # Narrower widths of the same network, taken from a file that was edited.
    edited = genome()
    edited["genes"] |= dict.fromkeys(list(edited["genes"])[:5], 3)
    edited["folding"] = {"pe": [1] * len(layers.split(","))}
    Path("edited.json").write_text(json.dumps(edited))
    short = ("--float-epochs", "1", "--epochs", "0")
    train(gruhw, "--task", "task.npz", "--genome", "edited.json", *short)
    for field in ("network", "genes", "folding"):
        assert genome()[field] == edited[field]


@pytest.mark.usefixtures("means")
def test_values_are_learnt(gruhw: CommandLine) -> None:
    figures = train(
        gruhw,
        *("--task", "means.npz", "--layers", "gru:6"),
        *("--float-epochs", "60", "--epochs", "3"),
    )
    assert (genome()["output"], genome()["network"]["outputs"]) == ("values", 2)
    with np.load("means.npz") as archive:
        variance = archive["y_test"].var()
    found = evaluate(gruhw)
    error = found["mean_squared_error"]
    assert figures["test_mean_squared_error"] == error < variance / 4
    low, high = found["mean_squared_error_interval"]
    assert 0 < low < error < high
    assert "accuracy" not in found
    with np.load("design/samples.npz") as samples:
        assert (str(samples["target"]), samples["y_test"].shape) == ("values", (TEST, 2))
    gruhw.succeeds("calibrate", "--genome", "design/genome.json", "--out", "again")
    assert evaluate(gruhw, "again/genome.json")["mean_squared_error"] < variance / 4


@pytest.mark.usefixtures("means")
def test_a_single_logit_tells_two_classes(gruhw: CommandLine) -> None:
    options = ("--float-epochs", "40", "--epochs", "1", "--layers", "ugrnn:4")
    figures = train(gruhw, "--task", "signs.npz", "--output", "values", *options)
    assert (genome()["output"], genome()["network"]["outputs"]) == ("values", 1)
    found = evaluate(gruhw)
    assert figures["test_accuracy"] == found["accuracy"] == found["correct"] / TEST > 0.8
    # A design of one logit is trained further as such.
    train(gruhw, "--task", "signs.npz", "--genome", "design/genome.json", *options[:4])
    assert (genome()["output"], genome()["network"]["outputs"]) == ("values", 1)
    train(gruhw, "--task", "signs.npz", "--layers", "ugrnn:4", "--float-epochs", "0")
    assert (genome()["output"], genome()["network"]["outputs"]) == ("class", 2)


def test_states_may_be_what_a_design_gives(gruhw: CommandLine) -> None:
    write_tiny_task(Path("task.npz"))
    options = ("--hidden", "4", "--output", "states", "--float-epochs", "1", "--epochs", "0")
    train(gruhw, "--task", "task.npz", *options)
    # What version 1 of the file can say is said in it.
    assert (genome()["version"], genome()["output"]) == (1, "states")
    gruhw.succeeds("generate", "--genome", "design/genome.json", "--out", "it")
    ports = json.loads(Path("it/ports.json").read_text())
    assert ports["output"]["order"].startswith("4 states a time step")


def test_hidden_units_are_short_for_a_gru(gruhw: CommandLine) -> None:
    write_tiny_task(Path("task.npz"))
    short = ("--task", "task.npz", "--float-epochs", "1", "--epochs", "1")
    files = []
    for option in (("--hidden", "3"), ("--layers", "gru:3"), ("--layers", "gru:03")):
        train(gruhw, *short, *option)
        files.append({path.name: path.read_bytes() for path in Path("design").iterdir()})
    assert files[0] == files[1] == files[2]


@pytest.mark.slow
@pytest.mark.usefixtures("means")
def test_a_search_of_values_and_several_layers(gruhw: CommandLine) -> None:
    small = ("--quick", "--population", "8", "--generations", "1", "--finalists", "4")
    search = ("search", "--task", "means.npz", "--out", "out", "--workers", "1", *small)
    gruhw.succeeds(
        *(*search, "--layers", "ugrnn:2,dense:2", "--initial", "constant"),
        *("--preset", "operators17", "--select", "knee"),
    )
    found = json.loads(Path("out/pareto.json").read_text())
    best = json.loads(Path("out/best.json").read_text())
    assert found["network"] == best["network"]
    assert best["network"]["layers"] == ["ugrnn:2", "dense:2"]
    assert (best["network"]["initial"], best["output"]) == ("constant", "values")
    (chosen,) = (member for member in found["front"] if member["selected"])
    assert chosen["mean_squared_error"] > 0
    assert evaluate(gruhw, "out/best.json")["mean_squared_error"] > 0
