"""What others get: the wheel, the citation, the forms for issues."""

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from gruhw import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("sw/gruhw", "hw/gruhw_hw", "sim/gruhw_sim")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def run(*command: str | Path, cwd: Path) -> str:
    """What a program prints that must succeed and sees nothing of the source tree."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder, ROOT, cwd=folder)
    (found,) = folder.iterdir()
    return found


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    expected = {
        str(path.relative_to((ROOT / package).parent))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"gruhw-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == expected
    assert {f"{about}licenses/LICENSE", f"{about}entry_points.txt"} <= names
    data = {name.rpartition("/")[2] for name in expected if not name.endswith(".py")}
    assert {"py.typed", "harness.cpp", "steps.cpp", "runtime.h", "ice40.json"} <= data


@pytest.mark.slow
def test_the_installed_wheel_works_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, cwd=tmp_path
    )
    # What gruhw needs comes from here, but not gruhw: a .pth file in a folder that a .pth file
    # names is not read.
    site = "import sysconfig; print(sysconfig.get_path('purelib'))"
    theirs, ours = (run(found, "-c", site, cwd=tmp_path) for found in (python, sys.executable))
    (Path(theirs.strip()) / "theirs.pth").write_text(ours)
    where = run(python, "-c", "import gruhw, sys; print(gruhw.__file__, *sys.path)", cwd=tmp_path)
    assert where.startswith(theirs.strip())
    assert str(ROOT / "sw") not in where

    def gruhw(*arguments: str | Path) -> str:
        return run(python.with_name("gruhw"), *arguments, cwd=tmp_path)

    assert gruhw("--version") == f"gruhw {__version__}\n"
    shipped = ROOT / "designs" / "mnist-1d" / "small" / "genome.json"
    gruhw("generate", "--genome", shipped, "--out", "hardware")
    few = ("--samples", "1", "--extreme", "0", "--json", "found.json")
    gruhw("simulate", "--genome", "hardware/genome.json", *few)
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["accuracy"], found["reference_accuracy"]) == (1.0, 1.0)


def test_the_citation_names_this_version() -> None:
    citation: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= citation.keys()
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    for work in (citation, *citation["references"]):
        assert work["title"]
        assert all(author.keys() & {"name", "family-names"} for author in work["authors"])


@pytest.mark.parametrize("form", FORMS, ids=lambda path: str(path.stem))
def test_forms_for_issues_can_be_shown(form: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        assert content == {"blank_issues_enabled": True}
        return
    assert content["name"]
    assert content["description"]
    asked = [element for element in content["body"] if element["type"] != "markdown"]
    assert len({element["id"] for element in asked}) == len(asked) > 0
    assert all(element["attributes"]["label"] for element in asked)
    assert any(element.get("validations", {}).get("required") for element in asked)


def test_workflows_are_yaml() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert "jobs" in yaml.safe_load(path.read_text(encoding="utf-8"))
