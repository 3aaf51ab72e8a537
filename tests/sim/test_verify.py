"""Whole data sets through compiled Verilog, and hardware that is broken."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import accepts_every_second_cycle, replaced, wrong_operator
from random_networks import random_network, random_network_of, random_sequences

from gruhw.errors import InputError, ToolError
from gruhw.learning.tasks import Split
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy
from gruhw.network.genome import OUTPUTS, Output
from gruhw.network.reference import measure
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.comparison import Comparison, Expected
from gruhw_sim.expectations import Scenario
from gruhw_sim.harness import Trace, Words, best_waveform
from gruhw_sim.report import Mismatch
from gruhw_sim.verify import BATCH, RESULTS, batch_size, verify, verify_samples

FST_HEADER = b"\x00" + (329).to_bytes(8, "big")
VCD_HEADER = b"$version"


def network_of(output: Output = "class", pe: int = 2) -> Network:
    rng = np.random.default_rng(7)
    return random_network(rng, inputs=3, hidden=5, classes=4, pe=pe, output=output)


def stack_of(output: Output = "class") -> Network:
    layers = ("dense:3", "lstm:4", "ugrnn:3", "dense:2:relu")
    network = Architecture(inputs=3, layers=layers, outputs=3, initial="constant")
    rng = np.random.default_rng(8)
    return random_network_of(rng, network, pe=(1, 2, 3, 1), output=output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "pe", "top"),
    [("class", 2, TOP), pytest.param("states", 5, "left", marks=pytest.mark.nightly)],
)
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
@pytest.mark.parametrize(
    "output",
    [pytest.param(o, marks=() if o == "states" else pytest.mark.nightly) for o in OUTPUTS],
)
def test_several_layers_are_equal(output: Output, tmp_path: Path, builds: Path) -> None:
    network = stack_of(output)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 30, 5)
    found = verify(network, inputs, lengths, waveform=tmp_path / "no.fst", cache=builds)
    assert found.passed, found.mismatch
    assert found.accuracy is None
    # Two states of four units, and one of three.
    assert found.counts.states == (2 * 4 + 3) * lengths.sum()
    outputs = {"class": 4 * 30, "values": 3 * 30, "states": 2 * lengths.sum()}
    assert found.counts.outputs == outputs[output]


@pytest.mark.slow
def test_the_layer_that_went_wrong_is_named(tmp_path: Path, builds: Path) -> None:
    layers = Architecture(inputs=3, layers=("dense:2", "ugrnn:2"), outputs=2)
    network = random_network_of(np.random.default_rng(8), layers)
    inputs, lengths = random_sequences(np.random.default_rng(1), network, 4, 5)
    verilog = generate_verilog(network).verilog
    broken = replaced(verilog, "result <= ", "result <= ~", f"{TOP}.datapath.l0.W")
    found = verify(
        network, inputs, lengths, verilog=broken, waveform=tmp_path / "wave.fst", cache=builds
    )
    # It has no state: what was found first was one of the layer that reads it.
    assert found.mismatch is not None
    assert (found.mismatch.quantity, found.mismatch.operator) == ("value", "l0.W")


@pytest.mark.slow
def test_raw_samples_are_encoded_batch_by_batch(
    tmp_path: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of("values")
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, 5, 30)
    split = Split(rng.normal(size=(30, 4, 3)), rng.normal(size=(30, 4)), lengths)
    monkeypatch.setattr("gruhw_sim.verify.BATCH", 7)
    seen: list[int] = []
    found = verify_samples(
        network,
        split,
        waveform=tmp_path / "no.fst",
        cache=builds,
        progress=lambda done, total: seen.append(done),
    )
    assert seen == [7, 14, 21, 28, 30]
    codes = network.encode(split.x)
    again = verify(network, codes, lengths, split.y, waveform=tmp_path / "no.fst", cache=builds)
    assert found == again
    assert found.passed
    assert found.accuracy == measure(network, split)
    assert found.to_json()["mean_squared_error"] == found.accuracy.error
    with pytest.raises(InputError, match=r"^shape of labels must be \[30, 4\], not \[30, 3\]$"):
        verify_samples(network, replace(split, y=split.y[:, :3]), waveform=tmp_path / "no.fst")


def test_long_sequences_are_fewer_at_a_time() -> None:
    network = network_of()
    results = 17 * 5
    assert batch_size(network, 1) == BATCH
    assert batch_size(network, RESULTS // results) == 1
    assert batch_size(network, RESULTS // (3 * results)) == 3
    assert batch_size(network, 1 << 40) == 1


@pytest.mark.nightly
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
    due = scenario.starts[sequence] + scenario.schedule.first.cycle("mul_rh", step, unit)
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


def trace_of(comparison: Comparison) -> Trace:
    """What hardware gives that is right."""

    def raw(expected: Expected) -> Words:
        # A sign fills the whole bytes of the port, and nothing more.
        rows = expected.rows.copy()
        rows[:, 1] &= (1 << expected.kind.bits) - 1
        return rows.astype(np.uint64)

    operators = len(comparison.watched.operators)
    return Trace(
        raw(comparison.outputs),
        tuple(map(raw, comparison.states)),
        np.zeros((0, operators), dtype=np.uint64),
        np.array([[0, comparison.cycles]], dtype=np.uint64),
        np.zeros((0, 1), dtype=np.uint64),
    )


class TestComparison:
    """What differs, without a simulator."""

    @pytest.fixture
    def comparison(self) -> Comparison:
        network = network_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        return Comparison.of(Scenario.of(network, *sequences))

    @pytest.fixture
    def right(self, comparison: Comparison) -> Trace:
        return trace_of(comparison)

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
        states = right.states[0].copy()
        states[3, 0] += 1
        found = self.mismatch(comparison, replace(right, states=(states,)))
        assert (found.quantity, found.operator, found.unit) == ("cycle", "add_h", 3)
        assert int(found.found) == int(found.expected) + 1

    def test_missing(self, comparison: Comparison, right: Trace) -> None:
        found = self.mismatch(comparison, replace(right, outputs=right.outputs[:-1]))
        assert (found.quantity, found.operator, found.sequence) == ("missing", "class", 2)
        assert found.found == "nothing"

    def test_extra(self, comparison: Comparison, right: Trace) -> None:
        states = np.vstack([right.states[0], right.states[0][-1:] + 1])
        found = self.mismatch(comparison, replace(right, states=(states,)))
        assert (found.quantity, found.expected, found.sequence) == ("extra", "no more", -1)

    def test_the_earliest_counts(self, comparison: Comparison, right: Trace) -> None:
        states, outputs = right.states[0].copy(), right.outputs.copy()
        outputs[0, 1] ^= 1
        states[-1, 1] ^= 1
        both = replace(right, states=(states,), outputs=outputs)
        assert self.mismatch(comparison, both).operator == "head"

    @pytest.mark.parametrize(
        ("state", "operator"), [(0, "l1.mul_h"), (1, "l1.add_c"), (2, "l2.add_h")]
    )
    def test_every_state_of_every_layer(self, state: int, operator: str) -> None:
        network = stack_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        comparison = Comparison.of(Scenario.of(network, *sequences))
        right = trace_of(comparison)
        assert comparison.first_mismatch(right) is None
        states = [rows.copy() for rows in right.states]
        states[state][-1, 1] ^= 1
        found = self.mismatch(comparison, replace(right, states=tuple(states)))
        assert (found.quantity, found.operator, found.sequence) == ("value", operator, 2)
        assert found.unit == network.architecture.layers[int(operator[1])].units - 1


class TestWindow:
    """The cycles in which a mismatch may have come about."""

    def test_of_a_state(self) -> None:
        network = network_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        scenario = Scenario.of(network, *sequences)
        start, core = scenario.starts[1], scenario.schedule.first
        begin, end = self.window(scenario, "add_h", 1, 2, cycle=0)
        assert begin == start + core.first_term + 2 * core.step_interval
        assert end == start + core.cycle("add_h", 2, 4)

    def test_of_a_class(self) -> None:
        network = network_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        scenario = Scenario.of(network, *sequences)
        length, core = int(scenario.lengths[1]), scenario.schedule.first
        for operator in ("head", "class"):
            begin, end = self.window(scenario, operator, 1, length - 1, cycle=0)
            # The head begins where the next step would.
            start = scenario.starts[1]
            assert begin == start + core.first_term + length * core.step_interval
            assert end == start + scenario.schedule.output_cycles(length)[-1]

    def test_of_several_cores(self) -> None:
        network = stack_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        scenario = Scenario.of(network, *sequences)
        start, length = scenario.starts[2], int(scenario.lengths[2])
        first, second = scenario.schedule.cores[0], scenario.schedule.cores[1]
        step_begins = first.first_term + (length - 1) * first.step_interval
        for operator, last in (
            ("l1.add_c", second.cycle("add_c", length - 1, second.step.units - 1)),
            ("class", scenario.schedule.output_cycles(length)[-1]),
        ):
            window = self.window(scenario, operator, 2, length - 1, cycle=0)
            assert window == (start + step_begins, start + last)

    def test_reaches_to_where_it_was_found(self) -> None:
        network = network_of()
        sequences = random_sequences(np.random.default_rng(1), network, 3, 4)
        scenario = Scenario.of(network, *sequences)
        assert self.window(scenario, "add_h", 1, 2, cycle=10_000)[1] == 10_000
        begin, end = self.window(scenario, "", -1, -1, cycle=10_000)
        assert (begin, end) == (10_000 - scenario.schedule.step_interval, 10_000)

    @staticmethod
    def window(
        scenario: Scenario, operator: str, sequence: int, step: int, *, cycle: int
    ) -> tuple[int, int]:
        place = (operator, sequence, step, 0)
        mismatch = Mismatch("verify", "value", *place, cycle, "0", "1")
        return Comparison.of(scenario).window(mismatch)
