"""The files that gruhw wrote before still load: those of tests/data/version-1."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import REPOSITORY, CommandLine

from gruhw.basics.files import sha256
from gruhw.design import Design
from gruhw.errors import GruhwWarning
from gruhw_hw.top import generate_verilog

OLD = REPOSITORY / "tests" / "data" / "version-1"
NEW = REPOSITORY / "designs" / "mnist-1d" / "small"

WARNING = (
    "gruhw: warning: old/model.safetensors: does not say for which widths its fraction bits were "
    "chosen: if widths were changed since, calibrate with gruhw calibrate\n"
)


@pytest.mark.filterwarnings("ignore::gruhw.errors.GruhwWarning")
def test_genome_model_and_samples_give_the_same_hardware() -> None:
    old, new = (Design.load(folder / "genome.json") for folder in (OLD, NEW))
    assert generate_verilog(old.network).verilog == generate_verilog(new.network).verilog
    assert (old.samples().x == new.samples().x).all()
    assert (OLD / "samples.npz").read_bytes() == (NEW / "samples.npz").read_bytes()


def test_the_record_of_widths_is_all_that_is_new() -> None:
    with pytest.warns(GruhwWarning):
        old = Design.load(OLD / "genome.json").genome
    new = Design.load(NEW / "genome.json").genome
    assert old.model_copy(update={"model": None}) == new.model_copy(update={"model": None})


def test_a_command_warns_once(gruhw: CommandLine, tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    result = gruhw.succeeds("generate", "--genome", "old/genome.json", "--out", "out")
    assert result.err.startswith(WARNING)
    assert result.err.count("warning") == 1
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    model = (OLD / "model.safetensors").read_bytes()
    assert manifest["files"]["model.safetensors"] == sha256(model)


def test_edited_widths_are_refused(gruhw: CommandLine, tmp_path: Path) -> None:
    shutil.copytree(NEW, tmp_path / "design")
    path = tmp_path / "design" / "genome.json"
    content = json.loads(path.read_text())
    content["genes"]["W_in.weight"] = 3
    path.write_text(json.dumps(content))
    result = gruhw("generate", "--genome", "design/genome.json", "--out", "out")
    assert result.status == 2
    assert result.err == (
        "gruhw: design/genome.json: weight width of W_in must be 2 bits, for which its fraction "
        "bits were chosen, not 3: choose them anew with gruhw calibrate --genome FILE --task TASK, "
        "or train with gruhw train\n"
    )
    assert not (tmp_path / "out").exists()
