"""Simulation in notebooks: what does not fit is refused before anything is generated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_network import CODES, MODEL, NETWORK, Refused, X, anything, refuses

from gruhw_sim import simulate
from gruhw_sim.plain_testbench import plain_testbench
from gruhw_sim.simulators import SIMULATORS
from gruhw_sim.verify import verify

LENGTHS = np.full(20, 5)
LABELS = np.arange(20) % 2
ENCODE = ": encode gives what a network takes"


def both(message: str, *arguments: Any) -> Refused:
    """Refused by both ways to simulate."""
    return {
        "simulate": (lambda: simulate(*arguments), message),
        "verify": (lambda: verify(*arguments, waveform="wave"), message),
    }


SEQUENCES: dict[str, Refused] = {
    "network": both("network must be a Network, not Model", MODEL, CODES, LENGTHS),
    "samples": both(f"inputs must be whole numbers, not float64{ENCODE}", NETWORK, X, LENGTHS),
    "nothing": both(f"inputs must be whole numbers, not NoneType{ENCODE}", NETWORK, None, LENGTHS),
    "vectors": both(
        f"shape of inputs must be [sequences, steps, 3], not [5, 3]{ENCODE}", NETWORK, CODES[0], [5]
    ),
    "no sequence": both(
        "at least 1 sequence is required, but there are 0", NETWORK, CODES[:0], LENGTHS[:0]
    ),
    "no step": both("at least 1 step is required, but there are 0", NETWORK, CODES[:, :0], LENGTHS),
    "lengths": both("lengths must be 1 to 5, not 6", NETWORK, CODES, LENGTHS + 1),
    "labels": both("shape of labels must be [20], not [19]", NETWORK, CODES, LENGTHS, LABELS[:19]),
    "classes": both("labels must be 0 to 1, not 2", NETWORK, CODES, LENGTHS, LABELS + 1),
    "one-hot": both(
        "labels must be whole numbers, not bool", NETWORK, CODES, LENGTHS, np.eye(20) > 0
    ),
}


@pytest.fixture(autouse=True)
def _nothing_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("runner", "verify"):
        monkeypatch.setattr(f"gruhw_sim.{module}.generate_verilog", pytest.fail)


@pytest.mark.parametrize("how", ["simulate", "verify"])
@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences_that_do_not_fit(case: str, how: str) -> None:
    function, message = SEQUENCES[case][how]
    refuses(message, function)


OPTIONS: Refused = {
    "simulator": (
        lambda: simulate(NETWORK, CODES, LENGTHS, simulator=anything("modelsim")),
        f"simulator must be one of {', '.join(SIMULATORS)}, not 'modelsim'",
    ),
    "seed": (
        lambda: simulate(NETWORK, CODES, LENGTHS, seed=-1),
        f"seed must be a whole number from 0 to {2**63 - 1}, not -1",
    ),
    "extreme": (
        lambda: simulate(NETWORK, CODES, LENGTHS, extreme=anything(1.5)),
        "extreme must be a whole number of at least 0, not 1.5",
    ),
    "inside": (
        lambda: simulate(NETWORK, CODES, LENGTHS, inside=anything("no")),
        "inside must be True or False, not 'no'",
    ),
    "verilog": (
        lambda: simulate(NETWORK, CODES, LENGTHS, verilog=anything(Path("gruhw.v"))),
        "verilog must be a str, not PosixPath",
    ),
    "build folder": (
        lambda: simulate(NETWORK, CODES, LENGTHS, build_folder=anything(3)),
        "build_folder must be a str or a Path, not 3",
    ),
    "waveform": (
        lambda: verify(NETWORK, CODES, LENGTHS, waveform=anything(None)),
        "waveform must be a str or a Path, not None",
    ),
    "cache": (
        lambda: verify(NETWORK, CODES, LENGTHS, waveform="wave", cache=anything(b"cache")),
        "cache must be a str or a Path, not b'cache'",
    ),
    "jobs": (
        lambda: verify(NETWORK, CODES, LENGTHS, waveform="wave", jobs=0),
        "jobs must be a whole number of at least 1, not 0",
    ),
    "testbench": (
        lambda: plain_testbench(anything(MODEL), CODES, LENGTHS),
        "network must be a Network, not Model",
    ),
    "testbench of nothing": (
        lambda: plain_testbench(NETWORK, CODES[:0], LENGTHS[:0]),
        "at least 1 sequence is required, but there are 0",
    ),
    "testbench's top": (
        lambda: plain_testbench(NETWORK, CODES, LENGTHS, "a b"),
        "top module must be 1 to 64 letters, digits and underscores, no digit first, not 'a b'",
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(case: str) -> None:
    function, message = OPTIONS[case]
    refuses(message, function)


def test_a_testbench_takes_lists_and_no_lengths() -> None:
    expected = plain_testbench(NETWORK, CODES, LENGTHS)
    found = plain_testbench(NETWORK, CODES.tolist(), None)
    assert found == expected
