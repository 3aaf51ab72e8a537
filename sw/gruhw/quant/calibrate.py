"""The choice of fraction bits for every tensor and width, from float weights and real inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from gruhw.fixed import Fixed, FloatArray, quantise
from gruhw.fractions import FRACTION_BITS, Fractions
from gruhw.genome import Genes, Sizes
from gruhw.graph import Input, State, calibrated_tensors
from gruhw.quant.operators import ideal
from gruhw.quant.population import layer_tensors, structure_of

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
    graph, layers = structure_of(sizes), layer_tensors(weights, biases)
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
                results[node.name] = ideal(node, [results[o] for o in node.operands], layers)
            found[node.name].append(results[node.name].numpy()[alive > step])
        state = results[graph.state.source]
    return {name: np.concatenate(parts) for name, parts in found.items()}


@dataclass(frozen=True)
class Calibration:
    """Fraction bits for every tensor at every width, chosen when first asked for.

    Parameters
    ----------
    weights
        Float weights by layer.
    activations
        The real-valued results of every operator, by name: see :func:`float_activations`.
    """

    weights: Mapping[str, FloatArray]
    activations: Mapping[str, FloatArray]
    _found: dict[tuple[str, int], int] = field(default_factory=dict, repr=False)

    @classmethod
    def measure(
        cls,
        sizes: Sizes,
        weights: Mapping[str, np.ndarray],
        biases: Mapping[str, np.ndarray],
        inputs: FloatArray,
        lengths: np.ndarray | None = None,
    ) -> "Calibration":
        """Calibrate on normalised real sequences, shape [N, T, inputs]; a few hundred suffice.

        ``lengths`` are the steps of each sequence, shape [N]; all T if absent.
        """
        return cls(weights, float_activations(sizes, weights, biases, inputs, lengths))

    @property
    def input_signed(self) -> bool:
        """Whether input elements are two's complement."""
        return bool(self.activations["input"].min() < 0)

    def fraction(self, tensor: str, bits: int) -> int:
        """The fraction bits of ``tensor``, as :func:`calibrated_tensors` names it."""
        if (tensor, bits) not in self._found:
            layer, _, is_weight = tensor.partition(".")
            values = self.weights[layer] if is_weight else self.activations[tensor]
            self._found[tensor, bits] = best_fraction(
                values,
                bits,
                signed=self.input_signed if tensor == "input" else True,
                through=None if is_weight else _consumer(tensor),
            )
        return self._found[tensor, bits]

    def fractions(self, genes: Genes) -> Fractions:
        """The fraction bits of every tensor at the widths of ``genes``."""
        widths = calibrated_tensors(genes)
        return Fractions({name: self.fraction(name, bits) for name, bits in widths.items()}, widths)


def _consumer(tensor: str) -> Callable[[FloatArray], FloatArray] | None:
    """The table that reads an operator's result, as a function; None if there is none."""
    graph = structure_of(Sizes(input=1, hidden=1, classes=2))
    table = next((table for table in graph.tables if table.operand == tensor), None)
    if table is None:
        return None
    return lambda values: ideal(table, [torch.from_numpy(values)], {}).numpy()


def calibrate(
    sizes: Sizes,
    genes: Genes,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: FloatArray,
    lengths: np.ndarray | None = None,
) -> tuple[Fractions, bool]:
    """Fraction bits for every tensor of ``genes``, and whether the input is signed.

    Parameters are those of :meth:`Calibration.measure`.
    """
    calibration = Calibration.measure(sizes, weights, biases, inputs, lengths)
    return calibration.fractions(genes), calibration.input_signed
