"""The program ``gruhw``: its commands, and what becomes of errors."""

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from gruhw import __version__
from gruhw.cli import hardware, learning
from gruhw.cli.console import errors
from gruhw.errors import GruhwError

app = typer.Typer(
    name="gruhw",
    help="Mixed-precision GRU accelerators: train, generate Verilog, synthesise, prove.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    learning.tasks,
    learning.train,
    hardware.generate,
    hardware.simulate,
    hardware.synth,
    learning.evaluate,
    hardware.report,
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gruhw {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Mixed-precision GRU accelerators: train, generate Verilog, synthesise, prove."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 the work failed, 2 the input was wrong."""
    try:
        status = app(args=arguments, standalone_mode=False)
    except GruhwError as error:
        errors.print(f"gruhw: {error}")
        status = error.exit_status
    except TyperException as error:
        errors.print(f"gruhw: {' '.join(str(error).split())} (try gruhw --help)")
        status = 2
    except (KeyboardInterrupt, typer.Abort):
        errors.print("gruhw: interrupted")
        status = 130
    sys.exit(status or 0)
