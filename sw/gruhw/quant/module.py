"""The quantised GRU as a PyTorch module: the graph's interpreter for training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gruhw.encoding import codes_and_lengths, encode
from gruhw.errors import InputError
from gruhw.fixed import IntArray
from gruhw.fractions import Fractions
from gruhw.genome import Genes, Genome, Sizes
from gruhw.graph import Graph, calibrated_tensors
from gruhw.model import Layers, Model, Normalisation, check_layers
from gruhw.quant.calibration import float_activations
from gruhw.quant.operators import quantised
from gruhw.quant.population import MERGED_BIASES, Population, structure_of
from gruhw.values import instance, type_name


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

    def __init__(self, sizes: Sizes, genes: Mapping[str, int], model: Model) -> None:
        instance("model", model, Model).check_sizes(instance("sizes", sizes, Sizes))
        super().__init__(sizes, [model])
        self._start = model
        self.genes = Genes.of(genes)
        self.graph: Graph = model.graph(self.genes)
        self.assign([self.graph])

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits after the last step of every sequence, shape [N, classes].

        Parameters
        ----------
        inputs
            Integer codes of the input type, shape [N, T, inputs], as :meth:`encode` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.

        Raises
        ------
        InputError
            If inputs are no such codes (real numbers, say), lengths are out of range, or weights
            are not finite or not on the CPU.
        """
        return super().forward(*self._on_grid(inputs, lengths))[0]

    def _on_grid(self, inputs: ArrayLike, lengths: ArrayLike | None) -> tuple[Tensor, Tensor]:
        """Integer codes [N, T, inputs] as the values of the population's one member; lengths."""
        source = self.graph.input
        codes, steps = codes_and_lengths(inputs, lengths, source.type, source.size)
        self._keep_exact()
        # Copied: PyTorch warns where an array is read-only.
        values = torch.tensor(codes, dtype=self.compute_type) * source.type.scale
        return values[None], torch.tensor(steps)

    def _keep_exact(self) -> None:
        """Take the precision that holds every sum of the weights as training has made them."""
        for name, parameter in self.named_parameters():
            if parameter.device.type != "cpu":
                raise InputError(f"{name} must be on the CPU, not on {parameter.device}")
            if not parameter.isfinite().all():
                raise InputError(f"every value of {name} must be finite")
        if self.exact_type() != self.compute_type:
            self.assign([self.graph])

    @torch.no_grad()
    def integers(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> dict[str, IntArray]:
        """The integers of every operator, of shape [N, T, elements], and the head's [N, classes].

        Parameters and errors are those of :meth:`forward`.
        """
        values, steps = self._on_grid(inputs, lengths)
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

    def encode(self, raw: ArrayLike, lengths: ArrayLike | None = None) -> IntArray:
        """Raw samples as integers of the input type: see :func:`gruhw.encoding.encode`."""
        return encode(self.normalisation, self.graph.input.type, raw, lengths)

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

    Pruned, weight-normed and otherwise parametrised modules give the weights that they compute
    with. The biases of :data:`MERGED_BIASES` are added to those of the input's layers.

    Raises
    ------
    InputError
        If they are other modules, the GRU has more than one layer or direction, sizes do not fit
        together, a weight is not finite, or the GRU computes something else than its weights say.
    """
    for name, module, kind in (("gru", gru, nn.GRU), ("head", head, nn.Linear)):
        if not isinstance(module, kind):
            required = kind.__name__
            raise InputError(
                f"{name} must be a torch.nn.{required}, not {type_name(module, required)}"
            )
    if gru.num_layers != 1 or gru.bidirectional:
        raise InputError(
            "gru must have one layer and one direction, not "
            f"{gru.num_layers} layers and {1 + gru.bidirectional} directions"
        )
    if head.in_features != gru.hidden_size:
        raise InputError(
            f"inputs of head must be the {gru.hidden_size} hidden units, not {head.in_features}"
        )
    tried = _tried(gru, head)
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}
    # Attributes, not parameters: those of a pruned module are other ones.
    for side in "ih":
        weight = _numbers(getattr(gru, f"weight_{side}h_l0"))
        bias = _numbers(getattr(gru, f"bias_{side}h_l0")) if gru.bias else np.zeros(len(weight))
        for gate, rows in zip("rzn", np.split(np.arange(len(weight)), 3), strict=True):
            weights[f"W_{side}{gate}"] = weight[rows]
            biases[f"W_{side}{gate}"] = bias[rows]
    for gate in "rzn":
        if f"W_h{gate}" in MERGED_BIASES:
            biases[f"W_i{gate}"] = biases[f"W_i{gate}"] + biases[f"W_h{gate}"]
            biases[f"W_h{gate}"] = np.zeros(gru.hidden_size)
    weights["head"] = _numbers(head.weight)
    head_bias: Tensor | None = head.bias
    biases["head"] = np.zeros(head.out_features) if head_bias is None else _numbers(head_bias)
    sizes = Sizes(input=gru.input_size, hidden=gru.hidden_size, classes=head.out_features)
    check_layers(sizes, Layers("weight", weights), Layers("bias", biases))
    if tried is not None:
        _check_trial(sizes, weights, biases, *tried)
    return weights, biases


def _numbers(tensor: Tensor) -> np.ndarray:
    """A copy in double precision, which later training does not change."""
    if tensor.is_meta:
        raise InputError("weights must have values, but are on device meta")
    if not tensor.is_floating_point():
        raise InputError(f"weights must be floating-point numbers, not {tensor.dtype}")
    return tensor.detach().cpu().double().clone().numpy()


TRIAL = (10, 4)
"""Sequences and steps on which a module is compared with its weights; each sequence has numbers
twice as large as the one before."""

TRIAL_ERROR = 1e-2
"""How far its logits may be off, beside the largest of them or 1. Single precision is far better;
GPUs that multiply in TF32, with 10 bits after the point, are a few times better."""


ALIKE = "gru and head must compute what torch.nn.GRU and torch.nn.Linear do with their weights"
"""What is required of modules."""


@torch.no_grad()
def _tried(gru: nn.GRU, head: nn.Linear) -> tuple[np.ndarray, np.ndarray] | None:
    """Some inputs and the logits of every step: [N, T, inputs] and [N, T, classes].

    It also brings the weights of pruned and weight-normed modules up to date, whose hooks compute
    them when they are called. None for half precision, in which not every processor computes, and
    for weights without values.
    """
    weight: Tensor = getattr(gru, "weight_hh_l0")  # noqa: B009  # untyped in torch
    known = {weight.dtype, head.weight.dtype} <= {torch.float32, torch.float64}
    if not known or weight.is_meta or head.weight.is_meta:
        return None
    x = np.random.default_rng(1).normal(size=(*TRIAL, gru.input_size))
    x *= np.ldexp(0.01, np.arange(TRIAL[0]))[:, np.newaxis, np.newaxis]
    tensor = torch.from_numpy(x).to(weight)
    try:
        with torch.backends.cudnn.flags(enabled=False):  # it would use TF32
            states, _ = gru(tensor if gru.batch_first else tensor.transpose(0, 1))
            logits = head((states if gru.batch_first else states.transpose(0, 1)).to(head.weight))
    except Exception as error:  # classes of users raise anything
        raise InputError(f"{ALIKE}, but when they are called: {error}") from error
    return x, _numbers(logits)


def _check_trial(
    sizes: Sizes,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    x: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Raise :class:`InputError` unless the weights, used as gruhw does, give these logits."""
    count, steps, _ = x.shape
    found = float_activations(sizes, weights, biases, x, np.full(count, steps))
    states = found[structure_of(sizes).state.source].reshape(steps, count, -1).swapaxes(0, 1)
    difference = float(np.abs(states @ weights["head"].T + biases["head"] - logits).max())
    if not difference <= TRIAL_ERROR * max(1.0, float(np.abs(logits).max())):
        raise InputError(f"{ALIKE}, but logits differ by {difference:.3g}")


def from_float(
    gru: nn.GRU,
    head: nn.Linear,
    genes: Mapping[str, int],
    fractions: Mapping[str, int],
    *,
    input_signed: bool,
    normalisation: Normalisation,
) -> QuantGRU:
    """Quantise a trained single-layer ``nn.GRU`` and ``nn.Linear`` with given fraction bits.

    Parameters
    ----------
    gru, head
        See :func:`float_layers`.
    genes
        The width of every operator and weight.
    fractions, input_signed
        As :func:`gruhw.quant.calibrate` gives them for these genes.
    normalisation
        Of raw samples, before anything sees them.

    Raises
    ------
    InputError
        If the modules are no such network, sizes do not fit together, or fraction bits are missing
        or were chosen for other widths.
    """
    weights, biases = float_layers(gru, head)
    genes = Genes.of(genes)
    if not isinstance(fractions, Fractions):
        fractions = Fractions(fractions, calibrated_tensors(genes))
    model = Model(weights, biases, fractions, input_signed, normalisation)
    return QuantGRU(model.sizes, genes, model)
