"""The long short-term memory, as PyTorch has it, with two states.

::

i  = sigmoid(W_ii x + b_ii + W_hi h + b_hi)
f  = sigmoid(W_if x + b_if + W_hf h + b_hf)
g  = tanh(W_ig x + b_ig + W_hg h + b_hg)
o  = sigmoid(W_io x + b_io + W_ho h + b_ho)
c' = f * c + i * g
h' = o * tanh(c')
"""

from gruhw.network.cells.cell import Cell, Stacked
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def lstm(inputs: int, units: int) -> Graph:
    """A time step."""
    step = Step(inputs, units)
    h, c = step.state("h", source="mul_h"), step.state("c", source="add_c")
    w_ii, w_if, w_ig, w_io = (step.linear(name) for name in ("W_ii", "W_if", "W_ig", "W_io"))
    w_hi, w_hf, w_hg, w_ho = (step.linear(name, h) for name in ("W_hi", "W_hf", "W_hg", "W_ho"))
    sig_i = step.sigmoid("sig_i", step.add("add_i", w_ii, w_hi))
    sig_f = step.sigmoid("sig_f", step.add("add_f", w_if, w_hf))
    tanh_g = step.tanh("tanh_g", step.add("add_g", w_ig, w_hg))
    sig_o = step.sigmoid("sig_o", step.add("add_o", w_io, w_ho))
    mul_fc = step.multiply("mul_fc", sig_f, c)
    mul_ig = step.multiply("mul_ig", sig_i, tanh_g)
    add_c = step.add("add_c", mul_fc, mul_ig)
    tanh_c = step.tanh("tanh_c", add_c)
    return step.graph(step.multiply("mul_h", sig_o, tanh_c, rule="symmetric"))


LSTM = Cell(
    "lstm",
    lstm,
    source="S. Hochreiter and J. Schmidhuber, Neural Computation 9(8), 1997; "
    "forget gate: F. A. Gers et al., Neural Computation 12(10), 2000",
    framework=Stacked(
        "torch.nn.LSTM",
        input=("W_ii", "W_if", "W_ig", "W_io"),
        state=("W_hi", "W_hf", "W_hg", "W_ho"),
    ),
    # As R. Jozefowicz et al., ICML 2015, have it: cells keep their state from the start.
    initial_biases={"W_if": 1.0},
)
