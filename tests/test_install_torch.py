"""The choice between pip and uv, from reports in the form of ``pip install --report``."""

import pytest

from install_torch import PYPROJECT, cuda_packages, install_command, pinned_torch


def report(*packages):
    return {
        "version": "1",
        "install": [{"metadata": {"name": name, "version": version}} for name, version in packages],
    }


CPU = report(("torch", "2.13.0+cpu"), ("sympy", "1.14.0"), ("networkx", "3.6.1"))
PLAIN = report(("torch", "2.13.0"), ("sympy", "1.14.0"))


@pytest.mark.parametrize("pip_report", [CPU, PLAIN, report()])
def test_pip_installs_a_cpu_build(pip_report):
    command = install_command(pip_report, "torch==2.13.0", "python")
    assert command == ["python", "-m", "pip", "install", "--quiet", "torch==2.13.0"]


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
    command = install_command(pip_report, "torch==2.13.0", "python")
    assert command[:5] == ["python", "-m", "uv", "pip", "install"]
    assert command[-2:] == ["--torch-backend=cpu", "torch==2.13.0"]


def test_uv_replaces_a_torch_whose_version_says_cuda():
    pip_report = report(("torch", "2.13.0+cu130"))
    assert "uv" in install_command(pip_report, "torch==2.13.0", "python")


def test_version_comes_from_pyproject():
    assert pinned_torch('[project]\ndependencies = ["numpy", "torch == 1.2.3"]') == "torch==1.2.3"
    assert pinned_torch(PYPROJECT.read_text(encoding="utf-8")).startswith("torch==")


@pytest.mark.parametrize("dependency", ["torch", "torch>=2", "torchvision==1.0", "torch==2.*"])
def test_torch_must_be_pinned(dependency):
    with pytest.raises(ValueError, match="must pin torch as torch==VERSION"):
        pinned_torch(f'[project]\ndependencies = ["{dependency}"]')
