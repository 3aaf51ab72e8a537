"""The gated recurrent unit, as PyTorch has it: the reset gate comes after the recurrent product.

::

r  = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))
h' = (1 - z) * n + z * h
"""

from gruhw.network.cells.cell import Cell, Stacked
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def gru(inputs: int, units: int) -> Graph:
    """A time step."""
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    w_ir, w_iz, w_in = (step.linear(name) for name in ("W_ir", "W_iz", "W_in"))
    w_hr, w_hz, w_hn = (step.linear(name, h) for name in ("W_hr", "W_hz", "W_hn"))
    add_r = step.add("add_r", w_ir, w_hr)
    add_z = step.add("add_z", w_iz, w_hz)
    sig_r = step.sigmoid("sig_r", add_r)
    sig_z = step.sigmoid("sig_z", add_z)
    mul_rh = step.multiply("mul_rh", sig_r, w_hn)
    add_n = step.add("add_n", w_in, mul_rh)
    tanh_n = step.tanh("tanh_n", add_n)
    sub_z = step.complement("sub_z", sig_z)
    mul_zn = step.multiply("mul_zn", sub_z, tanh_n)
    mul_zh = step.multiply("mul_zh", sig_z, h)
    return step.graph(step.add("add_h", mul_zn, mul_zh, rule="symmetric"))


GRU = Cell(
    "gru",
    gru,
    source="K. Cho et al., arXiv:1406.1078; operators as in arXiv:2402.12263",
    framework=Stacked(
        "torch.nn.GRU", input=("W_ir", "W_iz", "W_in"), state=("W_hr", "W_hz", "W_hn")
    ),
    # States are kept for a while from the start.
    initial_biases={"W_iz": 1.0},
)
