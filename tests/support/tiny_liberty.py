"""A small cell library in Liberty format."""


def timing(pin: str) -> str:
    """The delays without which ABC maps to no cell."""
    tables = "".join(
        f'{kind} (square) {{ values ("0.1, 0.2", \\\n "0.2, 0.3"); }} '
        for kind in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    )
    return f'timing () {{ related_pin : "{pin}"; timing_sense : negative_unate; {tables} }}'


def cell(name: str, area: float, inputs: str, function: str, more: str = "") -> str:
    pins = "".join(
        f"    pin ({pin}) {{ direction : input; capacitance : 0.01; }}\n" for pin in inputs
    )
    delays = " ".join(timing(pin) for pin in inputs)
    return (
        f"  cell ({name}) {{ area : {area:g};\n{more}{pins}"
        f'    pin (Y) {{ direction : output; function : "{function}"; {delays} }} }}\n'
    )


LIBERTY = f"""
/* Five cells and a decoy. */
library (tiny) {{
  delay_model : table_lookup;
  time_unit : "1ns"; // a comment
  capacitive_load_unit (1, pf);
  lu_table_template (square) {{
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.1, 1.0"); index_2 ("0.1, 1.0"); }}
{cell("INV", 1.5, "A", "A'")}
{cell("NAND2", 2.5, "AB", "!A + !B")}
{cell("NOR2", 2.25, "AB", "!(A | B)")}
{cell("BUF", 2, "A", "A")}
{cell("NAND2_BIG", 9, "AB", "(A B)'")}
{cell("DFF", 10, "DC", "IQ", 'ff (IQ, IQN) { next_state : "D"; clocked_on : "C"; }')}
}}
"""
