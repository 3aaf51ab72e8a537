"""Amaranth components as Verilog."""

import re

from amaranth.back import verilog
from amaranth.back.verilog import YosysError
from amaranth.lib import wiring

from gruhw.basics.cache import check_yosys_cache
from gruhw.errors import ToolError


def convert(component: wiring.Component, name: str) -> str:
    """The Verilog text of a component, as a module of this name; the same one gives the same text.

    Raises
    ------
    InputError
        If the Yosys that comes with Amaranth has no place for its cache.
    ToolError
        If it fails, for lack of memory or disk space, say.
    """
    check_yosys_cache()
    try:
        text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    except YosysError as error:
        raise ToolError(f"Amaranth's Yosys: {_reason(str(error))}") from error
    return text


def _reason(message: str) -> str:
    """What went wrong; where Yosys did not even start, the message is a whole traceback."""
    last = re.split(r"^[\w.]+Error: ", message, flags=re.MULTILINE)[-1]
    lines = (line.strip() for line in last.splitlines())
    return ": ".join(line for line in lines if line not in ("", "Caused by:"))
