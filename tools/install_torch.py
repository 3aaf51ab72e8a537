"""Install the PyTorch that pyproject.toml pins, always as a build without CUDA.

Where pip would choose a CUDA build (on Linux x86 it usually does, with gigabytes of
libraries that gruhw never calls), uv installs PyTorch's CPU build instead.

Run with the Python of the virtual environment to install into.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

UV = "uv==0.13.9"

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

CUDA_PACKAGES = re.compile(r"(nvidia|cuda|triton|pytorch[-_.]triton)([-_.]|$)", re.IGNORECASE)


def pinned_torch(pyproject: str) -> str:
    """The requirement ``torch==VERSION`` among the dependencies in the text of pyproject.toml.

    Raises
    ------
    ValueError
        If torch is not pinned to one version there.
    """
    for requirement in tomllib.loads(pyproject)["project"]["dependencies"]:
        compact = "".join(requirement.split())
        if re.fullmatch(r"torch==[\w.!]+", compact):
            return str(compact)
    raise ValueError("dependencies in pyproject.toml must pin torch as torch==VERSION")


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


def installed_build() -> tuple[str, str | None] | None:
    """The version of the installed PyTorch and of its CUDA (``None`` in a CPU build)."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None
    # In a process of its own: an import cannot be repeated after a reinstallation.
    probe = "import torch; print(torch.version.cuda or '')"
    cuda = _output([sys.executable, "-W", "ignore", "-c", probe]).strip()
    return version, cuda or None


def main() -> str | None:
    """Install PyTorch if it is missing; the one line that says what went wrong, if anything."""
    requirement = pinned_torch(PYPROJECT.read_text(encoding="utf-8"))
    wanted = requirement.partition("==")[2]
    try:
        build = installed_build()
        if build is None or build[0].partition("+")[0] != wanted:
            pip = [sys.executable, "-m", "pip", "install", "--quiet"]
            print(f"Installing {requirement} without CUDA", flush=True)
            report = json.loads(_output([*pip, "--dry-run", "--report", "-", requirement]))
            command = install_command(report, requirement, sys.executable)
            if "uv" in command:
                subprocess.run([*pip, UV], check=True)
            subprocess.run(command, check=True)
            build = installed_build()
    except subprocess.CalledProcessError as error:
        command_line = " ".join(str(part) for part in error.cmd)
        return f"{requirement} cannot be installed: exit status {error.returncode}: {command_line}"
    if build is None:
        return f"{requirement} cannot be imported after its installation"
    if build[1] is not None:
        return (
            f"torch must be a build without CUDA, not {build[0]} with CUDA {build[1]}: "
            "remove .venv and run make setup again"
        )
    return None


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
