"""What areas are estimated for networks of one GRU: what may not change by mistake.

As a program of its own it writes them anew, for a change of terms, prices or hardware that is
meant.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from gruhw.basics.files import write_atomic
from gruhw.network.bound import Network, load_network
from gruhw_hw.area import AreaModel, memory_bits
from gruhw_hw.area.calibration import MODELLED
from gruhw_hw.area.samples import random_network, short_networks
from gruhw_hw.energy import sequence_energy

REPOSITORY = Path(__file__).parents[2]
EXPECTED = REPOSITORY / "tests" / "data" / "area_estimates.json"

SEED = 22
RANDOM, SHORT = 30, 3
"""How many random networks there are, and how many with short paths."""

STEPS = 28
"""Of the sequence whose energy is found."""


Draw: TypeAlias = Callable[[int, int], Network]
"""Draws a random network, for a seed and an index."""


def networks() -> Iterator[tuple[str, Network]]:
    """The networks by name: every shipped design of one GRU, and random ones."""
    for genome in sorted(REPOSITORY.glob("designs/**/genome.json")):
        network = load_network(genome)
        if [layer.cell for layer in network.architecture.layers] == ["gru"]:
            yield str(genome.parent.relative_to(REPOSITORY)), network
    for index in range(RANDOM):
        yield f"random {index}", random_network(SEED, index)
    for index, network in enumerate(islice(short_networks(SEED), SHORT)):
        yield f"short {index}", network


@cache
def model(target: str) -> AreaModel:
    """The area model of a target."""
    return AreaModel.load(target)


def found(network: Network) -> dict[str, Any]:
    """What is estimated for a network now; amounts that are zero are left out."""
    estimates = {
        target: {
            name: amount
            for name, amount in model(target).estimate(network).to_json().items()
            if amount
        }
        for target in MODELLED
    }
    energy = sequence_energy(network, STEPS)
    return {"estimates": estimates, "memory_bits": memory_bits(network), "energy": energy}


if __name__ == "__main__":
    content = {name: found(network) for name, network in networks()}
    lines = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in content.items())
    write_atomic(EXPECTED, "{\n" + ",\n".join(lines) + "\n}\n")
