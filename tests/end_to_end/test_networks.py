"""Every command takes any network: layers of all cells, other outputs, at every step, states."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_design import BITS, STEPS, TEST, write_design, write_task
from command_line import CommandLine
from numpy.typing import NDArray
from other_reference import OtherReference

from gruhw.design import Design, generate
from gruhw.network.architecture import Architecture, Initial
from gruhw.network.genome import Output

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Case:
    """A network, and a task for it."""

    layers: str
    outputs: int
    output: Output = "class"
    initial: Initial = "zero"
    pe: int | tuple[int, ...] = 1
    classes: int = 0
    values: int = 0
    figure: str = "accuracy"
    every_step: bool = False

    @property
    def network(self) -> Architecture:
        return Architecture(
            inputs=3,
            layers=self.layers,
            outputs=self.outputs,
            initial=self.initial,
            every_step=self.every_step,
        )


ERROR = "mean_squared_error"

CASES: Mapping[str, Case] = {
    "deep": Case("dense:4:relu,lstm:3,gru:2", 3, "class", "constant", (2, 1, 2), classes=3),
    "one lstm": Case("lstm:4", 3, classes=3),
    "logit": Case("ugrnn:4", 1, "values", classes=2),
    "regression": Case("mgu:3,dense:2:tanh", 2, "values", pe=2, values=2, figure=ERROR),
    "states": Case("gru:3,mgu:2", 3, "states", "constant", classes=3),
    "every step": Case("gru:8", 2, classes=2, every_step=True),
    "stream": Case("lstm:3", 2, initial="carry", classes=2),
    "streamed values": Case(
        "gru:2,mgu:3", 2, "values", "carry", (2, 1), values=2, figure=ERROR, every_step=True
    ),
}


@dataclass(frozen=True)
class Made:
    """A design that was written, and the contents of its generated folder."""

    case: Case
    genome: Path
    folder: Path

    @property
    def task(self) -> Path:
        return self.folder.parent / "task.npz"

    def load(self, name: str) -> Arrays:
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    def read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The design of a case, generated once."""
    case: Case = CASES[request.param]
    folder = tmp_path_factory.mktemp("made")
    task = folder / "task.npz"
    write_task(task, 3, classes=case.classes, values=case.values)
    path = write_design(folder / "design", case.network, str(task), output=case.output, pe=case.pe)
    design = Design.load(path)
    generate(design, folder / "it", design.samples())
    return Made(case, path, folder / "it")


every_case = pytest.mark.parametrize("made", CASES, indirect=True)


def others_nightly(*names: str) -> pytest.MarkDecorator:
    """These cases, and the others at night: commands have tests of their own for each of them."""
    rest = [pytest.param(name, marks=pytest.mark.nightly) for name in CASES if name not in names]
    return pytest.mark.parametrize("made", [*names, *rest], indirect=True)


@every_case
def test_parameters_are_what_the_contract_lists(made: Made) -> None:
    network, found = made.case.network, made.load("parameters")
    operators = {
        stage.spell(node.name): node for stage in network.stages for node in stage.graph.operators
    }
    expected = {f"{name}.{what}" for name in ("input", *operators) for what in TYPE}
    for name, (outputs, inputs) in network.layer_shapes.items():
        expected |= {f"{name}.{what}" for what in ("weight", "weight_frac", "bias")}
        assert found[f"{name}.weight"].shape == (outputs, inputs)
        assert found[f"{name}.bias"].shape == (outputs,)
    tables = [stage.spell(table.name) for stage in network.stages for table in stage.graph.tables]
    for name in tables:
        assert found[f"{name}.table"].shape == (2**BITS,)
    expected |= {f"{name}.table" for name in tables}
    for name, shape in network.initial_shapes.items():
        assert found[f"{name}.initial"].shape == shape
        assert found[f"{name}.initial"].any()
    expected |= {f"{name}.initial" for name in network.initial_shapes}
    assert found.keys() == expected
    assert {int(found[f"{gene.operator}.bits"]) for gene in network.genes[:1]} == {BITS}
    # A name says to which layer it belongs, if there are several.
    assert any(name.startswith("l1.") for name in found) == (len(network.layers) > 1)


TYPE = ("bits", "frac", "signed")


@every_case
def test_another_reference_gets_the_same_integers(made: Made) -> None:
    case, vectors = made.case, made.load("vectors")
    reference = OtherReference(
        made.load("parameters"),
        case.layers.split(","),
        case.output,
        every_step=case.every_step,
        carries=case.initial == "carry",
    )
    expected = reference.run(vectors["x"], vectors["length"])
    assert vectors.keys() == expected.keys() | {"x", "length", "cycle"}
    assert [name for name in expected if not np.array_equal(expected[name], vectors[name])] == []
    places = (TEST, STEPS) if case.every_step else (TEST,)
    assert vectors["logits"].shape == (*places, case.outputs)
    assert ("class" in vectors) == (case.output != "values")
    # Nothing is equal for being empty.
    assert np.unique(vectors["logits"]).size > 2


@every_case
def test_the_folder_is_a_design_that_says_what_it_is(made: Made, gruhw: CommandLine) -> None:
    case, genome = made.case, made.read("genome")
    assert genome["version"] == 2
    assert genome["network"] == {
        "inputs": 3,
        "layers": case.layers.split(","),
        "outputs": case.outputs,
        "initial": case.initial,
        **({"every_step": True} if case.every_step else {}),
    }
    pe = case.pe if isinstance(case.pe, int) else list(case.pe)
    assert (genome["folding"], genome["output"]) == ({"pe": pe}, case.output)
    assert made.read("ports")["output"]["contents"] == case.output
    gruhw.succeeds("generate", "--genome", made.folder / "genome.json", "--out", "again")
    for file in made.folder.iterdir():
        assert (Path("again") / file.name).read_bytes() == file.read_bytes()


@every_case
def test_evaluate(made: Made, gruhw: CommandLine) -> None:
    result = gruhw.succeeds("evaluate", "--genome", made.genome, "--json", "e.json")
    found = json.loads(Path("e.json").read_text())
    vectors = made.load("vectors")
    with np.load(made.task) as task:
        right = task["y_test"]
    logits = vectors["logits"]
    if made.case.every_step:
        # What is right of a sequence is right of its steps, however many it has.
        logits = np.concatenate(
            [steps[:n] for steps, n in zip(logits, vectors["length"], strict=True)]
        )
        right = np.repeat(right, vectors["length"], axis=0)
    if made.case.values:
        scale = 2.0 ** -int(made.load("parameters")["head.frac"])
        expected = np.mean((logits * scale - right) ** 2)
    elif made.case.outputs == 1:
        expected = np.mean((logits[:, 0] > 0) == right)
    else:
        expected = np.mean(logits.argmax(axis=1) == right)
    name = made.case.figure
    assert found[name] == pytest.approx(expected)
    assert found["sequences"] == TEST
    low, high = found[f"{name}_interval"]
    assert low <= found[name] <= high
    assert ("correct" in found) == (name == "accuracy")
    (shown,) = (row[1] for row in result.rows() if row[0] == name.replace("_", " "))
    assert shown.endswith(f" {TEST} sequences)")
    assert ("steps" in found) == (made.case.every_step and name == "accuracy")


@pytest.mark.icarus
@every_case
def test_its_plain_testbench_passes(made: Made) -> None:
    for command in (
        ["iverilog", "-g2005", "-o", "testbench.vvp", "testbench.v", "gruhw.v"],
        ["vvp", "testbench.vvp"],
    ):
        finished = subprocess.run(
            command, cwd=made.folder, capture_output=True, text=True, check=True
        )
    assert finished.stdout.startswith("PASS: 4 sequences, ")


@pytest.mark.slow
@others_nightly("deep", "regression", "every step", "streamed values")
def test_simulate_and_verify(made: Made, gruhw: CommandLine) -> None:
    gruhw.succeeds("simulate", "--genome", made.genome, "--samples", "3", "--json", "s.json")
    found = json.loads(Path("s.json").read_text())
    assert (found["passed"], found["sequences"], found["mismatches"]) == (True, 3, [])
    known = made.case.output != "states"
    name = made.case.figure
    assert known is (found.get(name) is not None)
    assert found[name] in (None, found[f"reference_{name}"])
    result = gruhw.succeeds("verify", "--genome", made.genome, "--json", "v.json")
    verified = json.loads(Path("v.json").read_text())
    assert (verified["passed"], verified["sequences"]) == (True, TEST)
    gruhw.succeeds("evaluate", "--genome", made.genome, "--json", "e.json")
    evaluated = json.loads(Path("e.json").read_text())[name]
    assert verified[name] == (pytest.approx(evaluated) if known else None)
    assert ["result", "equal"] in result.rows()


@pytest.mark.slow
@others_nightly("logit", "every step")
def test_prove(made: Made, gruhw: CommandLine) -> None:
    gruhw.succeeds("prove", "--genome", made.genome, "--json", "p.json")
    assert json.loads(Path("p.json").read_text())["proved"]


@pytest.mark.slow
@others_nightly("one lstm")
def test_synth_has_a_row_for_each_operator(made: Made, gruhw: CommandLine) -> None:
    gruhw.succeeds("synth", "--genome", made.genome, "--json", "s.json")
    found = json.loads(Path("s.json").read_text())["by_operator"]
    stages = made.case.network.stages
    operators = [stage.spell(node.name) for stage in stages for node in stage.graph.operators]
    assert list(found) == [*operators, "control and streams"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "made", ["regression", pytest.param("deep", marks=pytest.mark.nightly)], indirect=True
)
def test_report_says_what_each_layer_needs(made: Made, gruhw: CommandLine) -> None:
    case, alone = made.case, Case("ugrnn:2", made.case.outputs)
    baseline = write_design(Path("other"), alone.network, str(made.task), output=case.output)
    report = ("report", "--genome", made.genome, "--baseline", baseline, "--target", "ice40")
    result = gruhw.succeeds(*report, "--pe", "1", "--json", "r.json")
    found, other = json.loads(Path("r.json").read_text())["designs"]
    layers = case.layers.split(",")
    assert found["network"]["layers"] == layers
    names = [*(f"l{number}" for number in range(len(layers))), "head"]
    assert list(found["weight_bits_by_layer"]) == names
    assert sum(found["weight_bits_by_layer"].values()) == found["weight_bits"]
    (synthesis,) = found["synthesis"]
    assert list(synthesis["by_layer"]) == names
    for name, used in synthesis["by_layer"].items():
        parts = [
            part["luts"]
            for operator, part in synthesis["by_operator"].items()
            if operator.partition(".")[0] == name
        ]
        assert used["luts"] == sum(parts) > 0
    assert "weight_bits_by_layer" not in other
    assert "by_layer" not in other["synthesis"][0]
    rows = {name: cells for name, *cells in result.rows()}
    assert rows["layers"] == [case.layers, alone.layers]
    luts = synthesis["by_layer"]["l1"]["luts"]
    assert rows[f"ice40 luts of l1 {layers[1]}"] == [f"{luts:,}", ""]
    assert rows["weight bits of head"] == [str(found["weight_bits_by_layer"]["head"]), ""]
    assert f"pe 1: ice40 luts of l1 {layers[1]}" in rows


@pytest.mark.parametrize("made", ["deep"], indirect=True)
def test_each_layer_can_have_its_processing_elements(made: Made, gruhw: CommandLine) -> None:
    gruhw.succeeds("generate", "--genome", made.genome, "--out", "o", "--pe", "4,3,1")
    folding = json.loads(Path("o/genome.json").read_text())["folding"]
    assert folding == {"pe": [4, 3, 1]}
    gruhw.succeeds("generate", "--genome", made.genome, "--out", "o", "--pe", "2")
    assert json.loads(Path("o/genome.json").read_text())["folding"] == {"pe": 2}


@pytest.mark.parametrize("made", ["regression"], indirect=True)
def test_other_outputs_of_the_same_design(made: Made, gruhw: CommandLine) -> None:
    gruhw.succeeds("generate", "--genome", made.genome, "--out", "o", "--output", "states")
    order = json.loads(Path("o/ports.json").read_text())["output"]["order"]
    assert order.startswith("2 states a time step")
    with np.load("o/vectors.npz") as vectors:
        # Where states are asked for, every layer computes every step.
        inside = np.arange(STEPS) < vectors["length"][:, np.newaxis]
        assert (vectors["l1.W"].any(axis=2) <= inside).all()
        assert vectors["l1.W"].any(axis=2).sum() > TEST
