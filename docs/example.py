"""Writes the example in README.md from real runs: ``python docs/example.py``.

The commands are those of the Makefile's demo that print what was measured.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

BEGIN = '<!-- example: written by "python docs/example.py" -->'
END = "<!-- end of example -->"

COMMANDS = (
    "gruhw simulate --genome designs/mnist-rows/genome.json --samples 8",
    "gruhw synth --genome designs/mnist-rows/genome.json --target ice40",
)


def run(command: str) -> str:
    """What a gruhw command prints on standard output."""
    program = "from gruhw.cli import main; main()"
    arguments = [sys.executable, "-c", program, *command.split()[1:]]
    return subprocess.run(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8"
    ).stdout


def example() -> str:
    """The block of README.md, its markers included."""
    blocks = [f"```console\n$ {command}\n{run(command).rstrip()}\n```" for command in COMMANDS]
    return "\n\n".join([BEGIN, *blocks, END])


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    README.write_text(before + example() + after, encoding="utf-8")
