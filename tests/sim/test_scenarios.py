"""What a bench expects of some sequences of a scenario, which come after a reset."""

import numpy as np
import pytest
from random_networks import random_network_of, random_sequences

from gruhw.network.architecture import Architecture, Initial
from gruhw_sim.expectations import Scenario


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("initial", ["zero", "carry"])
def test_a_part_begins_anew(initial: Initial, every_step: bool) -> None:
    rng = np.random.default_rng(1)
    architecture = Architecture(
        inputs=2, layers="gru:3", outputs=2, initial=initial, every_step=every_step
    )
    network = random_network_of(rng, architecture)
    codes, lengths = random_sequences(rng, network, 5, 4)
    whole = Scenario.of(network, codes, lengths)
    part, alone = whole.part(2, 4), Scenario.of(network, codes[2:4], lengths[2:4])
    for name, values in part.stream().items():
        np.testing.assert_array_equal(values, alone.stream()[name], name)
    same = np.array_equal(part.reference.logits, whole.reference.logits[2:4])
    assert same == (initial == "zero")
