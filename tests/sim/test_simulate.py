"""Generated Verilog against the reference, in both simulators; and hardware that is broken."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from broken_verilog import (
    accepts_every_second_cycle,
    drops_offered_elements,
    never_accepts,
    resets_only_once,
    survives_reset,
    wrong_operator,
)
from engines import EITHER
from random_networks import random_network, random_network_of, random_sequences

from gruhw.errors import InputError, ToolError
from gruhw.network.architecture import Architecture, Initial
from gruhw.network.figures import Accuracy, MeanSquaredError
from gruhw.network.genome import Output
from gruhw.network.reference import run_reference
from gruhw_hw.top import generate_verilog
from gruhw_sim import simulate
from gruhw_sim.report import SimulationReport
from gruhw_sim.simulators import SimulatorName

TESTS = ["streams_never_stall", "random_gaps_and_backpressure", "reset_in_the_middle"]


def explain(report: SimulationReport) -> str:
    problems = [f"{test.name}: {test.problem}" for test in report.tests if not test.passed]
    return "\n".join([*problems, *map(str, report.mismatches)])


FOLDINGS = [
    # inputs, hidden units, classes, pe, output
    (3, 4, 3, 1, "class"),
    (5, 6, 4, 2, "states"),
    (4, 7, 2, 3, "class"),
    (2, 5, 5, 5, "states"),
    (1, 1, 2, 1, "states"),
    (6, 3, 7, 2, "class"),
]


@pytest.mark.icarus
@pytest.mark.parametrize(("inputs", "hidden", "classes", "pe", "output"), FOLDINGS)
def test_icarus_agrees_with_the_reference(
    inputs: int, hidden: int, classes: int, pe: int, output: Output
) -> None:
    rng = np.random.default_rng([inputs, hidden, pe])
    network = random_network(
        rng, inputs=inputs, hidden=hidden, classes=classes, pe=pe, output=output
    )
    report = simulate(network, *random_sequences(rng, network, 4, 4), simulator="icarus")
    assert [test.name for test in report.tests] == TESTS
    assert report.passed, explain(report)


STACKS: list[tuple[tuple[str, ...], Initial, int | tuple[int, ...], Output]] = [
    (("lstm:4",), "constant", 2, "class"),
    (("ugrnn:3", "mgu:4"), "zero", (3, 1), "states"),
    (("dense:4:relu", "lstm:3"), "zero", 1, "values"),
    (("gru:3", "dense:4:tanh"), "constant", (1, 3), "class"),
]
"""Layers, initial states, pe, output."""


@pytest.mark.icarus
@pytest.mark.parametrize(("layers", "initial", "pe", "output"), STACKS)
def test_icarus_agrees_with_the_reference_of_any_layers(
    layers: tuple[str, ...], initial: Initial, pe: int | tuple[int, ...], output: Output
) -> None:
    rng = np.random.default_rng(len(layers))
    network = Architecture(inputs=3, layers=layers, outputs=3, initial=initial)
    found = random_network_of(rng, network, pe=pe, output=output)
    report = simulate(found, *random_sequences(rng, found, 4, 4), simulator="icarus")
    assert [test.name for test in report.tests] == TESTS
    assert report.passed, explain(report)


@pytest.mark.icarus
def test_values_are_measured() -> None:
    rng = np.random.default_rng(3)
    network = Architecture(inputs=2, layers=("ugrnn:2",), outputs=1)
    found = random_network_of(rng, network, output="values")
    inputs, lengths = random_sequences(rng, found, 6, 3)
    expected = run_reference(found, inputs, lengths)
    values = rng.normal(size=(6, 1))
    report = simulate(found, inputs, lengths, values, simulator="icarus")
    assert report.passed, explain(report)
    assert report.classes is None
    assert report.values is not None
    assert report.values.tolist() == expected.logits.tolist()
    scale = found.head.typed.emitted.scale
    error = MeanSquaredError.of(expected.logits * scale, values)
    assert (report.accuracy, report.reference_accuracy) == (error, error)
    assert report.to_json()["mean_squared_error"] == error.error
    # A single logit tells two classes.
    labels = rng.integers(0, 2, 6)
    report = simulate(found, inputs, lengths, labels, simulator="icarus")
    accuracy = Accuracy.of(expected.classes, labels)
    assert (report.accuracy, report.reference_accuracy) == (accuracy, accuracy)


@pytest.mark.icarus
def test_units_far_apart_multiply_bit_by_bit() -> None:
    rng = np.random.default_rng(1)
    network = random_network(rng, inputs=28, hidden=12, classes=3)
    report = simulate(network, *random_sequences(rng, network, 2, 2), simulator="icarus")
    assert report.passed, explain(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pe", "output", "few_cycles"),
    [(1, "class", 1 << 62), pytest.param(4, "states", 0, marks=pytest.mark.nightly)],
)
def test_verilator_agrees_with_the_reference(
    pe: int, output: Output, few_cycles: int, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gruhw_sim.runner.FEW_CYCLES", few_cycles)
    rng = np.random.default_rng(pe)
    network = random_network(rng, inputs=4, hidden=6, classes=3, pe=pe, output=output)
    inputs, lengths = random_sequences(rng, network, 5, 6)
    labels = rng.integers(0, 3, 5)
    report = simulate(network, inputs, lengths, labels, build_folder=builds)
    assert report.passed, explain(report)
    expected = run_reference(network, inputs, lengths).classes
    assert report.reference_accuracy == Accuracy.of(expected, labels)
    if output == "class":
        assert report.classes is not None
        assert report.classes.tolist() == expected.tolist()
        assert report.accuracy == report.reference_accuracy
    else:
        assert report.classes is None
        assert report.accuracy is None


@pytest.mark.slow
@pytest.mark.parametrize("simulator", EITHER)
def test_what_is_compiled_is_not_compiled_again(simulator: SimulatorName, builds: Path) -> None:
    network = random_network(np.random.default_rng(5), inputs=2, hidden=2, classes=2)
    cwd, environment = Path.cwd(), dict(os.environ)
    said: list[str] = []
    for seed in range(2):
        sequences = random_sequences(np.random.default_rng(seed), network, 2, 3)
        report = simulate(
            network,
            *sequences,
            simulator=simulator,
            top="left",
            seed=seed,
            build_folder=builds,
            progress=said.append,
        )
        assert report.passed, explain(report)
    assert said.count(f"compiling for {simulator}") == 1
    assert Path.cwd() == cwd
    assert dict(os.environ) == environment


@pytest.mark.icarus
def test_a_damaged_program_is_compiled_again(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(5), inputs=2, hidden=2, classes=2)
    sequences = random_sequences(np.random.default_rng(6), network, 1, 2)
    said: list[str] = []
    for _ in range(3):
        report = simulate(
            network, *sequences, simulator="icarus", build_folder=tmp_path, progress=said.append
        )
        assert report.passed, explain(report)
        (program,) = tmp_path.glob("*/sim.vvp")
        text = program.read_text()
        # Another constant: it would still run, and differ from the reference.
        program.write_text(re.sub(r"C4<([01]+)>", "C4<0>", text))
        assert program.read_text() != text
    assert said.count("compiling for icarus") == 3


def simulate_broken(
    fault: Callable[[str], str], builds: Path, *, layers: tuple[str, ...] = ("gru:4",)
) -> SimulationReport:
    rng = np.random.default_rng(9)
    architecture = Architecture(inputs=3, layers=layers, outputs=3)
    network = random_network_of(rng, architecture, pe=2)
    verilog = generate_verilog(network).verilog
    sequences = random_sequences(rng, network, 3, 4)
    return simulate(network, *sequences, verilog=fault(verilog), build_folder=builds)


def failed(report: SimulationReport) -> list[str]:
    return [test.name for test in report.tests if not test.passed]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_wrong_operator_is_found_where_it_is(builds: Path) -> None:
    report = simulate_broken(lambda verilog: wrong_operator(verilog, "add_n"), builds)
    assert failed(report) == TESTS
    assert not report.passed
    first = report.mismatches[0]
    assert (first.test, first.quantity, first.operator) == (TESTS[0], "value", "add_n")
    assert report.tests[0].mismatches > len(report.mismatches) / 3


@pytest.mark.slow
def test_a_wrong_operator_of_any_layer_is_found_where_it_is(builds: Path) -> None:
    report = simulate_broken(
        lambda verilog: wrong_operator(verilog, "l1.add_c"), builds, layers=("gru:3", "lstm:2")
    )
    assert failed(report) == TESTS
    for test, operator in zip(TESTS, ("l1.add_c", "l1.add_c", "head"), strict=True):
        first = next(found for found in report.mismatches if found.test == test)
        assert (first.quantity, first.operator) == ("value", operator)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_late_element_is_found(builds: Path) -> None:
    report = simulate_broken(accepts_every_second_cycle, builds)
    assert failed(report) == [TESTS[0], TESTS[2]]
    assert {found.quantity for found in report.mismatches} >= {"cycle"}


@pytest.mark.slow
def test_elements_lost_under_back_pressure_are_found(builds: Path) -> None:
    report = simulate_broken(drops_offered_elements, builds)
    assert failed(report) == [TESTS[1]]
    assert {found.quantity for found in report.mismatches} >= {"rule", "value"}


@pytest.mark.slow
def test_hardware_that_never_accepts_an_element_ends(builds: Path) -> None:
    report = simulate_broken(never_accepts, builds)
    assert failed(report) == TESTS
    first = report.mismatches[0]
    assert (first.quantity, first.operator, first.found) == ("missing", "s_axis", "nothing")


@pytest.mark.slow
def test_state_that_survives_a_reset_is_found(builds: Path) -> None:
    report = simulate_broken(resets_only_once, builds)
    assert failed(report)[-1] == TESTS[2]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_register_that_survives_a_reset_in_a_single_cycle_is_found(builds: Path) -> None:
    rng = np.random.default_rng(6)
    network = random_network(rng, inputs=20, hidden=4, classes=3)
    verilog = survives_reset(
        generate_verilog(network).verilog, "step_group_end_1", "gruhw.datapath"
    )
    sequences = random_sequences(rng, network, 20, 4)
    report = simulate(network, *sequences, verilog=verilog, build_folder=builds)
    assert failed(report) == [TESTS[2]]


@pytest.mark.parametrize("simulator", EITHER)
def test_verilog_that_does_not_compile_is_a_tool_error(simulator: SimulatorName) -> None:
    rng = np.random.default_rng(2)
    network = random_network(rng, inputs=2, hidden=2, classes=2)
    with pytest.raises(ToolError, match=rf"^{simulator}: .*gruhw\.v:\d"):
        simulate(
            network,
            *random_sequences(rng, network, 1, 1),
            simulator=simulator,
            verilog="module gruhw(clk); nonsense\n",
        )


def test_no_sequences_are_wrong_input() -> None:
    rng = np.random.default_rng(2)
    network = random_network(rng, inputs=2, hidden=2, classes=2)
    inputs, lengths = random_sequences(rng, network, 1, 1)
    with pytest.raises(InputError, match=r"^at least 1 sequence is required, but there are 0$"):
        simulate(network, inputs[:0], lengths[:0])
