"""Outputs at every step: what data say of steps, what that is worth, and who computes it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_architecture, random_network_of, random_output, random_pe

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError
from gruhw.learning.tasks import Split, load_samples, load_task, sample_arrays
from gruhw.learning.training.losses import Objective
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import MeanSquaredError, StepAccuracy, figure_of
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.network.planning import RIDING_SHARE, schedule_of
from gruhw.network.reference import classes_of, classify, head_results, measure, run_reference
from gruhw.search.scores import read_figure, score_of

LENGTHS = np.array([1, 4, 3])
LABELS = np.array([[1, 9, 9, 9], [0, 1, 1, 0], [2, 2, 1, 9]])
"""Of padding, labels are what no class is."""


def steps(y: Any = LABELS, target: Any = "class every step") -> Split:
    return Split(np.zeros((3, 4, 2)), y, LENGTHS, target)


def test_padding_counts_nowhere() -> None:
    split = steps()
    assert split.counted.sum() == LENGTHS.sum()
    found = np.where(split.counted, LABELS, 0)
    figure = figure_of(found, split)
    assert isinstance(figure, StepAccuracy)
    assert (figure.correct, figure.total, figure.sequence_total) == (8, 8, 3)
    assert figure.sequences == "8 steps of 3 sequences"
    # Nobody knows how much sequences differ: each counts as one.
    assert figure.interval == pytest.approx((0.4385, 1.0), abs=1e-3)


def test_steps_of_a_sequence_depend_on_each_other() -> None:
    """Steps that are right or wrong together are worth no more than their sequences."""
    rng = np.random.default_rng(1)
    counted = np.ones((400, 50), dtype=np.bool)
    whole = np.repeat(rng.random(400) < 0.8, 50).reshape(400, 50)
    each = rng.random((400, 50)) < 0.8
    together, apart = (StepAccuracy.of_steps(right, counted) for right in (whole, each))
    assert together.effective == pytest.approx(400, rel=0.05)
    assert apart.effective == pytest.approx(20_000, rel=0.25)
    assert StepAccuracy.of_steps(whole, counted, times=2).independent == together.independent / 2


def test_the_interval_holds_the_true_share() -> None:
    """Of 1,000 experiments with sequences that differ, about 95 % of the intervals do."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(1000):
        lengths = rng.integers(1, 30, 120)
        counted = np.arange(30) < lengths[:, None]
        shares = rng.beta(8, 2, 120)
        figure = StepAccuracy.of_steps(rng.random((120, 30)) < shares[:, None], counted)
        low, high = figure.interval
        held += low <= 0.8 <= high
    assert 920 <= held <= 975


def test_errors_of_longer_sequences_count_more() -> None:
    values = np.zeros((3, 4, 1))
    found = np.zeros((3, 4, 1))
    found[0, 0], found[1], found[0, 1:] = 3, 1, 100  # those are padding
    split = steps(values, "values every step")
    figure = figure_of(found, split)
    assert isinstance(figure, MeanSquaredError)
    assert figure.mean == pytest.approx((9 + 4) / 8)
    assert figure.total == 3
    same = MeanSquaredError.of_errors([1.0, 2.0, 4.0], weights=[5, 5, 5])
    assert same == MeanSquaredError.of_errors([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total": 0}, "at least 1 sequence is required, but there are 0"),
        ({"sequence_count": 0}, "sequences of 8 steps must be 1 to as many, each 1 times, not 0"),
        ({"sequence_count": 9}, "sequences of 8 steps must be 1 to as many, each 1 times, not 9"),
        ({"effective": 0.5}, "effective steps must be 1 to 8, not 0.5"),
        ({"effective": 9.0}, "effective steps must be 1 to 8, not 9.0"),
    ],
)
def test_accuracies_that_are_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as raised:
        StepAccuracy(**{"correct": 0, "total": 8, "sequence_count": 3, **fields})
    assert str(raised.value) == message


def test_a_search_remembers_an_accuracy_of_steps() -> None:
    figure = StepAccuracy(90, 120, 2, 12, 33.5)
    stored = json.loads(json.dumps(score_of(figure).stored))
    assert read_figure(stored, "class every step", 120, 2) == figure
    assert score_of(figure).columns["steps"] == 120
    with pytest.raises(InputError, match=r"^an accuracy of steps must be stored as "):
        read_figure(90, "class every step", 120, 2)


@given(st.integers(0, 2**32 - 1))
def test_the_reference_gives_what_the_head_gives(seed: int) -> None:
    """At every step, it is what the same network gives at the end of the sequence so far."""
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=5, every_step=True, initial="constant")
    options: dict[str, Any] = {"pe": random_pe(rng, architecture), "output": random_output(rng)}
    network = random_network_of(rng, architecture, **options)
    kind = network.input_type
    codes = rng.integers(kind.minimum, kind.maximum + 1, (3, 4, architecture.inputs))
    found = run_reference(network, codes, LENGTHS)
    assert found.logits.shape == (3, 4, architecture.outputs)
    assert not found.logits[np.arange(4) >= LENGTHS[:, None]].any()
    np.testing.assert_array_equal(found.classes, classes_of(found.logits))
    at_end = without_steps(network)
    for step in range(4):
        alive = step < LENGTHS
        ended = run_reference(at_end, codes[alive, : step + 1])
        np.testing.assert_array_equal(found.logits[alive, step], ended.logits)


def without_steps(network: Network) -> Network:
    """The same network, with outputs at the end."""
    changed = network.architecture.model_copy(update={"every_step": False})
    return replace(network, genome=network.genome.model_copy(update={"network": changed}))


def test_figures_are_those_of_all_steps() -> None:
    rng = np.random.default_rng(1)
    architecture = Architecture(inputs=2, layers="gru:3", outputs=2, every_step=True)
    network = random_network_of(rng, architecture)
    x, lengths = rng.normal(size=(9, 5, 2)), rng.integers(1, 6, 9)
    codes = network.encode(x)
    expected = run_reference(network, codes, lengths)
    split = Split(x, np.ones((9, 5), int), lengths, "class every step")
    np.testing.assert_array_equal(classify(network, split), expected.classes)
    np.testing.assert_array_equal(head_results(network, split), expected.logits)
    right = (expected.classes == 1) & split.counted
    figure = measure(network, split)
    assert isinstance(figure, StepAccuracy)
    assert (figure.correct, figure.total) == (right.sum(), lengths.sum())
    values = Split(x, np.zeros((9, 5, 2)), lengths)
    errors = (expected.logits * network.head.typed.emitted.scale)[split.counted] ** 2
    assert measure(network, values).error == pytest.approx(errors.mean())
    with pytest.raises(InputError) as raised:
        measure(network, Split(x, np.ones(9, int), lengths))
    given, message = "of whole sequences", "y must be classes at every step, as the network gives"
    assert str(raised.value) == f"{message}, not {given}"
    with pytest.raises(InputError, match=r"^y must be values of whole sequences, .*at every step$"):
        measure(without_steps(network), values)


def test_the_loss_is_that_of_all_steps() -> None:
    found = torch.zeros(1, 3, 4, 2)
    found[0, ..., 0] = 1.0
    found[0, 0, 1:] = torch.nan  # padding
    labels = np.array([[0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]])
    batch = Split(np.zeros((3, 4, 1)), labels, LENGTHS, "class every step")
    wrong, right = np.log1p(np.e), np.log1p(1 / np.e)
    loss = Objective().loss(found, batch).item()
    assert loss == pytest.approx((wrong + 7 * right) / 8)
    values = Split(np.zeros((3, 4, 1)), np.zeros((3, 4, 2)), LENGTHS)
    assert Objective().loss(found, values).item() == pytest.approx(0.5)
    taught = Objective(distillation=0.25).loss(found, values, found[0] * 3)
    assert taught.item() == pytest.approx(0.75 * 0.5 + 0.25 * 2)


def test_what_is_right_of_a_sequence_is_right_of_each_step() -> None:
    split = Split(np.zeros((3, 4, 2)), np.array([1, 0, 2]), LENGTHS)
    found = split.at_every_step()
    assert found.target == "class every step"
    assert found.y.tolist() == [[1] * 4, [0] * 4, [2] * 4]
    assert found.at_every_step() is found
    assert found.fingerprint != split.fingerprint
    values = Split(split.x, np.arange(6.0).reshape(3, 2)).at_every_step()
    assert values.target == "values every step"
    assert values.y[:, 3].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_variations_of_sequences_are_those_of_their_steps() -> None:
    task = load_task("activity", every_step=True)
    assert task.target == "class every step"
    assert task.augment is not None
    plain = load_task("activity").augment
    assert plain is not None
    x = np.random.default_rng(1).normal(size=(4, 12, task.inputs))
    split = Split(x, np.array([1, 0, 5, 2]))
    varied = task.augment(split.at_every_step(), np.random.default_rng(2))
    expected = plain(split, np.random.default_rng(2)).at_every_step()
    assert varied.fingerprint == expected.fingerprint


def test_shorter_sequences_have_less_padding() -> None:
    split = steps().take(np.array([0, 2])).shortened()
    assert split.x.shape == (2, 3, 2)
    assert split.y.tolist() == [[1, 9, 9], [2, 2, 1]]
    assert split.target == "class every step"


@pytest.mark.parametrize("target", ["class every step", "values every step"])
def test_samples_travel(target: Any, tmp_path: Path) -> None:
    y = LABELS if target == "class every step" else np.arange(24.0).reshape(3, 4, 2)
    path = tmp_path / "samples.npz"
    path.write_bytes(npz_bytes(sample_arrays(steps(y, target))))
    assert load_samples(path).fingerprint == steps(y, target).fingerprint


def test_files_and_models_say_it() -> None:
    network = Architecture(inputs=2, layers="gru:3", outputs=2, every_step=True)
    genome = Genome(network=network, genes=homogeneous(network, 4))
    content = json.loads(genome.to_json())
    assert content["version"] == 2
    assert content["network"]["every_step"] is True
    assert Genome.from_json(genome.to_json(), "it") == genome
    at_end = network.model_copy(update={"every_step": False})
    assert "every_step" not in at_end.model_dump(mode="json")
    assert network.same_weights(at_end)
    assert not network.same_weights(at_end.model_copy(update={"outputs": 3}))
    assert str(network) == "2 inputs, gru:3, 2 outputs at every step"


@pytest.mark.parametrize(("units", "outputs", "rides"), [(8, 2, True), (8, 3, False)])
def test_a_head_rides_where_it_makes_steps_little_longer(
    units: int, outputs: int, rides: bool
) -> None:
    architecture = Architecture(inputs=8, layers=f"gru:{units}", outputs=outputs, every_step=True)
    network = random_network_of(np.random.default_rng(1), architecture)
    alone, schedule = schedule_of(without_steps(network)), schedule_of(network)
    assert len(schedule.cores) == (1 if rides else 2)
    longer = schedule.step_interval - alone.step_interval
    assert longer == (outputs * (units + 1) if rides else 0)
    assert longer * RIDING_SHARE <= alone.step_interval
