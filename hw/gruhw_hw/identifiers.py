"""Which names a module of Verilog may have, and the file that has its text."""

import re

from gruhw.basics.values import instance
from gruhw.errors import InputError

TOP = "gruhw"
"""The name of the top module, unless the user gives another."""

DATAPATH = "datapath"
"""The instance below the top module that holds the cores, or is the only one."""

LONGEST = 64
"""Characters of a name. Tools add some, and Verilator shortens what becomes too long."""

TAKEN = ("TOP", "std")
"""What Verilator calls the outermost scope, and the package that SystemVerilog brings."""

_KEYWORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
checker class clocking cmos config const constraint context continue cover covergroup coverpoint
cross deassign default defparam design disable dist do edge else end endcase endchecker endclass
endclocking endconfig endfunction endgenerate endgroup endinterface endmodule endpackage
endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event
eventually expect export extends extern final first_match for force foreach forever fork
forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins
implements implies import incdir include initial inout input inside instance int integer
interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new
nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
posedge primitive priority program property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
signed small soft solve specify specparam static string strong strong0 strong1 struct super
supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
KEYWORDS = frozenset(_KEYWORDS.split())
"""The keywords of SystemVerilog, IEEE 1800-2017, Annex B, which has those of Verilog too."""


def check_top(top: str) -> str:
    """``top``, if a top module can have that name without quoting, whatever tool reads it.

    Raises
    ------
    InputError
        If it cannot.
    """
    # The name becomes part of Yosys commands, of the names of files, and of C++.
    plain = re.fullmatch(r"[A-Za-z_]\w*", instance("top module", top, str), re.ASCII)
    if plain is None or len(top) > LONGEST:
        raise InputError(
            f"top module must be 1 to {LONGEST} letters, digits and underscores, no digit first, "
            f"not {top!r}"
        )
    if top in KEYWORDS:
        raise InputError(f"top module must be no keyword of SystemVerilog, not {top!r}")
    if top in TAKEN:
        raise InputError(
            f"top module must have another name than {' and '.join(TAKEN)}, which tools know, "
            f"not {top!r}"
        )
    return top


def verilog_file(top: str) -> str:
    """The name of the file that has the text of a top module and of all modules below it."""
    return f"{top}.v"
