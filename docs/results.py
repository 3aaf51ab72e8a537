"""Writes the tables of designs in README.md and of fronts in search.md: ``python docs/results.py``.

Every figure is read from ``designs/TASK/training.json`` and ``designs/TASK/report.json``, which
``tools/ship_design.py`` measured; from ``designs/TASK/NAME/training.json`` and ``report.json``, of
``tools/ship_network.py``; and from ``designs/TASK/pareto.json``, which a search wrote.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from gruhw.network.genome import Genome

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SEARCH = ROOT / "docs" / "search.md"
RESULTS, NETWORKS = "results", "networks"
"""The blocks of a page."""

LOSSES = (0.0, 0.5, 1.5, 3.0)
"""Points of validation accuracy below 8 bits up to which members of fronts are shown."""

TARGET = "ice40"
PE = 8
"""The other folding that is shown."""

NAMES = {
    "activity": "human activity, from a phone's sensors",
    "keyword-spotting": "ten keywords, silence, other words",
    "mnist-1d": "digits drawn as curves",
    "mnist-rows": "handwritten digits, row by row",
    "spoken-digits": "spoken digits",
    "voice-activity": "speech in noise, at every step",
}
"""What is recognised, by the name of the task."""


def designs() -> list[Path]:
    """The folders of shipped designs that were trained beside 8 bits."""
    return sorted(path.parent for path in ROOT.glob("designs/*/8-bit"))


def accuracies(training: dict[str, Any], place: int) -> list[float]:
    """The test accuracy of one genome, with each seed, in percent."""
    return [100 * seed["test"][place] for seed in training["seeds"]]


def spread(found: Sequence[float]) -> str:
    """The mean and the standard deviation over the seeds."""
    return f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f} %"


@dataclass(frozen=True)
class Row:
    """A design, and the same network with 8 bits everywhere.

    Parameters
    ----------
    name
        The design's folder below ``designs``.
    accuracy, accuracy8
        Over the seeds, in percent.
    figures, figures8
        Weight bits, LUTs, and LUTs at the other folding.
    """

    name: str
    accuracy: list[float]
    accuracy8: list[float]
    figures: tuple[int, ...]
    figures8: tuple[int, ...]

    @property
    def lost(self) -> float:
        """Points of accuracy."""
        return statistics.mean(self.accuracy8) - statistics.mean(self.accuracy)

    @property
    def saved(self) -> tuple[float, ...]:
        """The part of each figure."""
        return tuple(1 - new / old for new, old in zip(self.figures, self.figures8, strict=True))

    def cells(self) -> list[str]:
        """What stands in the table."""
        task, _, variant = self.name.partition("/")
        saved = zip(self.figures, self.saved, strict=True)
        return [
            "" if variant else NAMES[task],
            f"[`{self.name}`](designs/{task}/report.md)",
            spread(self.accuracy),
            spread(self.accuracy8),
            *(f"{figure:,} (-{part:.0%})" for figure, part in saved),
        ]


def rows(folder: Path) -> list[Row]:
    """A task's designs beside the last one, 8 bits."""
    training = json.loads((folder / "training.json").read_text())
    *mixed, eight = json.loads((folder / "report.json").read_text())["designs"]
    return [
        Row(
            folder.name if place == 0 else f"{folder.name}/{training['genomes'][place]}",
            accuracies(training, place),
            accuracies(training, -1),
            figures(design),
            figures(eight),
        )
        for place, design in enumerate(mixed)
    ]


def figures(design: dict[str, Any]) -> tuple[int, ...]:
    """A design's weight bits, its LUTs, and its LUTs at the other folding."""

    def luts(at: dict[str, Any]) -> int:
        (report,) = (report for report in at["synthesis"] if report["target"] == TARGET)
        return int(report["total"]["luts"])

    (folded,) = (other for other in design["other_foldings"] if other["pe"] == PE)
    return int(design["weight_bits"]), luts(design), luts(folded)


def markers(name: str) -> tuple[str, str]:
    """What stands before and after a block on a page."""
    return f'<!-- {name}: written by "python docs/results.py" -->', f"<!-- end of {name} -->"


def marked(name: str, block: str) -> str:
    """A block with the markers between which it stands on a page."""
    begin, end = markers(name)
    return "\n".join([begin, "", block, "", end])


def grid(heading: Sequence[str], words: int, lines: Iterable[Sequence[str]]) -> str:
    """A table, whose first columns hold so many words and whose others hold figures."""
    rule = "|" + "---|" * words + "---:|" * (len(heading) - words)
    head, *rest = ("| " + " | ".join(cells) + " |" for cells in (heading, *lines))
    return "\n".join([head, rule, *rest])


def fronts() -> str:
    """The block of search.md: the fewest LUTs of each front at a loss of accuracy."""
    heading = ("task", *(f"{loss:g} points lost" if loss else "nothing lost" for loss in LOSSES))
    return marked(RESULTS, grid(heading, 1, map(front, designs())))


def front(folder: Path) -> list[str]:
    """The line of one front, whose members are compared with 8 bits, fine-tuned as they were."""
    found = json.loads((folder / "pareto.json").read_text())
    (eight,) = (member for member in found["homogeneous"] if member["homogeneous"] == 8)
    luts, size = eight["costs"]["luts"], eight["costs"]["size"]

    def cell(loss: float) -> str:
        counted = eight.get("steps", found["validation_sequences"])
        least = round(eight["correct"] - loss / 100 * counted)
        member = min(
            (member for member in found["front"] if member["correct"] >= least),
            key=lambda member: member["costs"]["luts"],
        )
        saved = (1 - member["costs"][name] / old for name, old in (("luts", luts), ("size", size)))
        return ", ".join(f"{part:.0%}" for part in saved)

    return [f"`{folder.name}`", *map(cell, LOSSES)]


def table() -> str:
    """The block of README.md."""
    heading = (
        "what is recognised",
        "design",
        "accuracy",
        "of 8 bits",
        "weight bits",
        "LUTs",
        f"LUTs, {PE} units at a time",
    )
    found = [row for folder in designs() for row in rows(folder)]
    (seeds,) = {len(row.accuracy) for row in found}
    lost = [row.lost for row in found]
    bits, luts, _ = zip(*(row.saved for row in found), strict=True)
    summary = (
        f"These designs have {min(bits):.0%} to {max(bits):.0%} fewer weight bits and "
        f"{min(luts):.0%} to {max(luts):.0%} fewer LUTs than 8 bits everywhere. Their accuracy is "
        f"between {-min(lost):.1f} points higher and {max(lost):.1f} points lower. Accuracies are "
        f"means of {seeds} trainings, with the standard deviation, on test data that nothing was "
        f"chosen by."
    )
    lines = grid(heading, 2, (row.cells() for row in found))
    return marked(RESULTS, lines + "\n\n" + fill(summary, 100))


def other_networks() -> list[Path]:
    """The folders of shipped designs that have another network than the task's own."""
    return sorted(path.parent for path in ROOT.glob("designs/*/*/training.json"))


def networks() -> str:
    """The block of README.md about other networks, each task's own design before them."""
    heading = ("design", "layers", "accuracy", "weight bits", "LUTs", "cycles a sequence")
    found = other_networks()
    lines = []
    for task in sorted({folder.parent for folder in found}):
        own, *_ = json.loads((task / "report.json").read_text())["designs"]
        lines.append(network_cells(task, own, f"{task.name}/report.md"))
        for folder in (folder for folder in found if folder.parent == task):
            own, *_ = json.loads((folder / "report.json").read_text())["designs"]
            lines.append(network_cells(folder, own, f"{task.name}/{folder.name}/report.md"))
    return marked(NETWORKS, grid(heading, 2, lines))


def network_cells(folder: Path, design: dict[str, Any], report: str) -> list[str]:
    """The line of one design, whose figures the report has."""
    training = json.loads((folder / "training.json").read_text())
    layers = ",".join(map(str, Genome.load(folder / "genome.json").network.layers))
    (synthesis,) = (found for found in design["synthesis"] if found["target"] == TARGET)
    return [
        f"[`{folder.relative_to(ROOT / 'designs')}`](designs/{report})",
        f"`{layers}`",
        spread(accuracies(training, 0)),
        f"{design['weight_bits']:,}",
        f"{synthesis['total']['luts']:,}",
        f"{design['sequence_cycles']:,}",
    ]


def main() -> None:
    """Write every block into its page."""
    for page, name, block in (
        (README, RESULTS, table()),
        (README, NETWORKS, networks()),
        (SEARCH, RESULTS, fronts()),
    ):
        begin, end = markers(name)
        text = page.read_text(encoding="utf-8")
        before, after = text[: text.index(begin)], text[text.index(end) + len(end) :]
        page.write_text(before + block + after, encoding="utf-8")


if __name__ == "__main__":
    main()
