"""The command line: ``gruhw COMMAND``."""

from gruhw.cli.app import main

__all__ = ["main"]
