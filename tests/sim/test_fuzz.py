"""Random designs: a few are equal, and faults are found and shrunk."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzz
import pytest
from broken_module import broken, use_instead
from broken_verilog import (
    drops_offered_elements,
    resumes_late,
    survives_reset,
    wrong_operator,
)
from fuzz import (
    DifferentError,
    Fuzzer,
    Record,
    Tally,
    compare_torch,
    features,
    run_batch,
    topology,
)
from random_designs import KINDS, Design, random_designs

from gruhw.errors import InputError
from gruhw.learning.quant import functional, operators
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.reference import run_reference
from gruhw_sim.runner import work_folder

SCRIPT = Path(__file__).parents[2] / "bench" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[Fuzzer]:
    with work_folder() as folder:
        yield Fuzzer(folder)


def find_fault(
    fuzzer: Fuzzer,
    fault: Callable[[str], str],
    suits: Callable[[Design], bool] = lambda design: True,
    *,
    layers: int = 1,
    shrinking: int = 0,
) -> tuple[str, list[Design]]:
    """What is said of designs of GRUs with a fault in their Verilog, and those that failed."""
    failed: list[Design] = []

    def check(design: Design) -> Tally:
        try:
            return fuzzer.check(design, fault)
        except DifferentError:
            failed.append(design)
            raise

    # The shipped bench takes seconds.
    strategy = random_designs((layers,), ("gru",))
    strategy = strategy.filter(lambda design: design.simulator is None and suits(design))
    return run_batch(check, 1, 30, strategy=strategy, shrinking=shrinking).failure, failed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "designs"), [(1, 3), pytest.param(2, 40, marks=pytest.mark.nightly)]
)
def test_random_designs_are_equal(seed: int, designs: int, fuzzer: Fuzzer) -> None:
    record = run_batch(fuzzer.check, seed, designs)
    assert record.failure == ""
    assert record.tally.designs == designs
    assert not record.tally.refused
    assert record.tally.resets >= 2 * designs
    assert len(record.tally.verilog) == designs


@pytest.mark.slow
def test_a_wrong_operator_is_found_where_it_is_and_shrunk(fuzzer: Fuzzer) -> None:
    said, failed = find_fault(
        fuzzer,
        lambda verilog: wrong_operator(verilog, "mul_rh"),
        lambda design: design.genome.network.most_units > 1,
        shrinking=4,
    )
    assert said.startswith("DifferentError: episode 0: value of mul_rh, sequence 0, step 0, unit 0")
    remaining = next(design for design in failed if said.endswith(f": {design}"))
    assert remaining != failed[0]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_wrong_operator_of_the_second_layer_is_found_where_it_is(fuzzer: Fuzzer) -> None:
    said, _ = find_fault(fuzzer, lambda verilog: wrong_operator(verilog, "l1.mul_rh"), layers=2)
    assert said.startswith("DifferentError: episode 0: value of l1.mul_rh, sequence 0, step 0, ")


@pytest.mark.nightly
@pytest.mark.slow
def test_elements_lost_under_back_pressure_are_found(fuzzer: Fuzzer) -> None:
    said, _ = find_fault(
        fuzzer,
        drops_offered_elements,
        lambda design: any(
            e.cut is None and any(0 < regime.take <= 50 for regime in e.regimes)
            for e in design.episodes
        ),
    )
    assert said.startswith("DifferentError: episode ")
    assert not said.startswith("DifferentError: episode 0:")


@pytest.mark.nightly
@pytest.mark.slow
def test_an_element_accepted_late_after_a_reset_is_found(fuzzer: Fuzzer) -> None:
    said, _ = find_fault(fuzzer, resumes_late)
    assert said.startswith(
        "DifferentError: episode 1: cycle of input, sequence 0, step 0, unit 0, in cycle "
    )
    assert ": must be the first after the reset, not 1 later: Design(" in said


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("register", "module", "layers"),
    [
        ("active", "gruhw.datapath.sequencer", 1),
        pytest.param("index", "gruhw.datapath.input", 1, marks=pytest.mark.nightly),
        pytest.param("active", "gruhw.datapath.l1.sequencer", 2, marks=pytest.mark.nightly),
    ],
)
def test_a_register_that_survives_a_reset_is_found(
    register: str, module: str, layers: int, fuzzer: Fuzzer
) -> None:
    said, _ = find_fault(
        fuzzer,
        lambda verilog: survives_reset(verilog, register, module),
        lambda design: design.genome.network.inputs > 1,
        layers=layers,
    )
    assert said.startswith("DifferentError: episode ")
    assert not said.startswith("DifferentError: episode 0:")


@pytest.mark.nightly
def test_an_error_of_pytorch_is_found_and_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(design: Design) -> Tally:
        inputs, lengths = design.sequences
        compare_torch(design, run_reference(design.network, inputs, lengths))
        return Tally(designs=1)

    assert run_batch(check, 1, 20).failure == ""
    # Rounds down what is a quarter short of the next integer.
    rounding = broken(functional, "values * scale + 0.5", "values * scale + 0.25")
    use_instead(monkeypatch, operators, rounding)
    record = run_batch(check, 1, 50)
    assert "must be as in the reference: Design(" in record.failure
    assert "layers=(Layer(" in record.failure
    assert record.failure.count("Layer(") == 1
    assert "units=1," in record.failure
    assert "lengths=(1,)" in record.failure


def test_what_is_refused_is_counted(fuzzer: Fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise InputError("input must be another")

    monkeypatch.setattr(Network, "build", refuse)
    record = run_batch(fuzzer.check, 1, 5)
    assert record.failure == ""
    assert record.tally == Tally(refused=Counter({"input must be another": 5}))


def test_a_failing_design_is_tried_first_in_the_next_run(tmp_path: Path) -> None:
    def reject_states(design: Design) -> Tally:
        if design.genome.output == "states":
            raise ValueError("states")
        return Tally(designs=1)

    first = run_batch(reject_states, 1, 20, database=tmp_path, shrinking=40)
    assert first.failure.startswith("ValueError: states: Design(")
    assert first.tally.designs
    again = run_batch(reject_states, 2, 20, database=tmp_path, shrinking=40)
    assert again.failure.startswith("ValueError: states: Design(")
    assert again.tally.designs == 0


@pytest.mark.nightly
def test_shrinking_ends() -> None:
    seen: list[str] = []

    def reject_all(design: Design) -> Tally:
        seen.append(str(design))
        raise ValueError("no")

    wide = random_designs().filter(lambda of: of.genome.network.most_units > 3)
    record = run_batch(reject_all, 1, 10, strategy=wide, shrinking=7)
    assert len(seen) == 1 + 7
    assert seen.index(record.failure.removeprefix("ValueError: no: ")) > 0


def test_features_say_what_a_design_is() -> None:
    layers = ("dense:4:relu", "lstm:3")
    network = Architecture(inputs=2, layers=layers, outputs=1, initial="constant")

    def of(*pe: int) -> set[str]:
        folding = Folding(pe=pe if len(pe) > 1 else pe[0])
        genome = Genome(
            network=network, genes=homogeneous(network, 4), folding=folding, output="values"
        )
        assert topology(genome) == "dense:relu, lstm"
        return features(genome)

    common = {"2 layers", "dense", "lstm", "output values", "initial state constant"}
    assert of(2, 1) == common | {"several layers, pe unequal"}
    assert of(2) == common | {"several layers, pe equal"}
    assert of(4) == common | {"several layers, pe unequal"}  # one has three units


def test_random_designs_are_of_every_kind() -> None:
    seen: Counter[str] = Counter()

    def note(design: Design) -> Tally:
        assert design.network.genome == design.genome
        seen.update(features(design.genome))
        return Tally(designs=1)

    for seed in range(5):
        assert run_batch(note, seed, fuzz.BATCH).failure == ""
    # Of 1,000 designs, 50 are of each kind, and half have several layers with unequal pe.
    assert all(20 * seen[kind] >= 5 * fuzz.BATCH for kind in KINDS)
    assert 2 * seen["several layers, pe unequal"] >= 5 * fuzz.BATCH


@pytest.mark.slow
def test_what_is_missing_to_a_total_is_run(tmp_path: Path) -> None:
    records = tmp_path / fuzz.RECORDS
    records.write_text(Record(7, 1.0, 1.0, "", Tally(designs=10)).to_json())
    for _ in range(2):
        command = [sys.executable, SCRIPT, "--folder", tmp_path, "--total", "11", "--jobs", "2"]
        subprocess.run(command, check=True, env=os.environ)
        found = fuzz.read_records(records)
        assert [record.seed for record in found] == [7, 8]
        assert [record.tally.designs for record in found] == [10, 1]


def test_records_are_added_up(tmp_path: Path) -> None:
    tally = Tally(
        *range(3, 10),
        Counter(a=1),
        Counter(icarus=2),
        Counter({"2 layers": 3, "lstm": 2}),
        Counter({"lstm, gru": 2, "gru, dense:relu": 1}),
        ["12", "34", "34"],
    )
    for seed, failure in ((5, ""), (6, "ValueError: so")):
        with (tmp_path / fuzz.RECORDS).open("a") as file:
            file.write(Record(seed, 1.5, 1800.0, failure, tally).to_json())
    done = subprocess.run(
        [sys.executable, SCRIPT, "--folder", tmp_path, "--summary"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout.splitlines() == [
        "2 batches, seeds 5 to 6, 1.00 processor hours",
        "6 designs, 2 different Verilog texts",
        "8 sequences of 10 steps, 14 resets",
        "12 cycles simulated, 18 integers of them compared",
        "16 integers of PyTorch compared",
        "6 with 2 layers",
        "4 with lstm",
        "2 of gru, dense:relu",
        "4 of lstm, gru",
        "4 designs in the shipped bench with icarus",
        "2 refused: a",
        "1 failures",
        "seed 6: ValueError: so",
    ]
