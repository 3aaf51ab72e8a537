"""The integer reference gives what another one does that knows only files and documentation."""

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from other_reference import OtherReference
from random_networks import (
    random_architecture,
    random_network_of,
    random_output,
    random_sequences,
)

from gruhw.design import parameter_arrays
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.cells import cells
from gruhw.network.reference import run_reference


def check(network: Network, inputs: np.ndarray, lengths: np.ndarray) -> None:
    genome, reference = network.genome, run_reference(network, inputs, lengths)
    layers = [str(layer) for layer in genome.network.layers]
    other = OtherReference(
        parameter_arrays(network),
        layers,
        genome.output,
        every_step=genome.network.every_step,
        carries=genome.network.carries,
    )
    found = other.run(inputs, lengths)
    expected = {**reference.operators, "logits": reference.logits}
    if genome.output != "values":
        expected["class"] = reference.classes
    assert found.keys() == expected.keys()
    assert [name for name in found if not np.array_equal(found[name], expected[name])] == []


@settings(max_examples=examples(50))
@given(st.integers(0, 2**32 - 1))
def test_any_network(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network_of(rng, random_architecture(rng), output=random_output(rng), high=12)
    check(network, *random_sequences(rng, network, 3, 6))


@pytest.mark.parametrize("cell", cells())
def test_every_cell_does_more_than_saturate(cell: str) -> None:
    rng = np.random.default_rng(1)
    layers = ("dense:4:relu", f"{cell}:5", "dense:3:tanh")
    architecture = Architecture(inputs=3, layers=layers, outputs=4, initial="constant")
    network = random_network_of(rng, architecture, low=5)
    inputs, lengths = random_sequences(rng, network, 8, 7)
    check(network, inputs, lengths)
    operators = run_reference(network, inputs, lengths).operators
    assert all(np.unique(values).size > 4 for values in operators.values())
