"""The real-valued results of every operator on real inputs, from which types are chosen."""

from collections import defaultdict
from collections.abc import Container, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from gruhw.errors import InputError
from gruhw.learning.quant.operators import unrounded
from gruhw.learning.quant.stages import Results, StageTensors, time_steps
from gruhw.network.architecture import Architecture, Stage
from gruhw.network.fixed import FloatArray, IntArray

RECORDED_STEPS = 1 << 18
"""Time steps, of all sequences together, whose results are kept at most."""

STREAMS = 32
"""Into so many a stream is cut, to be computed in less time."""

RECORDED_VALUES = 1 << 28
"""Values, of all operators and steps together, that are kept at most: two gigabytes. A GRU of 85
units needs as many for all of these steps."""


def float_activations(
    network: Architecture,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: FloatArray,
    lengths: IntArray,
    *,
    initial: Mapping[str, np.ndarray] | None = None,
    wanted: Container[str] | None = None,
) -> dict[str, FloatArray]:
    """The unquantised results of operators on ``inputs``, of shape [N, T, inputs].

    Parameters
    ----------
    network
        What has the operators.
    weights, biases
        By linear operator, as files name them.
    inputs, lengths
        Normalised sequences, and the steps of each, shape [N].
    initial
        What states begin with, if the network says that it is a constant.
    wanted
        The operators to record; all of layers if absent.

    Returns
    -------
    dict
        By the names of files, shape [steps, units]. Steps past the end of a sequence are left out;
        unless there are outputs at every step, stages behind the last recurrent layer compute the
        last step of each sequence alone. Of very many steps, an even choice is kept: see
        :data:`RECORDED_STEPS`.

    Raises
    ------
    InputError
        If a result is not finite.
    """
    stages = _float_stages(network, weights, biases, initial or {})
    names = {
        stage.name: {
            node.name: stage.spell(node.name)
            for node in stage.graph.operators
            if wanted is None or stage.spell(node.name) in wanted
        }
        for stage in network.layer_stages
    }
    every = sum(network.stepping("class"))
    width = sum(part.graph.units * len(names.get(part.stage.name, ())) for part in stages[:every])
    count, steps, _ = inputs.shape
    kept = min(RECORDED_STEPS, RECORDED_VALUES // max(1, width)) // count
    recorded = np.linspace(0, steps - 1, min(steps, max(1, kept)))
    chosen = set(recorded.astype(int).tolist())
    found: dict[str, list[FloatArray]] = defaultdict(list)

    def record(stage: Stage, results: Results, alive: NDArray[np.bool]) -> None:
        for name, spelled in names.get(stage.name, {}).items():
            found[spelled].append(results[name][0].numpy()[alive])

    carried: dict[str, Results] = {}
    for some in _batches(network, count):
        given, its_lengths = inputs[some], lengths[some]
        vectors = (torch.tensor(given[None, :, step], dtype=torch.float64) for step in range(steps))
        known = carried if network.carries else None
        for step, (results, last) in enumerate(
            time_steps(stages[:every], vectors, torch.tensor(its_lengths), known)
        ):
            emitted = last
            if step in chosen:
                for part in stages[:every]:
                    record(part.stage, results[part.stage.name], its_lengths > step)
        for part in stages[every:]:
            at_end = part.once(emitted)
            record(part.stage, at_end, its_lengths > 0)
            emitted = at_end[part.graph.emits]
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    for name, values in whole.items():
        if not np.isfinite(values).all():
            raise InputError(
                f"results of {name} must be finite in floating point, but grow beyond all bounds "
                "in calibration"
            )
    return whole


def _batches(network: Architecture, count: int) -> list[IntArray]:
    """The sequences that are computed together: all of ``count``, if states are not carried on.

    Otherwise they are one stream, which is cut into some: the next sequence of each.
    """
    size = min(STREAMS, count) if network.carries else count
    run = count // size
    found: IntArray = np.arange(size * run).reshape(size, run).T
    return list(found)


def _float_stages(
    network: Architecture,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    initial: Mapping[str, np.ndarray],
) -> list[StageTensors]:
    """All stages of one network in double precision, without rounding."""
    found = []
    for stage in network.stages:
        layers = {
            op.name: (
                torch.tensor(weights[stage.spell(op.name)])[None].double(),
                torch.tensor(biases[stage.spell(op.name)])[None, None].double(),
            )
            for op in stage.graph.linears
        }
        states = {
            state.name: torch.tensor(initial[stage.spell(state.name)])[None, None].double()
            for state in stage.graph.states
            if stage.spell(state.name) in initial
        }
        found.append(StageTensors(stage, layers, states, partial(unrounded, layers=layers)))
    return found
