"""What an integrator must know of a generated block: ports, streams, memories, timing."""

from typing import Any

from gruhw.basics.values import instance
from gruhw.network.bound import Network
from gruhw.network.fixed import Fixed
from gruhw.network.graph import Linear, Table
from gruhw.network.schedule import Schedule, Scheduled
from gruhw_hw.datapath import operator_path
from gruhw_hw.top import CLOCK_AND_RESET, Accelerator


def describe_type(kind: Fixed) -> dict[str, Any]:
    """A fixed-point type as JSON."""
    return {"bits": kind.bits, "frac": kind.frac, "signed": kind.signed}


def describe_interface(accelerator: Accelerator) -> dict[str, Any]:
    """The contents of a design folder's ``ports.json``.

    Ports come from the component itself, and cycles from its schedule.

    Raises
    ------
    InputError
        If it is no accelerator: :class:`gruhw_hw.top.Hardware`, say, which has one.
    """
    instance("accelerator", accelerator, Accelerator)
    schedule, network = accelerator.schedule, accelerator.network
    members = accelerator.metadata.as_json()["interface"]["members"]
    ports = [
        *({"name": name, "direction": "in", "width": 1} for name in CLOCK_AND_RESET),
        *(
            {"name": name, "direction": member["dir"], "width": member["width"]}
            for name, member in members.items()
        ),
    ]
    memories = [
        memory
        for core in schedule.cores
        for each in core.operators
        for memory in _memories(f"datapath.{operator_path(schedule, core, each.node.name)}", each)
    ]
    return {
        "top": accelerator.top,
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "ports": ports,
        "input": {
            "element": describe_type(accelerator.input_type),
            "order": (
                f"{network.architecture.inputs} elements a time step; tlast with a sequence's last"
            ),
            "code": (
                "floor((raw * scale[i] + offset[i]) * 2**frac + 0.5), limited to the element's "
                "range, for raw sample number i of a time step"
            ),
            "scale": network.normalisation.scale.tolist(),
            "offset": network.normalisation.offset.tolist(),
        },
        "output": {
            "contents": schedule.output,
            "element": describe_type(accelerator.output_type),
            "order": _order(schedule),
            **_unit(network),
        },
        **_carried(network),
        "lanes": _lanes(schedule),
        "memories": memories,
        "cycles": {
            "first_term": schedule.first.first_term,
            "step_interval": schedule.step_interval,
            "head_interval": schedule.sequence_interval(0),
            "outputs_of_one_step": schedule.output_cycles(1),
        },
    }


def _carried(network: Network) -> dict[str, str]:
    """What becomes of states at the end of a sequence, where they do not begin anew."""
    if not network.architecture.carries:
        return {}
    return {"states": "go on from sequence to sequence; reset makes them zero"}


def _unit(network: Network) -> dict[str, Any]:
    """How values get the unit of the data."""
    if network.span is None or network.genome.output != "values":
        return {}
    return {
        "value": "integer * 2**-frac * deviation[i] + mean[i] for value number i of a sequence",
        "mean": network.span.mean.tolist(),
        "deviation": network.span.deviation.tolist(),
    }


def _memories(path: str, scheduled: Scheduled) -> list[dict[str, Any]]:
    """The memory of an operator that has one, whose module stands at ``path``."""
    node, phase = scheduled.node, scheduled.phase
    if isinstance(node, Table):
        (kind,) = scheduled.operands
        return [
            {
                "name": f"{path}.table",
                "words": 1 << kind.bits,
                "bits": scheduled.result.bits,
                "contents": f"{node.function} of every two's-complement code",
            }
        ]
    if not isinstance(node, Linear):
        return []
    bits = scheduled.typed.weights[node.name].bits
    return [
        {
            "name": f"{path}.weights",
            "words": phase.groups * phase.terms,
            "bits": phase.lanes * bits,
            "contents": (
                f"word group * {phase.terms} + term: the weights of units "
                f"group * {phase.lanes} onwards, {bits} bits each, lowest first"
            ),
        }
    ]


def _order(schedule: Schedule) -> str:
    """What comes out of the output stream."""
    count = schedule.last.emitting.units
    ends = "tlast with a sequence's last"
    every_step = schedule.last.emits_every_step
    if schedule.output == "class":
        if every_step:
            return f"{count} logits and then the class index a time step; {ends}"
        return f"{count} logits, then the class index with tlast"
    if schedule.output == "values":
        if every_step:
            return f"{count} values a time step; {ends}"
        return f"{count} values, the last one with tlast"
    return f"{count} states a time step; tlast with a sequence's last"


def _lanes(schedule: Schedule) -> int | list[int]:
    """The lanes of the only core, or of every one."""
    found = [core.step.lanes for core in schedule.cores]
    return found[0] if len(found) == 1 else found
