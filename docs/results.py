"""Writes the tables of designs in README.md and of fronts in search.md: ``python docs/results.py``.

Every figure is read from ``designs/TASK/training.json`` and ``designs/TASK/report.json``, which
``tools/ship_design.py`` measured, and from ``designs/TASK/pareto.json``, which a search wrote.
"""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SEARCH = ROOT / "docs" / "search.md"
BEGIN = '<!-- results: written by "python docs/results.py" -->'
END = "<!-- end of results -->"
LOSSES = (0.0, 0.5, 1.5, 3.0)
"""Points of validation accuracy below 8 bits up to which members of fronts are shown."""

TARGET = "ice40"
PE = 8
"""The other folding that is shown."""


def designs() -> list[Path]:
    """The folders of shipped designs that were trained beside 8 bits."""
    return sorted(path.parent for path in ROOT.glob("designs/*/8-bit"))


def accuracy(training: dict[str, Any], place: int) -> str:
    """The test accuracy over the seeds, with its spread."""
    found = [seed["test"][place] for seed in training["seeds"]]
    if len(found) == 1:
        return f"{found[0]:.2%}"
    return f"{statistics.mean(found):.2%} ± {statistics.stdev(found):.2%}"


def rows(folder: Path) -> list[str]:
    """The lines of a task's designs, which are compared with the last one, 8 bits."""
    training = json.loads((folder / "training.json").read_text())
    *searched, eight = json.loads((folder / "report.json").read_text())["designs"]
    return [row(folder, place, design, eight, training) for place, design in enumerate(searched)]


def row(
    folder: Path,
    place: int,
    searched: dict[str, Any],
    eight: dict[str, Any],
    training: dict[str, Any],
) -> str:
    """The line of one design."""

    def luts(at: dict[str, Any]) -> int:
        (report,) = (r for r in at["synthesis"] if r["target"] == TARGET)
        return int(report["total"]["luts"])

    def folded(design: dict[str, Any]) -> dict[str, Any]:
        (found,) = (other for other in design["other_foldings"] if other["pe"] == PE)
        return dict(found)

    def less(new: int, old: int) -> str:
        return f"{1 - new / old:.0%}"

    bits, bits8 = searched["weight_bits"], eight["weight_bits"]
    name = folder.name if place == 0 else f"{folder.name}, {training['genomes'][place]}"
    cells = [
        f"[{name}](designs/{folder.name}/report.md)",
        accuracy(training, place),
        accuracy(training, -1),
        f"{bits:,}",
        less(bits, bits8),
        f"{luts(searched):,}",
        less(luts(searched), luts(eight)),
        f"{luts(folded(searched)):,}",
        less(luts(folded(searched)), luts(folded(eight))),
        str(len(training["seeds"])),
    ]
    return "| " + " | ".join(cells) + " |"


def marked(heading: Sequence[str], rows: Iterable[str]) -> str:
    """A table with the markers between which it stands on a page."""
    lines = ["| " + " | ".join(heading) + " |", "|---|" + "---:|" * (len(heading) - 1), *rows]
    return "\n".join([BEGIN, "", *lines, "", END])


def fronts() -> str:
    """The block of search.md: the fewest LUTs of each front at a loss of accuracy."""
    heading = ("task", *(f"{loss:g} points" if loss else "no loss" for loss in LOSSES))
    return marked(heading, map(front, designs()))


def front(folder: Path) -> str:
    """The line of one front, whose members are compared with 8 bits, fine-tuned as they were."""
    found = json.loads((folder / "pareto.json").read_text())
    (eight,) = (member for member in found["homogeneous"] if member["homogeneous"] == 8)
    luts, size = eight["costs"]["luts"], eight["costs"]["size"]

    def cell(loss: float) -> str:
        least = round(eight["correct"] - loss / 100 * found["validation_sequences"])
        member = min(
            (member for member in found["front"] if member["correct"] >= least),
            key=lambda member: member["costs"]["luts"],
        )
        return f"{member['costs']['luts'] / luts - 1:.0%}, {member['costs']['size'] / size - 1:.0%}"

    return "| " + " | ".join([f"`{folder.name}`", *map(cell, LOSSES)]) + " |"


def table() -> str:
    """The block of README.md."""
    heading = (
        "task",
        "test accuracy",
        "of 8 bits",
        "weight bits",
        "fewer",
        "LUT4",
        "fewer",
        f"LUT4, {PE} PEs",
        "fewer",
        "seeds",
    )
    return marked(heading, (line for folder in designs() for line in rows(folder)))


if __name__ == "__main__":
    for page, block in ((README, table()), (SEARCH, fronts())):
        text = page.read_text(encoding="utf-8")
        before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
        page.write_text(before + block + after, encoding="utf-8")
