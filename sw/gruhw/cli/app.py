"""The program ``gruhw``: its commands, and what becomes of errors."""

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import typer
from pydantic import ValidationError
from typer.exceptions import TyperException

from gruhw import __version__
from gruhw.basics.files import describe
from gruhw.basics.strict import first_problem
from gruhw.cli import hardware, learning, search
from gruhw.cli.console import errors
from gruhw.cli.network import NamingCells
from gruhw.errors import GruhwError, GruhwWarning, InputError, one_line

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it, and after SIGTERM."""

app = typer.Typer(
    name="gruhw",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    learning.tasks,
    learning.train,
    learning.calibrate,
    search.search,
    hardware.generate,
    hardware.simulate,
    hardware.verify,
    hardware.prove,
    hardware.synth,
    learning.evaluate,
    hardware.report,
):
    app.command(cls=NamingCells)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"gruhw {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Mixed-precision recurrent accelerators: train, generate Verilog, synthesise, prove."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise InputError("a command is required, but missing")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 the work failed, 2 the input was wrong."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be text, and tables name files.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _terminable(), _warnings_as_lines():
            # Typer itself turns an interrupted command into this status.
            status = app(args=arguments, prog_name="gruhw", standalone_mode=False)
        if status == INTERRUPTED:
            raise KeyboardInterrupt
    except GruhwError as error:
        errors.print(f"gruhw: {error}")
        status = error.exit_status
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "gruhw"
        errors.print(one_line(f"gruhw: {_explain(error)} (try {command} --help)"))
        status = InputError.exit_status
    except OSError as error:
        named = f"{error.filename}: " if error.filename is not None else ""
        errors.print(one_line(f"gruhw: {named}{describe(error)}"))
        status = GruhwError.exit_status
        _forget_output()
    except (KeyboardInterrupt, typer.Abort):
        errors.print("gruhw: interrupted")
        status = INTERRUPTED
    sys.exit(status or 0)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Print each warning of gruhw's once, as a line on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", GruhwWarning)
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, GruhwWarning):
                errors.print(one_line(f"gruhw: warning: {message}"))
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: with the tools that it runs."""
    if threading.current_thread() is not threading.main_thread():
        yield  # which alone may handle signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _forget_output() -> None:
    """Drop what standard output cannot take: Python would try again at exit, and fail with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain(error: TyperException) -> str:
    """What is wrong with the command line, in one line that names the option."""
    problem = error.__cause__
    if isinstance(error, typer.BadParameter) and isinstance(problem, ValidationError):
        option = error.param.opts[0] if error.param else ""
        return f"{option}: {first_problem(problem).removeprefix(': ').rstrip('.')}"
    words = " ".join(error.format_message().split()).rstrip(".")
    return words[:1].lower() + words[1:]
