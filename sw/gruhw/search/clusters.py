"""Groups of genomes that keep their bits in the same places."""

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from gruhw.network.fixed import IntArray
from gruhw.network.genome import Genome

CLUSTERS = 3
"""Groups that a front is divided into: narrow, middle and wide ones at least."""


def widths_of(genomes: Sequence[Genome]) -> IntArray:
    """The widths in bits of genomes of one network, shape [genes, genomes], in its order."""
    return np.array([list(genome.genes.values()) for genome in genomes], dtype=np.int64).T


def cluster(genomes: Sequence[Genome]) -> list[int]:
    """The cluster of each genome, 0 for that of the first genome, and so on.

    Hierarchical clustering of the widths by Ward's criterion, cut into at most
    :data:`CLUSTERS` groups. Sharing widths, not costing the same, makes a group.
    """
    if len(genomes) <= CLUSTERS:
        return list(range(len(genomes)))
    tree = linkage(widths_of(genomes).T.astype(np.float64), method="ward")
    labels = fcluster(tree, CLUSTERS, criterion="maxclust").tolist()
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return [numbers[label] for label in labels]
