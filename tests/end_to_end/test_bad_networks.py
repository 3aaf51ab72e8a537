"""Networks that are none, or do not fit: one line says what was required and what was found."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from any_design import write_design, write_task
from bad_input import GENOME, MODEL, Refused, edit, generate
from safetensors.numpy import load, save

from gruhw.design import save_design
from gruhw.network.architecture import Architecture
from gruhw.network.bound import read_model
from gruhw.network.genome import Genome
from gruhw.network.normalisation import Span

DEEP = "dense:4:relu,gru:3"
OTHER = Path("deep/genome.json")
FORM = "layer must be CELL:UNITS or dense:UNITS:relu|tanh, as gru:32, not"
KNOWN = "layer must be one of gru, ugrnn, mgu, lstm, dense, not"

Fields: TypeAlias = dict[str, Any]


@pytest.fixture(autouse=True)
def tasks(refused: Refused) -> None:
    """Tasks of classes and of values, and a design of two layers; all beside ``design``."""
    for name, what in (
        ("two", {"classes": 2}),
        ("three", {"classes": 3}),
        ("values", {"values": 2}),
    ):
        write_task(Path(f"{name}.npz"), 3, **what)
    write_design(OTHER.parent, network(DEEP, 3), "three.npz")


def network(layers: str, outputs: int) -> Architecture:
    return Architecture(inputs=3, layers=layers, outputs=outputs)


def begin(command: str, *more: str) -> tuple[str, ...]:
    """Train or search, with options."""
    return (command, "--task", "three.npz", "--out", "out", *more)


@pytest.mark.parametrize("command", ["train", "search"])
@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ("foo:3", f"{KNOWN} 'foo'"),
        ("GRU:3", f"{KNOWN} 'GRU'"),
        ("gru", f"{FORM} 'gru'"),
        ("gru:x", f"{FORM} 'gru:x'"),
        ("gru: 4", f"{FORM} 'gru: 4'"),
        ("gru:4:", f"{FORM} 'gru:4:'"),
        ("", f"{FORM} ''"),
        ("gru:4,", f"{FORM} ''"),
        ("gru:0", "units of layer gru must be 1 to 1024, not 0"),
        ("gru:4,lstm:1025", "units of layer lstm must be 1 to 1024, not 1025"),
        ("gru:4:relu", "layer gru must have no activation of its own, not 'relu'"),
        ("dense:4:gelu", "activation of layer dense must be relu or tanh, or absent, not 'gelu'"),
        (
            "dense:4,dense:3:tanh",
            "layers must contain one that is recurrent, as gru:32, not dense:4, dense:3:tanh",
        ),
    ],
)
def test_layers_that_are_none(layers: str, line: str, command: str, refused: Refused) -> None:
    refused(line, *begin(command, "--layers", layers))


@pytest.mark.parametrize("command", ["train", "search"])
def test_two_ways_to_say_the_layers(command: str, refused: Refused) -> None:
    line = "--hidden N is short for --layers gru:N: give one of them"
    refused(line, *begin(command, "--layers", "gru:4", "--hidden", "4"))


@pytest.mark.parametrize("command", ["train", "search"])
def test_classes_of_a_task_that_has_none(command: str, refused: Refused) -> None:
    refused(
        "output must be values or states for task values.npz, which has no classes, not class",
        *(command, "--task", "values.npz", "--out", "out", "--output", "class"),
    )


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--layers", "gru:4", "layers must be dense:4:relu,gru:3, as in {}, or absent, not gru:4"),
        ("--hidden", "3", "layers must be dense:4:relu,gru:3, as in {}, or absent, not gru:3"),
        ("--initial", "constant", "initial must be zero, as in {}, or absent, not constant"),
    ],
)
@pytest.mark.parametrize(("command", "source"), [("train", "--genome"), ("search", "--model")])
def test_options_that_contradict_a_design(
    command: str, source: str, option: str, value: str, line: str, refused: Refused
) -> None:
    refused(line.format(OTHER), *begin(command, source, str(OTHER), option, value))


def test_a_model_of_another_task(refused: Refused) -> None:
    refused(
        f"{OTHER}: outputs of the network must be 1 or 2, as in task two.npz, not 3",
        *("search", "--task", "two.npz", "--out", "out", "--model", OTHER),
    )


def test_a_model_with_a_logit_too_many(refused: Refused) -> None:
    genome = write_design(Path("logits"), network("gru:3", 2), "two.npz")
    refused(
        f"{genome}: outputs of the network must be 1 for output values, not 2",
        *("search", "--task", "two.npz", "--out", "out", "--model", genome, "--output", "values"),
    )


def replaced(*path: str, by: object) -> Callable[[Fields], None]:
    """Changes a field of a genome."""

    def change(genome: Fields) -> None:
        *parents, last = path
        for name in parents:
            genome = genome[name]
        genome[last] = by

    return change


def without(*path: str) -> Callable[[Fields], None]:
    """Removes a field of a genome."""

    def change(genome: Fields) -> None:
        *parents, last = path
        for name in parents:
            genome = genome[name]
        del genome[last]

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (replaced("network", "layers", by=["foo:3", "gru:3"]), f"network.{KNOWN} 'foo'"),
        (replaced("network", "layers", by=["gru"]), f"network.{FORM} 'gru'"),
        (
            replaced("network", "layers", by=["dense:4:relu", "dense:3"]),
            (
                "network.layers must contain one that is recurrent, as gru:32, not dense:4:relu, "
                "dense:3"
            ),
        ),
        (
            replaced("network", "layers", by=[]),
            "network.layers must be a list of at least one, as ['gru:32'], not []",
        ),
        (without("network", "layers"), "network.layers is required, but missing"),
        (without("network"), "network is required, but missing"),
        (replaced("network", by=["gru:3"]), "network must be an object, not ['gru:3']"),
        (replaced("network", "bias", by=True), "network.bias is not a field of this file"),
        (
            replaced("network", "inputs", by=0),
            "network.inputs: input should be greater than or equal to 1, not 0",
        ),
        (
            replaced("network", "initial", by="one"),
            "network.initial: input should be 'zero', 'constant' or 'carry', not 'one'",
        ),
        (
            replaced("network", "outputs", by=1),
            "network.outputs must be at least 2 for output class, not 1: one logit is a value",
        ),
        (
            replaced("sizes", by={"input": 3}),
            "sizes is a field of version 1: version 2 has network",
        ),
        (replaced("version", by=1), "network is a field of version 2: version 1 has sizes"),
        (replaced("version", by=3), "version: input should be 1 or 2, not 3"),
        (
            without("genes", "l1.W_ir"),
            "genes: result width of l1.W_ir (gene l1.W_ir) is required, but missing",
        ),
        (
            replaced("genes", "l1.W_ir", by=13),
            "genes: result width of l1.W_ir must be 1 to 12 bits, not 13",
        ),
        (
            replaced("folding", "pe", by=[1, 1, 1]),
            "folding.pe must be one number, or 2 for as many layers, not 3",
        ),
        (
            replaced("folding", "pe", by=[1, 9]),
            "folding.pe of layer 1 must be 1 to its 3 units, not 9",
        ),
        (
            replaced("folding", "pe", by=5),
            "folding.pe must be 1 to the 4 units of the largest layer, not 5",
        ),
    ],
)
def test_a_network_whose_parts_do_not_fit(
    change: Callable[[Fields], None], line: str, refused: Refused
) -> None:
    genome = json.loads(OTHER.read_text())
    change(genome)
    OTHER.write_text(json.dumps(genome))
    refused(f"{OTHER}: {line}", "generate", "--genome", OTHER, "--out", "out")


@pytest.mark.parametrize("gene", ["l2.W_ir", "l0.W_ir", "W_ir", "l0_reverse.W"])
def test_genes_of_a_layer_that_is_not_there(gene: str, refused: Refused) -> None:
    genome = json.loads(OTHER.read_text())
    known = ", ".join(genome["genes"])
    genome["genes"][gene] = 4
    OTHER.write_text(json.dumps(genome))
    refused(
        f"{OTHER}: genes: gene must be one of {known}, not '{gene}'",
        *("generate", "--genome", OTHER, "--out", "out"),
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"network": {"inputs": 28, "layers": ["gru:32"], "outputs": 10}},
            "network is a field of version 2: version 1 has sizes",
        ),
        ({"output": "values"}, "output must be class or states in version 1, not 'values'"),
        ({"folding": {"pe": [2]}}, "folding.pe must be one number in version 1, not [2]"),
        ({"version": 2}, "sizes is a field of version 1: version 2 has network"),
        ({"sizes__layers": ["gru:32"]}, "sizes.layers is not a field of this file"),
    ],
)
def test_a_genome_of_version_1_with_fields_of_version_2(
    fields: Fields, line: str, refused: Refused
) -> None:
    edit(**fields)
    refused(f"{GENOME}: {line}", *generate())


def with_tensor(model: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change a tensor of a model, and the SHA-256 in its genome."""
    data = model.read_bytes()
    tensors = load(data)
    tensors[name] = np.ascontiguousarray(change(tensors[name]))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    model.write_bytes(save(tensors, metadata=header["__metadata__"]))
    path = model.parent / "genome.json"
    genome = json.loads(path.read_text())
    genome["model"]["sha256"] = sha256(model.read_bytes()).hexdigest()
    path.write_text(json.dumps(genome))


def test_a_head_of_the_wrong_width(refused: Refused) -> None:
    model = OTHER.parent / "model.safetensors"
    with_tensor(model, "head.weight", lambda weight: weight[:, :2])
    refused(
        f"{model}: shape of head.weight must be [3, 3] for 3 inputs, dense:4:relu, gru:3, "
        "3 outputs, not [3, 2]",
        *("generate", "--genome", OTHER, "--out", "out"),
    )


def test_a_head_of_the_wrong_width_in_an_old_model(refused: Refused) -> None:
    with_tensor(MODEL, "head.weight", lambda weight: weight[:, :-1])
    hidden, inputs, outputs = 32, 28, 10
    refused(
        f"{MODEL}: shape of head.weight must be [{outputs}, {hidden}] for {inputs} inputs, "
        f"gru:{hidden}, {outputs} outputs, not [{outputs}, {hidden - 1}]",
        *generate(),
    )


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("layers", ["dense:4:relu", "gru:4"], "3 inputs, dense:4:relu, gru:4, 3 outputs"),
        ("inputs", 4, "4 inputs, dense:4:relu, gru:3, 3 outputs"),
        ("outputs", 2, "3 inputs, dense:4:relu, gru:3, 2 outputs"),
        (
            "initial",
            "constant",
            "3 inputs, dense:4:relu, gru:3, 3 outputs, constant initial states",
        ),
    ],
)
def test_a_model_of_another_network(
    field: str, value: object, wanted: str, refused: Refused
) -> None:
    genome = json.loads(OTHER.read_text())
    genome["network"][field] = value
    OTHER.write_text(json.dumps(genome))
    refused(
        f"{OTHER.parent / 'model.safetensors'}: the model must be of {wanted}, "
        "not of 3 inputs, dense:4:relu, gru:3, 3 outputs",
        *("generate", "--genome", OTHER, "--out", "out"),
    )


@pytest.mark.parametrize(
    ("command", "source"), [("evaluate", "task values.npz"), ("generate", "values.npz")]
)
def test_values_for_a_design_of_classes(command: str, source: str, refused: Refused) -> None:
    option = ("--task",) if command == "evaluate" else ("--out", "out", "--data")
    refused(
        f"{source}: y must be classes, for output class of {OTHER}, not values",
        *(command, "--genome", OTHER, *option, "values.npz"),
    )


def test_another_number_of_values(refused: Refused) -> None:
    genome = write_design(Path("reg"), network(DEEP, 2), "values.npz", output="values")
    write_task(Path("more.npz"), 3, values=3)
    refused(
        f"task more.npz: values of a sequence must be 2, as in {genome}, not 3",
        *("evaluate", "--genome", genome, "--task", "more.npz"),
    )
    refused(
        f"{genome}: outputs of the network must be 3, as in task more.npz, not 2",
        *("calibrate", "--genome", genome, "--task", "more.npz", "--out", "out"),
    )


def test_classes_for_a_design_that_has_learnt_values(refused: Refused) -> None:
    path = write_design(Path("reg"), network(DEEP, 2), "values.npz", output="values")
    genome = Genome.load(path)
    model = replace(read_model(genome, path), span=Span(np.zeros(2), np.ones(2)))
    save_design(path.parent, genome, model, None)
    refused(
        f"task two.npz: y must be values, which {path} has learnt, not classes",
        *("evaluate", "--genome", path, "--task", "two.npz"),
    )


def test_a_logit_for_three_classes(refused: Refused) -> None:
    genome = write_design(Path("logit"), network(DEEP, 1), "two.npz", output="values")
    refused(
        f"task three.npz: labels must be 0 to 1, as in {genome}, not 2",
        *("evaluate", "--genome", genome, "--task", "three.npz"),
    )
    refused(
        f"{genome}: network.outputs must be at least 2 for output class, not 1: one logit is a "
        "value",
        *("generate", "--genome", genome, "--out", "out", "--output", "class"),
    )


@pytest.mark.parametrize(
    ("pe", "line"),
    [
        ("1,2,3", "pe must be one number, or 2 for as many layers, not 3"),
        ("5,2", "pe of layer 0 must be 1 to its 4 units, not 5"),
        ("5", "pe must be 1 to the 4 units of the largest layer, not 5"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "report"])
def test_foldings_that_do_not_suit(pe: str, line: str, command: str, refused: Refused) -> None:
    refused(line, command, "--genome", OTHER, "--pe", pe)


def test_targets_of_every_step(refused: Refused) -> None:
    """Of steps, data must say what they say they do; and the network gives that."""
    with np.load("values.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    count, steps, _ = arrays["x_train"].shape
    arrays["target"] = np.array("values every step")
    np.savez("every.npz", allow_pickle=False, **arrays)
    refused(
        f"every.npz: shape of y_train must be [{count}, {steps}, K], 1 to 1024 values for each "
        f"step, not {list(arrays['y_train'].shape)}",
        *("train", "--task", "every.npz", "--out", "out"),
    )
    for part in ("train", "test"):
        arrays[f"y_{part}"] = np.zeros((len(arrays[f"y_{part}"]), steps, 3))
    np.savez("every.npz", allow_pickle=False, **arrays)
    refused(
        "output must be values or states for task every.npz, which has no classes, not class",
        *("train", "--task", "every.npz", "--output", "class", "--out", "out"),
    )
    refused(
        f"{OTHER}: outputs of the network must be at every step, as in task every.npz, not after "
        "the last step",
        *("search", "--task", "every.npz", "--model", OTHER, "--out", "out"),
    )
    refused(
        f"--every-step must be absent: {OTHER} gives outputs at the end alone",
        *("train", "--task", "values.npz", "--genome", OTHER, "--every-step", "--out", "out"),
    )
