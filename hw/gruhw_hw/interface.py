"""What an integrator must know of a generated block: ports, streams, memories, timing."""

from typing import Any

from gruhw.fixed import Fixed
from gruhw.graph import Linear, Table
from gruhw.values import instance
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
    datapath = instance("accelerator", accelerator, Accelerator).datapath
    graph = datapath.graph
    schedule = datapath.schedule
    members = accelerator.metadata.as_json()["interface"]["members"]
    ports = [
        *({"name": name, "direction": "in", "width": 1} for name in CLOCK_AND_RESET),
        *(
            {"name": name, "direction": member["dir"], "width": member["width"]}
            for name, member in members.items()
        ),
    ]
    memories = []
    for node in (*graph.operators, graph.head):
        if isinstance(node, Table):
            kind = graph[node.operand].type
            memories.append(
                {
                    "name": f"datapath.{node.name}.table",
                    "words": 1 << kind.bits,
                    "bits": node.type.bits,
                    "contents": f"{node.function} of every two's-complement code",
                }
            )
        if isinstance(node, Linear) and (node.name != graph.head.name or schedule.head):
            phase = schedule.phase_of(node)
            memories.append(
                {
                    "name": f"datapath.{node.name}.weights",
                    "words": phase.groups * phase.terms,
                    "bits": phase.lanes * node.weight.bits,
                    "contents": (
                        f"word group * {phase.terms} + term: the weights of units "
                        f"group * {phase.lanes} onwards, {node.weight.bits} bits each, lowest first"
                    ),
                }
            )
    return {
        "top": accelerator.top,
        "clock": "clk, rising edge",
        "reset": "rst, synchronous, active high",
        "ports": ports,
        "input": {
            "element": describe_type(accelerator.input_type),
            "order": f"{graph.input.size} elements a time step; tlast with a sequence's last",
            "code": (
                "floor((raw * scale[i] + offset[i]) * 2**frac + 0.5), limited to the element's "
                "range, for raw sample number i of a time step"
            ),
            "scale": accelerator.normalisation.scale.tolist(),
            "offset": accelerator.normalisation.offset.tolist(),
        },
        "output": {
            "contents": schedule.output,
            "element": describe_type(accelerator.output_type),
            "order": (
                f"{graph.head.outputs} logits, then the class index with tlast"
                if schedule.head
                else f"{graph.state.size} states a time step; tlast with a sequence's last"
            ),
        },
        "lanes": schedule.step.lanes,
        "memories": memories,
        "cycles": {
            "first_term": schedule.first_term,
            "step_interval": schedule.step_interval,
            "head_interval": schedule.sequence_interval(0),
            "outputs_of_one_step": schedule.output_cycles(1),
        },
    }
