"""Good candidates to begin with: a descent from the widest homogeneous genome to the narrowest.

Each step tries to narrow every gene, and narrows those that lose the least accuracy for what they
save: accuracy is as sensitive to some operators' widths as it is indifferent to others' (HAWQ-V2,
arXiv:1911.03852). Random candidates waste most evaluations on widths that do not fit together.
"""

import math
from collections.abc import Callable, Sequence

from gruhw.search.front import Candidate
from gruhw.search.space import SearchSpace, Vector

NARROWED = 0.2
"""The part of the genes that each step usually narrows; half of it took more than twice as many
evaluations to come as far."""


def descend(
    space: SearchSpace,
    figures: Callable[[Sequence[Vector]], list[Candidate]],
    narrowed: float = NARROWED,
) -> None:
    """Look at the candidates on the way down, and at all their neighbours below.

    Parameters
    ----------
    space
        Where to descend, with its first folding.
    figures
        Evaluates candidates that are not known yet, a step's at once.
    narrowed
        The part of the genes that each step narrows, of those that are not narrowest; at least one.
    """
    here = space.homogeneous(space.widths[-1])[0]
    while narrower := space.narrowed(here):
        wide, *found = figures([here, *narrower])
        losses = [_loss(wide, narrow) for narrow in found]
        ranked = sorted(range(len(narrower)), key=losses.__getitem__)
        best = [narrower[place] for place in ranked[: max(1, int(narrowed * len(ranked)))]]
        here = tuple(map(min, zip(here, *best, strict=True)))
    figures([here])


def _loss(wide: Candidate, narrow: Candidate) -> float:
    """How many times more ``narrow`` loses, against how many times cheaper it is."""
    costs = zip(wide.costs, narrow.costs, strict=True)
    cheaper = (math.log2(1 + after) - math.log2(1 + before) for before, after in costs)
    return sum([narrow.score.level - wide.score.level, *cheaper])
