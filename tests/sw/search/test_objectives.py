"""Costs by name, and the energy proxy."""

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from random_networks import random_network
from toy_search import ARCHITECTURE, DEEP, STEPS, Estimate, toy_model

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.graph import Node
from gruhw.network.model import Model
from gruhw.network.planning import schedule_of
from gruhw.search import objectives
from gruhw.search.accelerators import Accelerator, Accelerators
from gruhw.search.objectives import OBJECTIVES, make_costs, with_unit
from gruhw.search.workers import Synthesis, measure
from gruhw_hw.area import Measures, memory_bits
from gruhw_hw.energy import node_energy, sequence_energy
from gruhw_hw.synthesis import Resources, synthesise
from gruhw_hw.top import TOP, generate_verilog

NETWORK = random_network(np.random.default_rng(1), inputs=3, hidden=5, classes=2)
ACCELERATOR = Accelerator.of(NETWORK)
GENES = ARCHITECTURE.gene_names


def build(genes: Genes, pe: int = 1) -> Network:
    genome = Genome(network=genes.network, genes=genes, folding=Folding(pe=pe))
    return Network.build(genome, toy_model(genes))


@pytest.mark.parametrize("network", [NETWORK, build(homogeneous(DEEP, 5), pe=2)])
def test_exact_costs_are_those_of_the_network(network: Network) -> None:
    size, cycles = make_costs(["size", "cycles"], steps=STEPS)
    accelerator = Accelerator.of(network)
    assert size(accelerator) == network.weight_bits
    assert cycles(accelerator) == schedule_of(network).sequence_interval(STEPS)
    assert size.measure(network) is None


def test_costs_can_be_sent_to_workers() -> None:
    names = ["energy", "cycles", "size"]
    costs = make_costs(names, steps=STEPS)
    again = pickle.loads(pickle.dumps(costs))  # noqa: S301  # our own
    assert again == costs
    assert [cost(ACCELERATOR) for cost in again] == [cost(ACCELERATOR) for cost in costs]


def test_sizes_need_no_model() -> None:
    def refuse(genes: Genes) -> Model:
        raise InputError("no model")

    (size,) = make_costs(["size"], steps=STEPS)
    accelerator = Accelerators(refuse)(NETWORK.genome)
    assert size(accelerator) == NETWORK.weight_bits
    with pytest.raises(InputError):
        _ = accelerator.network


@pytest.mark.usefixtures("pinned_library")
@pytest.mark.parametrize("architecture", [ARCHITECTURE, DEEP], ids=["gru", "layers"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_costs_of_candidates_are_those_of_their_networks(
    name: str, architecture: Architecture
) -> None:
    (cost,) = make_costs([name], target="ecp5", steps=STEPS)
    made = Accelerators(toy_model)
    found, expected = [], []
    for bits in (3, 6, 3):
        for pe in (1, 2):
            network = build(homogeneous(architecture, bits), pe=pe)
            found.append(cost(made(network.genome)))
            expected.append(cost(Accelerator.of(network)))
    assert found == expected
    assert len(set(found)) > 1


@pytest.mark.slow
def test_luts_are_estimated_and_then_synthesised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        fingerprint = "0123"

        def estimate_measures(self, measures: Sequence[Measures]) -> list[Resources]:
            return [Resources(luts=taken.memory_bits) for taken in measures]

    monkeypatch.setattr(objectives, "_area_model", lambda target: Model())
    (cost,) = make_costs(["luts"], target="ecp5", steps=STEPS)
    network = build(homogeneous(ARCHITECTURE, 2))
    assert cost.estimated
    assert cost.identity == "luts of ecp5, model 0123"
    assert cost(Accelerator.of(network)) == memory_bits(network)
    report = synthesise(generate_verilog(network).verilog, TOP, "ecp5", by_operator=False)
    assert cost.measure(network) == report.total.luts > 0


@pytest.mark.parametrize("count", [1, 2])
def test_measuring_in_processes(count: int) -> None:
    jobs = [
        Synthesis(
            str(bits),
            build(homogeneous(ARCHITECTURE, bits)),
            (Estimate(), *make_costs(["size"], steps=1)),
        )
        for bits in (2, 3, 4)
    ]
    assert dict(measure(jobs, count)) == {
        str(bits): {"luts": bits * (len(GENES) + 1)} for bits in (2, 3, 4)
    }


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_cost_says_what_it_is(name: str) -> None:
    (cost,) = make_costs([name], steps=STEPS)
    assert cost.name == name
    assert cost.unit in with_unit(cost)


@pytest.mark.parametrize(
    ("names", "target", "message"),
    [
        (
            ["colour"],
            "ice40",
            "objective must be one of size, luts, area, memory, cycles, energy, not 'colour'",
        ),
        (["luts"], "x", "target must be one of ice40, ecp5, xc7, gowin, asic, not 'x'"),
        (
            ["luts"],
            "asic",
            "target of objective luts must be one of ice40, ecp5, xc7, not 'asic'",
        ),
        (
            ["luts"],
            "gowin",
            "target of objective luts must be one of ice40, ecp5, xc7, not 'gowin'",
        ),
        ([], "ice40", "objectives must be 1 to 3 different ones, not none"),
        (["size"] * 2, "ice40", "objectives must be 1 to 3 different ones, not size, size"),
        (
            ["size", "luts", "area", "memory"],
            "ice40",
            "objectives must be 1 to 3 different ones, not size, luts, area, memory",
        ),
    ],
)
def test_wrong_objectives(names: list[str], target: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make_costs(names, target=target, steps=STEPS)
    assert str(caught.value) == message


def test_energy_never_falls_when_a_width_rises() -> None:
    rng = np.random.default_rng(5)
    for architecture in (*[ARCHITECTURE] * 9, DEEP):
        widths = {gene: int(rng.integers(2, 8)) for gene in architecture.gene_names}
        genes = Genes(architecture, widths)
        before = sequence_energy(build(genes), STEPS)
        for gene in genes:
            after = sequence_energy(build(genes.changed({gene: genes[gene] + 1})), STEPS)
            assert after > before, gene


def test_energy_grows_with_work() -> None:
    network = build(homogeneous(ARCHITECTURE, 6))
    one, two = sequence_energy(network, 1), sequence_energy(network, 2)
    head = 2 * one - two
    assert 0 < head < one
    assert sequence_energy(network, 10) == pytest.approx(head + 10 * (one - head))
    larger = build(homogeneous(Architecture(inputs=3, layers=("gru:8",), outputs=2), 6))
    assert sequence_energy(larger, 3) > 2 * sequence_energy(network, 3)


def test_lanes_share_what_they_read() -> None:
    genes = homogeneous(ARCHITECTURE, 6)
    energies = [sequence_energy(build(genes, pe), STEPS) for pe in (1, 2, 4)]
    assert energies[0] > energies[1] > energies[2]


def test_every_operator_has_an_energy() -> None:
    for core in schedule_of(build(homogeneous(DEEP, 5))).cores:
        for scheduled in core.operators:
            assert node_energy(scheduled.node, scheduled.typed, scheduled.phase) > 0
    with pytest.raises(TypeError, match="no energy for Node"):
        node_energy(Node(name="x", size=1), scheduled.typed, scheduled.phase)
