"""What a network takes or saves as a whole, beside what its parts take apart from each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gruhw_hw.area.memory import Buffer, ConstantRom, Memory, Rom, SharedDecoding, TableRom
from gruhw_hw.area.priced import Terms, add_terms, general
from gruhw_hw.area.terms import Needs

WHOLE = Needs(general({"whole": 1}))
"""What every network saves."""

BETWEEN_CORES = Needs(general({"between cores": 1}))
"""What a network takes, or saves, between two cores, beside the buffers of both."""

HURRIED = ("ecp5",)
"""The targets where networks with short paths are mapped otherwise than others: see
:class:`ShortPaths`. On iCE40 and Xilinx 7 that was not seen."""


@lru_cache(maxsize=1 << 12)
def shared_needs(part: Needs) -> Needs | None:
    """What a whole network saves on the constants of a part; None if it has none.

    The ROMs of biases have some of their decoding in common, and so have those of weights that
    become logic.
    """
    terms: Terms = {}
    if biases := _constants(part.memories):
        terms = general({"whole bias rom": biases})
    roms = tuple(SharedDecoding(m.information) for m in part.memories if isinstance(m, Rom))
    return Needs(terms, roms) if terms or roms else None


def _constants(memories: Sequence[Memory]) -> int:
    """The bits of all biases and initial states."""
    return sum(memory.size for memory in memories if isinstance(memory, ConstantRom))


@dataclass(frozen=True, eq=False)
class ShortPaths(Needs):
    """What a network takes, or saves, that is not :attr:`Needs.slow` anywhere.

    ABC first makes a network as fast as it can. Where no carry chain follows another, little logic
    has time left, and memories that are logic are mapped otherwise than elsewhere.
    """

    def all_terms(self, target: str) -> Terms:
        """The terms, where short paths make a difference."""
        return dict(self.terms) if target in HURRIED else {}


def short_paths(parts: Sequence[Needs]) -> tuple[ShortPaths, ...]:
    """What comes to the ``parts`` of a whole network if none of them is slow."""
    if any(part.slow for part in parts):
        return ()
    memories = [memory for part in parts for memory in part.memories]
    tables = sum(m.bits << m.held.bits for m in memories if isinstance(m, TableRom))
    buffers = sum(memory.size for memory in memories if isinstance(memory, Buffer))
    return (_short_paths(tables, buffers, _constants(memories)),)


@lru_cache(maxsize=1 << 10)
def _short_paths(tables: int, buffers: int, biases: int) -> ShortPaths:
    found = {"table bit": tables, "buffer bit": buffers, "bias rom": biases}
    terms = general({"short": 1})
    add_terms(terms, general({f"short {name}": count for name, count in found.items()}))
    return ShortPaths(terms)
