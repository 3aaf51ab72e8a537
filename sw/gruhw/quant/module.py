"""The quantised GRU as a PyTorch module: the graph's interpreter for training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.fixed import Fixed, IntArray, quantise
from gruhw.genome import Genes, Genome, Sizes
from gruhw.graph import Add, Graph, Linear, Multiply, Node, build_graph
from gruhw.model import LAYERS, Model, Normalisation
from gruhw.parameters import BIAS_BITS
from gruhw.quant.functional import fake_quantise
from gruhw.quant.operators import Constants, quantised

SINGLE_PRECISION_BITS = 25
"""Signed integers of this width are exact in float32."""

MERGED_BIASES = ("W_hr", "W_hz")
"""Layers whose biases have the same effect as those of the input's layers: where they are zero
they stay so in training, because the hardware then needs none."""

STEPS_A_CHUNK = 7
"""Time steps that are compiled as one: more run faster, but take longer to compile."""


class QuantGRU(nn.Module):
    """A GRU cell with classifier head whose every operator rounds as the hardware does.

    Forward passes are exact: every value is an integer times a power of two that the chosen
    floating-point format represents (double precision where single does not suffice).

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
        super().__init__()
        self.sizes = sizes
        self.genes = genes
        self.fractions = dict(model.fractions)
        self.input_signed = model.input_signed
        self.normalisation = model.normalisation
        self.graph: Graph = build_graph(
            sizes, genes, self.fractions, input_signed=model.input_signed
        )
        self.compute_type = (
            torch.float32 if _widest(self.graph, model) <= SINGLE_PRECISION_BITS else torch.float64
        )
        self.weights = nn.ParameterDict(_parameters(model.weights))
        self.biases = nn.ParameterDict(_parameters(model.biases))
        for layer in MERGED_BIASES:
            self.biases[layer].requires_grad_(bool(np.any(model.biases[layer])))
        for table in self.graph.tables:
            operand = self.graph[table.operand].type
            codes = np.sort(operand.codes())
            values = self.graph.table_values(table)[codes & ((1 << operand.bits) - 1)]
            self.register_buffer(
                f"table_{table.name}",
                torch.tensor(values * table.type.scale, dtype=self.compute_type),
                persistent=False,
            )

    def constants(self) -> Constants:
        """Fake-quantised weights and biases, and the tables, by operator."""
        found: dict[str, tuple[Tensor, ...]] = {}
        for op in self.graph.linears:
            bias = Fixed(BIAS_BITS, op.accumulator.frac)
            # Rounded in double precision, as the integers of the hardware are.
            found[op.name] = (
                fake_quantise(self.weights[op.name].double(), op.weight).to(self.compute_type),
                fake_quantise(self.biases[op.name].double(), bias).to(self.compute_type),
            )
        for table in self.graph.tables:
            found[table.name] = (getattr(self, f"table_{table.name}"),)
        return found

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits after the last step of every sequence, shape [N, classes].

        Parameters
        ----------
        inputs
            Integer codes of the input type, shape [N, T, inputs], as ``Network.encode`` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.
        """
        constants = self.constants()
        ahead = self._feedforward(inputs, constants)
        alive = self._alive(inputs, lengths)
        state = inputs.new_zeros(inputs.shape[0], self.sizes.hidden, dtype=self.compute_type)
        for start in range(0, inputs.shape[1], STEPS_A_CHUNK):
            steps = slice(start, start + STEPS_A_CHUNK)
            chunk = {name: values[steps] for name, values in ahead.items()}
            state = self._chunk(chunk, None if alive is None else alive[steps], state, constants)
        return quantised(self.graph.head, self.graph, [state], constants)

    def compile_steps(self) -> None:
        """Compile the time steps with ``torch.compile``: same results, several times faster.

        Needs a C++ compiler; pays off after a few epochs. Does nothing where PyTorch is
        installed in a folder with a blank in its path, which its compiler cannot take.
        """
        if any(mark.isspace() for mark in torch.__file__):
            return
        # The compiler cannot look into cached properties before they are cached.
        for name in ("input", "state", "operators"):
            getattr(self.graph, name)
        self._chunk = torch.compile(self._chunk, dynamic=False)  # type: ignore[method-assign]  # compiled in place

    @torch.no_grad()
    def integers(self, inputs: IntArray, lengths: IntArray | None = None) -> dict[str, IntArray]:
        """The integers of every operator, of shape [N, T, elements], and the head's [N, classes].

        Parameters are those of :meth:`forward`, as NumPy arrays.
        """
        codes = torch.from_numpy(inputs)
        alive = self._alive(codes, None if lengths is None else torch.from_numpy(lengths))
        constants = self.constants()
        ahead = self._feedforward(codes, constants)
        state = torch.zeros(codes.shape[0], self.sizes.hidden, dtype=self.compute_type)
        trace: dict[str, list[Tensor]] = {node.name: [] for node in self.graph.operators}
        for step in range(codes.shape[1]):
            now = {name: values[step] for name, values in ahead.items()}
            results = self._step(now, state, constants)
            following = results[self.graph.state.source]
            state = following if alive is None else torch.where(alive[step], following, state)
            for name, values in trace.items():
                values.append(results[name])
        logits = quantised(self.graph.head, self.graph, [state], constants)

        def integers_of(values: Tensor, kind: Fixed) -> IntArray:
            return (values.double() * 2.0**kind.frac).round().long().numpy()

        found = {
            name: integers_of(torch.stack(steps, dim=1), self.graph[name].type)
            for name, steps in trace.items()
        }
        return found | {"head": integers_of(logits, self.graph.head.type)}

    def _feedforward(self, inputs: Tensor, constants: Constants) -> dict[str, Tensor]:
        """What does not depend on the state, for all time steps at once: [T, N, elements]."""
        x = (inputs.transpose(0, 1) * self.graph.input.type.scale).to(self.compute_type)
        ahead: dict[str, Tensor] = {self.graph.input.name: x}
        for node in self.graph.operators:
            if node.name in self.graph.feedforward:
                operands = [ahead[name] for name in node.operands]
                ahead[node.name] = quantised(node, self.graph, operands, constants)
        return ahead

    def _alive(self, inputs: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Whether each sequence has each step, shape [T, N, 1]; None if all have."""
        if lengths is None:
            return None
        steps = torch.arange(inputs.shape[1], device=inputs.device)
        return (steps[:, None] < lengths[None, :])[:, :, None]

    def _chunk(
        self,
        ahead: Mapping[str, Tensor],
        alive: Tensor | None,
        state: Tensor,
        constants: Constants,
    ) -> Tensor:
        """The state after as many time steps as ``ahead`` holds."""
        for step in range(ahead[self.graph.input.name].shape[0]):
            now = {name: values[step] for name, values in ahead.items()}
            following = self._step(now, state, constants)[self.graph.state.source]
            state = following if alive is None else torch.where(alive[step], following, state)
        return state

    def _step(
        self, ahead: Mapping[str, Tensor], state: Tensor, constants: Constants
    ) -> dict[str, Tensor]:
        """The result of every node in one time step, of shape [N, elements]."""
        results = {**ahead, self.graph.state.name: state}
        for node in self.graph.operators:
            if node.name not in results:
                operands = [results[name] for name in node.operands]
                results[node.name] = quantised(node, self.graph, operands, constants)
        return results

    def encode(self, raw: np.ndarray) -> IntArray:
        """Raw samples, of shape [..., inputs], as integers of the input type."""
        return quantise(self.normalisation(raw), self.graph.input.type)

    def genome(self, **fields: Any) -> Genome:
        """A genome with the sizes and widths of this network, and other ``fields`` as given."""
        return Genome(sizes=self.sizes, genes=dict(self.genes), **fields)

    def model(self) -> Model:
        """The current weights as a model file's contents."""
        return Model(
            weights={layer: self.weights[layer].detach().cpu().numpy() for layer in LAYERS},
            biases={layer: self.biases[layer].detach().cpu().numpy() for layer in LAYERS},
            fractions=self.fractions,
            input_signed=self.input_signed,
            normalisation=self.normalisation,
        )


def _parameters(arrays: Mapping[str, np.ndarray]) -> dict[str, nn.Parameter]:
    return {
        layer: nn.Parameter(torch.tensor(np.asarray(arrays[layer]), dtype=torch.float32))
        for layer in LAYERS
    }


def _widest(graph: Graph, model: Model) -> int:
    """The width of the widest exact result in the graph, before it is requantised."""

    def exact_bits(node: Node) -> int:
        operands = [graph[name].type for name in node.operands]
        if isinstance(node, Linear):
            bias = quantise(model.biases[node.name], Fixed(BIAS_BITS, node.accumulator.frac))
            return 1 + max(node.accumulator.bits, Fixed.spanning(bias.tolist(), 0).bits)
        if isinstance(node, Multiply):
            return operands[0].product(operands[1]).bits
        if isinstance(node, Add):
            finest = max(operand.frac for operand in operands)
            return 1 + max(operand.bits + finest - operand.frac for operand in operands)
        return node.type.bits + 1

    return max(exact_bits(node) for node in graph)


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
