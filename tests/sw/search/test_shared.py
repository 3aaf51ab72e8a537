"""Shared weights as the search uses them: exact, independent of grouping, resumable."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from command_line import contents
from tiny_task import write_tiny_task
from toy_search import ARCHITECTURE, toy_model

from gruhw.design import save_design
from gruhw.errors import GruhwWarning, InputError
from gruhw.learning.tasks import Split, Task, TaskData, load_task
from gruhw.learning.tasks.data import joined
from gruhw.learning.training import Recipe
from gruhw.learning.training.shared import draw_genes
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.reference import measure
from gruhw.search import fine_tuning
from gruhw.search import prepare as preparation
from gruhw.search.evaluation import Preparation, Prepared
from gruhw.search.fine_tuning import FineTuning
from gruhw.search.folder import FLOAT_MODEL, FRACTIONS, SHARED_MODEL, remove_leftovers
from gruhw.search.prepare import prepare
from gruhw.search.shared import VALIDATION, SharedEvaluator, SharedWeights, validation_of

RECIPE = Recipe(float_epochs=4, shared_epochs=3, fine_tuning_epochs=2, batch=64)
TINY = Architecture(inputs=3, layers=("gru:5",), outputs=3)
LAYERS = Architecture(
    inputs=3, layers=("dense:4:relu", "lstm:4", "ugrnn:3"), outputs=2, initial="constant"
)


@dataclass(frozen=True)
class World:
    """A task, and the folder of a search on it for the widths of a network."""

    task: str
    folder: Path
    network: Architecture


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("task") / "tiny.npz"
    write_tiny_task(path, train=400)
    return str(path)


def values_of(task: str, path: Path) -> str:
    """Write a task whose sequences have two values, from one whose sequences have classes."""
    with np.load(task) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for part in ("train", "test"):
        x = arrays[f"x_{part}"]
        arrays[f"y_{part}"] = np.stack([x.mean((1, 2)), 30 * x[:, 0, 0] + 50], axis=1)
    np.savez(path, allow_pickle=False, target="values", **arrays)
    return str(path)


def prepared(
    task: str,
    out: Path,
    *,
    model: Path | None = None,
    network: Architecture = TINY,
    workers: int = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> Prepared:
    out.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "recipe_for", lambda name: RECIPE)
        wanted = Preparation(
            task, model, out, network, seed=1, fine_tune_epochs=None, quick=False, workers=workers
        )
        return prepare(wanted, tell)


@pytest.fixture(scope="module")
def folder(task: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    prepared(task, folder)
    return folder


@pytest.fixture(scope="module", params=["class", pytest.param("values", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    task = request.getfixturevalue("task")
    if request.param == "class":
        return World(task, request.getfixturevalue("folder"), TINY)
    folder = tmp_path_factory.mktemp("values")
    own = values_of(task, folder / "own.npz")
    prepared(own, folder / "search", network=LAYERS)
    return World(own, folder / "search", LAYERS)


def candidates(count: int, network: Architecture = TINY) -> list[Genome]:
    generator = np.random.default_rng(2)
    drawn = (draw_genes(network, generator) for _ in range(count - 1))
    genes = [homogeneous(network, 2), *drawn]
    output = "class" if network == TINY else "values"
    return [Genome(network=network, genes=each, output=output) for each in genes]


@pytest.mark.slow
def test_figures_are_those_of_the_reference(world: World) -> None:
    evaluator = SharedEvaluator(SharedWeights(world.task, world.folder))
    task = load_task(world.task)
    val = task.load().val
    assert (evaluator.total, evaluator.target) == (len(val), task.target)
    chosen = candidates(11, world.network)
    found = evaluator.figures(chosen)
    assert len(set(found)) > 1
    for candidate, figure in zip(chosen, found, strict=True):
        network = Network.build(candidate, evaluator.model(candidate.genes))
        assert figure == measure(network, val)
    assert [evaluator.figures([candidate])[0] for candidate in chosen] == found
    wide = chosen[0].model_copy(update={"folding": Folding(pe=3)})
    assert evaluator.figures([wide, *chosen[:0:-1]]) == [found[0], *found[:0:-1]]


@pytest.mark.slow
def test_variations_make_no_figure_more_certain(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(split: Split, generator: np.random.Generator) -> Split:
        return split

    plain, (candidate,) = load_task(world.task), candidates(1, world.network)
    (once,) = SharedEvaluator(SharedWeights(world.task, world.folder)).figures([candidate])
    monkeypatch.setattr(
        "gruhw.search.shared.load_task", lambda *_, **__: replace(plain, augment=same)
    )
    (often,) = SharedEvaluator(SharedWeights(world.task, world.folder)).figures([candidate])
    assert (often.total, often.total // often.times) == (often.times * once.total, once.total)
    assert often.error == pytest.approx(once.error)
    assert often.interval == pytest.approx(once.interval)


def test_few_validation_sequences_are_varied(task: str) -> None:
    def louder(split: Split, generator: np.random.Generator) -> Split:
        return replace(split, x=split.x * generator.uniform(1, 2))

    plain = load_task(task)
    val = plain.load().val
    assert validation_of(plain) == (val, 1)
    varied, times = validation_of(replace(plain, augment=louder))
    assert len(varied) == times * len(val)
    assert VALIDATION <= len(varied) < VALIDATION + len(val)
    assert (varied.x[: len(val)] == val.x).all()
    assert (varied.x[len(val) : 2 * len(val)] != val.x).any()
    assert (varied.y.reshape(-1, len(val)) == val.y).all()
    again, _ = validation_of(replace(plain, augment=louder))
    assert (again.x == varied.x).all()


def test_sequences_of_different_padding_are_joined() -> None:
    parts = [
        Split(np.ones((2, steps, 1)), np.zeros(2, np.int64), np.full(2, steps)) for steps in (3, 5)
    ]
    found = joined(parts)
    assert found.x.shape == (4, 5, 1)
    assert found.lengths.tolist() == [3, 3, 5, 5]
    assert not found.x[:2, 3:].any()


@pytest.mark.slow
def test_preparation_goes_on_where_it_was_killed(task: str, folder: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    told: list[str] = []

    def kill(text: str) -> None:
        told.append(text)
        if len(told) in (2, 4, 6):
            raise KilledError

    for _ in range(3):
        with pytest.raises(KilledError):
            prepared(task, tmp_path, tell=kill)
    prepared(task, tmp_path, tell=kill)
    for each in (tmp_path, folder):
        remove_leftovers(each)
    assert contents(tmp_path) == contents(folder)
    # Four float epochs and three shared ones: none twice, but for those that were not reported.
    assert len(told) == 7
    prepared(task, tmp_path, tell=kill)
    assert len(told) == 7


@pytest.mark.slow
def test_fine_tuning_is_the_same_for_any_number_of_processes(world: World, tmp_path: Path) -> None:
    chosen = candidates(3, world.network)
    val = load_task(world.task).load().val
    found = {}
    for workers in (1, 2):
        # In one folder, the second would only read what the first has trained.
        own = tmp_path / str(workers)
        shutil.copytree(world.folder, own)
        remove_leftovers(own)
        made = prepared(world.task, own, network=world.network, workers=workers)
        refiner = made.refiner
        assert refiner is not None
        found[workers] = {
            chosen.index(refined.genome): (refined.figure, refined.model.to_bytes())
            for group in refiner([chosen[:2], chosen[2:]], lambda done, of: None)
            for refined in group
        }
        for (refined,) in refiner([chosen[:1]], lambda done, of: None):
            network = Network.build(refined.genome, refined.model)
            assert refined.figure == measure(network, val)
    assert found[1] == found[2]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_epochs_of_all_processes_are_counted(
    workers: int, task: str, folder: Path, tmp_path: Path
) -> None:
    for name, data in contents(folder).items():
        if not name.endswith(".checkpoint"):
            (tmp_path / name).write_bytes(data)
    refiner = prepared(task, tmp_path, workers=workers).refiner
    assert refiner is not None
    chosen = candidates(3)
    told: list[tuple[int, int]] = []
    for _ in refiner([chosen[:2], chosen[2:]], lambda done, of: told.append((done, of))):
        pass
    assert told == sorted(told)
    assert told[-1] == (4, 4)
    if workers == 1:
        assert set(told) == {(epochs, 4) for epochs in range(1, 5)}


def test_a_training_whose_end_was_not_stored_is_not_repeated(
    task: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> list[int]:
        raise KeyboardInterrupt

    def models(out: Path, told: list[int]) -> list[bytes]:
        refiner = prepared(task, out).refiner
        assert refiner is not None
        (group,) = refiner([candidates(2)], lambda done, of: told.append(done))
        return [refined.model.to_bytes() for refined in group]

    expected = models(folder, [])
    for name, data in contents(folder).items():
        if not name.endswith(".checkpoint"):
            (tmp_path / name).write_bytes(data)
    told: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(fine_tuning, "member_figures", kill)
        with pytest.raises(KeyboardInterrupt):
            models(tmp_path, told)
    assert set(told) == {1, 2}
    told.clear()
    assert models(tmp_path, told) == expected  # and is killed before it is stored
    assert models(tmp_path, told) == expected
    assert set(told) == {2}


def test_a_trained_design_can_be_the_start(task: str, folder: Path, tmp_path: Path) -> None:
    weights = SharedWeights(task, folder)
    genome = Genome(network=TINY, genes=homogeneous(TINY, 8))
    save_design(tmp_path / "design", genome, weights.model, weights.data.test)
    told: list[str] = []
    begun = prepared(
        task,
        tmp_path / "search",
        model=tmp_path / "design" / "genome.json",
        tell=told.append,
    )
    assert begun.network == TINY
    assert all(text.startswith("shared training") for text in told)
    assert not begun.validation_seen
    path = tmp_path / "design" / "genome.json"
    other = Architecture(inputs=3, layers=("gru:7",), outputs=3)
    with pytest.raises(InputError) as caught:
        prepared(task, tmp_path / "x", model=path, network=other)
    assert str(caught.value) == (f"{path}: the network must be {other}, as asked for, not {TINY}")


def test_a_class_without_validation_data_is_said(task: str, folder: Path, tmp_path: Path) -> None:
    with np.load(task) as archive:
        arrays = {name: archive[name] for name in archive.files}
    own = tmp_path / "own.npz"
    np.savez(own, x_val=arrays["x_test"][:2], y_val=arrays["y_test"][:2], **arrays)
    for file, data in contents(folder).items():
        (tmp_path / file).write_bytes(data)
    with pytest.warns(GruhwWarning, match="validation data have no sequence of 1 of the 3"):
        prepared(str(own), tmp_path)


@pytest.mark.slow
def test_validation_data_that_the_start_may_have_been_trained_on(
    task: str, folder: Path, tmp_path: Path
) -> None:
    weights = SharedWeights(task, folder)
    genome = Genome(network=TINY, genes=homogeneous(TINY, 8))
    start = tmp_path / "design" / "genome.json"
    for trained_on, reason in (
        (None, "does not record what it was trained on: "),
        ("0" * 64, f"was not trained on the training part of task {task} as it is now: "),
    ):
        model = replace(weights.model, trained_on=trained_on)
        save_design(start.parent, genome, model, weights.data.test)
        out = tmp_path / f"search {trained_on}"
        warning = f"^{re.escape(str(start))}: the model {re.escape(reason)}validation sequences may"
        told: list[str] = []
        with pytest.warns(GruhwWarning, match=warning):
            assert prepared(task, out, model=start, tell=told.append).validation_seen
        # Training on other sequences does not make it forget these; resumed, it is said again.
        begun = SharedWeights(task, out)
        assert (begun.float_model.trained_on, begun.model.trained_on) == (trained_on, None)
        told.clear()
        with pytest.warns(GruhwWarning, match=warning):
            assert prepared(task, out, model=start, tell=told.append).validation_seen
        assert told == []


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (SHARED_MODEL, b"", "must be a whole safetensors file"),
        (FRACTIONS, b"{", "must be JSON, but: "),
        (FRACTIONS, b"[]", "fraction bits of "),
        (FRACTIONS, b'{"input": {}}', "fraction bits of "),
        (FRACTIONS, b"[" * 10**5, "must be JSON, but: "),
        (FRACTIONS, b'{"input": {"2": "x"}}', "fraction bits of input must be a whole number"),
    ],
)
def test_damaged_files_are_one_line(
    name: str, damage: bytes, message: str, task: str, folder: Path, tmp_path: Path
) -> None:
    for file, data in contents(folder).items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path / name))}: {message}"):
        SharedEvaluator(SharedWeights(task, tmp_path)).figures(candidates(1))


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_fingerprints_tell_weights_and_recipes_apart(
    task: str, folder: Path, tmp_path: Path
) -> None:
    for file, data in contents(folder).items():
        (tmp_path / file).write_bytes(data)
    before = SharedWeights(task, folder)
    assert SharedWeights(task, tmp_path).fingerprint == before.fingerprint
    path = tmp_path / FRACTIONS
    path.write_text(path.read_text().replace("1", "2", 1))
    after = SharedWeights(task, tmp_path)
    assert after.fingerprint != before.fingerprint
    assert changed(before.contents, after.contents) == {"fraction bits"}
    refiner = prepared(task, folder).refiner
    assert isinstance(refiner, FineTuning)
    other = replace(refiner, recipe=replace(refiner.recipe, seed=9))
    assert other.fingerprint != refiner.fingerprint
    assert changed(refiner.settings, other.settings) == {"seed"}
    assert other.contents == refiner.contents
    (tmp_path / FLOAT_MODEL).write_bytes(b"another teacher")
    other = replace(refiner, weights=SharedWeights(task, tmp_path))
    assert other.fingerprint != refiner.fingerprint
    assert changed(refiner.contents, other.contents) == {"float network"}


@pytest.mark.parametrize("name", ["x_train", "y_train", "length_train"])
def test_fingerprints_tell_training_data_apart(
    name: str, task: str, folder: Path, tmp_path: Path
) -> None:
    data = load_task(task).load()
    arrays = {
        f"{array}_{part}": values
        for part, split in (("train", data.train), ("val", data.val), ("test", data.test))
        for array, values in (("x", split.x), ("y", split.y), ("length", split.lengths))
    }
    refiner = prepared(task, folder).refiner
    assert isinstance(refiner, FineTuning)

    def bound_to(file: str) -> tuple[SharedWeights, FineTuning]:
        np.savez(tmp_path / file, allow_pickle=False, **arrays)
        weights = SharedWeights(str(tmp_path / file), folder)
        return weights, replace(refiner, weights=weights)

    weights, tuning = bound_to("before.npz")
    same_weights, same_tuning = bound_to("same.npz")
    assert (same_weights.fingerprint, same_tuning.fingerprint) == (
        weights.fingerprint,
        tuning.fingerprint,
    )
    arrays[name] = arrays[name][::-1]
    other_weights, other_tuning = bound_to("after.npz")
    assert other_weights.fingerprint == weights.fingerprint
    assert other_weights.contents == weights.contents
    assert other_tuning.fingerprint != tuning.fingerprint
    assert changed(tuning.contents, other_tuning.contents) == {"training data"}


def test_a_model_is_of_the_network_that_is_asked_for(
    task: str, folder: Path, tmp_path: Path
) -> None:
    for file, data in contents(folder).items():
        (tmp_path / file).write_bytes(data)
    with pytest.raises(InputError) as caught:
        prepared(task, tmp_path, network=TINY.model_copy(update={"initial": "constant"}))
    path = tmp_path / SHARED_MODEL
    assert str(caught.value) == (
        f"{path}: the network must be 3 inputs, gru:5, 3 outputs, constant initial states, "
        f"as asked for, not {TINY}"
    )


@pytest.mark.parametrize("name", [SHARED_MODEL, FLOAT_MODEL])
def test_models_of_other_sizes_are_one_line(
    name: str, task: str, folder: Path, tmp_path: Path
) -> None:
    for file, data in contents(folder).items():
        (tmp_path / file).write_bytes(data)
    if name == FLOAT_MODEL:
        (tmp_path / SHARED_MODEL).unlink()
    path = tmp_path / name
    (tmp_path / name).write_bytes(toy_model(homogeneous(ARCHITECTURE, 8)).to_bytes())
    with pytest.raises(InputError) as caught:
        prepared(task, tmp_path)
    assert str(caught.value) == (
        f"{path}: outputs of the network must be 3, as in task {task}, not 2"
    )


def test_a_model_is_checked_before_data_are_loaded(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(task: Task) -> TaskData:
        raise AssertionError

    monkeypatch.setattr(Task, "load", load)
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        prepared(task, tmp_path, model=tmp_path / "absent.json")
