"""What a network takes or saves as a whole, beside what its parts take apart from each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gruhw_hw.area.memory import Buffer, Rom, SharedDecoding, TableRom
from gruhw_hw.area.terms import BIAS_ROM, Needs, Terms

WHOLE = Needs({"whole": 1})
"""What every network saves."""

HURRIED = ("ecp5",)
"""The targets where networks with short paths are mapped otherwise than others: see
:class:`ShortPaths`. On iCE40 and Xilinx 7 that was not seen."""


@lru_cache(maxsize=1 << 12)
def shared_needs(operator: Needs) -> Needs | None:
    """What a whole network saves on a linear operator; None for others.

    The ROMs of biases have some of their decoding in common, and so have those of weights that
    become logic.
    """
    biases = operator.terms.get(BIAS_ROM, 0)
    roms = tuple(SharedDecoding(m.information) for m in operator.memories if isinstance(m, Rom))
    return Needs({f"whole {BIAS_ROM}": biases}, roms) if roms else None


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
    biases = sum(part.terms.get(BIAS_ROM, 0) for part in parts)
    return (_short_paths(tables, buffers, biases),)


@lru_cache(maxsize=1 << 10)
def _short_paths(tables: int, buffers: int, biases: float) -> ShortPaths:
    found = {"table bit": tables, "buffer bit": buffers, BIAS_ROM: biases}
    return ShortPaths({"short": 1, **{f"short {name}": count for name, count in found.items()}})
