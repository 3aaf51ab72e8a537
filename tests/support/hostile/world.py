"""The files that gruhw reads, whole, and small enough that a command takes a fraction of a second.

A world is a folder with a task, a trained design, a design of several layers and its task of
values, a cell library, a finished search, a search that was interrupted in training, data, and a
cache of compiled programs.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from any_design import write_design, write_task
from task_files import tar_gz, zip_archive
from tiny_liberty import LIBERTY
from tiny_task import write_tiny_task
from webassembly import link_webassembly

from gruhw.cli import main
from gruhw.errors import InputError
from gruhw.learning.tasks.spoken_digits import ARCHIVE
from gruhw.learning.training import fit
from gruhw.network.architecture import Architecture
from gruhw_hw.area import calibration

TASK = "task.npz"
DESIGN = "design/genome.json"
VALUES = "values.npz"
DEEP = "deep/genome.json"
LAYERS = ("dense:2:relu", "lstm:2")
SEARCH = ("--hidden", "2", "--workers", "1", "--objective", "size", "--objective", "energy")
SMALL = ("--generations", "0", "--population", "8", "--finalists", "4", "--fine-tune-epochs", "1")
SMALL += ("--preset", "operators17", "--select", "max-accuracy", "--quick")
VERSIONS = {"yosys": "another"}
"""Versions of tools for which the package has no calibration, so that the cache's is read."""


@contextmanager
def surroundings(folder: Path) -> Iterator[None]:
    """Work in ``folder``, which holds the cache and the data too, and reach no network."""
    before, place, temporary = dict(os.environ), Path.cwd(), tempfile.tempdir
    for name in ("GRUHW_PDK", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        os.environ.pop(name, None)
    (folder / "tmp").mkdir(exist_ok=True)
    os.environ.update(
        {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "GRUHW_DATA": str(folder / "data"),
            "TMPDIR": str(folder / "tmp"),
            "OMP_NUM_THREADS": "1",
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9"),
        }
    )
    os.chdir(folder)
    tempfile.tempdir = None  # Python looks at the environment only once
    try:
        yield
    finally:
        tempfile.tempdir = temporary
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def other_versions() -> Iterator[None]:
    """Tools of which the package knows no calibration; a new one, which takes long, is refused."""
    anew = InputError("the area model is calibrated anew")
    with (
        mock.patch.object(calibration, "tools_of", return_value=VERSIONS),
        mock.patch("gruhw_hw.area.calibrate.calibrate", side_effect=anew),
    ):
        yield


def _gruhw(*arguments: str) -> None:
    try:
        main(arguments)
    except SystemExit as ending:
        if ending.code:
            raise RuntimeError(f"gruhw {' '.join(arguments)} failed") from ending


def make_world(folder: Path, *, compiled: bool, cache: Path | None = None) -> None:
    """Make the files below ``folder``, compiled simulations only if they are wanted.

    What Amaranth's Yosys compiles comes from ``cache``, if there is one.
    """
    folder.mkdir(parents=True)
    if cache is not None:
        link_webassembly(cache, folder / "cache")
    (folder / "data").mkdir()
    with surroundings(folder):
        write_tiny_task(Path(TASK), train=30, test=9)
        write_task(Path(VALUES), 3, values=2)
        network = Architecture(inputs=3, layers=LAYERS, outputs=2, initial="constant")
        write_design(Path(DEEP).parent, network, VALUES, output="values", pe=(2, 1))
        Path("cells.lib").write_text(LIBERTY)
        Path("other.json").write_text("[]")
        Path("results").mkdir()
        Path("results/old.json").write_text("[]")
        recordings = {"x/recordings/0_a_0.wav": b"no recording", "x/README.md": b"nothing"}
        archive = Path("data") / ARCHIVE
        archive.write_bytes(tar_gz(recordings))
        Path("data/mnist.npz").write_bytes(zip_archive({"x_train.npy": b"no array"}))
        _gruhw(
            *("train", "--task", TASK, "--out", "design", "--hidden", "2", "--bits", "3"),
            *("--float-epochs", "1", "--epochs", "0"),
        )
        _gruhw("generate", "--genome", DESIGN, "--out", "generated")
        shutil.copy("generated/gruhw.v", "gruhw.v")
        shutil.rmtree("generated")
        _search()
        cached = calibration.resources.files("gruhw_hw.area") / "data" / "ice40.json"
        content = json.loads(cached.read_text()) | {"tools": VERSIONS}
        Path("cache/gruhw/area-ice40.json").write_text(json.dumps(content))
        if compiled:
            for simulator in ("icarus", "verilator"):
                _gruhw(
                    *("simulate", "--genome", DESIGN, "--samples", "1", "--simulator", simulator)
                )
            _gruhw("verify", "--genome", DESIGN, "--samples", "1", "--jobs", "1")
        shutil.rmtree("tmp")


def _search() -> None:
    """A finished search, and one that has all the files of an interrupted training."""
    interrupted = Path("interrupted")
    interrupted.mkdir()
    save = fit._State.save

    def save_and_keep(state: fit._State, path: Path, phase: str, epoch: int, epochs: int) -> None:
        save(state, path, phase, epoch, epochs)
        shutil.copy(path, interrupted)

    with mock.patch.object(fit._State, "save", save_and_keep):
        _gruhw("search", "--task", TASK, "--out", "search", *SEARCH, *SMALL)
    for checkpoint in interrupted.glob("fine-tuning-*"):
        checkpoint.unlink()
    shutil.copy("search/float.safetensors", interrupted)
