"""A wrong genome file or model: one line says what was required and what was found."""

import hashlib
import json

import numpy as np
import pytest
from bad_input import GENOME, HIDDEN, INPUTS, MODEL, Refused, edit, generate

from gruhw.network.model import Model


def test_missing_genome(refused: Refused) -> None:
    refused(
        "absent.json: cannot be read: no such file or directory",
        *("generate", "--genome", "absent.json", "--out", "out"),
    )


def test_genome_is_a_folder(refused: Refused) -> None:
    refused("design: cannot be read: is a directory", "generate", "--genome", "design")


def test_genome_is_no_json(refused: Refused) -> None:
    GENOME.write_text("{")
    refused(
        f"{GENOME}: must be JSON, but: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        *generate(),
    )


@pytest.mark.parametrize("command", ["generate", "simulate", "synth", "evaluate", "report"])
def test_unknown_gene(command: str, refused: Refused) -> None:
    genes = list(json.loads(GENOME.read_text())["genes"])
    edit(genes__W_xr=4)
    refused(
        f"{GENOME}: genes: gene must be one of {', '.join(genes)}, not 'W_xr'",
        *(command, "--genome", GENOME),
    )


@pytest.mark.parametrize(("width", "shown"), [(0, "0"), (13, "13"), ("8", "'8'"), (4.0, "4.0")])
def test_width_out_of_range(width: object, shown: str, refused: Refused) -> None:
    edit(genes__add_r=width)
    refused(
        f"{GENOME}: genes: result width of add_r must be 1 to 12 bits, not {shown}", *generate()
    )


def test_missing_model(refused: Refused) -> None:
    MODEL.unlink()
    refused(f"{MODEL}: cannot be read: no such file or directory", *generate())


def test_no_model_named(refused: Refused) -> None:
    genome = json.loads(GENOME.read_text())
    del genome["model"]
    GENOME.write_text(json.dumps(genome))
    refused(f"{GENOME}: model is required, but missing: train one first", *generate())


def test_altered_model(refused: Refused) -> None:
    data = bytearray(MODEL.read_bytes())
    expected = hashlib.sha256(data).hexdigest()
    data[-1] ^= 1
    MODEL.write_bytes(data)
    found = hashlib.sha256(data).hexdigest()
    refused(f"{MODEL}: SHA-256 must be {expected}, not {found}", *generate())


def test_truncated_model(refused: Refused) -> None:
    data = MODEL.read_bytes()[:-100]
    MODEL.write_bytes(data)
    edit(model__sha256=hashlib.sha256(data).hexdigest())
    refused(
        f"{MODEL}: must be a whole safetensors file: "
        "Error while deserializing: incomplete metadata, file not fully covered",
        *generate(),
    )


def test_sizes_that_do_not_match_the_model(refused: Refused) -> None:
    edit(sizes__hidden=HIDDEN - 1)
    refused(
        f"{MODEL}: the model must be of {INPUTS} inputs, gru:{HIDDEN - 1}, 10 outputs, "
        f"not of {INPUTS} inputs, gru:{HIDDEN}, 10 outputs",
        *generate(),
    )


def test_weight_that_is_no_number(refused: Refused) -> None:
    model = Model.from_bytes(MODEL.read_bytes(), MODEL)
    weight = model.weights["W_hz"].astype(np.float32)
    spoiled = weight.copy()
    spoiled[1, 2] = np.nan
    data = MODEL.read_bytes().replace(weight.tobytes(), spoiled.tobytes())
    MODEL.write_bytes(data)
    edit(model__sha256=hashlib.sha256(data).hexdigest())
    refused(f"{MODEL}: every value of W_hz.weight must be finite, not nan", *generate())


def test_model_outside_the_design(refused: Refused) -> None:
    edit(model__file="../model.safetensors")
    refused(
        f"{GENOME}: model.file must be the name of a file beside the genome, "
        "not '../model.safetensors'",
        *generate(),
    )
