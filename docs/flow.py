"""Draws docs/flow.svg: ``python docs/flow.py``.

Boxes bring their own background, and lines are a grey that shows on white and on black, so the
picture is readable whatever page it stands on.
"""

from html import escape
from pathlib import Path

WIDTH, HEIGHT = 880, 500
LINE = "#7d8590"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

FILES, WORK, MODEL = "#fff4d6", "#dceafe", "#e2f4e4"

# name: x, y, width, height, colour, title, lines below it
BOXES: dict[str, tuple[int, int, int, int, str, str, tuple[str, ...]]] = {
    "data": (20, 20, 200, 58, FILES, "your sequences", (".npz, or a task by name",)),
    "gru": (20, 98, 200, 58, FILES, "your network", ("nn.GRU and nn.Linear",)),
    "train": (290, 59, 210, 58, WORK, "train, calibrate", ("or quantise what is trained",)),
    "design": (
        570,
        46,
        290,
        84,
        FILES,
        "design",
        ("genome.json: a width for every operator", "model.safetensors, samples.npz"),
    ),
    "graph": (
        20,
        186,
        840,
        52,
        MODEL,
        "operator graph",
        ("one time step: typed nodes, the single description that everything is made from",),
    ),
    "quant": (20, 286, 190, 62, MODEL, "quant", ("PyTorch, with gradients",)),
    "reference": (237, 286, 190, 62, MODEL, "reference", ("NumPy: exact integers",)),
    "schedule": (454, 286, 190, 62, MODEL, "schedule", ("cycle of every operation",)),
    "hardware": (671, 286, 189, 62, MODEL, "datapath", ("Amaranth components",)),
    "evaluate": (20, 410, 190, 62, WORK, "train, evaluate", ("accuracy, in integers",)),
    "simulate": (237, 410, 190, 62, WORK, "simulate", ("equal, value and cycle",)),
    "verilog": (454, 410, 190, 62, FILES, "generate", ("Verilog, testbench, ports",)),
    "synth": (671, 410, 189, 62, WORK, "synth", ("LUTs, FFs, memory; um2",)),
}

# points of each line, the last with an arrow head
LINES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((220, 49), (255, 49), (255, 80), (290, 80)),
    ((220, 127), (255, 127), (255, 96), (290, 96)),
    ((500, 88), (570, 88)),
    ((715, 130), (715, 186)),
    ((115, 238), (115, 286)),
    ((332, 238), (332, 286)),
    ((549, 238), (549, 286)),
    ((765, 238), (765, 286)),
    ((454, 317), (427, 317)),
    ((644, 317), (671, 317)),
    ((115, 348), (115, 410)),
    ((285, 348), (285, 379), (140, 379), (140, 410)),
    ((332, 348), (332, 410)),
    ((720, 348), (720, 379), (549, 379), (549, 410)),
    ((765, 348), (765, 410)),
    ((454, 441), (427, 441)),
)


def box(
    x: int, y: int, width: int, height: int, colour: str, title: str, lines: tuple[str, ...]
) -> list[str]:
    """A rounded box with a bold title and smaller lines below it."""
    middle = x + width // 2
    first = y + height // 2 - 9 * len(lines) + 5
    return [
        (
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{colour}" '
            f'stroke="{LINE}"/>'
        ),
        f'<text x="{middle}" y="{first}" font-size="15" font-weight="600">{escape(title)}</text>',
        *(
            f'<text x="{middle}" y="{first + 19 * number}" font-size="13">{escape(line)}</text>'
            for number, line in enumerate(lines, start=1)
        ),
    ]


def flow() -> str:
    """The picture as SVG."""
    text = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" font-family="{escape(FONT)}">'
        ),
        "<title>From a trained network to Verilog that is equal to its reference</title>",
        (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8Z" fill="{LINE}"/>'
            "</marker></defs>"
        ),
        f'<g fill="none" stroke="{LINE}" stroke-width="1.8">',
        *(
            f'<path d="M{"L".join(f"{x} {y}" for x, y in points)}" marker-end="url(#head)"/>'
            for points in LINES
        ),
        "</g>",
        '<g fill="#1f2328" text-anchor="middle">',
        *(element for drawn in BOXES.values() for element in box(*drawn)),
        "</g>",
        "</svg>",
    ]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "flow.svg").write_text(flow())
