"""A quantised network as a PyTorch module: the interpreter of its graphs for training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gruhw.basics.values import instance
from gruhw.errors import InputError
from gruhw.learning.quant.population import Population, Types, states_in_range
from gruhw.learning.quant.stages import Results, StageTensors, Streams, time_steps
from gruhw.network.architecture import Architecture
from gruhw.network.encoding import codes_and_lengths, encode
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome, Output
from gruhw.network.graph import INPUT
from gruhw.network.model import Model


class QuantNetwork(Population):
    """A network whose every operator rounds as the hardware does.

    It is a :class:`Population` of one: its parameters have a first dimension of 1.

    Parameters
    ----------
    network
        What it computes.
    genes
        The width of every operator and weight.
    model
        Initial weights, the calibrated fraction bits and the input normalisation.

    Raises
    ------
    InputError
        If the model is of another network, or its fraction bits are of other widths.
    """

    def __init__(self, network: Architecture, genes: Mapping[str, int], model: Model) -> None:
        instance("network", network, Architecture)
        instance("model", model, Model).check_network(network)
        super().__init__(network, [model])
        self._start = model
        self.genes = Genes.of(network, genes)
        self.typed: Types = model.typed(self.genes)
        self.assign([self.typed])

    @property
    def input_type(self) -> Fixed:
        """The type of an input element."""
        return self.typed[0][INPUT]

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, streams: Streams | None = None
    ) -> Tensor:
        """What the head gives after the last step of every sequence, shape [N, outputs].

        At every step, it is of shape [N, T, outputs], and zero past a sequence's end.

        Parameters
        ----------
        inputs
            Integer codes of the input type, shape [N, T, inputs], as :meth:`encode` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.
        streams
            Where states that are carried on come from; without them, all sequences are one new
            stream.

        Raises
        ------
        InputError
            If inputs are no such codes (real numbers, say), lengths are out of range, or weights
            are not finite or not on the CPU.
        """
        return super().forward(*self._on_grid(inputs, lengths), streams)[0]

    def _on_grid(self, inputs: ArrayLike, lengths: ArrayLike | None) -> tuple[Tensor, Tensor]:
        """Integer codes [N, T, inputs] as the values of the population's one member; lengths."""
        kind = self.input_type
        codes, steps = codes_and_lengths(inputs, lengths, kind, self.network.inputs)
        self._keep_exact()
        # Copied: PyTorch warns where an array is read-only.
        values = torch.tensor(codes, dtype=self.compute_type) * kind.scale
        return values[None], torch.tensor(steps)

    def _keep_exact(self) -> None:
        """Take the precision that holds every sum of the weights as training has made them."""
        parts = {"weights": self.weights, "biases": self.biases, "initial": self.initial}
        for part, arrays in parts.items():
            for name, parameter in arrays.items():
                if parameter.device.type != "cpu":
                    raise InputError(f"{part}.{name} must be on the CPU, not on {parameter.device}")
                if not parameter.isfinite().all():
                    raise InputError(f"every value of {part}.{name} must be finite")
        if self.exact_type() != self.compute_type:
            self.assign([self.typed])

    @torch.no_grad()
    def integers(
        self, inputs: ArrayLike, lengths: ArrayLike | None = None, *, output: Output = "class"
    ) -> dict[str, IntArray]:
        """The integers of every operator as the reference has them, and of the head.

        Other parameters, and errors, are those of :meth:`forward`.

        Parameters
        ----------
        output
            What the hardware's output stream carries: for ``states``, every layer computes every
            step.

        Returns
        -------
        dict
            By the names of files: operators of layers of shape [N, T, units], zero where nothing
            is computed (see :class:`gruhw.network.reference.Reference`), and the head's
            [N, outputs], or [N, T, outputs] at every step.
        """
        values, steps = self._on_grid(inputs, lengths)
        parts, every = self.tensors(), sum(self.network.stepping(output))
        _, count, longest, _ = values.shape
        found = {
            part.stage.spell(node.name): np.zeros((count, longest, node.size), dtype=np.int64)
            for part in (parts if self.network.every_step else parts[:-1])
            for node in part.graph.operators
        }
        emitted = values.new_zeros(1, count, parts[every - 1].graph.units)
        carried: dict[str, Results] = {}
        # Where states are carried on, a sequence after the other.
        size = 1 if self.network.carries else max(1, count)
        for start in range(0, count, size):
            some = slice(start, start + size)
            vectors = values[:, some].unbind(2)
            known = carried if self.network.carries else None
            for step, (results, last) in enumerate(
                time_steps(parts[:every], vectors, steps[some], known)
            ):
                alive = (steps[some] > step).numpy()
                emitted[:, some] = last
                for part in parts[:every]:
                    for name, integers in _integers(part, results[part.stage.name]).items():
                        found[name][some][alive, step] = integers[alive]
        for part in parts[every:]:
            at_end = part.once(emitted)
            emitted = at_end[part.graph.emits]
            for name, integers in _integers(part, at_end).items():
                if name in found:
                    found[name][np.arange(count), steps.numpy() - 1] = integers
                else:
                    found[name] = integers
        return found

    def encode(self, raw: ArrayLike, lengths: ArrayLike | None = None) -> IntArray:
        """Raw samples as integers of the input type: see :func:`gruhw.network.encoding.encode`."""
        return encode(self.normalisation, self.input_type, raw, lengths)

    def genome(self, **fields: Any) -> Genome:
        """A genome with the network and the widths of this one, and other ``fields`` as given.

        Its output is classes, or values where there is a single logit.
        """
        output = "class" if self.network.outputs > 1 else "values"
        return Genome(**{"network": self.network, "genes": self.genes, "output": output, **fields})

    def model(self) -> Model:
        """The current weights as a model file's contents."""
        return states_in_range(self.member_model(0, self._start), self.genes)


def _integers(part: StageTensors, results: Results) -> dict[str, IntArray]:
    """The integers of a stage's operators in the only member, shape [N, units]."""
    (typed,) = part.typed or ()
    return {
        part.stage.spell(node.name): (results[node.name][0].double() * 2.0 ** typed[node.name].frac)
        .round()
        .long()
        .numpy()
        for node in part.graph.operators
    }
