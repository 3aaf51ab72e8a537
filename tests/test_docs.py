"""The documentation: its code runs, its commands exist, its links lead somewhere."""

import builtins
import doctest
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import typer

from gruhw.cli.app import app
from gruhw.network.architecture import ACTIVATIONS, DENSE, INITIALS
from gruhw.network.cells import ENTRY_POINT, cells
from gruhw.network.genome import OUTPUTS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {"python", "sh", "console"}
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^ {4}|`)make (?:[A-Z]+=\S+ )?([a-z]+)", re.MULTILINE)

GRUHW = [sys.executable, "-c", "from gruhw.cli import main; main()"]


class Block(NamedTuple):
    line: int
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        yield Block(text[: fence.start()].count("\n") + 2, fence[1], fence[2])


def identify(page: Path) -> str:
    return str(page.relative_to(ROOT))


def load_script(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def commands(block: Block) -> list[str]:
    """A console block's commands stand behind ``$ ``; what a shell block holds are commands."""
    lines = block.text.splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line]


def check_options(arguments: list[str]) -> None:
    """Fail unless the command and all its options exist, with values that they can take."""
    group = typer.main.get_command(app)
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]  # typer's group
    command.make_context(arguments[0], arguments[1:])


def is_expensive(arguments: list[str]) -> bool:
    """Whether a command needs downloads, files of the reader's, or much time.

    Verilator and Yosys run for the example of README.md.
    """
    name = arguments[0]
    on_task = name in ("train", "report", "evaluate", "verify", "prove") and any(
        "mnist" in argument for argument in arguments
    )
    on_found = any(argument.endswith("best.json") for argument in arguments)
    return (
        on_task
        or on_found
        or name in ("search", "synth")
        or (name == "simulate" and "icarus" not in arguments)
    )


def run(arguments: list[str], folder: Path) -> str:
    """Run a program and return what it prints."""
    result = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, f"{shlex.join(arguments)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def needs_icarus(command: str) -> bool:
    return "icarus" in command or "iverilog" in command


WRITE_DESIGNS = ("train", "calibrate", "generate")
"""Commands whose files later ones read."""


def run_command(command: str, folder: Path, *, icarus: bool) -> None:
    """Check a command, and run it unless it is expensive.

    With ``icarus``, only what needs Icarus Verilog runs, and what writes the files for it; without
    it, all the rest.
    """
    if "iverilog" in command:
        if icarus:
            assert "PASS" in run(["sh", "-c", command], folder)
        return
    program, *arguments = shlex.split(command)
    assert program == "gruhw", f"what cannot be run here must not be claimed: {command}"
    check_options(arguments)
    wanted = needs_icarus(command) == icarus or arguments[0] in WRITE_DESIGNS
    if wanted and not is_expensive(arguments):
        run([*GRUHW, *arguments], folder)


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block in the page's namespace; one with prompts must also print what it says."""
    if ">>>" not in block.text:
        source = "\n" * (block.line - 1) + block.text
        builtins.exec(compile(source, str(page), "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(
        block.text, names, page.name, str(page), block.line - 1
    )
    messages: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=messages.append, clear_globs=False)
    names.update(test.globs)
    assert not messages, "".join(messages)


WITH_ICARUS = [
    page
    for page in PAGES
    if any(needs_icarus(command) for block in blocks(page) for command in commands(block))
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "icarus"),
    [
        *(pytest.param(page, False, id=identify(page)) for page in PAGES),
        *(
            pytest.param(page, True, id=f"{identify(page)}-icarus", marks=pytest.mark.icarus)
            for page in WITH_ICARUS
        ),
    ],
)
def test_code_runs(
    page: Path, icarus: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python and shell blocks, in their order, in one folder beside the shipped designs."""
    (tmp_path / "designs").symlink_to(ROOT / "designs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{identify(page)}:{block.line}: {block.language!r}"
        if block.language == "python":
            run_python(block, page, names)
        elif block.language == "sh":
            for command in commands(block):
                run_command(command, tmp_path, icarus=icarus)


def test_every_page_has_code() -> None:
    assert {path.name for path in PAGES} == {
        "README.md",
        "guide.md",
        "arithmetic.md",
        "architecture.md",
        "area.md",
        "integration.md",
        "verification.md",
        "search.md",
        "search-results.md",
    }
    for page in PAGES:
        assert any(block.language == "python" for block in blocks(page)), identify(page)


def skeleton(text: str) -> list[str]:
    """The table cells and other lines of an output, without figures and widths."""
    found = []
    for line in text.splitlines():
        plain = re.sub(r"\d[\d.,]*%?", "0", re.sub(r"\([0-9a-f]{7,}\)", "(hash)", line))
        words = " ".join(re.sub(r"[─━┄═┏┳┓┡╇┩└┴┘├┼┤]+", "", plain).split())
        if words:
            found.append(words)
    return found


def example_blocks() -> list[Block]:
    script = load_script(ROOT / "docs" / "example.py")
    text = README.read_text(encoding="utf-8")
    begin, end = text.index(script.BEGIN), text.index(script.END)
    lines = range(text[:begin].count("\n"), text[:end].count("\n") + 2)
    found = [block for block in blocks(README) if block.line in lines]
    assert [command for block in found for command in commands(block)] == list(script.COMMANDS)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1], ids=["simulate", "synth"])
def test_example_has_the_rows_of_a_fresh_run(index: int) -> None:
    block = example_blocks()[index]
    (command,) = commands(block)
    fresh = run([*GRUHW, *shlex.split(command)[1:]], ROOT)
    assert skeleton(fresh) == skeleton(block.text)[1:]


def test_console_commands_are_part_of_the_example() -> None:
    shown = [block for page in PAGES for block in blocks(page) if block.language == "console"]
    assert shown == example_blocks()


def test_every_command_of_the_program_is_in_the_table() -> None:
    listed = re.findall(r"^\| `gruhw (\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_folder_table_lists_what_generate_writes(tmp_path: Path) -> None:
    genome = ROOT / "designs" / "mnist-rows" / "genome.json"
    run([*GRUHW, "generate", "--genome", str(genome), "--out", str(tmp_path)], ROOT)
    section = README.read_text(encoding="utf-8").split("## A design folder")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = re.findall(r"`([^`]+)`", " ".join(rows))
    assert sorted(listed) == sorted(path.name for path in tmp_path.iterdir())


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = "".join(page.read_text(encoding="utf-8") for page in LINKED)
    named = set(MAKE.findall(text))
    assert {"demo", "test", "setup"} <= named
    assert named <= targets


def test_the_first_change_page_names_every_folder_and_tests_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("### Which test for which folder")[2].partition("\n\nOne test")[0]
    named = set(re.findall(r"`([\w./*-]+)`", table))
    paths = {name for name in named if "/" in name}
    assert [name for name in paths if not list(ROOT.glob(name))] == []
    packages = {
        str(path.parent.relative_to(ROOT))
        for root in ("sw/gruhw", "hw/gruhw_hw")
        for path in (ROOT / root).glob("*/__init__.py")
    }
    assert packages <= named
    assert {"tests/sw", "tests/end_to_end", "tests/sim"} <= named


@pytest.mark.parametrize("page", LINKED, ids=identify)
def test_local_links_resolve(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        assert not anchor, f"{identify(page)}: anchors are not checked: {target}"
        assert (page.parent / path).exists(), f"{identify(page)}: {target}"


def test_the_picture_is_what_its_script_draws() -> None:
    drawn = load_script(ROOT / "docs" / "flow.py").flow()
    assert (ROOT / "docs" / "flow.svg").read_text(encoding="utf-8") == drawn


def test_tables_of_results_are_what_files_of_designs_say() -> None:
    results = load_script(ROOT / "docs" / "results.py")
    assert results.designs()
    assert results.other_networks()
    for page, block in (
        (README, results.table()),
        (README, results.networks()),
        (ROOT / "docs" / "search.md", results.fronts()),
    ):
        assert block in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "module",
    sorted(
        {
            name
            for page in LINKED
            for name in re.findall(r"`(gruhw(?:_\w+)?(?:\.\w+)+)`", page.read_text("utf-8"))
            if name not in ("gruhw.v", ENTRY_POINT)
        }
    ),
)
def test_named_modules_exist(module: str) -> None:
    """Dotted names in the text are modules, or attributes of one."""
    name, *rest = module.split(".")
    found: Any = importlib.import_module(name)
    for part in rest:
        name = f"{name}.{part}"
        if not hasattr(found, part):
            importlib.import_module(name)
        found = getattr(found, part)


def test_readme_says_which_networks_there_are() -> None:
    """The table under *Networks* has what the code has."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Networks\n")[1].split("\n## ")[0]
    found = {
        part.strip(): re.findall("`([^`]+)`", choices)
        for part, choices in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    }
    dense = [DENSE, *(f"{DENSE}:{activation}" for activation in ACTIVATIONS)]
    assert found["recurrent layers"] == list(cells())
    assert found["layers without a state"] == dense
    assert found["output"] == list(OUTPUTS)
    assert found["initial state"] == list(INITIALS)
