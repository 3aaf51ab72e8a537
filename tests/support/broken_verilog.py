"""Faults that the benches must find, put into generated Verilog."""

from gruhw_hw.top import TOP


def replaced(verilog: str, find: str, replacement: str, module: str = TOP) -> str:
    """The same text with the first ``find`` in or after ``module`` replaced."""
    header = f"module \\{module} " if "." in module else f"module {module}("
    place = verilog.index(find, verilog.index(header))
    return verilog[:place] + replacement + verilog[place + len(find) :]


def wrong_operator(verilog: str, name: str, top: str = TOP) -> str:
    """The operator's result is inverted."""
    return replaced(verilog, "register <= ", "register <= ~", f"{top}.datapath.{name}")


def drops_offered_elements(verilog: str) -> str:
    """An output element is offered for one cycle only."""
    return replaced(verilog, ".source__ready(m_axis_tready)", ".source__ready(1'b1)")


def accepts_every_second_cycle(verilog: str) -> str:
    """Right values, too late."""
    verilog = replaced(verilog, ".sink__ready(s_axis_tready)", ".sink__ready(inner_ready)")
    verilog = replaced(verilog, ".sink__valid(s_axis_tvalid)", ".sink__valid(s_axis_tvalid & open)")
    gate = (
        "  reg open = 1;\n  wire inner_ready;\n  assign s_axis_tready = inner_ready & open;\n"
        "  always @(posedge clk) open <= ~(s_axis_tvalid & s_axis_tready);\n"
    )
    declaration = "  wire s_axis_tvalid;\n"
    return replaced(verilog, declaration, declaration + gate)


def never_accepts(verilog: str) -> str:
    """No input element is ever accepted."""
    verilog = replaced(verilog, ".sink__ready(s_axis_tready)", ".sink__ready()")
    declaration = "  wire s_axis_tready;\n"
    return replaced(verilog, declaration, f"{declaration}  assign s_axis_tready = 0;\n")


def resumes_late(verilog: str) -> str:
    """Nothing is accepted in the cycle after any reset but the first."""
    verilog = replaced(verilog, ".sink__ready(s_axis_tready)", ".sink__ready(inner_ready)")
    verilog = replaced(
        verilog, ".sink__valid(s_axis_tvalid)", ".sink__valid(s_axis_tvalid & ~late)"
    )
    gate = (
        "  reg late = 0;\n  reg first = 1;\n  wire inner_ready;\n"
        "  assign s_axis_tready = inner_ready & ~late;\n"
        "  always @(posedge clk) begin late <= rst & ~first; first <= first & rst; end\n"
    )
    declaration = "  wire s_axis_tvalid;\n"
    return replaced(verilog, declaration, declaration + gate)


def survives_reset(verilog: str, register: str, module: str) -> str:
    """A register keeps its value."""
    start = verilog.index(f"  = {register};", verilog.index(f"module \\{module} "))
    place = verilog.index("if (rst)", start)
    assert "endmodule" not in verilog[start:place]
    return f"{verilog[:place]}if (1'b0){verilog[place + len('if (rst)') :]}"


def resets_only_once(verilog: str) -> str:
    """Every reset but the first is ignored."""
    verilog = replaced(verilog, ".rst(rst)", ".rst(rst & first_reset)")
    gate = "  reg first_reset = 1;\n  always @(negedge rst) first_reset <= 0;\n"
    return replaced(verilog, "  wire rst;\n", "  wire rst;\n" + gate)
