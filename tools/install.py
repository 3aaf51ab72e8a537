"""Install gruhw and its tools in the versions of requirements.lock, PyTorch always without CUDA.

    python tools/install.py           # what was tested: make setup
    python tools/install.py --lock    # the newest that pyproject.toml allows: make lock

Run with the Python of the virtual environment to install into. The lock file belongs to one version
of Python; others get what the ranges of pyproject.toml allow. ``--lock`` writes it anew, from what
is then installed.

Where pip would choose a CUDA build of PyTorch (on Linux x86 it usually does, with gigabytes of
libraries that gruhw never calls), uv installs PyTorch's CPU build instead.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

UV = "uv==0.13.9"

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT, LOCK = ROOT / "pyproject.toml", ROOT / "requirements.lock"

LOCKED_PYTHON = (3, 11)
LOCKED = ".".join(map(str, LOCKED_PYTHON))
"""The version of Python that the lock file is for."""

CONSTRAINTS = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_CONSTRAINT")
"""Variables that name a file of versions to pip and to uv, for what builds a package too. A name
without a folder, since pip would take a space for the end of it."""

CUDA_PACKAGES = re.compile(r"(nvidia|cuda|triton|pytorch[-_.]triton)([-_.]|$)", re.IGNORECASE)


def torch_requirement(pyproject: str) -> str:
    """What the text of pyproject.toml requires of torch: ``torch>=2.13,<3``.

    Raises
    ------
    ValueError
        If torch is not required there, once and by nothing but versions.
    """
    required = tomllib.loads(pyproject)["project"]["dependencies"]
    compact = ["".join(requirement.split()) for requirement in required]
    found = [text for text in compact if re.fullmatch(r"torch([<>=!~][\w.,<>=!~*]*)?", text)]
    if len(found) != 1:
        raise ValueError("dependencies in pyproject.toml must hold torch once, as torch>=VERSION")
    return str(found[0])


def settings(python: tuple[int, int]) -> dict[str, str]:
    """What lets pip and uv take the locked versions, if they are for this version of Python."""
    return dict.fromkeys(CONSTRAINTS, LOCK.name) if python == LOCKED_PYTHON else {}


def lock_text(frozen: str) -> str:
    """The lock file, from what ``pip freeze`` says is installed.

    A version is that of every build of a package: ``2.13.0``, where ``2.13.0+cpu`` is installed.

    Raises
    ------
    ValueError
        If something has no version, because it was installed from a file.
    """
    lines = [f"# What gruhw was tested with, on Python {LOCKED}. Written by `make lock`."]
    for line in frozen.splitlines():
        if not re.fullmatch(r"[\w.-]+==[\w.!+]+", line):
            raise ValueError(
                f"what is locked must have a version, as in NAME==VERSION, not {line!r}"
            )
        lines.append(line.partition("+")[0])
    return "\n".join(lines) + "\n"


def cuda_packages(report: Mapping[str, Any]) -> list[str]:
    """The packages in pip's installation ``report`` that only a CUDA build of PyTorch needs.

    PyTorch itself counts where its version says CUDA: ``2.13.0+cu130``.
    """
    found = []
    for item in report["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        if CUDA_PACKAGES.match(name) or (name == "torch" and "+cu" in version):
            found.append(name)
    return found


def install_command(report: Mapping[str, Any], requirement: str, python: str) -> list[str]:
    """The command that installs ``requirement`` without CUDA, given what pip would install."""
    if cuda_packages(report):
        uv = [python, "-m", "uv", "pip", "install", "--python", python]
        return [*uv, "--torch-backend=cpu", requirement]
    return [python, "-m", "pip", "install", "--quiet", requirement]


def install_torch(pip: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Install PyTorch if it is missing; the one line that says what is wrong, if anything."""
    requirement = torch_requirement(PYPROJECT.read_text(encoding="utf-8"))
    report = json.loads(_output([*pip, "--dry-run", "--report", "-", requirement], environment))
    if report["install"]:
        print("Installing PyTorch without CUDA", flush=True)
        command = install_command(report, requirement, sys.executable)
        if "uv" in command:
            _run([*pip, UV], environment)
        _run(command, environment)
    # In a process of its own: what was imported before an installation is not imported again.
    probe = "import torch; print(torch.__version__, torch.version.cuda or '')"
    version, *cuda = _output([sys.executable, "-W", "ignore", "-c", probe], environment).split()
    if cuda:
        return (
            f"torch must be a build without CUDA, not {version} with CUDA {cuda[0]}: "
            "remove .venv and run make setup again"
        )
    return None


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Do what the options say; the one line that says what went wrong, if anything."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--lock", action="store_true", help="write requirements.lock anew")
    lock, python = parser.parse_args(arguments).lock, sys.version_info[:2]
    if python != LOCKED_PYTHON:
        if lock:
            return f"{LOCK.name} must be written with Python {LOCKED}, not {sys.version.split()[0]}"
        print(f"{LOCK.name} is for Python {LOCKED}: this one gets the newest versions allowed")
    environment = os.environ | ({} if lock else settings(python))
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    try:
        if (wrong := install_torch(pip, environment)) is not None:
            return wrong
        _run([*pip, "--editable", ".[dev]"], environment)
        if lock:
            # With setuptools, which PyTorch requires; "pip freeze" leaves it out by itself.
            freeze = [sys.executable, "-m", "pip", "freeze", "--all", "--exclude-editable"]
            frozen = _output([*freeze, "--exclude", "pip", "--exclude", "uv"], environment)
            LOCK.write_text(lock_text(frozen), encoding="utf-8")
    except subprocess.CalledProcessError as error:
        return f"exit status {error.returncode}: {' '.join(map(str, error.cmd))}"
    return None


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, env=environment)


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    return subprocess.run(
        command, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
