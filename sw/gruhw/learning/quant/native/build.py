"""Compiling the time steps of a stage, once for its graph and this processor."""

import ctypes
import os
import shlex
import shutil
import tempfile
from functools import cache
from pathlib import Path

from gruhw.basics.cache import cache_folder, writing_cache
from gruhw.basics.compiled import is_whole, keep
from gruhw.basics.files import sha256
from gruhw.basics.programs import run_program
from gruhw.errors import ToolError
from gruhw.learning.quant.native.source import cpp_source
from gruhw.network.graph import Graph

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-w")
"""For this processor: the library is never moved to another."""


FOLDER = "native"
"""The folder of the cache that keeps the libraries."""


@cache
def load_library(graph: Graph, *, rounded: bool = True) -> ctypes.CDLL:
    """The compiled time steps of a graph, from the cache if it has them.

    ``rounded`` is as of :func:`gruhw.learning.quant.native.source.cpp_source`.

    Raises
    ------
    InputError
        If the cache cannot be written.
    ToolError
        If there is no C++ compiler, or it fails.
    """
    text = cpp_source(graph, rounded=rounded)
    compiled_from = "\n".join([text, *FLAGS, _processor()])
    path = cache_folder() / FOLDER / f"{sha256(compiled_from.encode())}.so"
    if not is_whole(path):
        with writing_cache(FOLDER) as folder, tempfile.TemporaryDirectory(dir=folder) as name:
            source, library = Path(name) / "steps.cpp", Path(name) / path.name
            source.write_text(text)
            _compile([*FLAGS, "-o", str(library), str(source)])
            keep(library, folder)
    return ctypes.CDLL(str(path))


@cache
def _processor() -> str:
    """What the compiler defines for this processor: its own version and what it may use."""
    return _compile(["-march=native", "-fopenmp", "-dM", "-E", "-x", "c++", os.devnull])


def _compile(arguments: list[str]) -> str:
    command = shlex.split(os.environ.get("CXX", "c++"))
    if not command or shutil.which(command[0]) is None:
        named = command[0] if command else "nothing"
        raise ToolError(
            f"a C++ compiler is required to train, but {named} cannot be run: name one in CXX"
        )
    done = run_program(command[0], [*command, *arguments])
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if "error" in line), "")
        raise ToolError(f"{command[0]}: ended with status {done.returncode}: {first}")
    return done.stdout
