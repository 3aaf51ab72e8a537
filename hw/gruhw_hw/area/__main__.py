"""Calibration of the area model anew, which takes many minutes a target.

    python -m gruhw_hw.area ice40

writes the calibration that the package ships. It holds for the installed versions of the tools.
"""

import argparse
from pathlib import Path

from rich.progress import Progress as Bar

from gruhw.basics.files import write_atomic
from gruhw_hw.area.calibrate import calibrate
from gruhw_hw.area.calibration import MODELLED, format_calibration, tools_of
from gruhw_hw.area.fit import Prices
from gruhw_hw.area.kept import Tools
from gruhw_hw.synthesis import TARGETS, library_of


def main() -> None:
    """Write the calibrations that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("targets", nargs="+", choices=MODELLED)
    for target in parser.parse_args().targets:
        library = library_of(TARGETS[target])
        tools = Tools(tools_of(library), library)
        text = format_calibration(target, tools.versions, _with_bar(target, tools))
        write_atomic(Path(__file__).parent / "data" / f"{target}.json", text)


def _with_bar(target: str, tools: Tools) -> Prices:
    with Bar() as bar:
        task = bar.add_task(target)
        return calibrate(
            target, tools, lambda done, steps: bar.update(task, completed=done, total=steps)
        )


if __name__ == "__main__":
    main()
