"""Modules with a fault, for tests that a check finds it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def broken(module: ModuleType, find: str, replacement: str) -> ModuleType:
    """A copy of a module in whose source ``find``, which must occur, is replaced once."""
    source = Path(str(module.__file__)).read_text()
    assert find in source, f"{module.__name__} has no {find!r}"
    spec = importlib.util.spec_from_loader(module.__name__, loader=None)
    assert spec is not None
    copy = importlib.util.module_from_spec(spec)
    code = compile(source.replace(find, replacement, 1), str(module.__file__), "exec")
    exec(code, copy.__dict__)  # our own source, but for the fault
    return copy


def use_instead(patch: pytest.MonkeyPatch, user: ModuleType, module: ModuleType) -> None:
    """Let ``user`` have what it imported from the original of ``module`` from the copy."""
    for name in vars(user):
        value = vars(module).get(name)
        if getattr(value, "__module__", None) == module.__name__:
            patch.setattr(user, name, value)
