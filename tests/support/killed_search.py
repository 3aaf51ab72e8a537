"""A toy search as a program of its own, to be killed: ``killed_search.py FOLDER``."""

import sys
from pathlib import Path

from command_line import contents
from toy_search import PAPER_SPACE, STEPS, toy_prepared

from gruhw.search.objectives import make_costs
from gruhw.search.result import Result, Settings
from gruhw.search.results import write_results
from gruhw.search.run import search
from gruhw.search.store import FILE, Store

SETTINGS = Settings(population=12, generations=6, finalists=4)


def run(folder: Path, workers: int, *, delay: float = 0.0, log: Path | None = None) -> Result:
    """Search, or resume the search, in ``folder``, and write its results."""
    prepared = toy_prepared(delay=delay, log=str(log) if log else None)
    costs = make_costs(["size", "energy"], steps=STEPS)
    with Store(folder, create=not (folder / FILE).exists()) as store:
        result = search(prepared, PAPER_SPACE, costs, SETTINGS, store, workers=workers)
        write_results(result, folder)
    return result


def results(folder: Path) -> dict[str, bytes]:
    """Every file but the store, whose bytes depend on the order of events."""
    found = contents(folder)
    return {name: data for name, data in found.items() if not name.startswith(FILE)}


if __name__ == "__main__":
    run(Path(sys.argv[1]), 1)
