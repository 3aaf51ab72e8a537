"""The pictures of a search: its front, and the genomes along it."""

import io
from collections.abc import Sequence
from itertools import pairwise
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from gruhw.network.architecture import Architecture
from gruhw.search.clusters import cluster, widths_of
from gruhw.search.front import Candidate, Number
from gruhw.search.objectives import Cost, with_unit
from gruhw.search.result import Member, Result
from gruhw.search.scores import ABOVE, BELOW

DPI = 150

USUAL_GENES, TALLEST = 25, 100.0
"""The genes that a picture of usual height shows, and the most inches that more may take."""

FRONT, HOMOGENEOUS, SELECTED, EVALUATED = "#0b5fa5", "#c2571a", "#111111", "#b9c3cc"

OVERLAP = 0.03
"""Points nearer than this part of both axes have one label."""

CLUSTER_COLOURS = ("#4477aa", "#997700", "#994477")


LABEL = 45
"""Characters of a line beside an axis."""


def draw_front(result: Result) -> bytes:
    """``pareto.png``: accuracy over every cost; the same result gives the same bytes.

    Its axis is logarithmic in the loss, because what matters lies close to the best.
    """
    count = len(result.costs)
    figure = Figure(figsize=(7.2 if count == 1 else 5.4 * count, 5.0), layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for place, (axis, cost) in enumerate(zip(axes, result.costs, strict=True)):
        _draw_cost(axis, result, cost, place, steps=count == 1)
    # It may be longer than the axis.
    axes[0].set_ylabel(fill(_validation(result), LABEL))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=2 if count == 1 else 3, frameon=False
    )
    return _png(figure)


def _validation(result: Result) -> str:
    """What figures are of: ``validation accuracy of 300 sequences``."""
    figure = result.selected.candidate.figure
    return f"validation {figure.name} of {figure.sequences}"


def _draw_cost(axis: Axes, result: Result, cost: Cost, place: int, *, steps: bool) -> None:
    def points(candidates: Sequence[Candidate]) -> tuple[list[Number], list[float]]:
        return [c.costs[place] for c in candidates], [c.score.height for c in candidates]

    front = [member.candidate for member in result.front]
    baseline = [member.candidate for member in result.baseline]
    shown = [*front, *baseline]
    later = ["fine-tuning"] * result.fine_tuned + ["synthesis"] * bool(result.selected.estimated)
    name = "evaluated" + (f", before {' and '.join(later)}" if later else "")
    axis.scatter(*points(result.evaluated), s=7, color=EVALUATED, linewidths=0, label=name)
    axis.plot(
        *points(baseline), color=HOMOGENEOUS, marker="s", markersize=5, linewidth=1,
        linestyle=":" , label="homogeneous widths",
    )  # fmt: skip
    axis.plot(
        *points(front), color=FRONT, marker="o", markersize=5, linewidth=1.3,
        linestyle="-" if steps else "none", drawstyle="steps-post", label="front",
    )  # fmt: skip
    heights = [candidate.score.height for candidate in shown]
    worst, best = max(heights), min(heights)
    # Room above the best and below the worst; what is worse than both lines is not shown.
    bottom, top = min(front[0].score.highest, worst * BELOW), best / ABOVE
    lows, highs = zip(*(candidate.score.heights for candidate in front), strict=True)
    axis.vlines(
        points(front)[0], lows, np.nan_to_num(highs, posinf=bottom), color=FRONT, linewidth=5,
        alpha=0.2, label="95 % intervals of the front",
    )  # fmt: skip
    chosen = result.selected.candidate
    axis.plot(
        *points([chosen]), color=SELECTED, marker="o", markersize=12, linestyle="none",
        fillstyle="none", markeredgewidth=1.6, label=f"selected ({result.settings.selection})",
    )  # fmt: skip

    axis.set_yscale("log")
    axis.set_ylim(bottom, top)
    ticks = front[0].score.ticks([candidate.score for candidate in shown])
    axis.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axis.yaxis.set_major_formatter(FixedFormatter(list(ticks.values())))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_tick_params(labelleft=place == 0)
    low, high = (f(c.costs[place] for c in shown) for f in (min, max))
    margin = (high - low) * 0.06 or max(1, high * 0.05)
    axis.set_xlim(low - margin, high + margin)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    label_points(axis, [f"{member.homogeneous}" for member in result.baseline], *points(baseline))
    axis.set_xlabel(with_unit(cost))
    axis.grid(color="#e6e6e6", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def label_points(
    axis: Axes, names: Sequence[str], costs: Sequence[Number], heights: Sequence[float]
) -> None:
    """Names beside points, together where they would overlap; the axes have their limits."""
    places = axis.transLimits.transform(
        axis.transScale.transform(np.column_stack([costs, heights]).astype(float))
    )
    shared: dict[int, list[str]] = {}
    for number, name in enumerate(names):
        near = (n for n in shared if np.abs(places[n] - places[number]).max() < OVERLAP)
        shared.setdefault(next(near, number), []).append(name)
    for number, together in shared.items():
        axis.annotate(
            ", ".join(dict.fromkeys(together)), (costs[number], heights[number]), xytext=(8, -6),
            textcoords="offset points", color=HOMOGENEOUS, fontsize=8,
        )  # fmt: skip


def draw_genomes(result: Result) -> bytes:
    """``genomes.png``: the width of every gene along the front, and on average in each cluster."""
    front, network = result.front, result.space.network
    widths = widths_of([member.candidate.genome for member in front])
    groups = cluster([member.candidate.genome for member in front])
    count = max(groups) + 1
    means = np.stack(
        [widths[:, [g == group for g in groups]].mean(axis=1) for group in range(count)], axis=1
    )
    low, high = result.space.widths[0], max(result.space.widths[-1], int(widths.max()))
    colours = ListedColormap([_shade((b - low) / max(1, high - low)) for b in range(low, high + 1)])
    norm = BoundaryNorm(np.arange(low - 0.5, high + 1), colours.N)

    rows = len(network.genes)
    height = min(8.6 * max(1.0, rows / USUAL_GENES), TALLEST)
    figure = Figure(
        figsize=(3.6 + 0.42 * max(len(front), 6) + 0.6 * count, height), layout="constrained"
    )
    grid = figure.subplots(
        2, 2, width_ratios=[max(len(front), 6), 1.4 * count], height_ratios=[1, rows],
        squeeze=False,
    )  # fmt: skip
    strip, legend_of_strip = grid[0]
    axis, average = grid[1]
    image = axis.imshow(widths, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    average.imshow(means, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    _write_cells(axis, widths, "{:.0f}", (low + high) / 2)
    _write_cells(average, means, "{:.1f}", (low + high) / 2)

    axis.set_yticks(range(rows), _gene_labels(network), fontsize=8)
    labels = [_column_label(member, result.costs[0]) for member in front]
    axis.set_xticks(range(len(front)), labels, rotation=90, fontsize=8)
    axis.get_xticklabels()[front.index(result.selected)].set_fontweight("bold")
    axis.set_xlabel(
        f"{with_unit(result.costs[0])}, {_validation(result)} (bold: selected)", fontsize=9
    )
    names = [f"cluster {chr(ord('A') + group)}" for group in range(count)]
    average.set_xticks(range(count), names, rotation=90, fontsize=8)
    average.set_yticks([])
    average.set_xlabel("mean", fontsize=9)

    _draw_strip(strip, groups)
    _draw_strip(legend_of_strip, list(range(count)))
    for edge in _boundaries(groups):
        axis.axvline(edge, color="white", linewidth=3)
        axis.axvline(edge, color="black", linewidth=1)
    for plot in (axis, average):
        for row in _boundaries(_gene_kinds(network)):
            plot.axhline(row, color="white", linewidth=1.5)
        plot.tick_params(length=0)
        for spine in plot.spines.values():
            spine.set_visible(False)
    bar = figure.colorbar(image, ax=list(grid[:, 1]), ticks=range(low, high + 1), fraction=0.25)
    bar.set_label("width / bits", fontsize=9)
    bar.ax.tick_params(length=0, labelsize=8)
    return _png(figure)


def _shade(part: float) -> tuple[float, float, float]:
    """From a light to a dark blue: wide genes stand out, in black and white too."""
    light, dark = np.array([0.93, 0.96, 0.99]), np.array([0.03, 0.19, 0.42])
    red, green, blue = light + (dark - light) * part
    return float(red), float(green), float(blue)


def _write_cells(axis: Axes, values: np.ndarray, form: str, middle: float) -> None:
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            colour = "white" if value > middle else "black"
            _write(axis, column, row, form.format(value), colour, size=7)


def _write(axis: Axes, column: int, row: int, text: str, colour: str, *, size: int) -> None:
    found = axis.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
    # Inside a cell it takes no room, and measuring hundreds of them would take a second.
    found.set_in_layout(False)


def _gene_labels(network: Architecture) -> list[str]:
    """What genes are called: ``W_ir weights``."""
    stages = {stage.name: stage for stage in network.stages}
    return [
        f"{stages[gene.stage].spell(gene.operator)} weights" if gene.kind == "weight" else gene.name
        for gene in network.genes
    ]


def _gene_kinds(network: Architecture) -> list[tuple[str, bool]]:
    """What each gene is a width of, which lines tell apart; and whether of a linear operator."""
    linear = {(s.name, node.name) for s in network.stages for node in s.graph.linears}
    return [(gene.kind, (gene.stage, gene.operator) in linear) for gene in network.genes]


def _column_label(member: Member, cost: Cost) -> str:
    bits = f" ({member.homogeneous} bits)" if member.homogeneous else ""
    return f"{member.candidate.costs[0]:,}, {member.candidate.figure.text}{bits}"


def _boundaries(groups: Sequence[object]) -> list[float]:
    """Between which places the groups of neighbours differ."""
    pairs = enumerate(pairwise(groups))
    return [place + 0.5 for place, (left, right) in pairs if left != right]


def _draw_strip(axis: Axes, groups: Sequence[int]) -> None:
    colours = ListedColormap(CLUSTER_COLOURS)
    norm = BoundaryNorm(np.arange(len(CLUSTER_COLOURS) + 1) - 0.5, colours.N)
    axis.imshow([groups], cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    for column, group in enumerate(groups):
        _write(axis, column, 0, chr(ord("A") + group), "white", size=8)
    axis.set_axis_off()


def _png(figure: Figure) -> bytes:
    """The picture as a PNG file without the date and version that it would otherwise hold."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
