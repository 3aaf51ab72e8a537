"""The quantised GRU as a PyTorch module: the graph's interpreter for training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.fixed import IntArray, quantise
from gruhw.genome import Genes, Genome, Sizes
from gruhw.graph import Graph
from gruhw.model import Model, Normalisation
from gruhw.quant.operators import quantised
from gruhw.quant.population import MERGED_BIASES, Population


class QuantGRU(Population):
    """A GRU cell with classifier head whose every operator rounds as the hardware does.

    It is a :class:`Population` of one: its parameters have a first dimension of 1.

    Parameters
    ----------
    sizes
        Input, hidden and class counts.
    genes
        The width of every operator and weight.
    model
        Initial weights, the calibrated fraction bits and the input normalisation.
    """

    def __init__(self, sizes: Sizes, genes: Genes, model: Model) -> None:
        super().__init__(sizes, [model])
        self._start = model
        self.genes = genes
        self.graph: Graph = model.graph(genes)
        self.assign([self.graph])

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits after the last step of every sequence, shape [N, classes].

        Parameters
        ----------
        inputs
            Integer codes of the input type, shape [N, T, inputs], as ``Network.encode`` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.
        """
        return super().forward(self._on_grid(inputs), lengths)[0]

    def _on_grid(self, codes: Tensor) -> Tensor:
        """Integer codes [N, T, inputs] as the values of the population's one member."""
        return (codes * self.graph.input.type.scale).to(self.compute_type)[None]

    @torch.no_grad()
    def integers(self, inputs: IntArray, lengths: IntArray | None = None) -> dict[str, IntArray]:
        """The integers of every operator, of shape [N, T, elements], and the head's [N, classes].

        Parameters are those of :meth:`forward`, as NumPy arrays.
        """
        values = self._on_grid(torch.from_numpy(inputs))
        steps = None if lengths is None else torch.from_numpy(lengths)
        constants = self.constants()
        trace: dict[str, list[Tensor]] = {node.name: [] for node in self.graph.operators}
        for results, after in self.steps(values, steps, constants):
            state = after
            for name, found in trace.items():
                found.append(results[name][0])
        logits = quantised(self.structure.head, [state], constants)[0]

        def integers_of(values: Tensor, name: str) -> IntArray:
            return (values.double() * 2.0 ** self.graph[name].type.frac).round().long().numpy()

        integers = {name: integers_of(torch.stack(v, dim=1), name) for name, v in trace.items()}
        return integers | {"head": integers_of(logits, "head")}

    def encode(self, raw: np.ndarray) -> IntArray:
        """Raw samples, of shape [..., inputs], as integers of the input type."""
        return quantise(self.normalisation(raw), self.graph.input.type)

    def genome(self, **fields: Any) -> Genome:
        """A genome with the sizes and widths of this network, and other ``fields`` as given."""
        return Genome(sizes=self.sizes, genes=self.genes, **fields)

    def model(self) -> Model:
        """The current weights as a model file's contents."""
        return self.member_model(0, self._start)


def float_layers(
    gru: nn.GRU, head: nn.Linear
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The weights and biases of a trained GRU and head, by layer.

    The biases of :data:`MERGED_BIASES` are added to those of the input's layers.

    Raises
    ------
    ValueError
        If the GRU has more than one layer or direction, or sizes that do not fit the head.
    """
    if gru.num_layers != 1 or gru.bidirectional:
        raise ValueError(
            "GRU must have one layer and one direction, not "
            f"{gru.num_layers} layers and {1 + gru.bidirectional} directions"
        )
    if head.in_features != gru.hidden_size:
        raise ValueError(
            f"inputs of the head must be the {gru.hidden_size} hidden units, not {head.in_features}"
        )
    numbers = {
        name: value.detach().cpu().double().numpy() for name, value in gru.named_parameters()
    }
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}
    for index, gate in enumerate("rzn"):
        rows = slice(index * gru.hidden_size, (index + 1) * gru.hidden_size)
        weights[f"W_i{gate}"] = numbers["weight_ih_l0"][rows]
        weights[f"W_h{gate}"] = numbers["weight_hh_l0"][rows]
        zero = np.zeros(gru.hidden_size)
        input_bias = numbers["bias_ih_l0"][rows] if gru.bias else zero
        state_bias = numbers["bias_hh_l0"][rows] if gru.bias else zero
        merged = f"W_h{gate}" in MERGED_BIASES
        biases[f"W_i{gate}"] = input_bias + state_bias if merged else input_bias
        biases[f"W_h{gate}"] = zero if merged else state_bias
    weights["head"] = head.weight.detach().cpu().double().numpy()
    has_bias = head.bias is not None
    biases["head"] = (
        head.bias.detach().cpu().double().numpy() if has_bias else np.zeros(head.out_features)
    )
    return weights, biases


def from_float(
    gru: nn.GRU,
    head: nn.Linear,
    genes: Genes,
    fractions: Mapping[str, int],
    *,
    input_signed: bool,
    normalisation: Normalisation,
) -> QuantGRU:
    """Quantise a trained single-layer ``nn.GRU`` and ``nn.Linear`` with given fraction bits."""
    weights, biases = float_layers(gru, head)
    sizes = Sizes(input=gru.input_size, hidden=gru.hidden_size, classes=head.out_features)
    return QuantGRU(sizes, genes, Model(weights, biases, fractions, input_signed, normalisation))
