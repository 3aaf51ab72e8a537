"""Networks from PyTorch's own modules: their weights, and what they compute."""

from collections.abc import Mapping
from pkgutil import resolve_name

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.basics.values import type_name
from gruhw.errors import InputError
from gruhw.learning.quant.activations import float_activations
from gruhw.learning.quant.module import QuantNetwork
from gruhw.network.architecture import HEAD, Architecture, Layer
from gruhw.network.cells import Cell, Stacked, cells
from gruhw.network.fractions import Fractions
from gruhw.network.genes import Genes
from gruhw.network.model import Layers, Model
from gruhw.network.normalisation import Normalisation

Arrays = dict[str, np.ndarray]


def float_layers(recurrent: nn.RNNBase, head: nn.Linear) -> tuple[Arrays, Arrays]:
    """The weights and biases of a trained ``nn.GRU`` or ``nn.LSTM`` and its head, by layer.

    Pruned, weight-normed and otherwise parametrised modules give the weights that they compute
    with. Where two biases are only added, one gets their sum and the other is zero.

    Raises
    ------
    InputError
        If they are other modules, the first has more than one layer or direction, sizes do not fit
        together, a weight is not finite, or modules compute something else than their weights say.
    """
    _, stacked = _cell_of(recurrent)
    if not isinstance(head, nn.Linear):
        raise InputError(f"head must be a torch.nn.Linear, not {type_name(head, 'Linear')}")
    network = network_of(recurrent, head)
    tried = _tried(recurrent, head)
    weights: Arrays = {}
    biases: Arrays = {}
    # Attributes, not parameters: those of a pruned module are other ones.
    for side, names in (("ih", stacked.input), ("hh", stacked.state)):
        weight = _numbers(getattr(recurrent, f"weight_{side}_l0"))
        bias = (
            _numbers(getattr(recurrent, f"bias_{side}_l0"))
            if recurrent.bias
            else np.zeros(len(weight))
        )
        weights |= zip(names, np.split(weight, len(names)), strict=True)
        biases |= zip(names, np.split(bias, len(names)), strict=True)
    for name, other in network.merged_biases.items():
        biases[other] = biases[other] + biases[name]
        biases[name] = np.zeros_like(biases[name])
    weights[HEAD] = _numbers(head.weight)
    head_bias: Tensor | None = head.bias
    biases[HEAD] = np.zeros(head.out_features) if head_bias is None else _numbers(head_bias)
    Layers(network, "weight", weights), Layers(network, "bias", biases)  # which checks them
    if tried is not None:
        _check_trial(network, stacked, weights, biases, *tried)
    return weights, biases


def network_of(recurrent: nn.RNNBase, head: nn.Linear) -> Architecture:
    """What a module of PyTorch and its head compute; errors are those of :func:`float_layers`."""
    cell, _ = _cell_of(recurrent)
    if recurrent.num_layers != 1 or recurrent.bidirectional:
        raise InputError(
            "recurrent module must have one layer and one direction, not "
            f"{recurrent.num_layers} layers and {1 + recurrent.bidirectional} directions"
        )
    if recurrent.proj_size:
        raise InputError(
            f"recurrent module must have no projection, not one of {recurrent.proj_size} units"
        )
    if head.in_features != recurrent.hidden_size:
        raise InputError(
            f"inputs of head must be the {recurrent.hidden_size} hidden units, "
            f"not {head.in_features}"
        )
    return Architecture(
        inputs=recurrent.input_size,
        layers=(Layer(cell.name, recurrent.hidden_size),),
        outputs=head.out_features,
    )


def _cell_of(recurrent: nn.RNNBase) -> tuple[Cell, Stacked]:
    """The cell that a module of PyTorch computes, and where its weights are."""
    known = [(cell, cell.framework) for cell in cells().values() if cell.framework is not None]
    for cell, stacked in known:
        if isinstance(recurrent, resolve_name(stacked.module)):
            return cell, stacked
    names = [resolve_name(stacked.module).__name__ for _, stacked in known]
    found = type(recurrent).__name__
    raise InputError(
        f"recurrent module must be a {' or '.join(stacked.module for _, stacked in known)}, "
        f"not {type_name(recurrent, found if found in names else '')}"
    )


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


def _alike(stacked: Stacked) -> str:
    """What is required of modules."""
    return (
        f"recurrent module and head must compute what {stacked.module} and torch.nn.Linear do "
        "with their weights"
    )


@torch.no_grad()
def _tried(recurrent: nn.RNNBase, head: nn.Linear) -> tuple[np.ndarray, np.ndarray] | None:
    """Some inputs and the logits of every step: [N, T, inputs] and [N, T, classes].

    It also brings the weights of pruned and weight-normed modules up to date, whose hooks compute
    them when they are called. None for half precision, in which not every processor computes, and
    for weights without values.
    """
    weight: Tensor = getattr(recurrent, "weight_hh_l0")  # noqa: B009  # untyped in torch
    known = {weight.dtype, head.weight.dtype} <= {torch.float32, torch.float64}
    if not known or weight.is_meta or head.weight.is_meta:
        return None
    x = np.random.default_rng(1).normal(size=(*TRIAL, recurrent.input_size))
    x *= np.ldexp(0.01, np.arange(TRIAL[0]))[:, np.newaxis, np.newaxis]
    tensor = torch.from_numpy(x).to(weight)
    try:
        with torch.backends.cudnn.flags(enabled=False):  # it would use TF32
            states, _ = recurrent(tensor if recurrent.batch_first else tensor.transpose(0, 1))
            logits = head(
                (states if recurrent.batch_first else states.transpose(0, 1)).to(head.weight)
            )
    except Exception as error:  # classes of users raise anything
        raise InputError(
            f"{_alike(_cell_of(recurrent)[1])}, but when they are called: {error}"
        ) from error
    return x, _numbers(logits)


def _check_trial(
    network: Architecture,
    stacked: Stacked,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    x: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Raise :class:`InputError` unless the weights, used as gruhw does, give these logits."""
    count, steps, _ = x.shape
    found = float_activations(network, weights, biases, x, np.full(count, steps))
    (layer,) = network.layer_stages
    emitted = found[layer.spell(layer.graph.emits)].reshape(steps, count, -1).swapaxes(0, 1)
    difference = float(np.abs(emitted @ weights[HEAD].T + biases[HEAD] - logits).max())
    if not difference <= TRIAL_ERROR * max(1.0, float(np.abs(logits).max())):
        raise InputError(f"{_alike(stacked)}, but logits differ by {difference:.3g}")


def from_float(
    recurrent: nn.RNNBase,
    head: nn.Linear,
    genes: Mapping[str, int],
    fractions: Mapping[str, int],
    *,
    input_signed: bool,
    normalisation: Normalisation,
) -> QuantNetwork:
    """Quantise a trained single-layer module of PyTorch and its head with given fraction bits.

    Parameters
    ----------
    recurrent, head
        See :func:`float_layers`.
    genes
        The width of every operator and weight.
    fractions, input_signed
        As :func:`gruhw.learning.quant.calibrate` gives them for these genes.
    normalisation
        Of raw samples, before anything sees them.

    Raises
    ------
    InputError
        If the modules are no such network, sizes do not fit together, fraction bits are missing
        or were chosen for other widths, or weights or biases are beyond what they reach.
    """
    weights, biases = float_layers(recurrent, head)
    network = network_of(recurrent, head)
    genes = Genes.of(network, genes)
    if not isinstance(fractions, Fractions):
        fractions = Fractions(
            fractions, {gene.name: genes[gene.name] for gene in network.calibrated}
        )
    model = Model(network, weights, biases, fractions, input_signed, normalisation)
    model.check_range(genes)
    return QuantNetwork(network, genes, model)
