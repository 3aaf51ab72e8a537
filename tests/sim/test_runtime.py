"""Verilator's own objects are compiled once, and only whole ones are linked."""

from pathlib import Path

import pytest

from gruhw_sim.cocotb_job import RUNTIME, linked_runtime
from gruhw_sim.runtime import Runtime

NAMES = ("a.o", "b.o")


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"code of {name}")
    return folder


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path / "cache" / "runtime", NAMES)


def test_what_was_compiled_is_linked(compiled: Path, runtime: Runtime, tmp_path: Path) -> None:
    runtime.fetch(tmp_path / RUNTIME)
    assert not (tmp_path / RUNTIME).exists()
    assert linked_runtime(tmp_path, NAMES) == []
    runtime.keep(compiled)
    runtime.fetch(tmp_path / RUNTIME)
    assert (tmp_path / RUNTIME / "b.o").read_text() == "code of b.o"
    objects = f"{tmp_path}/{RUNTIME}/a.o {tmp_path}/{RUNTIME}/b.o"
    words = ["VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=", f"USER_LDLIBS={objects}"]
    assert linked_runtime(tmp_path, NAMES) == words


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("code of x.o")])
def test_a_damaged_object_is_compiled_again(
    damage, compiled: Path, runtime: Runtime, tmp_path: Path
) -> None:
    runtime.keep(compiled)
    damage(runtime.cache / "b.o")
    runtime.fetch(tmp_path / RUNTIME)
    assert linked_runtime(tmp_path, NAMES) == []
    runtime.keep(compiled)
    runtime.fetch(tmp_path / RUNTIME)
    assert linked_runtime(tmp_path, NAMES)


def test_whole_objects_are_not_written_again(compiled: Path, runtime: Runtime) -> None:
    runtime.keep(compiled)
    (compiled / "a.o").write_text("the same code, compiled elsewhere")
    runtime.keep(compiled)
    assert (runtime.cache / "a.o").read_text() == "code of a.o"
