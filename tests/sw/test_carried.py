"""States that are carried on: sequences are one stream, for whoever computes them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import (
    random_architecture,
    random_network_of,
    random_output,
    random_pe,
    random_sequences,
)

from gruhw.basics.files import npz_bytes
from gruhw.errors import InputError
from gruhw.learning.quant import QuantNetwork, calibrate
from gruhw.learning.quant.activations import float_activations
from gruhw.learning.quant.stages import Streams
from gruhw.learning.tasks import Split, Task, TaskData, load_task
from gruhw.learning.training.fit import Batches
from gruhw.learning.training.floating import FloatNetwork, float_outputs, train_float
from gruhw.learning.training.recipe import Recipe
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.fixed import IntArray
from gruhw.network.genes import homogeneous
from gruhw.network.model import Model, Normalisation
from gruhw.network.reference import classify, run_reference

STREAM = Architecture(inputs=1, layers="gru:4", outputs=2, initial="carry")


def joined(codes: IntArray, lengths: IntArray) -> IntArray:
    """All steps of sequences as a single one."""
    parts = [sequence[:length] for sequence, length in zip(codes, lengths, strict=True)]
    return np.concatenate(parts)[np.newaxis]


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_sequences_are_one_stream(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng, largest=5, initial="carry")
    options: dict[str, Any] = {"pe": random_pe(rng, architecture), "output": random_output(rng)}
    network = random_network_of(rng, architecture, **options)
    codes, lengths = random_sequences(rng, network, 4, 3)
    found, whole = (
        run_reference(network, *s) for s in ((codes, lengths), (joined(codes, lengths),))
    )
    every = architecture.stepping(network.genome.output)
    for bound, steps in zip(network.layers, every, strict=False):
        for node in bound.graph.operators:
            name = bound.stage.spell(node.name)
            expected, given_ = whole.operators[name][0], found.operators[name]
            if steps:
                np.testing.assert_array_equal(joined(given_, lengths)[0], expected)
    if architecture.every_step:
        np.testing.assert_array_equal(joined(found.logits, lengths)[0], whole.logits[0])
    else:
        np.testing.assert_array_equal(found.logits[-1], whole.logits[0])
    raw = Split(codes * network.input_type.scale, np.zeros(4, int), lengths)
    if not architecture.every_step:
        np.testing.assert_array_equal(classify(network, raw), found.classes)


def small(initial: Any = "carry", **fields: Any) -> tuple[QuantNetwork, Network]:
    """A network, quantised in PyTorch and bound."""
    rng = np.random.default_rng(1)
    architecture = STREAM.model_copy(update={"initial": initial, **fields})
    shapes = architecture.layer_shapes
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    biases = {name: np.zeros(shape[0]) for name, shape in shapes.items()}
    genes = homogeneous(architecture, 6)
    x = rng.normal(size=(20, 5, 1))
    fractions, signed = calibrate(architecture, genes, weights, biases, x)
    unit = Normalisation.identity(1)
    model = Model(architecture, weights, biases, fractions, signed, unit)
    module = QuantNetwork(architecture, genes, model)
    return module, Network.build(module.genome(), module.model())


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("layers", ["gru:4", "lstm:3,dense:2:relu,mgu:3"])
def test_streams_side_by_side(layers: str, compiled: bool) -> None:
    """Batches with the next sequence of each give what each stream gives alone."""
    module, network = small(layers=layers)
    if compiled:
        module.compile_steps()
    rng = np.random.default_rng(2)
    kind = network.input_type
    codes = rng.integers(kind.minimum, kind.maximum + 1, (3, 20, 4, 1))
    lengths = rng.integers(1, 5, (3, 20))
    streams, found = Streams(20), []
    for batch, steps in zip(codes, lengths, strict=True):
        given = torch.from_numpy(batch), torch.from_numpy(steps)
        found.append(module(*given, streams).detach().numpy())
    for stream in range(20):
        expected = run_reference(network, codes[:, stream], lengths[:, stream])
        integers = np.stack(found)[:, stream] * 2.0**network.head.typed.emitted.frac
        np.testing.assert_array_equal(integers, expected.logits)


def test_one_stream_goes_on_from_batch_to_batch() -> None:
    module, network = small()
    codes, lengths = random_sequences(np.random.default_rng(3), network, 6, 4)
    expected = module(torch.from_numpy(codes), torch.from_numpy(lengths))
    stream = Streams()
    parts = [
        module(torch.from_numpy(codes[part]), torch.from_numpy(lengths[part]), stream)
        for part in (slice(0, 2), slice(2, 6))
    ]
    assert torch.equal(torch.cat(parts), expected)
    assert not torch.equal(module(torch.from_numpy(codes[2:])), expected[2:])


def test_streams_are_as_many_as_sequences() -> None:
    module, _ = small()
    with pytest.raises(InputError) as raised:
        module(torch.zeros(3, 4, 1, dtype=torch.int64), None, Streams(2))
    assert str(raised.value) == "sequences of 2 streams must be as many, not 3"


def test_gradients_end_with_a_batch() -> None:
    module, _ = small()
    inputs, streams = torch.ones(2, 4, 1, dtype=torch.int64), Streams(2)
    for _ in range(2):
        module.zero_grad()
        module(inputs, None, streams).sum().backward()  # would fail on a graph that is gone
    with_past = module.weights["W_hn"].grad
    assert with_past is not None
    assert with_past.any()


def test_each_batch_has_the_next_sequence_of_every_stream() -> None:
    data = Split(np.arange(23.0).reshape(23, 1, 1), np.zeros(23, int))
    task = load_task("mnist-1d")
    batches = Batches(replace(task, augment=None), data, 4, in_order=True)
    assert batches.streams.count == 4
    seen = np.stack([b.x[:, 0, 0] for b in batches.epoch(np.random.default_rng(1))])
    assert seen.shape == (5, 4)
    assert ((np.diff(seen, axis=0) % 23) == 1).all()
    again = np.stack([b.x[:, 0, 0] for b in batches.epoch(np.random.default_rng(2))])
    assert (seen != again).any()


def test_calibration_sees_states_that_have_grown() -> None:
    """Short sequences leave a state small that grows in a stream."""
    module, _ = small(initial="carry")
    arrays = module.arrays(0)
    x, lengths = np.ones((64, 2, 1)), np.full(64, 2)
    alone, carried = (
        float_activations(
            STREAM.model_copy(update={"initial": initial}),
            arrays.weights,
            arrays.biases,
            x,
            lengths,
        )["add_h"]
        for initial in ("zero", "carry")
    )
    assert np.abs(carried).max() > np.abs(alone).max()
    assert len(carried) == len(alone)


def level_task(rng: np.random.Generator) -> TaskData:
    """Whether a leaking sum of all steps is positive, to which other sequences add, too."""

    def part(count: int) -> Split:
        x = rng.normal(size=count * 6)
        level, levels = 0.0, []
        for value in x:
            level = 0.95 * level + value
            levels.append(level)
        y = np.array(levels).reshape(count, 6)[:, -1] > 0
        return Split(x.reshape(count, 6, 1), y.astype(np.int64))

    return TaskData(part(600), part(200), part(200))


@pytest.mark.slow
def test_what_only_a_stream_knows_is_learnt() -> None:
    data = level_task(np.random.default_rng(1))
    task = Task(
        "level", "", outputs=2, inputs=1, steps=6, source="", licence="", loader=lambda: data
    )
    recipe = Recipe(float_epochs=12, batch=16, float_rate=2e-2)

    def accuracy(initial: Any) -> float:
        network = task.network("gru:6", initial=initial)
        found = train_float(task, data, network, recipe, lambda epoch: None)
        outputs = float_outputs(found, task, data.test, Streams())
        assert isinstance(found, FloatNetwork)
        return float((outputs.argmax(1).numpy() == data.test.y).mean())

    assert accuracy("carry") > accuracy("zero") + 0.1


def test_what_is_held_out_of_a_stream_is_its_end(tmp_path: Path) -> None:
    x = np.arange(40.0).reshape(20, 2, 1)
    arrays = {"x_train": x, "y_train": np.arange(20) % 2, "x_test": x, "y_test": np.arange(20) % 2}
    path = tmp_path / "stream.npz"
    path.write_bytes(npz_bytes(arrays))
    data = load_task(path, initial="carry").load()
    assert data.val.x[:, 0, 0].tolist() == [36.0, 38.0]
    assert data.train.x[:, 0, 0].tolist() == x[:18, 0, 0].tolist()
    assert load_task(path).load().val.x[:, 0, 0].tolist() != [36.0, 38.0]
