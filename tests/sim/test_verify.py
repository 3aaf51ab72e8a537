"""Whole data sets through compiled Verilog, and hardware that is broken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import accepts_every_second_cycle, wrong_operator
from random_networks import random_network, random_sequences

from gruhw.accuracy import Accuracy
from gruhw.errors import InputError, ToolError
from gruhw.genome import Output
from gruhw.model import Network
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.comparison import Comparison
from gruhw_sim.expectations import Scenario
from gruhw_sim.harness import Trace, best_waveform
from gruhw_sim.report import Mismatch
from gruhw_sim.verify import BATCH, verify

FST_HEADER = b"\x00" + (329).to_bytes(8, "big")
VCD_HEADER = b"$version"


def network_of(output: Output = "class", pe: int = 2) -> Network:
    rng = np.random.default_rng(7)
    return random_network(rng, inputs=3, hidden=5, classes=4, pe=pe, output=output)


@pytest.mark.slow
@pytest.mark.parametrize(("output", "pe", "top"), [("class", 2, TOP), ("states", 5, "left")])
def test_several_batches_are_equal(
    output: Output, pe: int, top: str, tmp_path: Path, builds: Path
) -> None:
    network = network_of(output, pe)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 2 * BATCH + 7, 6)
    labels = np.zeros(len(inputs), dtype=np.int64)
    seen: list[tuple[int, int]] = []
    found = verify(
        network,
        inputs,
        lengths,
        labels,
        top=top,
        waveform=tmp_path / "no.fst",
        cache=builds,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.passed
    assert found.waveform is None
    assert not list(tmp_path.iterdir())
    assert seen == [(BATCH, 407), (2 * BATCH, 407), (407, 407)]
    assert (found.counts.sequences, found.counts.states) == (407, 5 * lengths.sum())
    assert found.counts.outputs == (5 * 407 if output == "class" else found.counts.states)
    right = Scenario.of(network, inputs, lengths).reference.classes == 0
    assert found.accuracy == (Accuracy(right.sum(), 407) if output == "class" else None)


@pytest.mark.slow
def test_the_operator_that_went_wrong_is_named(tmp_path: Path, builds: Path) -> None:
    network = network_of()
    inputs, lengths = random_sequences(np.random.default_rng(1), network, BATCH + 3, 6)
    broken = wrong_operator(generate_verilog(network, top="left").verilog, "mul_rh", "left")
    found = verify(
        network,
        inputs,
        lengths,
        verilog=broken,
        top="left",
        waveform=tmp_path / "wave.fst",
        cache=builds,
    )
    assert found.mismatch is not None
    scenario = Scenario.of(network, inputs, lengths)
    sequence, step, unit = (getattr(found.mismatch, name) for name in ("sequence", "step", "unit"))
    expected = int(scenario.reference.operators["mul_rh"][sequence, step, unit])
    due = scenario.starts[sequence] + scenario.schedule.cycle("mul_rh", step, unit)
    assert found.mismatch == Mismatch(
        test="verify",
        quantity="value",
        operator="mul_rh",
        sequence=sequence,
        step=step,
        unit=unit,
        cycle=due,
        expected=str(expected),
        found=str(~expected),
    )
    assert found.waveform == (tmp_path / "wave").with_suffix(best_waveform().suffix)
    header = found.waveform.read_bytes()[:9]
    assert header in (FST_HEADER, VCD_HEADER + b" ", VCD_HEADER + b"\n")
    assert found.counts.sequences == BATCH  # the second batch is not waited for
    assert found.accuracy is None


@pytest.mark.slow
def test_right_values_too_late_are_found(tmp_path: Path, builds: Path) -> None:
    network = network_of()
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 3, 4)
    broken = accepts_every_second_cycle(generate_verilog(network).verilog)
    found = verify(
        network, inputs, lengths, verilog=broken, waveform=tmp_path / "wave.fst", cache=builds
    )
    assert found.mismatch is not None
    assert (found.mismatch.quantity, found.mismatch.operator) == ("cycle", "add_h")
    assert int(found.mismatch.found) > int(found.mismatch.expected)


def test_verilog_that_is_none(tmp_path: Path) -> None:
    network = network_of()
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 3, 4)
    with pytest.raises(ToolError, match="verilator: %Error"):
        verify(network, inputs, lengths, verilog="modul gruhw", waveform=tmp_path / "wave.fst")
    with pytest.raises(InputError, match="at least 1 sequence is required, but there are 0"):
        verify(network, inputs[:0], lengths[:0], waveform=tmp_path / "wave.fst")
    assert not list(tmp_path.iterdir())


class TestComparison:
    """What differs, without a simulator."""

    @pytest.fixture
    def comparison(self) -> Comparison:
        network = network_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        return Comparison.of(Scenario.of(network, *sequences))

    @pytest.fixture
    def right(self, comparison: Comparison) -> Trace:
        scenario = comparison.scenario
        outputs, states = comparison.outputs.copy(), comparison.states.copy()
        # A sign fills the whole bytes of the port, and nothing more.
        outputs[:, 1] &= 0xFFFF if np.abs(outputs[:, 1]).max() > 127 else 0xFF
        states[:, 1] &= (1 << scenario.network.graph.state.type.bits) - 1
        window, broken = np.zeros((0, 18), dtype=np.uint64), np.zeros((0, 1), dtype=np.uint64)
        episodes = np.array([[0, comparison.cycles]], dtype=np.uint64)
        return Trace(outputs.astype(np.uint64), states.astype(np.uint64), window, episodes, broken)

    def mismatch(self, comparison: Comparison, trace: Trace) -> Mismatch:
        found = comparison.first_mismatch(trace)
        assert found is not None
        return found

    def test_equal(self, comparison: Comparison, right: Trace) -> None:
        assert comparison.first_mismatch(right) is None

    def test_value_of_a_logit(self, comparison: Comparison, right: Trace) -> None:
        outputs = right.outputs.copy()
        outputs[6, 1] ^= 1  # sequence 1, logit 1
        found = self.mismatch(comparison, replace(right, outputs=outputs))
        assert (found.quantity, found.operator) == ("value", "head")
        assert (found.sequence, found.unit) == (1, 1)
        assert int(found.expected) ^ int(found.found) == 1

    def test_last(self, comparison: Comparison, right: Trace) -> None:
        outputs = right.outputs.copy()
        outputs[4, 2] = 0
        found = self.mismatch(comparison, replace(right, outputs=outputs))
        assert (found.quantity, found.operator, found.expected) == ("last", "class", "1")

    def test_cycle_of_a_state(self, comparison: Comparison, right: Trace) -> None:
        states = right.states.copy()
        states[3, 0] += 1
        found = self.mismatch(comparison, replace(right, states=states))
        assert (found.quantity, found.operator, found.unit) == ("cycle", "add_h", 3)
        assert int(found.found) == int(found.expected) + 1

    def test_missing(self, comparison: Comparison, right: Trace) -> None:
        found = self.mismatch(comparison, replace(right, outputs=right.outputs[:-1]))
        assert (found.quantity, found.operator, found.sequence) == ("missing", "class", 2)
        assert found.found == "nothing"

    def test_extra(self, comparison: Comparison, right: Trace) -> None:
        states = np.vstack([right.states, right.states[-1:] + 1])
        found = self.mismatch(comparison, replace(right, states=states))
        assert (found.quantity, found.expected, found.sequence) == ("extra", "no more", -1)

    def test_the_earliest_counts(self, comparison: Comparison, right: Trace) -> None:
        states, outputs = right.states.copy(), right.outputs.copy()
        outputs[0, 1] ^= 1
        states[-1, 1] ^= 1
        both = replace(right, states=states, outputs=outputs)
        assert self.mismatch(comparison, both).operator == "head"
