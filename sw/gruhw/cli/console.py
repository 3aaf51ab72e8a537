"""What commands print: results on standard output, progress and errors on standard error."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gruhw.basics.files import describe, output_folder, write_atomic
from gruhw.cli.choices import Part
from gruhw.errors import InputError
from gruhw.network.parts import VALIDATION_SEEN

if TYPE_CHECKING:
    from gruhw.design import Design
    from gruhw.learning.tasks import Task


class _Lines:
    """Prints plain lines on standard error: no wrapping, no colours, no markup."""

    def print(self, line: str) -> None:
        typer.echo(line, err=True)


errors = _Lines()
results = Console(highlight=False, soft_wrap=True, markup=False)
progress = Console(stderr=True, highlight=False, markup=False)


def writable(path: Path | None) -> Path | None:
    """``path``, if a file can be written there: known before the work, not after it.

    Raises
    ------
    InputError
        If it cannot.
    """
    if path is None:
        return None
    try:
        if path.is_dir():
            raise InputError(f"{path}: must be a file, but is a folder")
        # It would be replaced: /dev/null by an ordinary file, where the user may do that.
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: must be a file, but is a pipe or a device")
        folder = next(folder for folder in path.parents if folder.exists())
        if not folder.is_dir():
            raise InputError(f"{folder}: must be a folder, but is a file")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {describe(error)}") from error
    with output_folder(folder):
        return path


def check_unicode(option: str, text: str) -> None:
    """Raise :class:`InputError` if ``text`` is a name of bytes that are no UTF-8.

    A genome, or a search's memory, could not name it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{option} must be valid Unicode, which other files can name, not {text!r}"
        ) from None


GenomePath: TypeAlias = Annotated[
    Path, typer.Option("--genome", help="The design's genome file.", metavar="FILE")
]
STANDARD_OUTPUT = Path("-")
"""What ``--json`` takes for standard output. A file of this name is ``./-``."""


def _json_target(path: Path | None) -> Path | None:
    """``path``, if JSON can be written there; tables leave standard output to it if it is that."""
    results.stderr = path == STANDARD_OUTPUT
    return path if results.stderr else writable(path)


JsonPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="Also write the result here; to standard output if it is -, and the table to "
        "standard error.",
        metavar="FILE",
        callback=_json_target,
    ),
]
Lanes: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pe",
        help="Units computed at a time, instead of the genome's: one number, or one for each "
        "layer, as in 2,1.",
        metavar="N",
    ),
]


def lanes(text: str, separator: str = ",") -> int | tuple[int, ...]:
    """Processing elements as users give them; :class:`InputError` if they are no numbers."""
    try:
        found = tuple(map(int, text.split(separator)))
    except ValueError:
        raise InputError(
            f"pe must be a number, or one for each layer with {separator!r} between them, "
            f"not {text!r}"
        ) from None
    return found if len(found) > 1 else found[0]


SplitOption: TypeAlias = Annotated[
    Part, typer.Option("--split", help="Which part of the data.", show_default=True)
]
TaskOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--task", help="A task's name, or an .npz file, instead of the genome's.", metavar="TASK"
    ),
]


def validation_note(design: "Design", split: Part, task: "Task") -> dict[str, bool]:
    """What JSON says besides of an accuracy on validation data; warns if it may be too high."""
    if split != "val":
        return {}
    task.warn_of_absent_classes()
    return {VALIDATION_SEEN: task.may_have_taught(design.trained_on, design.path)}


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; yields what to call with how much is done, and of how much."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not progress.is_terminal  # where it would leave an empty line
    with Progress(*columns, console=progress, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that long work goes on; yields what to call with what it now does."""
    if not progress.is_terminal:
        yield lambda now: None
        return
    with progress.status(what) as status:
        yield status.update


def figures(title: str, rows: Mapping[str, object]) -> Table:
    """A table of names and figures."""
    table = Table(title=title, show_header=False)
    for name, figure in rows.items():
        table.add_row(name, str(figure))
    return table


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path``, if one was given; to standard output if that was."""
    text = json.dumps(content, indent=2)
    if path == STANDARD_OUTPUT:
        typer.echo(text)
    elif path is not None:
        write_atomic(path, f"{text}\n")
