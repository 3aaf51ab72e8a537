"""The update gate RNN: a GRU without a reset gate, with two thirds of its weights.

::

z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
n  = tanh(W_in x + b_in + W_hn h + b_hn)
h' = (1 - z) * n + z * h
"""

from gruhw.network.cells.cell import Cell
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def ugrnn(inputs: int, units: int) -> Graph:
    """A time step."""
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    w_iz, w_in = (step.linear(name) for name in ("W_iz", "W_in"))
    w_hz, w_hn = (step.linear(name, h) for name in ("W_hz", "W_hn"))
    add_z = step.add("add_z", w_iz, w_hz)
    add_n = step.add("add_n", w_in, w_hn)
    sig_z = step.sigmoid("sig_z", add_z)
    tanh_n = step.tanh("tanh_n", add_n)
    sub_z = step.complement("sub_z", sig_z)
    mul_zn = step.multiply("mul_zn", sub_z, tanh_n)
    mul_zh = step.multiply("mul_zh", sig_z, h)
    return step.graph(step.add("add_h", mul_zn, mul_zh, rule="symmetric"))


UGRNN = Cell(
    "ugrnn",
    ugrnn,
    source="J. Collins, J. Sohl-Dickstein and D. Sussillo, arXiv:1611.09913",
    initial_biases={"W_iz": 1.0},
)
