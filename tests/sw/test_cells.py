"""Cells: what each computes in floating point, and those that users add."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from added_cells import added_cells
from numpy.typing import NDArray
from torch import nn

from gruhw.errors import InputError
from gruhw.learning.quant.activations import float_activations
from gruhw.network.architecture import DENSE, Architecture, Layer
from gruhw.network.cells import ENTRY_POINT, Cell, cell_of, cells
from gruhw.network.cells.gru import GRU
from gruhw.network.genes import homogeneous
from gruhw.network.graph import Graph
from gruhw.network.step import Step

INPUTS, UNITS, COUNT, STEPS = 3, 5, 6, 7
RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(COUNT, STEPS, INPUTS))

Array = NDArray[np.float64]
Arrays = Mapping[str, Array]


def layers_of(network: Architecture) -> tuple[dict[str, Array], dict[str, Array]]:
    """Random weights and biases, those of the head too."""
    rng = np.random.default_rng(2)
    shapes = network.layer_shapes
    return (
        {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()},
        {name: rng.normal(0, 0.5, shape[:1]) for name, shape in shapes.items()},
    )


def begins_of(network: Architecture) -> dict[str, Array]:
    """What states begin with."""
    shapes = network.initial_shapes
    return {name: RANDOM.uniform(-0.9, 0.9, shape) for name, shape in shapes.items()}


def network_of(cell: str, **more: Any) -> Architecture:
    return Architecture(inputs=INPUTS, layers=[f"{cell}:{UNITS}"], outputs=2, **more)


def results(network: Architecture, weights: Arrays, biases: Arrays, **more: Any) -> Arrays:
    """What the operators give, as real numbers, shape [N, T, units]."""
    lengths = np.full(COUNT, STEPS)
    found = float_activations(network, weights, biases, X, lengths, **more)
    return {name: v.reshape(STEPS, COUNT, -1).swapaxes(0, 1) for name, v in found.items()}


def sigmoid(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found


def ugrnn(product: Callable[[str], Array], h: Array) -> Array:
    """``product`` gives ``W v + b`` of an operator, where v is the input or h."""
    z = sigmoid(product("W_iz") + product("W_hz"))
    n = np.tanh(product("W_in") + product("W_hn"))
    return (1 - z) * n + z * h


def mgu(product: Callable[[str], Array], h: Array) -> Array:
    f = sigmoid(product("W_if") + product("W_hf"))
    n = np.tanh(product("W_in") + f * product("W_hn"))
    return (1 - f) * h + f * n


@pytest.mark.parametrize("formula", [ugrnn, mgu])
@pytest.mark.parametrize("initial", ["zero", "constant"])
def test_cells_compute_their_formulas(
    formula: Callable[[Callable[[str], Array], Array], Array], initial: str
) -> None:
    network = network_of(formula.__name__, initial=initial)
    weights, biases = layers_of(network)
    begins = begins_of(network)
    h = np.tile(begins.get("h", np.zeros(UNITS)), (COUNT, 1))
    expected = []
    for x in X.swapaxes(0, 1):
        operands = {"i": x, "h": h}

        def product(name: str, operands: Arrays = operands) -> Array:
            found: Array = operands[name[2]] @ weights[name].T + biases[name]
            return found

        h = formula(product, h)
        expected.append(h)
    emitted = cell_of(formula.__name__).graph(INPUTS, UNITS).emits
    found = results(network, weights, biases, initial=begins)[emitted]
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_cells_compute_what_pytorch_does(cell: str) -> None:
    network, framework = network_of(cell, initial="constant"), cell_of(cell).framework
    assert framework
    module = {"torch.nn.GRU": nn.GRU, "torch.nn.LSTM": nn.LSTM}[framework.module](
        INPUTS, UNITS, batch_first=True, dtype=torch.float64
    )
    weights, biases = layers_of(network)
    with torch.no_grad():
        for side, names in (("ih", framework.input), ("hh", framework.state)):
            for kind, arrays in (("weight", weights), ("bias", biases)):
                stacked = torch.from_numpy(np.concatenate([arrays[name] for name in names]))
                getattr(module, f"{kind}_{side}_l0").copy_(stacked)
    begins = begins_of(network)
    states = [torch.from_numpy(np.tile(begins[name], (1, COUNT, 1))) for name in begins]
    with torch.no_grad():
        expected, last = module(torch.from_numpy(X), states[0] if cell == "gru" else tuple(states))
    graph = cell_of(cell).graph(INPUTS, UNITS)
    found = results(network, weights, biases, initial=begins)
    np.testing.assert_allclose(found[graph.emits], expected.numpy(), atol=1e-12)
    for state, tensor in zip(graph.states, [last] if cell == "gru" else last, strict=True):
        np.testing.assert_allclose(found[state.source][:, -1], tensor[0].numpy(), atol=1e-12)


@pytest.mark.parametrize("name", ["gru", "ugrnn", "mgu", "lstm"])
def test_each_cell_is_complete(name: str) -> None:
    cell = cell_of(name)
    assert cell.name == name
    assert re.search(r"arXiv:\d{4}\.\d{5}|arXiv:\d{4}\.\d{4}|Neural Computation", cell.source)
    linears = {node.name for node in cell.graph(INPUTS, UNITS).linears}
    assert linears >= set(cell.initial_biases) != set()
    if cell.framework:
        assert {*cell.framework.input, *cell.framework.state} == linears


@pytest.mark.parametrize("name", ["", "GRU", "own-cell", "9", "_x", "größe", "own\n", "a:b"])
def test_names_of_cells(name: str) -> None:
    message = (
        "name of a cell must be small letters, digits and underscores, a letter first, "
        f"not {name!r}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        replace(GRU, name=name)


def test_unknown_cell() -> None:
    message = f"cell must be one of {', '.join(cells())}, not 'rnn'"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        cell_of("rnn")


def leaky(inputs: int, units: int) -> Graph:
    """``h' = tanh(W x + b) + g h`` with a gate ``g`` that only the input opens."""
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    gate = step.sigmoid("gate", step.linear("G"))
    kept = step.multiply("kept", gate, h)
    return step.graph(step.add("add_h", step.tanh("tanh", step.linear("W")), kept))


LEAKY = Cell("leaky", leaky, source="this test")


def test_a_package_adds_a_cell() -> None:
    own = list(cells())
    with added_cells(LEAKY):
        assert list(cells()) == [*own, "leaky"]
        assert cell_of("leaky") is LEAKY
        network = Architecture(inputs=INPUTS, layers=["leaky:5", "gru:4"], outputs=2)
        assert network.layer_shapes["l0.G"] == (5, INPUTS)
        calibrated = {gene.name for gene in network.calibrated}
        assert calibrated >= {"l0.add_h", "l0.kept", "l0.W.weight"}
    refused = r"^layer must be one of .*, dense, not 'leaky'$"
    with pytest.raises(InputError, match=refused):
        Layer.parse("leaky:5")


def test_the_group_of_entry_points_is_that_of_the_documentation() -> None:
    assert ENTRY_POINT == "gruhw.cells"


POINT = "entry point package.module:CELL"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (leaky, f"{POINT} must be a Cell, not function"),
        (Cell, f"{POINT} must be a Cell, not type"),
        (None, f"{POINT} must be a Cell, not NoneType"),
        (
            ModuleNotFoundError("No module named 'package'"),
            f"{POINT} must be a Cell, but cannot be imported: No module named 'package'",
        ),
        (
            replace(LEAKY, name="gru"),
            "cell gru of package.module:CELL must have a name of its own",
        ),
        (
            replace(LEAKY, name=DENSE),
            "cell dense of package.module:CELL must have a name of its own",
        ),
    ],
)
def test_what_packages_may_not_add(found: object, message: str) -> None:
    with added_cells(found):
        for use in (cells, lambda: Layer.parse("gru:4")):
            with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
                use()


def test_two_packages_with_one_name() -> None:
    refused = r"^cell leaky of .* must have a name of its own$"
    with (
        added_cells(LEAKY, replace(LEAKY, source="another")),
        pytest.raises(InputError, match=refused),
    ):
        cells()


def larger(inputs: int, units: int) -> Graph:
    return leaky(inputs, units + 1)


def other_inputs(inputs: int, units: int) -> Graph:
    return leaky(inputs + 2, units)


def stateless(inputs: int, units: int) -> Graph:
    step = Step(inputs, units)
    return step.graph(step.linear("W"))


def blind(inputs: int, units: int) -> Graph:
    """Reads its state alone."""
    step = Step(inputs, units)
    h = step.state("h", source="tanh")
    return step.graph(step.tanh("tanh", step.linear("W", h)))


def with_head(inputs: int, units: int) -> Graph:
    step = Step(inputs, units)
    h = step.state("h", source="head")
    return step.graph(step.add("head", step.linear("W"), h))


def exact(inputs: int, units: int) -> Graph:
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    return step.graph(step.add("add_h", step.linear("W", rule="exact"), h))


READS = "cell leaky must have a state, and a linear operator that reads its input"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (lambda inputs, units: None, "cell leaky must give a Graph, not NoneType"),
        (lambda inputs, units: Step(inputs, units), "cell leaky must give a Graph, not Step"),
        (larger, "cell leaky must have 3 inputs and 5 units, not 3 and 6"),
        (other_inputs, "cell leaky must have 3 inputs and 5 units, not 5 and 5"),
        (stateless, READS),
        (blind, READS),
        (with_head, "cell leaky must have no node named head"),
        (exact, "cell leaky must have no exact operator, which only the head is"),
    ],
)
def test_cells_that_give_something_else(graph: Any, message: str) -> None:
    with added_cells(replace(LEAKY, graph=graph)):
        network = network_of("leaky")
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            homogeneous(network, 8)
