"""Compiled programs in the cache: whole, or as good as absent."""

import os
from pathlib import Path

import pytest

from gruhw.basics.compiled import is_whole, keep
from gruhw.errors import InputError
from gruhw.learning.quant.native.build import load_library
from gruhw.network.architecture import Layer


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"#!/bin/true\n")
    path.chmod(0o755)
    return path


def test_what_is_kept_is_whole(program: Path, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "a" / "program"
    assert not is_whole(kept)
    keep(program, kept.parent)
    assert is_whole(kept)
    assert kept.read_bytes() == program.read_bytes()
    assert os.access(kept, os.X_OK)


@pytest.mark.parametrize("damage", [b"#!/bin/true", b"#!/bin/trUe\n", b""])
def test_what_is_damaged_is_not(damage: bytes, program: Path, tmp_path: Path) -> None:
    keep(program, tmp_path / "cache")
    (tmp_path / "cache" / "program").write_bytes(damage)
    assert not is_whole(tmp_path / "cache" / "program")
    keep(program, tmp_path / "cache")
    assert is_whole(tmp_path / "cache" / "program")


def test_nor_is_what_has_no_digest(program: Path, tmp_path: Path) -> None:
    keep(program, tmp_path / "cache")
    (tmp_path / "cache" / "program.sha256").unlink()
    assert not is_whole(tmp_path / "cache" / "program")


def test_something_in_the_way(program: Path, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "program"
    kept.mkdir(parents=True)
    assert not is_whole(kept)
    with pytest.raises(InputError) as caught:
        keep(program, kept.parent)
    assert str(caught.value) == f"{kept}: cannot be written: is a directory"


def test_damaged_time_steps_are_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph = Layer("gru", 1).graph(1)
    load_library.__wrapped__(graph)
    (library,) = (tmp_path / "gruhw" / "native").glob("*.so")
    whole = library.read_bytes()
    library.unlink()  # what is loaded must not change
    library.write_bytes(whole[: len(whole) // 2])
    load_library.__wrapped__(graph)
    assert is_whole(library)
