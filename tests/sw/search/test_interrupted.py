"""Whole searches on a toy task end with the same files however they are run and interrupted."""

import random
import subprocess
import sys
import time
from collections import Counter
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import killed_search
import pytest
from command_line import supported
from killed_search import SETTINGS, results
from processes import assert_ended
from toy_search import ARCHITECTURE, PAPER_SPACE, STEPS, lines, toy_prepared

from gruhw.network.bound import Network, load_network
from gruhw.network.model import Model
from gruhw.search.folder import (
    FINE_TUNING_CHECKPOINT,
    FLOAT_CHECKPOINT,
    SHARED_CHECKPOINT,
    WRITTEN,
)
from gruhw.search.objectives import make_costs
from gruhw.search.result import Progress
from gruhw.search.run import search
from gruhw.search.store import Store
from gruhw.search.workers import LARGEST_JOB

pytestmark = pytest.mark.slow

KILLS = 6
FORK = get_context("fork")
RESULTS = {
    "best.json", "best.safetensors", "genomes.png", "pareto.csv", "pareto.json", "pareto.png"
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that nothing interrupted, by one worker."""
    folder = tmp_path_factory.mktemp("whole") / "search"
    killed_search.run(folder, 1)
    return folder


def test_every_file_is_written(whole: Path) -> None:
    assert results(whole).keys() == RESULTS


def test_four_workers_find_what_one_does(whole: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    killed_search.run(tmp_path / "search", 4, log=log)
    assert results(tmp_path / "search") == results(whole)
    assert max(Counter(log.read_text().splitlines()).values()) == 1


def test_hash_seeds_do_not_matter(whole: Path, tmp_path: Path) -> None:
    finish(tmp_path / "search", "77")
    assert results(tmp_path / "search") == results(whole)


def finish(folder: Path, hash_seed: str) -> None:
    finished = subprocess.run(
        [sys.executable, killed_search.__file__, str(folder)],
        env=supported(PYTHONHASHSEED=hash_seed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def start(folder: Path, workers: int = 1) -> ForkProcess:
    """A search in a process of its own, which logs what it evaluates."""
    log = folder.parent / "log"
    options = {"delay": 0.004, "log": log}
    process = FORK.Process(target=killed_search.run, args=(folder, workers), kwargs=options)
    process.start()
    return process


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments_it_ends_with_the_same_files(
    seed: int, whole: Path, tmp_path: Path
) -> None:
    generator = random.Random(seed)
    folder, log = tmp_path / "search", tmp_path / "log"
    killed = 0
    for _ in range(KILLS):
        process = start(folder)
        # Some evaluations from now, and at last in the middle of fine-tuning or writing.
        enough = len(lines(log)) + generator.randint(1, 30)
        deadline = time.monotonic() + generator.uniform(0.3, 2)
        while len(lines(log)) < enough and time.monotonic() < deadline and process.is_alive():
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        killed += 1
    assert killed > 1
    if process.exitcode != 0:
        process = start(folder)
        process.join()
    assert process.exitcode == 0
    assert results(folder) == results(whole)
    # What was stored was not evaluated again: only what was at work when it was killed.
    repeated = sum(count - 1 for count in Counter(lines(log)).values())
    assert repeated <= killed * LARGEST_JOB


def test_what_kills_leave_is_removed_at_the_end(whole: Path, tmp_path: Path) -> None:
    names = (*WRITTEN, FLOAT_CHECKPOINT, SHARED_CHECKPOINT, FINE_TUNING_CHECKPOINT.format("0" * 16))
    own = {"best.json.abcdefgh", ".notes.abcdefgh", "own.checkpoint", "fine-tuning-1.checkpoint"}
    for name in (*(f".{name}.a1_bcdef" for name in names), *names[len(WRITTEN) :], *own):
        (tmp_path / name).touch()
    (tmp_path / ".best.json.z1_bcdef").mkdir()
    killed_search.run(tmp_path, 1)
    found = results(tmp_path)
    assert found == results(whole) | dict.fromkeys(own, b"")
    assert (tmp_path / ".best.json.z1_bcdef").is_dir()


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    process = start(tmp_path / "search", workers=2)
    while len(lines(tmp_path / "log")) < 3:
        assert process.is_alive()
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("the operating system does not list children")
    workers = [int(worker) for worker in children.read_text().split()]
    assert len(workers) >= 2
    process.kill()
    process.join()
    assert_ended(workers)


def test_a_search_goes_on_after_ctrl_c(whole: Path, tmp_path: Path) -> None:
    count = 0

    def interrupt(progress: Progress) -> None:
        nonlocal count
        count += 1
        if count == 9:
            raise KeyboardInterrupt

    prepared = toy_prepared()
    costs = make_costs(["size", "energy"], steps=STEPS)
    with Store(tmp_path, create=True) as store, pytest.raises(KeyboardInterrupt):
        search(prepared, PAPER_SPACE, costs, SETTINGS, store, tell=interrupt)
    killed_search.run(tmp_path, 1)
    assert results(tmp_path) == results(whole)


def test_the_best_genome_is_a_design(whole: Path) -> None:
    network = load_network(whole / "best.json")
    assert network.genome.task == "toy"
    assert network.architecture == ARCHITECTURE
    model = Model.from_bytes((whole / "best.safetensors").read_bytes(), whole)
    assert network.weight_bits == Network.build(network.genome, model).weight_bits
