"""Reading Liberty files: the cells, the NAND that gates are counted in, and what is malformed."""

import hashlib
from pathlib import Path

import pytest
from tiny_liberty import LIBERTY

from gruhw.errors import InputError, ToolError
from gruhw_hw.pdk import SG13G2, load_liberty, parse_liberty
from gruhw_hw.synthesis import Resources, netlist, synthesise
from gruhw_hw.synthesis.resources import count_resources
from gruhw_hw.synthesis.targets import liberty_cells


def test_liberty(library: Path) -> None:
    liberty = load_liberty(library)
    assert liberty.name == "tiny"
    assert liberty.nand2_area == 2.5
    assert [name for name, cell in liberty.cells.items() if cell.flip_flop] == ["DFF"]
    assert {name: cell.area for name, cell in liberty.cells.items()} == {
        "INV": 1.5, "NAND2": 2.5, "NOR2": 2.25, "BUF": 2.0, "NAND2_BIG": 9.0, "DFF": 10.0,
    }  # fmt: skip
    cells = count_resources({"NAND2": 2, "DFF": 1, "XOR9": 1}, liberty_cells(liberty))
    assert cells == Resources(flip_flops=1, area_um2=15.0, nand2_equivalents=6.0, other={"XOR9": 1})


@pytest.mark.parametrize(
    ("function", "nand"),
    [
        ("!(A*B)", True),
        ("(!(A & B))", True),
        ("A' | B'", True),
        ("!A+!B", True),
        ("(A B)'", True),
        ("!((A^B) + (A*B)) + A^B", True),
        ("!(A*B)'", False),
        ("A*B", False),
        ("!(A+B)", False),
        ("!A", False),
        ("!(A*C)", False),
        ("!(A*B", False),
        ("1", False),
        ("", False),
    ],
)
def test_nand_functions(function: str, nand: bool) -> None:
    text = LIBERTY.replace('"!A + !B"', f'"{function}"')
    assert parse_liberty(Path("x.lib"), text.encode()).nand2_area == (2.5 if nand else 9)


def test_semicolons_may_be_forgotten() -> None:
    text = edited("area : 2.5;", "area : 2.5").replace(
        "capacitance : 0.01; }", "direction : input }"
    )
    assert parse_liberty(Path("x.lib"), text.encode()).nand2_area == 2.5


def edited(old: str, new: str) -> str:
    assert old in LIBERTY
    return LIBERTY.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must hold one library, not nothing"),
        ("module (x) {}", "line 1: must hold one library, not module"),
        ("some text", "line 1: some must be followed by ':' or '(', not 'text'"),
        ("<html>", "line 1: <html> must be followed by ':' or '(', not 'end'"),
        ("library (x) {\n}\n}", "line 3: must have a name, not '}'"),
        (LIBERTY.rstrip()[:-1], "line 78: the file must close library (tiny), but it ends here"),
        (edited("area : 2.25;", "area : ;"), "line 31: area must have a value, not ';'"),
        (
            edited("pin (D) {", "pin (D) ="),
            "line 66: pin (...) must be followed by '{' or ';', not '='",
        ),
        (edited("(1, pf);", "(1, pf;"), "line 6: capacitive_load_unit must close its '(', not ';'"),
        (edited('"1ns"', '"1ns'), "line 76: must be Liberty, but has '\"'"),
        (
            edited("area : 2.25;", "area : small;"),
            "area of cell NOR2 must be a number, 0 or more, not 'small'",
        ),
        (
            edited("area : 2.25;", "area : -1;"),
            "area of cell NOR2 must be a number, 0 or more, not '-1'",
        ),
        ("library (x) { }", "library x must have cells, but has none"),
        (
            "library (x) { cell (INV) { area : 1; } }",
            (
                "library x must have a 2-input NAND with an area, the unit of gate counts, "
                "but has none"
            ),
        ),
    ],
)
def test_malformed_liberty(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.lib"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        synthesise("module top; endmodule", "top", "asic", liberty=path)
    assert str(raised.value) == f"{path}: {message}"


def test_absent_liberty(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        load_liberty(tmp_path / "absent.lib")
    assert str(raised.value) == (
        f"{tmp_path / 'absent.lib'}: cannot be read: no such file or directory"
    )


def test_the_default_library_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRUHW_PDK", str(tmp_path))
    path = tmp_path / SG13G2.name
    path.write_text(LIBERTY)
    with pytest.raises(InputError) as raised:
        load_liberty()
    found = hashlib.sha256(LIBERTY.encode()).hexdigest()
    assert str(raised.value) == f"{path}: SHA-256 must be {SG13G2.sha256}, not {found}"


@pytest.mark.parametrize("function", ["(" * 10**5, "!" * 10**5, "(" * 900 + "A" + ")" * 900])
def test_functions_of_any_depth(function: str) -> None:
    text = edited('"!A + !B"', f'"{function}"')
    assert parse_liberty(Path("x.lib"), text.encode()).nand2_area == 9


@pytest.mark.slow
def test_a_library_that_nothing_can_be_mapped_to(tmp_path: Path) -> None:
    path = tmp_path / "no_flip_flops.lib"
    path.write_text(LIBERTY.replace("ff (", "other ("))
    verilog = "module top(input c, d, output reg q); always @(posedge c) q <= d; endmodule"
    for work in (synthesise, netlist):
        with pytest.raises(InputError) as raised:
            work(verilog, "top", "asic", liberty=path)
        assert str(raised.value).startswith(
            f"{path}: must be a library that Yosys can map to, but: Yosys: ERROR: "
        )


def test_a_design_that_is_wrong_is_not_the_library_s_fault(library: Path) -> None:
    with pytest.raises(ToolError) as raised:
        synthesise("module top; wrong endmodule", "top", "asic", liberty=library)
    assert str(raised.value).startswith("Yosys: design.v:1: ERROR: syntax error")
