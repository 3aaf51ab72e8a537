"""Nothing loads a pickle, which is a program: not directly, and not inside of another format."""

import ast
from collections.abc import Iterator

import pytest
from command_line import REPOSITORY

FOLDERS = ("sw", "hw", "sim", "tools", "bench", "docs")

LOADERS = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
}
"""What loads pickles unless an argument with this value says that it must not."""

FORBIDDEN = (
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "shelve.open"),
    *("marshal.load", "marshal.loads", "pd.read_pickle", "torch.jit.load", "torch.hub.load"),
)

ALLOWED = {("sw/gruhw/learning/tasks/mnist1d.py", "pickle.Unpickler")}
"""A published file, read after its SHA-256 was found right, by an unpickler that calls nothing."""


def found_in(source: str) -> Iterator[str]:
    """Every way in which a source may load pickles."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in FORBIDDEN:
            yield name
        if isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if name in {*FORBIDDEN, *LOADERS})
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in LOADERS:
            argument, required = LOADERS[name]
            given = {keyword.arg: keyword.value for keyword in node.keywords}.get(argument)
            if not (isinstance(given, ast.Constant) and given.value is required):
                yield name


def test_nothing_loads_pickles() -> None:
    found = {
        (str(path.relative_to(REPOSITORY)), name)
        for folder in FOLDERS
        for path in (REPOSITORY / folder).rglob("*.py")
        for name in found_in(path.read_text(encoding="utf-8"))
    }
    assert found == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "pickle.loads(data)",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "class X(pickle.Unpickler): pass",
        "joblib.load(path)",
    ],
)
def test_loaders_are_found(source: str) -> None:
    assert list(found_in(source))


@pytest.mark.parametrize(
    "source",
    ["torch.load(x, weights_only=True)", "np.load(x, allow_pickle=False)", "pickle.dumps(x)"],
)
def test_safe_ones_are_not(source: str) -> None:
    assert list(found_in(source)) == []
