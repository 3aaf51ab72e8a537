"""What costs are computed from: accelerators, of which each cost asks for what it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gruhw.network.bound import Network
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model

if TYPE_CHECKING:
    from gruhw_hw.area import Candidates, Measures


@dataclass(frozen=True)
class Accelerator:
    """A genome bound to a model; its network and its measures are made when first asked for.

    Parameters
    ----------
    genome
        The genome.
    build, take
        Make the network and the measures.
    """

    genome: Genome
    build: Callable[[], Network]
    take: Callable[[], "Measures"]

    @classmethod
    def of(cls, network: Network) -> "Accelerator":
        """The accelerator of a network."""
        return cls(network.genome, lambda: network, lambda: _measure(network))

    @cached_property
    def network(self) -> Network:
        """The network."""
        return self.build()

    @cached_property
    def measures(self) -> "Measures":
        """What the area follows from."""
        return self.take()


class Accelerators:
    """Makes the accelerators of candidates of the same network and output, which share weights.

    Parameters
    ----------
    model
        The shared weights with the fraction bits of some genes.
    """

    def __init__(self, model: Callable[[Genes], Model]) -> None:
        self._model = model
        self._candidates: Candidates | None = None

    def __call__(self, genome: Genome) -> Accelerator:
        """The accelerator of a candidate."""
        return Accelerator(
            genome,
            lambda: Network.build(genome, self._model(genome.genes)),
            lambda: self._measure(genome),
        )

    def _measure(self, genome: Genome) -> "Measures":
        from gruhw_hw.area import Candidates  # brings Amaranth, which not all costs need

        if self._candidates is None:
            self._candidates = Candidates(self._model, genome.network, genome.output)
        return self._candidates.measure(genome)


def _measure(network: Network) -> "Measures":
    from gruhw_hw.area import measure

    return measure(network)
