"""The choice of fraction bits for every tensor and width, from float weights and real inputs."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from gruhw.fixed import Fixed, FloatArray, quantise
from gruhw.genome import Genes, Sizes, homogeneous
from gruhw.graph import FRACTION_BITS, Input, State, Table, build_graph, calibrated_tensors
from gruhw.quant.operators import Constants, ideal

FINER_CANDIDATES = 6
"""How many fraction bits beyond the clipping-free choice are tried."""


def best_fraction(
    values: FloatArray,
    bits: int,
    *,
    signed: bool = True,
    through: Callable[[FloatArray], FloatArray] | None = None,
) -> int:
    """The fraction bits that minimise the mean squared error of rounding ``values`` to ``bits``.

    Narrow types often do better to clip rare large values than to represent them.

    Parameters
    ----------
    values
        Samples of the tensor.
    through
        A function that consumes the tensor; the error is then measured behind it.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    largest = float(np.abs(flat).max(initial=0.0))
    if largest == 0.0:
        return _allowed(bits - int(signed))
    coarsest = bits - int(signed) - int(np.ceil(np.log2(largest)))
    target = flat if through is None else through(flat)

    def error(frac: int) -> float:
        kind = Fixed(bits, frac, signed)
        rounded = quantise(flat, kind) * kind.scale
        return float(np.mean((target - (rounded if through is None else through(rounded))) ** 2))

    candidates = range(coarsest - 1, coarsest + FINER_CANDIDATES + 1)
    return min((_allowed(frac) for frac in candidates), key=error)


def _allowed(frac: int) -> int:
    return min(max(frac, FRACTION_BITS[0]), FRACTION_BITS[-1])


def float_activations(
    sizes: Sizes,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: FloatArray,
    lengths: np.ndarray | None = None,
) -> dict[str, FloatArray]:
    """The unquantised results of every operator on ``inputs``, of shape [N, T, inputs].

    Steps past the end of a sequence are left out: each result has shape [steps, elements].
    """
    # The ideal function of a graph does not depend on its types.
    placeholder = homogeneous(8)
    zero = dict.fromkeys(calibrated_tensors(placeholder), 0)
    graph = build_graph(sizes, placeholder, zero, input_signed=True)
    constants: Constants = {
        op.name: (torch.tensor(weights[op.name]).double(), torch.tensor(biases[op.name]).double())
        for op in graph.linears
    }
    x = torch.tensor(inputs, dtype=torch.float64)
    state = x.new_zeros(x.shape[0], sizes.hidden)
    alive = np.full(x.shape[0], x.shape[1]) if lengths is None else lengths
    found: dict[str, list[FloatArray]] = {node.name: [] for node in graph.step}
    for step in range(x.shape[1]):
        results: dict[str, torch.Tensor] = {}
        for node in graph.step:
            if isinstance(node, Input):
                results[node.name] = x[:, step]
            elif isinstance(node, State):
                results[node.name] = state
            else:
                results[node.name] = ideal(node, [results[o] for o in node.operands], constants)
            found[node.name].append(results[node.name].numpy()[alive > step])
        state = results[graph.state.source]
    return {name: np.concatenate(parts) for name, parts in found.items()}


def calibrate(
    sizes: Sizes,
    genes: Genes,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: FloatArray,
    lengths: np.ndarray | None = None,
) -> tuple[dict[str, int], bool]:
    """Fraction bits for every tensor of ``genes``, and whether the input is signed.

    Parameters
    ----------
    weights, biases
        Float parameters by layer.
    inputs
        Normalised real sequences, shape [N, T, inputs]; a few hundred suffice.
    lengths
        Steps of each sequence, shape [N]; all T if absent.
    """
    activations = float_activations(sizes, weights, biases, inputs, lengths)
    input_signed = bool(activations["input"].min() < 0)
    zero = dict.fromkeys(calibrated_tensors(genes), 0)
    graph = build_graph(sizes, genes, zero, input_signed=input_signed)
    consumers = {node.operand: node for node in graph.step if isinstance(node, Table)}

    def through(name: str) -> Callable[[FloatArray], FloatArray] | None:
        if name not in consumers:
            return None
        table = consumers[name]
        return lambda values: ideal(table, [torch.from_numpy(values)], {}).numpy()

    fractions: dict[str, int] = {}
    for tensor, bits in calibrated_tensors(genes).items():
        layer, _, is_weight = tensor.partition(".")
        if is_weight:
            fractions[tensor] = best_fraction(weights[layer], bits)
        else:
            signed = input_signed if tensor == "input" else True
            fractions[tensor] = best_fraction(
                activations[tensor], bits, signed=signed, through=through(tensor)
            )
    return fractions, input_signed
