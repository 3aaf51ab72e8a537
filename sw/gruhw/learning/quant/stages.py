"""Stages as PyTorch computes them: a time step after the other, or with compiled C++."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from gruhw.learning.quant.native import CompiledSteps
from gruhw.learning.quant.native.steps import lanes_of, to_blocks
from gruhw.learning.quant.operators import Layers
from gruhw.network.architecture import Stage
from gruhw.network.graph import INPUT, Graph, Node
from gruhw.network.typed import Typed

Results = dict[str, Tensor]
"""The result of every node of a stage, by its name in the graph, shape [G, N, elements]."""


@dataclass(frozen=True)
class StageTensors:
    """What a stage computes with in G networks.

    Parameters
    ----------
    stage
        Its names and its graph.
    layers
        Weights and biases, by their names in the graph.
    initial
        What states begin with, shape [G, 1, units]; zero where nothing is given.
    compute
        The result of a node, from those of its operands.
    typed
        The stage's types in each network; None if nothing is rounded.
    """

    stage: Stage
    layers: Layers
    initial: Mapping[str, Tensor]
    compute: Callable[[Node, Sequence[Tensor]], Tensor]
    typed: Sequence[Typed] | None = None

    @property
    def graph(self) -> Graph:
        """Its time step."""
        return self.stage.graph

    def results(self, known: Mapping[str, Tensor]) -> Results:
        """All results of a time step, from its input and its states."""
        found = dict(known)
        for node in self.graph.operators:
            found[node.name] = self.compute(node, [found[name] for name in node.operands])
        return found

    def once(self, vector: Tensor) -> Results:
        """All results of a stage without a state, or of a first step; all [G, N, elements]."""
        return self.results({INPUT: vector, **self.first_states(vector)})

    def first_states(self, vector: Tensor) -> Results:
        """What states are in the first step, where the input is ``vector``."""
        members, count, _ = vector.shape
        return {
            state.name: self.initial[state.name].expand(members, count, state.size)
            if state.name in self.initial
            else vector.new_zeros(members, count, state.size)
            for state in self.graph.states
        }


class Streams:
    """What goes on from a batch of sequences to the next, where networks carry their states on.

    Gradients do not go back beyond a batch (truncated back-propagation through time, R. J.
    Williams and J. Peng, Neural Computation 2(4), 1990).

    Parameters
    ----------
    count
        How many streams there are. A batch has a sequence of each; or, if there is one stream,
        sequences that follow each other.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._known: WeakKeyDictionary[nn.Module, dict[str, Results]] = WeakKeyDictionary()

    def of(self, network: nn.Module) -> dict[str, Results]:
        """The states of a network's stages, [G, count, units]; nothing before the first batch."""
        return self._known.setdefault(network, {})


class Step(NamedTuple):
    """A time step of all stages that compute every one.

    ``results`` are those of each stage, of which those of a sequence that has ended mean nothing.
    ``emitted`` is what the last stage gave, in a sequence that has ended in its last step.
    """

    results: dict[str, Results]
    emitted: Tensor


def time_steps(
    stages: Sequence[StageTensors],
    vectors: Iterable[Tensor],
    lengths: Tensor | None,
    carried: dict[str, Results] | None = None,
) -> Iterator[Step]:
    """Compute one time step after the other, by PyTorch alone.

    Parameters
    ----------
    vectors
        The input of each step, shape [G, N, inputs].
    lengths
        Steps of each sequence, shape [N], at least 1; all of them if absent.
    carried
        What states are before the first step, by stage, if there is something; afterwards what they
        are after the last, without a gradient.
    """
    states: dict[str, Results] = dict(carried or {})
    emitted: Tensor | None = None
    for step, vector in enumerate(vectors):
        results: dict[str, Results] = {}
        alive = None if lengths is None else (step < lengths)[:, None]

        def held(after: Tensor, before: Tensor, alive: Tensor | None = alive) -> Tensor:
            return after if alive is None else torch.where(alive, after, before)

        for stage in stages:
            name, graph = stage.stage.name, stage.graph
            before = states[name] if name in states else stage.first_states(vector)
            found = stage.results({INPUT: vector, **before})
            states[name] = {s.name: held(found[s.source], found[s.name]) for s in graph.states}
            vector, results[name] = found[graph.emits], found
        emitted = vector if emitted is None else held(vector, emitted)
        yield Step(results, emitted)
    if carried is not None:
        carried |= {
            name: {state: value.detach() for state, value in found.items()}
            for name, found in states.items()
        }


def compiled_steps(
    stages: Sequence[StageTensors],
    inputs: Tensor,
    lengths: Tensor | None,
    carried: dict[str, Results] | None = None,
    *,
    every_step: bool,
) -> Tensor:
    """What the last of some stages emits in the last step of each sequence: [G, N, units].

    Parameters
    ----------
    inputs
        Shape [G, N, T, inputs], single precision.
    lengths, carried
        As of :func:`time_steps`.
    every_step
        Whether every step's is asked for: [G, N, T, units]. What comes after a sequence's end means
        nothing.
    """
    count, steps = inputs.shape[1:3]
    lanes = lanes_of(stages[0].graph, rounded=stages[0].typed is not None)
    blocks = to_blocks(inputs, lanes)
    if lengths is None:
        lengths = torch.full((count,), steps)
    lengths = pad(lengths.int(), (0, -count % blocks.shape[-1]))
    for stage in stages:
        run = CompiledSteps(stage.graph, stage.typed)
        every = every_step or stage is not stages[-1]
        states: Results | None = None
        if carried is not None:
            known = carried.get(stage.stage.name, {})
            # As blocks of one step.
            states = {n: to_blocks(v[:, :, None], lanes)[:, :, 0] for n, v in known.items()}
        blocks = run(stage.layers, stage.initial, blocks, lengths, every=every, carried=states)
        if carried is not None and states is not None:
            carried[stage.stage.name] = {
                name: value.movedim(-1, 2).flatten(1, 2)[:, :count]
                for name, value in states.items()
            }
    return blocks.movedim(-1, 2).flatten(1, 2)[:, :count]


def outputs(
    stages: Sequence[StageTensors],
    recurrent: int,
    inputs: Tensor,
    lengths: Tensor | None,
    carried: dict[str, Results] | None = None,
    *,
    every_step: bool,
    compiled: bool,
) -> Tensor:
    """What the last stage gives at the end of every sequence, shape [G, N, outputs].

    Parameters
    ----------
    recurrent
        How many stages there are up to the last one with a state.
    inputs
        Shape [G, N, T, inputs].
    lengths, carried
        As of :func:`time_steps`.
    every_step
        Whether every step's is asked for: [G, N, T, outputs], zero past a sequence's end.
    compiled
        Whether to use compiled C++, which computes in single precision.
    """
    before, behind = stages[:recurrent], stages[recurrent:]
    if compiled:
        emitted = compiled_steps(before, inputs, lengths, carried, every_step=every_step)
    else:
        steps = [s.emitted for s in time_steps(before, inputs.unbind(2), lengths, carried)]
        emitted = torch.stack(steps, dim=2) if every_step else steps[-1]
    if not every_step:
        return _through(behind, emitted)
    if lengths is not None:
        # What means nothing may be no number, whose product with a gradient of zero is none either.
        there = torch.arange(inputs.shape[2]) < lengths[:, None]
        emitted = torch.where(there[..., None], emitted, 0.0)
    found = _through(behind, emitted.flatten(1, 2))
    found = found.reshape(*inputs.shape[:3], found.shape[-1])
    return found if lengths is None else torch.where(there[..., None], found, 0.0)


def _through(stages: Sequence[StageTensors], vectors: Tensor) -> Tensor:
    """What the last of some stages without a state gives for ``vectors``, [G, N, elements]."""
    for stage in stages:
        vectors = stage.once(vectors)[stage.graph.emits]
    return vectors
