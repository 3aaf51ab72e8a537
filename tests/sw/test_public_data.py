"""Sequences, tasks, recipes and designs in notebooks: what does not fit is refused in one line."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_network import (
    ARCHITECTURE,
    CODES,
    GENOME,
    MODEL,
    NETWORK,
    WIDTHS,
    Refused,
    X,
    anything,
    refuses,
)

from gruhw.design import Design, generate, save_design
from gruhw.design.recalibrated import recalibrate
from gruhw.design.trained import train_design
from gruhw.learning.tasks import TASKS, Split, Task, TaskData, load_samples, load_task
from gruhw.learning.training import Recipe, recipe_for
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.reference import classify, run_reference

Y = np.arange(20) % 2
LENGTHS = np.full(20, 5)
SPLIT = Split(X, Y, LENGTHS)
GENOME_FILE = Path(__file__).parents[2] / "designs" / "mnist-1d" / "small" / "genome.json"


MORE_INPUTS = ARCHITECTURE.model_copy(update={"inputs": 4})


def own_task(data: Any = None) -> Task:
    parts = TaskData(SPLIT, SPLIT, SPLIT) if data is None else data
    return Task("own", "d", 2, 3, 5, "s", "l", lambda: parts)


def regression() -> Task:
    """A task of values for the network of :data:`GENOME_FILE`."""
    network = Genome.load(GENOME_FILE).network
    return replace(own_task(), inputs=network.inputs, outputs=network.outputs, target="values")


def train(**changes: Any) -> object:
    arguments = {
        "task": own_task(),
        "network": ARCHITECTURE,
        "genes": WIDTHS,
        "recipe": Recipe(),
        "out": Path("unused"),
    } | changes
    return train_design(**arguments, progress=print)


REFUSED: Refused = {
    "no samples": (lambda: Split(anything(None), Y), "x must be real numbers, not NoneType"),
    "text": (lambda: Split(X.astype(str), Y), "x must be real numbers, not <U32"),
    "vectors": (
        lambda: Split(X[0], Y),
        "shape of x must be [sequences, steps, inputs], not [5, 3]",
    ),
    "labels of other sequences": (
        lambda: Split(X, Y[:19], LENGTHS),
        "shape of labels must be [20], not [19]",
    ),
    "values of other steps": (
        lambda: Split(X, Y[:, np.newaxis, np.newaxis], LENGTHS),
        "shape of values must be [20, 5, values], not [20, 1, 1]",
    ),
    "labels of other steps": (
        lambda: Split(X, Y[:, np.newaxis], LENGTHS, "class every step"),
        "shape of labels must be [20, 5], not [20, 1]",
    ),
    "labels for steps": (
        lambda: Split(X, np.ones((20, 5), int), LENGTHS, "class"),
        "shape of labels must be [20], not [20, 5]",
    ),
    "a target that there is not": (
        lambda: Split(X, Y, LENGTHS, anything("colours")),
        "target must be one of class, values, class every step, values every step, not 'colours'",
    ),
    "values of other sequences": (
        lambda: Split(X, Y[:19, np.newaxis], LENGTHS),
        "shape of values must be [20, values], not [19, 1]",
    ),
    "real labels": (
        lambda: Split(X, Y.astype(float), LENGTHS),
        "labels must be whole numbers, not float64",
    ),
    "negative label": (
        lambda: Split(X, Y - 1, LENGTHS),
        "labels must be 0 to 1023, not -1",
    ),
    "long length": (lambda: Split(X, Y, LENGTHS + 1), "lengths must be 1 to 5, not 6"),
    "no steps": (
        lambda: Split(X[:, :0], Y, LENGTHS),
        "at least 1 step is required, but there are 0",
    ),
    "network": (lambda: classify(anything(MODEL), SPLIT), "network must be a Network, not Model"),
    "pair": (lambda: classify(NETWORK, anything((X, Y))), "split must be a Split, not tuple"),
    "network of a reference": (
        lambda: run_reference(anything(None), CODES),
        "network must be a Network, not None",
    ),
    "task": (lambda: load_task(anything(3)), "task must be a str or a Path, not 3"),
    "samples": (
        lambda: load_samples(anything(b"samples.npz")),
        "path must be a str or a Path, not b'samples.npz'",
    ),
    "data": (
        lambda: own_task((SPLIT, SPLIT)).load(),
        "data of task own must be a TaskData, not tuple",
    ),
    "recipe's task": (
        lambda: recipe_for(anything(TASKS["mnist-1d"])),
        "task must be a str, not Task",
    ),
    "epochs": (
        lambda: Recipe(float_epochs=-1),
        "float_epochs must be a whole number of at least 0, not -1",
    ),
    "batch": (lambda: Recipe(batch=0), "batch must be a whole number of at least 1, not 0"),
    "rate": (
        lambda: Recipe(quantised_rate=float("nan")),
        "quantised_rate must be a number of at least 0, not nan",
    ),
    "part": (
        lambda: Recipe(distillation=1.5),
        "distillation must be a number from 0 to 1, not 1.5",
    ),
    "temperature": (
        lambda: Recipe(temperature=0.0),
        "temperature must be a number of at least 0.001, not 0.0",
    ),
    "seed": (
        lambda: Recipe(seed=2**63),
        f"seed must be a whole number from 0 to {2**63 - 1}, not {2**63}",
    ),
    "outliers": (
        lambda: Recipe(keep_outliers=anything("no")),
        "keep_outliers must be True or False, not 'no'",
    ),
    "task's name": (lambda: train(task="mnist-1d"), "task must be a Task, not str"),
    "network to train": (
        lambda: train(network=4),
        "network must be an Architecture, not int",
    ),
    "inputs of a network to train": (
        lambda: train(network=MORE_INPUTS, genes=homogeneous(MORE_INPUTS, 6)),
        "network: inputs of the network must be 3, as in task own, not 4",
    ),
    "genes": (lambda: train(genes=8), "genes must be a mapping, such as a dict, not int"),
    "recipe": (lambda: train(recipe=None), "recipe must be a Recipe, not None"),
    "out": (lambda: train(out=None), "path must be a str or a Path, not None"),
    "folding": (lambda: train(folding=2), "folding must be an object, not 2"),
    "output of a network to train": (
        lambda: train(output="logits"),
        "output: input should be 'class', 'values' or 'states', not 'logits'",
    ),
    "large folding": (
        lambda: train(folding=Folding(pe=5)),
        "folding.pe must be 1 to the 4 hidden units, not 5",
    ),
    "task to calibrate on": (
        lambda: recalibrate(GENOME_FILE, anything("mnist-1d"), "unused", sequences=10),
        "task must be a Task, not str",
    ),
    "sequences to calibrate on": (
        lambda: recalibrate(GENOME_FILE, own_task(), "unused", sequences=0),
        "sequences must be a whole number of at least 1, not 0",
    ),
    "output to calibrate": (
        lambda: recalibrate(GENOME_FILE, regression(), "unused", sequences=10),
        (
            f"{GENOME_FILE}: output must be values or states for task own, which has no classes, "
            "not class"
        ),
    ),
    "pe": (
        lambda: Design.load(GENOME_FILE, pe=anything("2")),
        "pe must be 1 to the 32 hidden units, not 2",
    ),
    "output": (
        lambda: Design.load(GENOME_FILE, output=anything("logits")),
        f"{GENOME_FILE}: output: input should be 'class', 'values' or 'states', not 'logits'",
    ),
    "wanted": (
        lambda: Design.load(GENOME_FILE).samples(wanted=anything(None)),
        "wanted must be a whole number of at least 0, not None",
    ),
    "design's task": (
        lambda: Design.load(GENOME_FILE).task(anything(3)),
        "task must be a str or a Path, not 3",
    ),
    "part of a task": (
        lambda: Design.load(GENOME_FILE).part(anything("tests"), own_task()),
        "part must be one of train, val, test, not 'tests'",
    ),
    "design": (
        lambda: generate(anything(GENOME_FILE), "unused", SPLIT),
        "design must be a Design, not PosixPath",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gruhw.design.trained.compile_for", pytest.fail)
    function, message = REFUSED[case]
    refuses(message, function)


OTHER_WIDTHS = (
    "width of the input must be 6 bits, for which its fraction bits were chosen, not 4: choose "
    "them anew with gruhw calibrate --genome FILE --task TASK, or train with gruhw train"
)


def test_a_design_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "design"
    other = GENOME.model_copy(update={"genes": homogeneous(ARCHITECTURE, 4)})
    cases: list[tuple[Callable[[], object], str]] = [
        (
            lambda: save_design(out, anything(WIDTHS), MODEL, None),
            "genome must be a Genome, not Genes",
        ),
        (
            lambda: save_design(out, GENOME, anything(NETWORK), None),
            "model must be a Model, not Network",
        ),
        (
            lambda: save_design(out, GENOME, MODEL, anything(X)),
            "samples must be a Split, not ndarray",
        ),
        (
            lambda: save_design(out, GENOME, MODEL, Split(X[..., :2], Y)),
            "samples: elements of a time step must be 3, as in the genome, not 2",
        ),
        (
            lambda: save_design(out, GENOME, MODEL, Split(X, Y + 1)),
            "samples: labels must be 0 to 1, as in the genome, not 2",
        ),
        (
            lambda: save_design(out, GENOME, MODEL, Split(X, Y[:, np.newaxis])),
            "samples: y must be classes, for output class of the genome, not values",
        ),
        (
            lambda: save_design(out, other, MODEL, None),
            OTHER_WIDTHS,
        ),
    ]
    for function, message in cases:
        refuses(message, function)
    assert not out.exists()
    save_design(str(out), GENOME, MODEL, SPLIT)
    design = Design.load(out / "genome.json")
    assert (
        run_reference(design.network, CODES).logits == run_reference(NETWORK, CODES).logits
    ).all()
    none = design.samples().take(np.arange(0))
    folder = tmp_path / "hardware"
    refuses(
        "at least 1 sequence is required, but there are 0", lambda: generate(design, folder, none)
    )
    refuses(
        f"samples: elements of a time step must be 3, as in {out / 'genome.json'}, not 2",
        lambda: generate(design, folder, Split(X[..., :2], Y)),
    )
    assert not folder.exists()


def test_lists_and_tensors_are_sequences() -> None:
    for split in (
        Split(anything(X.tolist()), anything(Y.tolist())),
        Split(anything(torch.from_numpy(X)), anything(torch.from_numpy(Y)), anything([5] * 20)),
        Split(X[::-1][::-1], Y.astype(np.uint8), LENGTHS.astype(">u2")),
    ):
        assert split.fingerprint == SPLIT.fingerprint
        assert (classify(NETWORK, split) == classify(NETWORK, SPLIT)).all()
        assert len(split.take(np.array([3, 1]))) == 2


def test_the_data_of_a_task_cannot_change() -> None:
    own = own_task()
    for array in (own.load().train.x, own.load().val.y, own.load().test.lengths):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    SPLIT.x[0, 0, 0] += 0  # those of the loader are its own
    batch = own.load().train.take(np.arange(3))
    batch.x[:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(batch.x)


def test_numbers_of_numpy_are_numbers_in_a_recipe() -> None:
    found = Recipe(
        batch=anything(np.int64(32)),
        float_rate=anything(np.float32(0.5)),
        seed=anything(np.uint8(3)),
    )
    assert found == Recipe(batch=32, float_rate=0.5, seed=3)
    assert type(found.batch) is int
    assert repr(replace(found)) == repr(Recipe(batch=32, float_rate=0.5, seed=3))
