"""Every interpreter of graphs knows every operator, and refuses what it does not know.

Both are found, not listed: operators as subclasses of :class:`gruhw.network.graph.Node`,
interpreters as functions that dispatch on a node's class.
"""

import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gruhw
import gruhw.network.graph
import gruhw_hw
import gruhw_sim
from gruhw.network.graph import Add, Complement, Input, Linear, Multiply, Node, State, Table

DECORATOR = "@singledispatch"

LEAVES = {Input, State}
"""They hold what others give: interpreters have nothing to compute for them."""


def modules() -> Iterator[ModuleType]:
    """The modules of gruhw in which a function dispatches on a class."""
    for package in (gruhw, gruhw_hw, gruhw_sim):
        (root,) = map(Path, package.__path__)
        for path in sorted(root.rglob("*.py")):
            if DECORATOR in path.read_text():
                parts = path.relative_to(root).with_suffix("").parts
                yield importlib.import_module(".".join([package.__name__, *parts]))


def interpreters() -> dict[str, Any]:
    """The functions that dispatch on the class of a node, by module and name."""
    found = {}
    for module in modules():
        for name, function in vars(module).items():
            if not hasattr(function, "registry") or function.__module__ != module.__name__:
                continue
            first = next(iter(inspect.signature(function).parameters))
            if typing.get_type_hints(function)[first] is Node:
                found[f"{module.__name__}.{name}"] = function
    return found


def operators() -> list[type[Node]]:
    """The classes of nodes that compute something."""
    kinds = [kind for kind in vars(gruhw.network.graph).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, Node) and kind not in {Node, *LEAVES}]


INTERPRETERS, OPERATORS = interpreters(), operators()


def test_the_known_ones_are_found() -> None:
    assert set(OPERATORS) >= {Linear, Add, Multiply, Complement, Table}
    names = {name.rpartition(".")[2] for name in INTERPRETERS}
    assert names >= {
        "latency", "component", "evaluate", "ideal", "exact_value", "gradients", "needs",
        "properties", "node_energy",
    }  # fmt: skip


def knows(interpreter: Any, kind: type[Node]) -> bool:
    """Whether an interpreter has a meaning for a class of nodes, and not just for its base."""
    return kind in interpreter.registry


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_every_interpreter_knows_every_operator(interpreter: str, kind: type[Node]) -> None:
    assert knows(INTERPRETERS[interpreter], kind)


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_unknown_operators_are_refused(interpreter: str) -> None:
    class Unknown(Node):
        pass

    found: Callable[..., object] = INTERPRETERS[interpreter]
    assert not knows(found, Unknown)
    others = [None] * (len(inspect.signature(found).parameters) - 1)
    with pytest.raises(TypeError, match=r"^no .* for Unknown$"):
        found(Unknown(name="x", size=1), *others)
