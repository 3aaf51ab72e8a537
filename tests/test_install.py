"""What is installed: the choice between pip and uv, the lock file, and what is declared."""

import ast
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import install
from install import (
    LOCK,
    LOCKED_PYTHON,
    PYPROJECT,
    cuda_packages,
    install_command,
    lock_text,
    settings,
    torch_requirement,
)

PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
REQUIRED = [Requirement(text) for text in PROJECT["dependencies"]]
FOR_DEVELOPERS = [Requirement(text) for text in PROJECT["optional-dependencies"]["dev"]]
LOCKED = {
    canonicalize_name(locked.name): locked.specifier
    for locked in map(Requirement, LOCK.read_text(encoding="utf-8").splitlines()[1:])
}

of_locked_python = pytest.mark.skipif(
    sys.version_info[:2] != LOCKED_PYTHON, reason="the lock file is for another Python"
)


def report(*packages):
    """In the form of ``pip install --report``."""
    return {
        "version": "1",
        "install": [{"metadata": {"name": name, "version": version}} for name, version in packages],
    }


CPU = report(("torch", "2.13.0+cpu"), ("sympy", "1.14.0"), ("networkx", "3.6.1"))
PLAIN = report(("torch", "2.13.0"), ("sympy", "1.14.0"))


@pytest.mark.parametrize("pip_report", [CPU, PLAIN, report()])
def test_pip_installs_a_cpu_build(pip_report):
    command = install_command(pip_report, "torch>=2.13,<3", "python")
    assert command == ["python", "-m", "pip", "install", "--quiet", "torch>=2.13,<3"]


@pytest.mark.parametrize(
    "package",
    [
        ("nvidia-cublas", "13.1.0.3"),
        ("nvidia-cudnn-cu13", "9.19.0.56"),
        ("nvidia_nccl_cu12", "2.27.3"),
        ("cuda-bindings", "13.0.3"),
        ("cuda-toolkit", "13.0.2"),
        ("triton", "3.6.0"),
        ("pytorch-triton", "3.6.0"),
    ],
)
def test_uv_replaces_a_cuda_build(package):
    pip_report = report(("torch", "2.13.0"), ("sympy", "1.14.0"), package)
    assert cuda_packages(pip_report) == [package[0]]
    command = install_command(pip_report, "torch>=2.13,<3", "python")
    assert command[:5] == ["python", "-m", "uv", "pip", "install"]
    assert command[-2:] == ["--torch-backend=cpu", "torch>=2.13,<3"]


def test_uv_replaces_a_torch_whose_version_says_cuda():
    pip_report = report(("torch", "2.13.0+cu130"))
    assert "uv" in install_command(pip_report, "torch>=2.13,<3", "python")


def test_the_requirement_of_torch_comes_from_pyproject():
    text = '[project]\ndependencies = ["numpy", "torchvision", "torch >= 1.2, < 2"]'
    assert torch_requirement(text) == "torch>=1.2,<2"
    assert torch_requirement(PYPROJECT.read_text(encoding="utf-8")).startswith("torch>=")


@pytest.mark.parametrize("dependencies", [["torchvision==1.0"], ["torch>=2", "torch<3"]])
def test_torch_must_be_required_once(dependencies):
    with pytest.raises(ValueError, match="must hold torch once, as torch>=VERSION"):
        torch_requirement(f"[project]\ndependencies = {dependencies}")


def test_pip_and_uv_take_the_locked_versions_on_their_python_alone():
    assert set(settings(LOCKED_PYTHON).values()) == {"requirements.lock"}
    assert settings(LOCKED_PYTHON).keys() == {
        "PIP_CONSTRAINT",
        "PIP_BUILD_CONSTRAINT",
        "UV_CONSTRAINT",
    }
    assert settings((3, 13)) == {}


@pytest.mark.parametrize("arguments", [[], ["--lock"]])
def test_another_python_takes_ranges_and_writes_no_lock(arguments, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(install, "LOCKED_PYTHON", (3, 10))
    monkeypatch.setattr(install, "install_torch", lambda pip, environment: None)
    monkeypatch.setattr(install, "_run", lambda command, environment: ran.append(environment))
    wrong = install.main(arguments)
    if arguments:
        version = sys.version.split()[0]
        assert wrong == f"requirements.lock must be written with Python 3.11, not {version}"
        assert ran == []
    else:
        assert wrong is None
        assert capsys.readouterr().out == (
            "requirements.lock is for Python 3.11: this one gets the newest versions allowed\n"
        )
        assert [environment.get("UV_CONSTRAINT") for environment in ran] == [None]


def test_a_locked_version_is_that_of_every_build():
    assert lock_text("numpy==2.4.6\ntorch==2.13.0+cpu\n").splitlines()[1:] == [
        "numpy==2.4.6",
        "torch==2.13.0",
    ]
    with pytest.raises(ValueError, match=r"as in NAME==VERSION, not 'torch @ file:///wheels'"):
        lock_text("torch @ file:///wheels\n")


def test_the_lock_file_is_as_it_is_written():
    text = LOCK.read_text(encoding="utf-8")
    assert lock_text(text.partition("\n")[2]) == text


@pytest.mark.parametrize("required", [*REQUIRED, *FOR_DEVELOPERS], ids=lambda each: each.name)
def test_the_locked_version_is_in_the_range(required):
    (locked,) = LOCKED[canonicalize_name(required.name)]
    assert required.specifier.contains(locked.version)


@of_locked_python
def test_what_is_locked_is_all_that_is_needed_and_what_is_installed():
    needed, waiting = set(), [*REQUIRED, *FOR_DEVELOPERS]
    while waiting:
        required = waiting.pop()
        name = canonicalize_name(required.name)
        if name in needed or (required.marker and not required.marker.evaluate({"extra": ""})):
            continue
        needed.add(name)
        waiting += map(Requirement, metadata.requires(name) or ())
    assert needed == LOCKED.keys()
    assert [name for name in needed if metadata.version(name) not in LOCKED[name]] == []


def test_what_is_imported_is_declared():
    """A package that only comes with another one may be gone with the next version of that."""
    folders = [PYPROJECT.parent / name for name in ("sw", "hw", "sim")]
    imported = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
    modules = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    own = {path.name for folder in folders for path in folder.iterdir()}
    providers = metadata.packages_distributions()
    declared = {canonicalize_name(required.name) for required in REQUIRED}
    assert {
        module
        for module in modules - own
        if declared.isdisjoint(map(canonicalize_name, providers[module]))
    } == set()
