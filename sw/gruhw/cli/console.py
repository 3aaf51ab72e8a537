"""What commands print: results on standard output, progress and errors on standard error."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

from gruhw.files import write_atomic


class _Lines:
    """Prints plain lines on standard error: no wrapping, no colours, no markup."""

    def print(self, line: str) -> None:
        typer.echo(line, err=True)


errors = _Lines()
results = Console(highlight=False, soft_wrap=True, markup=False)
progress = Console(stderr=True, highlight=False, markup=False)

GenomePath: TypeAlias = Annotated[
    Path, typer.Option("--genome", help="The design's genome file.", metavar="FILE")
]
JsonPath: TypeAlias = Annotated[
    Path | None, typer.Option("--json", help="Also write the result here.", metavar="FILE")
]
Lanes: TypeAlias = Annotated[
    int | None,
    typer.Option("--pe", help="Hidden units computed at a time, instead of the genome's."),
]


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that long work goes on."""
    with progress.status(what) if progress.is_terminal else _nothing():
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def figures(title: str, rows: Mapping[str, object]) -> Table:
    """A table of names and figures."""
    table = Table(title=title, show_header=False)
    for name, figure in rows.items():
        table.add_row(name, str(figure))
    return table


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path``, if one was given."""
    if path is not None:
        write_atomic(path, json.dumps(content, indent=2) + "\n")
