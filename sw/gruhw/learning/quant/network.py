"""What quantised and float networks have in common: their parameters, and who computes them."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from gruhw.basics.values import instance
from gruhw.errors import InputError
from gruhw.learning.quant.named import Named
from gruhw.learning.quant.native.build import load_library
from gruhw.learning.quant.stages import StageTensors, Streams, outputs
from gruhw.network.architecture import Architecture, Stage
from gruhw.network.fixed import FloatArray
from gruhw.network.normalisation import Span


def compile_for(network: Architecture) -> None:
    """Compile the time steps of a network, rounded and not, unless the cache has them compiled.

    Raises
    ------
    InputError
        If the cache cannot be written.
    ToolError
        If there is no C++ compiler, or it fails.
    """
    for stage in network.recurrent:
        for rounded in (False, True):
            load_library(stage.graph, rounded=rounded)


class Arrays(NamedTuple):
    """What was trained of a network, as a :class:`gruhw.network.model.Model` has it."""

    weights: dict[str, FloatArray]
    biases: dict[str, FloatArray]
    initial: dict[str, FloatArray]


class TrainedNetworks(nn.Module):
    """The parameters of G networks of one architecture.

    Parameters
    ----------
    network
        What they compute.
    weights, biases
        By linear operator, as files name them: shape [G, outputs, inputs] and [G, outputs].
    initial
        What states begin with, if it is a constant: shape [G, units].

    Attributes
    ----------
    weights, biases, initial : Named
        The same as parameters.
    span
        Relative to which the head computes, if it learns values.
    compiled
        Whether time steps are computed by compiled C++.
    """

    rounded: ClassVar[bool]
    """Whether results are rounded to types."""

    def __init__(
        self,
        network: Architecture,
        weights: Mapping[str, Tensor],
        biases: Mapping[str, Tensor],
        initial: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.network = instance("network", network, Architecture)
        self.weights, self.biases, self.initial = map(Named, (weights, biases, initial))
        self.span: Span | None = None
        self.compiled = False
        self.freeze_merged_biases()

    def freeze_merged_biases(self) -> None:
        """Leave biases that are zero so where another operator's have the same effect.

        Hardware then needs none.
        """
        for name in self.network.merged_biases:
            self.biases[name].requires_grad_(bool(self.biases[name].any()))

    def compile_steps(self) -> None:
        """Compute time steps with compiled C++: the same results, many times faster.

        Needs a C++ compiler, and a few seconds for layers that were not compiled before.

        Raises
        ------
        InputError
            If the cache cannot be written.
        ToolError
            If there is no C++ compiler, or it fails.
        """
        for stage in self.network.recurrent:
            load_library(stage.graph, rounded=self.rounded)
        self.compiled = True

    def arrays(self, row: int) -> Arrays:
        """Weights, biases and initial states of a network."""
        parts = (self.weights, self.biases, self.initial)
        return Arrays(*({name: _array(part[name][row]) for name in part} for part in parts))

    def states_of(self, stage: Stage) -> dict[str, Tensor]:
        """What the states of a stage begin with, [G, units], by their names in its graph."""
        spelled = {state.name: stage.spell(state.name) for state in stage.graph.states}
        return {name: self.initial[file] for name, file in spelled.items() if file in self.initial}

    def outputs(
        self,
        stages: Sequence[StageTensors],
        inputs: Tensor,
        lengths: Tensor | None,
        streams: Streams | None = None,
    ) -> Tensor:
        """What the head gives for every sequence, as :func:`.stages.outputs` says.

        Where states are carried on, ``streams`` says from where; without them all sequences are
        one new stream.
        """
        compute = partial(
            outputs,
            stages,
            len(self.network.recurrent),
            every_step=self.network.every_step,
            compiled=self.compiled and inputs.dtype == torch.float32,
        )
        if not self.network.carries:
            return compute(inputs, lengths)
        streams = streams or Streams()
        states, count = streams.of(self), inputs.shape[1]
        if streams.count not in (1, count):
            raise InputError(f"sequences of {streams.count} streams must be as many, not {count}")
        # Of one stream, a sequence after the other.
        size = 1 if streams.count == 1 else count
        found = [
            compute(inputs[:, part], None if lengths is None else lengths[part], states)
            for part in (slice(start, start + size) for start in range(0, count, size))
        ]
        return torch.cat(found, dim=1) if found else compute(inputs, lengths)


def _array(tensor: Tensor) -> FloatArray:
    """A copy, which later training does not change."""
    found: FloatArray = tensor.detach().cpu().numpy().copy()
    return found
