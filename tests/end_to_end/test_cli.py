"""Every command, from its arguments to what it prints and writes."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_verilog import wrong_operator
from command_line import DESIGN, CommandLine, Result, contents, run_process
from other_reference import OtherReference
from tiny_task import CLASSES, STEPS, write_tiny_task

from gruhw import __version__
from gruhw.design import save_design
from gruhw.learning.tasks import load_task
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw_hw.top import Hardware, generate_verilog

COMMANDS = ("tasks", "train", "generate", "simulate", "synth", "evaluate", "report", "search")
OPERATORS = (
    *("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn"),
    *("add_r", "add_z", "sig_r", "sig_z", "mul_rh", "add_n", "tanh_n"),
    *("sub_z", "mul_zn", "mul_zh", "add_h"),
)
COLUMNS = {
    "LUTs": "luts",
    "LUT RAM": "memory_luts",
    "FFs": "flip_flops",
    "carry": "carries",
    "mux": "wide_muxes",
    "BRAM": "block_rams",
    "DSP": "dsps",
}
UP5K_LUTS = 5280
UP5K_BLOCK_RAMS = 30
BITS = 6
HIDDEN = 4
EPOCHS = 150

TEMPLATE = {
    "format": "gruhw-genome",
    "version": 1,
    "sizes": {"input": CLASSES, "hidden": HIDDEN, "classes": CLASSES},
    "folding": {"pe": 2},
    "output": "states",
}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``task.npz`` and what a process trained on it: ``design``, ``train.json``."""
    folder = tmp_path_factory.mktemp("trained")
    write_tiny_task(folder / "task.npz")
    result = run_process(
        *("train", "--task", "task.npz", "--out", "design", "--bits", str(BITS)),
        *("--hidden", str(HIDDEN), "--float-epochs", str(EPOCHS), "--epochs", "1"),
        *("--json", "train.json"),
        cwd=folder,
    )
    assert result.status == 0, result.err
    (folder / "out.txt").write_text(result.out)
    (folder / "err.txt").write_text(result.err)
    return folder


def test_the_version_is_printed(gruhw: CommandLine, tmp_path: Path) -> None:
    expected = f"gruhw {__version__}\n"
    assert gruhw.succeeds("--version").out == expected
    assert run_process("--version", cwd=tmp_path).out == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, gruhw: CommandLine) -> None:
    result = gruhw.succeeds(command, "--help")
    assert result.out.startswith(f"Usage: gruhw {command} [OPTIONS]\n\n  ")
    assert "--json FILE" in result.out
    assert not result.err
    # Every option says what it is.
    assert re.findall(r"^  --[\w-]+(?: \S+)?$\n  --", result.out, re.M) == []


def test_help_lists_every_command_in_full(gruhw: CommandLine) -> None:
    result = gruhw.succeeds("--help")
    listed = re.findall(r"^  (\w+)  +([A-Z].*)$", result.out.partition("Commands:")[2], re.M)
    assert {name for name, _ in listed} >= {*COMMANDS}
    assert [text for _, text in listed if not text.endswith(".") or text.endswith("...")] == []


def test_no_command_gets_the_help(gruhw: CommandLine) -> None:
    result = gruhw()
    assert (result.status, result.err) == (2, "gruhw: a command is required, but missing\n")
    assert result.out == gruhw("--help").out


def test_tasks(gruhw: CommandLine, tmp_path: Path) -> None:
    result = gruhw.succeeds("tasks", "--json", "sub/tasks.json")
    (name, task), *_ = read_json(tmp_path / "sub" / "tasks.json")["tasks"].items()
    assert name == "mnist-rows"
    assert task.keys() == {"description", "source", "licence"}
    assert result.rows()[0][0] == name
    assert not result.err


def test_train(trained: Path) -> None:
    found = read_json(trained / "train.json")
    assert found["validation_accuracy"] > 0.9
    assert found["weight_bits"] == BITS * (3 * HIDDEN * (CLASSES + HIDDEN) + CLASSES * HIDDEN)
    genome = read_json(trained / "design" / "genome.json")
    assert genome["sizes"] == {"input": CLASSES, "hidden": HIDDEN, "classes": CLASSES}
    assert set(genome["genes"].values()) == {BITS}
    assert genome["task"] == "task.npz"
    record = read_json(trained / "design" / "training.json")
    assert record["recipe"]["float_epochs"] == EPOCHS
    assert record["recipe"]["quantised_epochs"] == 1
    assert {k.replace(" ", "_"): v for k, v in record["figures"].items()} == found

    text = (trained / "out.txt").read_text()
    calibrated = Accuracy(round(found["test_accuracy_before_quantised_training"] * 24), 24)
    name = "test_accuracy_interval_before_quantised_training"
    assert found[name] == [*calibrated.interval]
    assert re.search(rf"│ test accuracy, calibrated +│ {re.escape(str(calibrated))} *│", text)
    for part, count in (("validation", 9), ("test", 24)):
        accuracy = Accuracy(found[f"{part}_correct"], count)
        assert found[f"{part}_sequences"] == count
        assert found[f"{part}_accuracy"] == accuracy.share
        assert found[f"{part}_accuracy_interval"] == [*accuracy.interval]
        assert re.search(rf"│ {part} accuracy +│ {re.escape(str(accuracy))} *│", text)
    epochs = (trained / "err.txt").read_text().splitlines()
    expected = [("float", str(n + 1), str(EPOCHS)) for n in range(EPOCHS)] + [
        ("quantised", "1", "1")
    ]
    accuracy = r"\d+\.\d\d % \(\d+\.\d to \d+\.\d %, 9 sequences\)"
    pattern = re.compile(rf" *(\w+) +(\d+)/(\d+)  loss \d\.\d{{4}}  validation {accuracy}")
    assert [match.groups() for line in epochs if (match := pattern.fullmatch(line))] == expected
    assert len(epochs) == len(expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_of_any_size_are_learnt_from(gruhw: CommandLine, tmp_path: Path) -> None:
    write_tiny_task(tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    for part in ("train", "test"):
        x, lengths = arrays[f"x_{part}"].astype(np.float64), arrays[f"length_{part}"]
        none, once = np.zeros((2, *x.shape[:2], 1))
        once[0, 0] = 1e-200
        told = x * [1e200, 1e-200, 5e-300]
        # Padding counts for nothing, whatever it holds.
        told[np.arange(STEPS) >= lengths[:, np.newaxis]] = np.finfo(np.float64).max
        arrays[f"x_{part}"] = np.concatenate([told, once, none + 1e308, none + 5e-324], axis=2)
    arrays["x_test"][0, 0, 3] = -1e308  # nothing like it was ever seen
    np.savez(tmp_path / "task.npz", **arrays)
    result = gruhw.succeeds(
        *("train", "--task", "task.npz", "--out", "design", "--hidden", str(HIDDEN)),
        *("--float-epochs", "60", "--epochs", "1", "--json", "train.json"),
    )
    lines = result.err.splitlines()
    others = [line for line in lines if not re.match(r" *(float|quantised) +\d+/", line)]
    # The one 1e-200 is far from the zeros beside it, and is said to be.
    assert all(line.startswith("gruhw: warning: one sample of ") for line in others)
    assert read_json(tmp_path / "train.json")["test_accuracy"] > 0.9
    for split in ("train", "val", "test"):
        gruhw.succeeds("evaluate", "--genome", "design/genome.json", "--split", split)
    model = Model.from_bytes((tmp_path / "design" / "model.safetensors").read_bytes(), Path("m"))
    expected = load_task("task.npz").normalisation()
    np.testing.assert_array_equal(model.normalisation.scale, expected.scale)
    np.testing.assert_array_equal(model.normalisation.offset, expected.offset)


def test_train_keeps_the_widths_and_the_folding_of_a_genome(
    trained: Path, gruhw: CommandLine, tmp_path: Path
) -> None:
    shutil.copy(trained / "task.npz", tmp_path)
    genes = read_json(trained / "design" / "genome.json")["genes"]
    genes |= {"W_ir": 3, "W_hn.weight": 2, "add_h": 5}
    (tmp_path / "genome.json").write_text(json.dumps(TEMPLATE | {"genes": genes}))
    gruhw.succeeds(
        *("train", "--task", "task.npz", "--genome", "genome.json", "--out", "design"),
        *("--float-epochs", "1", "--epochs", "0"),
    )
    found = read_json(tmp_path / "design" / "genome.json")
    assert found["genes"] == genes
    assert found["folding"] == {"pe": 2}


def test_evaluate_counts_what_train_did(
    trained: Path, gruhw: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(trained)
    figures = read_json(trained / "train.json")
    sequences = {"val": 9, "test": 24}
    for split, figure in (("val", "validation_accuracy"), ("test", "test_accuracy")):
        path = tmp_path / f"{split}.json"
        result = gruhw.succeeds(
            "evaluate", "--genome", "design/genome.json", "--split", split, "--json", path
        )
        found = read_json(path)
        assert found["accuracy"] == figures[figure] == found["correct"] / found["sequences"]
        assert found["sequences"] == sequences[split]
        assert (found["task"], found["split"]) == ("task.npz", split)
        assert found["weight_bits"] == figures["weight_bits"]
        accuracy = Accuracy(found["correct"], sequences[split])
        assert found["accuracy_interval"] == [*accuracy.interval]
        assert ["accuracy", str(accuracy)] in result.rows()
        assert ["correct", str(found["correct"])] in result.rows()


def test_validation_data_that_may_have_been_trained_on(
    trained: Path, gruhw: CommandLine, tmp_path: Path
) -> None:
    genome = trained / "design" / "genome.json"
    write_tiny_task(tmp_path / "same.npz")
    write_tiny_task(tmp_path / "other.npz", train=80)
    shutil.copytree(trained / "design", tmp_path / "unknown")
    model = Model.from_bytes((trained / "design" / "model.safetensors").read_bytes(), genome)
    save_design(Path("unknown"), Genome.load(genome), replace(model, trained_on=None), None)
    unknown, known = Path("unknown/genome.json"), genome

    def said(of: Path, task: str, split: str) -> str:
        result = gruhw.succeeds(
            *("evaluate", "--genome", of, "--task", task, "--split", split, "--json", "e.json")
        )
        lines = [line for line in result.err.splitlines() if not line.startswith("evaluated in ")]
        seen = read_json(tmp_path / "e.json").get("validation_may_be_trained_on")
        assert seen == (bool(lines) if split == "val" else None)
        return "".join(lines)

    assert said(known, "same.npz", "val") == ""
    assert said(known, "other.npz", "test") == ""
    assert said(unknown, "same.npz", "train") == ""
    rest = (
        ": validation sequences may be among what it was trained on, and validation accuracy may "
        "be too high"
    )
    assert said(known, "other.npz", "val") == (
        f"gruhw: warning: {genome}: the model was not trained on the training part of task "
        f"other.npz as it is now{rest}"
    )
    assert said(unknown, "same.npz", "val") == (
        f"gruhw: warning: {unknown}: the model does not record what it was trained on{rest}"
    )


def test_a_class_without_validation_data(gruhw: CommandLine, tmp_path: Path) -> None:
    write_tiny_task(tmp_path / "plain.npz")
    with np.load(tmp_path / "plain.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    few = (arrays["y_train"] != 1) | (np.arange(len(arrays["y_train"])) < 10)  # 3 of class 1
    arrays |= {name: arrays[name][few] for name in ("x_train", "y_train", "length_train")}
    np.savez(tmp_path / "task.npz", **arrays)
    warning = (
        "gruhw: warning: task.npz: validation data have no sequence of 1 of the 3 classes, such "
        "as 1: validation accuracy says nothing of them"
    )
    train = ("train", "--task", "task.npz", "--out", "design", "--hidden", str(HIDDEN))
    result = gruhw.succeeds(*train, "--float-epochs", "0", "--epochs", "0")
    assert warning in result.err.splitlines()
    for split, warned in (("val", True), ("test", False)):
        result = gruhw.succeeds("evaluate", "--genome", "design/genome.json", "--split", split)
        assert (warning in result.err.splitlines()) is warned
    result = gruhw.succeeds("calibrate", "--genome", "design/genome.json", "--out", "out")
    assert warning in result.err.splitlines()


def test_evaluate_takes_another_task(trained: Path, gruhw: CommandLine, tmp_path: Path) -> None:
    write_tiny_task(tmp_path / "other.npz", test=9)
    genome = trained / "design" / "genome.json"
    result = gruhw.succeeds("evaluate", "--genome", genome, "--task", "other.npz", "--json", "-")
    assert json.loads(result.out)["sequences"] == 9
    assert result.err.splitlines()[-1].startswith("evaluated in ")


def test_generate_a_trained_design(trained: Path, gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds("generate", "--genome", trained / "design" / "genome.json", "--out", "it")
    with np.load(tmp_path / "it" / "vectors.npz") as archive:
        vectors = {name: archive[name] for name in archive.files}
    with np.load(tmp_path / "it" / "parameters.npz") as archive:
        reference = OtherReference({name: archive[name] for name in archive.files})
    # Sequences of several lengths.
    assert set(vectors["length"].tolist()) == set(range(2, STEPS + 1))
    expected = reference.run(vectors["x"], vectors["length"])
    assert [name for name in expected if not np.array_equal(expected[name], vectors[name])] == []


@pytest.mark.icarus
def test_its_plain_testbench_passes(trained: Path, gruhw: CommandLine, tmp_path: Path) -> None:
    gruhw.succeeds("generate", "--genome", trained / "design" / "genome.json", "--out", "it")
    for command in (
        ["iverilog", "-g2005", "-o", "testbench.vvp", "testbench.v", "gruhw.v"],
        ["vvp", "testbench.vvp"],
    ):
        finished = subprocess.run(
            command, cwd=tmp_path / "it", capture_output=True, text=True, check=True
        )
    assert finished.stdout.startswith("PASS: 4 sequences, ")


@pytest.mark.slow
def test_verify_finds_the_top_of_a_file(trained: Path, gruhw: CommandLine, tmp_path: Path) -> None:
    genome = trained / "design" / "genome.json"
    gruhw.succeeds("generate", "--genome", genome, "--out", "it", "--top", "left")
    gruhw.succeeds("generate", "--genome", genome, "--out", "it", "--top", "right", "--pe", "1")
    left, right = ((tmp_path / "it" / f"{top}.v").read_text() for top in ("left", "right"))
    (tmp_path / "both.v").write_text(left + right)
    verify = ("verify", "--genome", genome, "--task", trained / "task.npz", "--samples", "3")
    chosen = ("--verilog", "both.v", "--top", "left")
    result = gruhw.succeeds(*verify, "--json", "v.json", *chosen)
    assert ["result", "equal"] in result.rows()
    assert read_json(tmp_path / "v.json")["sequences"] == 3
    result = gruhw(*verify, "--verilog", "both.v")
    message = "gruhw: both.v: must hold one accelerator, but holds left, right: give --top\n"
    assert (result.status, result.err) == (2, message)


def check_simulation(found: dict[str, Any], result: Result, sequences: int) -> None:
    rows, out = result.rows(), result.out
    assert found["passed"]
    assert found["sequences"] == sequences
    assert found["mismatches"] == []
    assert found["accuracy"] == found["reference_accuracy"]
    accuracy = Accuracy(round(found["accuracy"] * sequences), sequences)
    assert found["accuracy_interval"] == [*accuracy.interval]
    assert f"accuracy in hardware {accuracy}\naccuracy in the reference {accuracy}\n" in out
    assert len(found["classes"]) == sequences
    expected = [[test["name"], "equal", f"{test['cycles']:,}", "0"] for test in found["tests"]]
    assert [row[:4] for row in rows] == expected
    assert len(rows) == 3


@pytest.mark.nightly
@pytest.mark.slow
def test_simulate_a_trained_design(trained: Path, gruhw: CommandLine, tmp_path: Path) -> None:
    genome = trained / "design" / "genome.json"
    result = gruhw.succeeds("simulate", "--genome", genome, "--samples", "3", "--json", "s.json")
    found = read_json(tmp_path / "s.json")
    assert found["simulator"] == "verilator"
    check_simulation(found, result, 3)


@pytest.mark.slow
def test_simulate_the_first_design(gruhw: CommandLine, tmp_path: Path) -> None:
    result = gruhw.succeeds("simulate", "--genome", DESIGN, "--samples", "3", "--json", "s.json")
    found = read_json(tmp_path / "s.json")
    check_simulation(found, result, 3)
    assert found["accuracy"] > 0.6


@pytest.mark.icarus
def test_simulate_other_sequences_with_icarus(
    trained: Path, gruhw: CommandLine, tmp_path: Path
) -> None:
    write_tiny_task(tmp_path / "other.npz", test=2)
    result = gruhw.succeeds(
        *("simulate", "--genome", trained / "design" / "genome.json", "--data", "other.npz"),
        *("--samples", "2", "--simulator", "icarus", "--pe", "2", "--output", "states"),
        *("--json", "s.json"),
    )
    found = read_json(tmp_path / "s.json")
    assert (found["simulator"], found["passed"], found["classes"]) == ("icarus", True, None)
    assert [row[1] for row in result.rows()] == ["equal"] * 3


@pytest.mark.slow
def test_a_mismatch_is_status_1(
    trained: Path, gruhw: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:

    def broken(network: Network, *, blocks: bool, top: str) -> Hardware:
        hardware = generate_verilog(network, blocks=blocks, top=top)
        return Hardware(hardware.accelerator, wrong_operator(hardware.verilog, "add_n"))

    monkeypatch.setattr("gruhw_hw.top.generate_verilog", broken)
    genome = trained / "design" / "genome.json"
    result = gruhw(
        *("simulate", "--genome", genome, "--samples", "1", "--json", "s.json"),
    )
    message = f"gruhw: {genome}: the hardware differs from the reference\n"
    assert (result.status, result.err) == (1, message)
    assert result.rows()[0][:2] == ["streams_never_stall", "different"]
    assert "streams_never_stall: value of add_n, sequence 0, step 0, unit 0" in result.out
    assert not read_json(tmp_path / "s.json")["passed"]


def check_table(found: dict[str, Any], out: str, rows: list[list[str]]) -> None:
    """The table says what the JSON says."""
    (heading,) = (line for line in out.splitlines() if line.startswith("┃"))
    names = [COLUMNS[cell.strip()] for cell in heading.strip("┃").split("┃")[1:]]
    table = {row[0]: [int(cell.replace(",", "")) for cell in row[1:]] for row in rows}
    operators = {name: [used[n] for n in names] for name, used in found["by_operator"].items()}
    sums = [sum(column) for column in zip(*operators.values(), strict=True)]
    total = [found["total"][name] for name in names]
    assert table == operators | {"sum": sums, "total, flattened": total}
    # Columns that are left out are all 0.
    for used in (found["total"], *found["by_operator"].values()):
        assert {name for name in COLUMNS.values() if used[name]} <= {*names}
        assert used["other"] == {}


@pytest.mark.slow
def test_synth_fits_a_small_fpga(gruhw: CommandLine, tmp_path: Path) -> None:
    result = gruhw.succeeds("synth", "--genome", DESIGN, "--target", "ice40", "--json", "s.json")
    found = read_json(tmp_path / "s.json")
    assert [*found["by_operator"]] == [*OPERATORS, "head", "control and streams"]
    check_table(found, result.out, result.rows())
    assert 0 < found["total"]["luts"] < UP5K_LUTS
    assert 0 < found["total"]["block_rams"] <= UP5K_BLOCK_RAMS
    assert found["total"]["dsps"] == 0
    assert found["tools"]["yosys"]
    assert result.out.splitlines()[-1].startswith(f"yosys {found['tools']['yosys']}, ")
    assert found["warnings"] == []


@pytest.mark.slow
def test_report_compares_with_a_baseline(
    trained: Path, gruhw: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(trained)
    markdown, written = tmp_path / "sub" / "report.md", tmp_path / "report.json"
    result = gruhw.succeeds(
        *("report", "--genome", "design/genome.json", "--target", "ice40", "--pe", "2"),
        *("--markdown", markdown, "--json", written),
    )
    (found,) = read_json(written)["designs"]
    figures = read_json(trained / "train.json")
    assert found["test_accuracy"] == figures["test_accuracy"]
    assert found["weight_bits"] == figures["weight_bits"]
    assert found["name"] == "design"
    (synthesis,) = found["synthesis"]
    rows = dict(result.rows())
    accuracy = Accuracy(found["test_correct"], found["test_sequences"])
    assert found["test_accuracy_interval"] == [*accuracy.interval]
    assert rows["test accuracy"] == accuracy.percent
    assert rows["95 % interval"] == accuracy.bounds
    assert rows["test sequences"] == "24"
    assert rows["ice40 luts"] == f"{synthesis['total']['luts']:,}"
    assert rows["cycles a sequence"] == f"{found['sequence_cycles']:,}"
    (other,) = found["other_foldings"]
    assert other["pe"] == 2
    assert rows["pe 2: cycles a sequence"] == f"{other['sequence_cycles']:,}"
    assert other["sequence_cycles"] < found["sequence_cycles"]
    luts = [of["synthesis"][0]["total"]["luts"] for of in (found, other)]
    assert rows["pe 2: ice40 luts"] == f"{luts[1]:,}"
    assert luts[0] < luts[1]
    text = markdown.read_text()
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    assert {row[0]: row[-1] for row in table[2:]} == rows
    assert f"Measured with yosys {synthesis['tools']['yosys']}, " in text


def test_an_interrupted_write_leaves_the_old_files(
    gruhw: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gruhw.succeeds("generate", "--genome", DESIGN, "--out", "it")
    gruhw.succeeds("generate", "--genome", DESIGN, "--out", "new", "--pe", "2")
    old, new = contents(tmp_path / "it"), contents(tmp_path / "new")
    synced = 0

    def interrupt(descriptor: int) -> None:
        nonlocal synced
        synced += 1
        if synced == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    result = gruhw("generate", "--genome", DESIGN, "--out", "it", "--pe", "2")
    assert (result.status, result.out, result.err) == (130, "", "gruhw: interrupted\n")
    found = contents(tmp_path / "it")
    assert found.keys() == old.keys()
    assert [name for name in found if found[name] not in (old[name], new[name])] == []
    assert sum(found[name] != old[name] for name in found) == 2
    assert found["manifest.json"] == old["manifest.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is not here")
def test_output_that_cannot_be_written_is_status_1(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        result = run_process("tasks", cwd=tmp_path, stdout=full)
    assert (result.status, result.err) == (1, "gruhw: no space left on device\n")
