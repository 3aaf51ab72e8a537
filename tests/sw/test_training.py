"""The training loop: reproducible, resumable, members that do not disturb each other."""

import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_task import CLASSES, write_tiny_task

from gruhw.errors import InputError
from gruhw.learning.quant.population import states_in_range
from gruhw.learning.tasks import Split, Task, TaskData, load_task
from gruhw.learning.training import Epoch, Recipe, recipe_for
from gruhw.learning.training.calibrate import calibration_of
from gruhw.learning.training.evaluate import (
    EVALUATION_BATCH,
    EVALUATION_VALUES,
    evaluation_batch,
)
from gruhw.learning.training.fit import Batches, Progress, clip_gradients, one_cycle
from gruhw.learning.training.floating import (
    LARGEST_INPUT,
    FloatNetwork,
    bounded,
    float_figure,
    float_outputs,
    train_float,
)
from gruhw.learning.training.losses import Objective, distilled_loss
from gruhw.learning.training.quantised import train_quantised
from gruhw.learning.training.shared import draw_genes, sandwich, train_shared
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy, MeanSquaredError
from gruhw.network.genes import SEARCHED_BITS, Genes, homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.normalisation import Span
from gruhw.network.parts import Target
from gruhw.network.reference import head_results, measure

RECIPE = Recipe(
    float_epochs=6, quantised_epochs=4, shared_epochs=4, batch=16, distillation=0.5, seed=3
)

NETWORK = Architecture(inputs=3, layers=("gru:5",), outputs=CLASSES)


def silent(epoch: Epoch) -> None:
    pass


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    path = tmp_path_factory.mktemp("task") / "tiny.npz"
    write_tiny_task(path)
    return load_task(path)


@pytest.fixture(scope="module")
def data(task: Task) -> TaskData:
    return task.load()


@pytest.fixture(scope="module")
def teacher(task: Task, data: TaskData) -> FloatNetwork:
    return train_float(task, data, NETWORK, RECIPE, silent)


@pytest.fixture(scope="module")
def start(task: Task, data: TaskData, teacher: FloatNetwork) -> Model:
    return calibration_of(teacher, task, data, RECIPE)[1](homogeneous(NETWORK, 5))


def built(genes: Genes, model: Model) -> Network:
    output = "class" if model.network.outputs > 1 else "values"
    return Network.build(Genome(network=model.network, genes=genes, output=output), model)


def equal(left: Model, right: Model) -> bool:
    return left.to_bytes() == right.to_bytes()


def test_float_training_learns_and_repeats(
    task: Task, data: TaskData, teacher: FloatNetwork
) -> None:
    figure = float_figure(teacher, task, data.test)
    assert isinstance(figure, Accuracy)
    assert figure.share > 0.8
    again = train_float(task, data, NETWORK, RECIPE, silent)
    for left, right in zip(teacher.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)


def test_no_input_is_beyond_single_precision() -> None:
    raw = np.array([[1e308], [-1e308], [1e-300]])
    found = bounded(Normalisation(np.array([1e300]), np.zeros(1)), raw)
    assert found.tolist() == [[LARGEST_INPUT], [-LARGEST_INPUT], [1.0]]


def test_initial_weights_leave_pytorchs_generator_alone(task: Task, data: TaskData) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train_float(task, data, NETWORK, replace(RECIPE, float_epochs=0), silent)
    assert torch.equal(torch.rand(3), expected)


def test_a_float_network_survives_its_model(
    task: Task, data: TaskData, teacher: FloatNetwork, start: Model
) -> None:
    again = FloatNetwork.of(start)
    batch = data.test
    assert teacher.compiled
    assert not again.compiled
    assert torch.allclose(
        float_outputs(teacher, task, batch), float_outputs(again, task, batch), atol=1e-5
    )
    assert equal(calibration_of(again, task, data, RECIPE)[1](homogeneous(NETWORK, 5)), start)


def test_quantised_training_helps_and_is_what_the_hardware_computes(
    task: Task, data: TaskData, teacher: FloatNetwork, start: Model
) -> None:
    genes = homogeneous(NETWORK, 5)
    told: list[Epoch] = []
    (model,) = train_quantised([(genes, start)], task, data, RECIPE, told.append, teacher=teacher)
    assert [epoch.number for epoch in told] == [1, 2, 3, 4]
    assert told[-1].loss < told[0].loss
    assert told[-1].figure == measure(built(genes, model), data.val)


def test_models_record_what_they_were_trained_on(
    task: Task, data: TaskData, teacher: FloatNetwork, start: Model
) -> None:
    known = data.train.fingerprint
    assert teacher.trained_on == FloatNetwork.of(start).trained_on == start.trained_on == known
    assert Model.from_bytes(start.to_bytes(), Path("m")).trained_on == known
    assert data.val.fingerprint != known
    calibration, _ = calibration_of(teacher, task, data, RECIPE)
    recipe = replace(RECIPE, quantised_epochs=1, shared_epochs=1)

    def record(trained_on: str | None) -> list[str | None]:
        given = replace(start, trained_on=trained_on)
        teacher = FloatNetwork.of(given)
        quantised = train_quantised(
            [(homogeneous(NETWORK, 5), given)] * 2, task, data, recipe, silent, teacher=teacher
        )
        shared = train_shared(given, calibration, task, data, recipe, silent, teacher=teacher)
        calibrated = calibration_of(teacher, task, data, recipe)[1](homogeneous(NETWORK, 5))
        assert calibrated.trained_on == trained_on
        return [model.trained_on for model in (*quantised, shared)]

    assert record(known) == [known] * 3
    # Who was trained on something else too, or nobody knows on what, is not said to be otherwise.
    assert record(data.val.fingerprint) == [None] * 3
    assert record(None) == [None] * 3


def test_members_train_as_they_would_alone(
    task: Task, data: TaskData, teacher: FloatNetwork, start: Model
) -> None:
    starts = [(homogeneous(NETWORK, 5), start), (homogeneous(NETWORK, 5), start)]
    alone = train_quantised(starts[:1], task, data, RECIPE, silent, teacher=teacher)[0]
    for model in train_quantised(starts, task, data, RECIPE, silent, teacher=teacher):
        for name, weight in model.weights.items():
            assert np.allclose(weight, alone.weights[name], atol=1e-4)


def test_as_much_is_learnt_from_the_float_network_as_the_recipe_says(
    task: Task, data: TaskData, teacher: FloatNetwork, start: Model
) -> None:
    def trained(recipe: Recipe, of: FloatNetwork) -> Model:
        starts = [(homogeneous(NETWORK, 5), start)]
        return train_quantised(starts, task, data, recipe, silent, teacher=of)[0]

    alone, other = replace(RECIPE, distillation=0.0), FloatNetwork(start.network)
    assert equal(trained(alone, teacher), trained(alone, other))
    assert not equal(trained(RECIPE, teacher), trained(RECIPE, other))
    assert not equal(trained(RECIPE, teacher), trained(alone, teacher))


class KilledError(Exception):
    pass


def killing(epoch_number: int) -> Progress:
    def progress(epoch: Epoch) -> None:
        if epoch.number == epoch_number:
            raise KilledError

    return progress


@pytest.mark.parametrize("kind", ["float", "quantised", "shared"])
def test_interrupted_training_ends_with_the_same_weights(
    kind: str, task: Task, data: TaskData, teacher: FloatNetwork, start: Model, tmp_path: Path
) -> None:
    calibration, _ = calibration_of(teacher, task, data, RECIPE)
    path = tmp_path / "training.checkpoint"

    def train(progress: Progress, checkpoint: Path | None) -> Model:
        options: dict[str, object] = {"checkpoint": checkpoint}
        if kind == "float":
            network = train_float(task, data, NETWORK, RECIPE, progress, **options)
            return calibration_of(network, task, data, RECIPE)[1](homogeneous(NETWORK, 5))
        options["teacher"] = teacher
        if kind == "shared":
            return train_shared(start, calibration, task, data, RECIPE, progress, **options)
        return train_quantised(
            [(homogeneous(NETWORK, 5), start)], task, data, RECIPE, progress, **options
        )[0]

    expected = train(silent, None)
    for epoch in (1, 3):
        with pytest.raises(KilledError):
            train(killing(epoch), path)
    assert equal(train(silent, path), expected)


@pytest.mark.parametrize("damage", [b"", b"nothing", None])
def test_a_damaged_checkpoint_is_one_line(
    damage: bytes | None, task: Task, data: TaskData, tmp_path: Path
) -> None:
    path = tmp_path / "training.checkpoint"
    with pytest.raises(KilledError):
        train_float(task, data, NETWORK, RECIPE, killing(1), path)
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    message = f"{path}: must be a whole checkpoint of this training, but: "
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as caught:
        train_float(task, data, NETWORK, RECIPE, silent, path)
    assert "\n" not in str(caught.value)


def test_no_bit_of_a_checkpoint_may_change(task: Task, data: TaskData, tmp_path: Path) -> None:
    path = tmp_path / "training.checkpoint"
    with pytest.raises(KilledError):
        train_float(task, data, NETWORK, RECIPE, killing(1), path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        member = next(m for m in archive.infolist() if m.filename.endswith("data/0"))
    # PyTorch itself would take the number for another one.
    at = whole.index(member.filename.encode(), member.header_offset) + 64 + member.file_size // 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    message = f"{path}: must be a whole checkpoint of this training, but: {member.filename} in it"
    with pytest.raises(InputError, match=f"^{re.escape(message)} is damaged$"):
        train_float(task, data, NETWORK, RECIPE, silent, path)


def test_a_checkpoint_holds_the_weights_of_its_network(
    task: Task, data: TaskData, tmp_path: Path
) -> None:
    path = tmp_path / "training.checkpoint"
    with pytest.raises(KilledError):
        train_float(task, data, NETWORK, RECIPE, killing(1), path)
    content = torch.load(path, weights_only=True)
    content["network"].popitem()
    torch.save(content, path)
    message = f"{path}: must be a whole checkpoint of this training, but: "
    expected = f"^{re.escape(message)}its weights are not those of this network$"
    with pytest.raises(InputError, match=expected):
        train_float(task, data, NETWORK, RECIPE, silent, path)


def test_a_checkpoint_runs_nothing(
    task: Task, data: TaskData, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "training.checkpoint"
    with pytest.raises(KilledError):
        train_float(task, data, NETWORK, RECIPE, killing(1), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            trap = pickle.dumps(Hostile(tmp_path / "trap"), 3)
            archive.writestr(name, trap if name.endswith("data.pkl") else content)
    recwarn.clear()
    with pytest.raises(InputError) as caught:
        train_float(task, data, NETWORK, RECIPE, silent, path)
    assert str(caught.value) == (
        f"{path}: must be a whole checkpoint of this training, but: "
        "it holds more than numbers and their names"
    )
    assert not (tmp_path / "trap").exists()
    assert not list(recwarn)


class Hostile:
    """Makes a file where its pickle is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_of_another_training_is_refused(
    task: Task, data: TaskData, tmp_path: Path
) -> None:
    path = tmp_path / "training.checkpoint"
    with pytest.raises(KilledError):
        train_float(task, data, NETWORK, RECIPE, killing(1), path)
    message = f"{path}: must be of 7 epochs of float training, not 6 of float"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        train_float(task, data, NETWORK, replace(RECIPE, float_epochs=7), silent, path)


@pytest.fixture
def one_of_each_length() -> Split:
    lengths = np.arange(1, 41)
    return Split(np.zeros((40, 40, 1)), lengths - 1, lengths)


def test_batches_hold_every_sequence_once_those_of_like_length_together(
    task: Task, one_of_each_length: Split
) -> None:
    batches = Batches(replace(task, augment=None), one_of_each_length, 5)
    found = list(batches.epoch(np.random.default_rng(1)))
    assert len(found) == len(batches) == 8
    assert sorted(np.concatenate([batch.y for batch in found])) == list(range(40))
    for batch in found:
        assert batch.x.shape[1] == batch.lengths.max() == batch.lengths.min() + 4
    assert [b.y.tolist() for b in found] != sorted(b.y.tolist() for b in found)


def test_the_learning_rate_rises_and_falls_once() -> None:
    rates = [one_cycle(step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[25] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1e-4)
    assert np.array_equal(np.sign(np.diff(rates)), [1] * 25 + [-1] * 75)


def test_clipping_treats_members_apart() -> None:
    network = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.zeros(2, 3))})
    network["weight"].grad = torch.tensor([[3.0, 0.0, 4.0], [0.1, 0.0, 0.0]])
    clip_gradients(network, members=True)
    assert torch.allclose(network["weight"].grad[0], torch.tensor([0.6, 0.0, 0.8]), atol=1e-5)
    assert torch.allclose(network["weight"].grad[1], torch.tensor([0.1, 0.0, 0.0]))


@pytest.mark.parametrize("members", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_gradients_that_overflowed_are_dropped(value: float, members: bool) -> None:
    network = torch.nn.ParameterDict({"weight": torch.nn.Parameter(torch.zeros(2, 3))})
    network["weight"].grad = torch.tensor([[value, 1.0, 0.0], [0.1, 0.0, 0.0]])
    clip_gradients(network, members=members)
    kept = [0.1, 0.0, 0.0] if members else [0.0, 0.0, 0.0]
    assert network["weight"].grad.tolist() == [[0.0, 0.0, 0.0], pytest.approx(kept)]


def test_distillation_weighs_labels_and_teacher() -> None:
    logits = torch.randn(2, 4, CLASSES, generator=torch.Generator().manual_seed(1))
    soft, labels = logits[0], torch.tensor([0, 1, 2, 0])
    hard = torch.stack([torch.nn.functional.cross_entropy(m, labels) for m in logits]).sum()
    for target, part in ((soft, 0.0), (None, 0.0)):
        assert torch.allclose(distilled_loss(logits, target, labels, part, 2.0), hard)
    # A network that agrees with its teacher loses nothing to it.
    assert distilled_loss(logits[:1], soft, labels, 1.0, 2.0) < 1e-6
    assert distilled_loss(logits, soft, labels, 1.0, 2.0) > 1e-3


def test_a_single_logit_is_binary_cross_entropy() -> None:
    logits = torch.randn(2, 4, 1, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 1, 0])
    expected = sum(
        torch.nn.functional.binary_cross_entropy_with_logits(member[:, 0], labels.float())
        for member in logits
    )
    assert torch.allclose(distilled_loss(logits, None, labels, 0.0, 1.0), torch.as_tensor(expected))
    assert distilled_loss(logits[:1], logits[0], labels, 1.0, 2.0).abs() < 1e-6


def test_values_count_as_parts_of_their_deviation() -> None:
    values = np.array([[100.0, 1.0], [300.0, 1.0]])
    span = Span.of(values)
    assert span.deviation.tolist() == [100.0, 1.0]  # what is constant has none
    batch = Split(np.zeros((2, 1, 1)), values)
    found = torch.tensor(span.relative(values + np.array([50.0, 0.0]))).float()[None]
    assert Objective(span).loss(found, batch).item() == pytest.approx(0.25 / 2)
    both = torch.cat([found, found])
    assert Objective(span).loss(both, batch).item() == pytest.approx(0.25)
    taught = Objective(span, 0.25)
    assert taught.loss(found, batch, found[0]).item() == pytest.approx(0.75 * 0.25 / 2)
    plain = torch.tensor(values).float()[None] + 2.0
    assert Objective().loss(plain, batch).item() == pytest.approx(4.0)


def trained_on_both_ways(
    task: Task, network: Architecture, recipe: Recipe, genes: Genes
) -> tuple[list[Epoch], list[Epoch], Network, FloatNetwork]:
    """What is told of float and of quantised training, and what becomes of them."""
    data, of_float, of_quantised = task.load(), list[Epoch](), list[Epoch]()
    teacher = train_float(task, data, network, recipe, of_float.append)
    start = calibration_of(teacher, task, data, recipe)[1](genes)
    (model,) = train_quantised(
        [(genes, start)], task, data, recipe, of_quantised.append, teacher=teacher
    )
    hardware = built(genes, model)
    assert of_quantised[-1].figure == measure(hardware, data.val)
    return of_float, of_quantised, hardware, teacher


@pytest.mark.slow
@pytest.mark.parametrize(
    "layers", ["ugrnn:6", "mgu:6", "lstm:6", "dense:4:relu,gru:5", "gru:5,lstm:4,dense:4:tanh"]
)
def test_every_cell_learns(layers: str, task: Task, data: TaskData) -> None:
    network = task.network(layers, initial="constant")
    recipe = replace(RECIPE, float_epochs=30, quantised_epochs=8)
    of_float, of_quantised, hardware, teacher = trained_on_both_ways(
        task, network, recipe, homogeneous(network, 6)
    )
    assert of_float[-1].loss < of_float[0].loss / 2
    assert of_quantised[-1].loss < of_quantised[0].loss
    assert all(parameter.abs().max() > 0 for _, parameter in teacher.initial.items())
    assert measure(hardware, data.test).error < 0.25


def task_of(x: np.ndarray, y: np.ndarray, target: Target, outputs: int) -> Task:
    """All parts are the same sequences."""
    part = Split(x, y)
    return Task(
        name="own",
        description="",
        outputs=outputs,
        inputs=x.shape[2],
        steps=x.shape[1],
        source="",
        licence="",
        loader=lambda: TaskData(part, part, part),
        target=target,
    )


@pytest.mark.slow
def test_values_of_any_size_are_learnt() -> None:
    x = np.random.default_rng(1).normal(0, 1, (120, 5, 3))
    y = np.stack([1000 + 50 * x[:, :, 0].mean(1), 0.01 * x[:, -1, 1]], axis=1)
    task = task_of(x, y, "values", 2)
    network = task.network("gru:6")
    recipe = replace(RECIPE, float_epochs=60, quantised_epochs=10)
    _, told, hardware, teacher = trained_on_both_ways(
        task, network, recipe, homogeneous(network, 8)
    )
    assert isinstance(told[-1].figure, MeanSquaredError)
    relative = head_results(hardware, task.load().test) * hardware.head.typed.emitted.scale
    assert hardware.span is not None
    assert hardware.span.mean.tolist() == Span.of(y).mean.tolist()
    found = hardware.span.absolute(relative)
    # The small value is learnt as well as the large one.
    assert (((found - y) ** 2).mean(0) < 0.25 * y.var(0)).all()
    assert measure(hardware, task.load().test).error == pytest.approx(
        (((found - y) / y.std(0)) ** 2).mean()
    )
    assert float_figure(teacher, task, task.load().test).error < 0.25


def test_two_classes_are_learnt_by_a_single_logit() -> None:
    x = np.random.default_rng(1).normal(0, 1, (120, 5, 3))
    task = task_of(x, (x[:, :, 0].mean(1) > 0).astype(int), "class", 2)
    network = task.network("gru:5", output="values")
    assert network.outputs == 1
    recipe = replace(RECIPE, float_epochs=30, quantised_epochs=10)
    _, told, _, teacher = trained_on_both_ways(task, network, recipe, homogeneous(network, 6))
    assert told[-1].figure.error < 0.15
    assert float_figure(teacher, task, task.load().test).error < 0.15
    calibration, model_of = calibration_of(teacher, task, task.load(), recipe)
    shared = train_shared(
        model_of(homogeneous(network, 8)),
        calibration,
        task,
        task.load(),
        recipe,
        silent,
        teacher=teacher,
    )
    assert shared.network == network


def test_shared_initial_states_fit_every_width(task: Task, data: TaskData) -> None:
    network = task.network("gru:5", initial="constant")
    teacher = train_float(task, data, network, replace(RECIPE, float_epochs=1), silent)
    with torch.no_grad():
        teacher.initial["h"][:] = 0.99
    calibration, model_of = calibration_of(teacher, task, data, RECIPE)
    shared = train_shared(
        model_of(homogeneous(network, 8)),
        calibration,
        task,
        data,
        replace(RECIPE, shared_epochs=1),
        silent,
        teacher=teacher,
    )
    for bits in SEARCHED_BITS:
        genes = homogeneous(network, bits)
        model = replace(shared, fractions=calibration.fractions(genes))
        if bits == SEARCHED_BITS[0]:
            with pytest.raises(InputError, match=r"^initial state of h must be -1 to 0\.5"):
                built(genes, model)
        built(genes, states_in_range(model, genes))
        built(genes, model_of(genes))


def test_random_genes_span_the_search_space() -> None:
    generator = np.random.default_rng(1)
    drawn = [draw_genes(NETWORK, generator) for _ in range(300)]
    assert {bits for genes in drawn for bits in genes.values()} == set(range(2, 9))
    widest, narrow, *_ = sandwich(NETWORK, generator)
    assert set(widest.values()) == {8}
    assert {narrow["W_hr.weight"], narrow["head.weight"]} == {2}


def test_recipes() -> None:
    assert recipe_for("mnist-1d").float_epochs == 100
    assert recipe_for("own.npz") == Recipe()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_span_of_values_of_any_type(kind: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(1)
    values = np.stack([np.full(1800, 0.1), rng.normal(100, 10, 1800), np.zeros(1800)], axis=1)
    found = Span.of(values.astype(kind))
    # What is constant has no deviation, however it is rounded.
    assert found.deviation[0] == found.deviation[2] == 1
    assert found.deviation[1] == pytest.approx(10, rel=0.1)
    assert found.mean == pytest.approx([0.1, 100, 0], rel=0.01)


def test_long_sequences_of_stacks_are_computed_few_at_a_time() -> None:
    one, stack = (
        Architecture(inputs=1, layers=layers, outputs=2) for layers in ("lstm:64", "lstm:64,gru:4")
    )
    assert evaluation_batch(one, 10_000, 8) == evaluation_batch(stack, 10) == EVALUATION_BATCH
    batch = evaluation_batch(stack, 784, 8)
    assert batch * 784 * 8 * 64 * 3 <= EVALUATION_VALUES < 2 * batch * 784 * 8 * 64 * 3
    assert evaluation_batch(stack, 10**9) == 1
