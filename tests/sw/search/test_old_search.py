"""A search that an earlier version of gruhw made goes on, evaluates nothing anew, and agrees.

Its folder, tests/data/search-1, is that of a toy search of one GRU.
"""

import json
import shutil
from pathlib import Path

import pytest
from command_line import REPOSITORY
from toy_search import PAPER_SPACE, STEPS, Estimate, lines, toy_prepared

from gruhw.search.objectives import make_costs
from gruhw.search.result import Result, Settings
from gruhw.search.results import describe, front_csv, write_results
from gruhw.search.run import search
from gruhw.search.store import FILE, Store

OLD = REPOSITORY / "tests" / "data" / "search-1"
SETTINGS = Settings(population=8, generations=2, finalists=4, narrowed=1.0)


def run(folder: Path, log: Path) -> Result:
    costs = [Estimate(), *make_costs(["size"], steps=STEPS)]
    with Store(folder, create=not (folder / FILE).exists()) as store:
        return search(toy_prepared(log=str(log)), PAPER_SPACE, costs, SETTINGS, store)


@pytest.mark.slow
@pytest.mark.parametrize("resumed", [True, False])
def test_files_are_those_of_the_old_search(resumed: bool, tmp_path: Path) -> None:
    folder, log = tmp_path / "search", tmp_path / "log"
    folder.mkdir()
    if resumed:
        shutil.copy(OLD / FILE, folder)
    result = run(folder, log)
    assert bool(lines(log)) is not resumed
    assert json.dumps(describe(result), indent=2) + "\n" == (OLD / "pareto.json").read_text()
    assert front_csv(result) == (OLD / "pareto.csv").read_text()
    write_results(result, folder)
    for name in ("best.json", "best.safetensors"):
        assert (folder / name).read_bytes() == (OLD / name).read_bytes()


def test_a_store_has_the_keys_of_the_old_one(tmp_path: Path) -> None:
    run(tmp_path / "search", tmp_path / "log")
    with Store(tmp_path / "search", create=False) as store:
        found = list(store._connection.iterdump())
    shutil.copy(OLD / FILE, tmp_path)
    with Store(tmp_path, create=False) as store:
        assert list(store._connection.iterdump()) == found
