"""The minimal gated unit, whose gate comes after the recurrent product, as PyTorch's GRU has it.

The published unit gates the state before that product: ``W_hn (f * h)``::

    f  = sigmoid(W_if x + b_if + W_hf h + b_hf)
    n  = tanh(W_in x + b_in + f * (W_hn h + b_hn))
    h' = (1 - f) * h + f * n
"""

from gruhw.network.cells.cell import Cell
from gruhw.network.graph import Graph
from gruhw.network.step import Step


def mgu(inputs: int, units: int) -> Graph:
    """A time step."""
    step = Step(inputs, units)
    h = step.state("h", source="add_h")
    w_if, w_in = (step.linear(name) for name in ("W_if", "W_in"))
    w_hf, w_hn = (step.linear(name, h) for name in ("W_hf", "W_hn"))
    add_f = step.add("add_f", w_if, w_hf)
    sig_f = step.sigmoid("sig_f", add_f)
    mul_fh = step.multiply("mul_fh", sig_f, w_hn)
    add_n = step.add("add_n", w_in, mul_fh)
    tanh_n = step.tanh("tanh_n", add_n)
    sub_f = step.complement("sub_f", sig_f)
    mul_kept = step.multiply("mul_kept", sub_f, h)
    mul_fn = step.multiply("mul_fn", sig_f, tanh_n)
    return step.graph(step.add("add_h", mul_kept, mul_fn, rule="symmetric"))


MGU = Cell(
    "mgu",
    mgu,
    source="G.-B. Zhou et al., arXiv:1603.09420, the gate after the product",
    # The gate lets new values in: its bias keeps states for a while from the start.
    initial_biases={"W_if": -1.0},
)
