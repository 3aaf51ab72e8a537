"""Writes the table of designs in README.md from their reports: ``python docs/results.py``.

Every figure is read from ``designs/TASK/training.json`` and ``designs/TASK/report.json``, which
``tools/ship_design.py`` measured.
"""

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN = '<!-- results: written by "python docs/results.py" -->'
END = "<!-- end of results -->"
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


def table() -> str:
    """The block of README.md, its markers included."""
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
    lines = [
        "| " + " | ".join(heading) + " |",
        "|---|" + "---:|" * (len(heading) - 1),
        *(line for folder in designs() for line in rows(folder)),
    ]
    return "\n".join([BEGIN, "", *lines, "", END])


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    README.write_text(before + table() + after, encoding="utf-8")
