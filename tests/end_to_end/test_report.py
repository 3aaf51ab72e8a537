"""Reports of designs of which a part cannot be measured."""

import json
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from bad_input import GENOME, HIDDEN, Refused, edit
from command_line import DESIGN, CommandLine, Result
from tiny_task import write_task_of_samples

from gruhw.errors import ToolError
from gruhw_hw.synthesis import Resources, SynthesisReport

BASELINE = Path("design/small/genome.json")
REPORT = ("report", "--genome", GENOME, "--baseline", BASELINE, "--target", "ice40")
TASK = ("--task", "task.npz")
TOOLS = {"yosys": "0.0"}


@pytest.fixture
def unmeasured(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Refuses a report; nothing may be measured before."""

    def measured(*arguments: object) -> None:
        raise AssertionError("something was measured before all inputs were checked")

    monkeypatch.setattr("gruhw.report.measure", measured)
    monkeypatch.setattr("gruhw.report.synthesise", measured)
    write_task_of_samples(Path("design/samples.npz"), Path("task.npz"))
    return refused


def test_a_missing_task(unmeasured: Refused) -> None:
    line = "absent.npz: cannot be read: no such file or directory"
    unmeasured(line, *REPORT, "--task", "absent.npz")


def test_a_baseline_of_a_missing_task(unmeasured: Refused) -> None:
    edit(task="task.npz")
    genome = json.loads(BASELINE.read_text())
    BASELINE.write_text(json.dumps(genome | {"task": "absent.npz"}))
    line = f"{BASELINE}: absent.npz: cannot be read: no such file or directory"
    unmeasured(line, *REPORT)


def test_a_baseline_that_the_task_does_not_suit(unmeasured: Refused) -> None:
    shutil.rmtree("design/small")
    shutil.copytree(DESIGN.parents[1] / "mnist-1d" / "small", "design/small")
    line = f"task task.npz: elements of a time step must be 1, as in {BASELINE}, not 28"
    unmeasured(line, *REPORT, *TASK)


def test_a_folding_that_does_not_suit(unmeasured: Refused) -> None:
    pe = str(HIDDEN + 1)
    unmeasured(f"pe must be 1 to the {HIDDEN} hidden units, not {pe}", *REPORT, *TASK, "--pe", pe)


def test_a_library_out_of_reach(unmeasured: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUHW_PDK", "file")
    line = "GRUHW_PDK must name a folder, not 'file'"
    unmeasured(line, *REPORT, "--target", "asic", *TASK)


def test_yosys_that_does_not_run(unmeasured: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ToolError("Yosys is required, but not installed: install the package pyosys")

    monkeypatch.setattr("gruhw.report.tool_versions", missing)
    line = "Yosys is required, but not installed: install the package pyosys"
    unmeasured(line, *REPORT, *TASK, status=1)


def synthesised(
    verilog: str,
    top: str,
    target: str,
    *,
    operators: Mapping[str, str],
    failing: Callable[[str], bool],
) -> SynthesisReport:
    """Synthesis of one LUT and so many flip-flops as the target's name has letters."""
    if failing(target):
        raise ToolError("Yosys: ended by signal 9")
    return SynthesisReport(target, Resources(luts=1, flip_flops=len(target)), {}, TOOLS)


@pytest.fixture
def report(
    gruhw: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Reports for ECP5 and iCE40, where synthesis fails as it is told, by call and target."""
    shutil.copytree(DESIGN.parent, tmp_path / "design")
    write_task_of_samples(Path("design/samples.npz"), Path("task.npz"))
    monkeypatch.setattr("gruhw.report.tool_versions", lambda: TOOLS)

    def run(failing: Callable[[int, str], bool], *more: str) -> Result:
        calls = count(1)
        monkeypatch.setattr(
            "gruhw.report.synthesise",
            partial(synthesised, failing=lambda target: failing(next(calls), target)),
        )
        return gruhw(*REPORT, "--target", "ecp5", *TASK, "--json", "r.json", *more)

    return run


def test_what_is_measured_is_kept_if_a_part_fails(report: Callable[..., Result]) -> None:
    result = report(lambda call, target: call == 1, "--markdown", "r.md")
    failed = "synthesising design for ice40, pe 1"
    why = "Yosys: ended by signal 9"
    assert (result.status, result.err) == (1, f"gruhw: {failed}: {why}\n")
    rows = {name: cells for name, *cells in result.rows()}
    assert rows["test sequences"] == ["255", "255"]
    assert rows["ice40 luts"] == ["failed", "1"]
    assert rows["ice40 flip flops"] == ["failed", "5"]
    assert rows["ecp5 flip flops"] == ["4", "4"]

    found = json.loads(Path("r.json").read_text())
    assert found["failures"] == [{"what": failed, "why": why}]
    targets = [[s["target"] for s in design["synthesis"]] for design in found["designs"]]
    assert targets == [["ecp5"], ["ice40", "ecp5"]]
    page = Path("r.md").read_text()
    assert "| ice40 luts | failed | 1 |" in page
    assert page.endswith(f"\n\nMeasured with yosys 0.0.\n\nFailed: {failed}: {why}.\n")


def test_a_target_of_which_everything_fails(report: Callable[..., Result]) -> None:
    result = report(lambda call, target: target == "ecp5", "--pe", "2")
    line = "synthesising design for ecp5, pe 1: Yosys: ended by signal 9 (and 3 more failed)"
    assert (result.status, result.err) == (1, f"gruhw: {line}\n")
    rows = {name: cells for name, *cells in result.rows()}
    assert rows["ecp5"] == rows["pe 2: ecp5"] == ["failed", "failed"]
    assert rows["pe 2: ice40 luts"] == ["1", "1"]


def test_a_report_without_failures_does_not_speak_of_them(report: Callable[..., Result]) -> None:
    result = report(lambda call, target: False, "--markdown", "r.md")
    assert (result.status, result.err) == (0, "")
    assert json.loads(Path("r.json").read_text()).keys() == {"designs"}
    assert Path("r.md").read_text().endswith("|\n\nMeasured with yosys 0.0.\n")
