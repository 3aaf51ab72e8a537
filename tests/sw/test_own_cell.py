"""A cell of a user's own in learning: float, quantised, compiled, and as the reference has it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from any_design import random_model
from own_cells import TWO_STATES, installed_cell
from random_networks import random_network_of
from tiny_task import CLASSES, write_tiny_task

from gruhw.design.trained import train_design
from gruhw.errors import InputError
from gruhw.learning.quant import Calibration, QuantNetwork
from gruhw.learning.tasks import load_task
from gruhw.learning.training import Epoch, Recipe
from gruhw.learning.training.calibrate import calibration_of
from gruhw.learning.training.floating import FloatNetwork, float_outputs, train_float
from gruhw.learning.training.quantised import train_quantised
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.cells import cells
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.reference import measure, run_reference
from gruhw.search.evaluation import Preparation
from gruhw.search.prepare import prepare
from gruhw_hw.top import generate_verilog

RECIPE = Recipe(float_epochs=20, quantised_epochs=4, batch=16, seed=3)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Architecture]:
    folder = tmp_path / "package"
    folder.mkdir()
    with installed_cell(folder, "two_states", TWO_STATES) as cell:
        yield Architecture(
            inputs=CLASSES, layers=(f"{cell}:4", f"{cell}:3"), outputs=CLASSES, initial="constant"
        )
    assert "two_states" not in cells()


@pytest.mark.slow
def test_a_new_cell_is_one_file(network: Architecture, tmp_path: Path) -> None:
    write_tiny_task(tmp_path / "tiny.npz")
    task = load_task(tmp_path / "tiny.npz")
    data, told = task.load(), list[Epoch]()
    teacher = train_float(task, data, network, RECIPE, told.append)
    assert told[-1].loss < told[0].loss / 2
    assert torch.equal(teacher.biases["l0.W_ha"], torch.zeros(1, 4))  # that of W_ia suffices
    assert teacher.initial["l1.s"].abs().max() > 0
    compiled = float_outputs(teacher, task, data.test)
    teacher.compiled = False
    assert torch.allclose(float_outputs(teacher, task, data.test), compiled, atol=1e-5)

    genes = homogeneous(network, 6)
    start = calibration_of(teacher, task, data, RECIPE)[1](genes)
    told.clear()
    (model,) = train_quantised([(genes, start)], task, data, RECIPE, told.append, teacher=teacher)
    assert told[-1].loss < told[0].loss
    hardware = Network.build(Genome(network=network, genes=genes), model)
    figure = measure(hardware, data.val)
    assert figure == told[-1].figure
    assert figure.error < 0.3

    module = QuantNetwork(network, genes, model)
    codes = module.encode(data.test.x)
    expected = run_reference(hardware, codes, data.test.lengths)
    found = module.integers(codes, data.test.lengths)
    for name, integers in (expected.operators | {"head": expected.logits}).items():
        assert (found[name] == integers).all(), name
    module.compile_steps()
    logits = module(torch.from_numpy(codes), torch.tensor(data.test.lengths)).detach().numpy()
    assert (logits == expected.logits * hardware.head.typed.emitted.scale).all()


def test_it_starts_with_its_own_biases(network: Architecture) -> None:
    found = FloatNetwork(network)
    assert (found.biases["l0.W_iz"] == 1).all()
    assert not found.biases["l0.W_ia"].any()
    recurrent = found.weights["l1.W_sz"][0].detach()
    assert np.allclose(recurrent @ recurrent.T, np.eye(3), atol=1e-6)


def test_what_is_no_cell(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"^entry point nothing:CELL must be a Cell, not int$"),
        installed_cell(tmp_path, "nothing", "CELL = 3"),
    ):
        pass


def test_biases_must_be_of_its_operators(tmp_path: Path) -> None:
    source = TWO_STATES.replace('{"W_iz": 1.0}', '{"sig_z": 1.0}').replace("two_states", "biased")
    with (
        installed_cell(tmp_path, "biased", source) as cell,
        pytest.raises(InputError) as caught,
    ):
        _ = Architecture(inputs=2, layers=(f"{cell}:3",), outputs=2).stages
    assert str(caught.value) == (
        "initial biases of cell biased must be of W_ia, W_ha, W_iz, W_sz, not 'sig_z'"
    )


GROWING = """
from gruhw.network.cells import Cell
from gruhw.network.step import Step


def growing(inputs, units):
    step = Step(inputs, units)
    h = step.state("h", source="sum")
    return step.graph(step.add("sum", step.linear("W"), step.linear("U", h)))


CELL = Cell("growing", growing, source="this test")
"""
"""A cell without a bound."""


def test_results_without_a_bound_are_refused(tmp_path: Path) -> None:
    with installed_cell(tmp_path, "growing", GROWING) as cell:
        network = Architecture(inputs=1, layers=(f"{cell}:2",), outputs=2)
        weights = {name: np.full(shape, 9.0) for name, shape in network.layer_shapes.items()}
        biases = {name: np.zeros(shape[0]) for name, shape in network.layer_shapes.items()}
        with pytest.raises(InputError, match=r"^results of U must be finite in floating point, "):
            Calibration.measure(network, weights, biases, np.ones((2, 900, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shift", "release", "unit"])
def test_an_operator_with_the_name_of_a_signal_is_refused(name: str, tmp_path: Path) -> None:
    source = GROWING.replace('"U"', f'"{name}"').replace("growing", "signalled")
    with installed_cell(tmp_path, "signalled", source) as cell:
        network = Architecture(inputs=1, layers=(f"{cell}:2",), outputs=2)
        built = random_network_of(np.random.default_rng(1), network)
        message = f"^operator {name} must have another name: hardware has a signal called so$"
        with pytest.raises(InputError, match=message):
            generate_verilog(built)
        # Nobody trains first, to learn it afterwards.
        write_tiny_task(tmp_path / "task.npz")
        task, untrained = load_task(tmp_path / "task.npz"), tmp_path / "out"
        network = network.model_copy(update={"inputs": task.inputs, "outputs": task.outputs})
        with pytest.raises(InputError, match=message):
            train_design(task, network, homogeneous(network, 4), Recipe(), untrained, pytest.fail)
        wanted = Preparation(
            str(tmp_path / "task.npz"), None, untrained, network,
            seed=1, fine_tune_epochs=1, quick=False, workers=1,
        )  # fmt: skip
        with pytest.raises(InputError, match=message):
            prepare(wanted, pytest.fail)


def test_a_model_is_of_the_cell_that_was_trained(tmp_path: Path) -> None:
    """A cell may be changed without another name: models then compute something else."""
    swapped = GROWING.replace('step.linear("W"), step.linear("U", h)', 'step.linear("W"), h')
    layers = "growing:2"
    with installed_cell(tmp_path / "a", "growing", GROWING.replace('"U"', '"V"')):
        network = Architecture(inputs=1, layers=layers, outputs=2)
        bytes_before = random_model(homogeneous(network, 6)).to_bytes()
        assert Model.from_bytes(bytes_before, Path("m")).to_bytes() == bytes_before
    with (
        installed_cell(tmp_path / "b", "growing", swapped),
        pytest.raises(InputError) as caught,
    ):
        Model.from_bytes(bytes_before, Path("m"))
    assert str(caught.value) == (
        "m: the cell of layer l0 of 1 inputs, growing:2, 2 outputs must be the one that was "
        "trained, but it computes something else now"
    )
