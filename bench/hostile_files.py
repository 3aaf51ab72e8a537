"""Damaged and malicious files for every file that gruhw reads: each works, or is refused in a line.

A case is a small world of files of which one is damaged, and a command that reads it. The command
must end with status 0, or with 2 and exactly one line on standard error; within its time and its
memory, without running anything, and without leaving anything half-written. Cases with faults are
kept in a folder of their own, as the command found them. Case N of a seed is always the same.

    python bench/hostile_files.py --cases 10000 --seed 1 [--jobs 2] [--kind "memory of a search"]
    python bench/hostile_files.py --seed 1 --case 4711
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gruhw.basics.files import write_atomic

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

from hostile.campaign import Row, try_case, warm_up  # noqa: E402  # found by the line above
from hostile.kinds import KINDS  # noqa: E402  # likewise
from hostile.world import make_world  # noqa: E402  # likewise

FOLDER = REPOSITORY / "build" / "hostile"
OUTCOMES = ("works", "refused", "absent", "fault")
CASES_A_PROCESS = 1000


def show(rows: Sequence[Row]) -> None:
    """Print the outcomes by kind of file, then by mutation."""
    for by in ("kind", "mutation"):
        table = Table(title=f"{len(rows):,} cases by {by}")
        table.add_column(by)
        for heading in ("cases", *OUTCOMES):
            table.add_column(heading, justify="right")
        counts = {name: Counter(row["outcome"] for row in rows if row[by] == name)
                  for name in sorted({str(row[by]) for row in rows})}  # fmt: skip
        counts["all"] = Counter(row["outcome"] for row in rows)
        for name, found in counts.items():
            shown = (str(found[outcome]) for outcome in OUTCOMES)
            table.add_row(name, str(found.total()), *shown, end_section=len(counts) > 2)
        Console().print(table)


def main() -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--case", type=int, help="only this one, with what it printed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kind", action="append", choices=[kind.name for kind in KINDS])
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    names = options.kind or [kind.name for kind in KINDS]
    out = options.out.resolve()
    compiled = any(kind.compiled for kind in KINDS if kind.name in names)
    world = out / ("world-compiled" if compiled else "world")
    os.environ["OMP_NUM_THREADS"] = "1"
    if not (world / "done").exists():
        with get_context("spawn").Pool(1) as pool:
            pool.apply(make_world, (world,), {"compiled": compiled})
        (world / "done").touch()
    numbers = range(options.first, options.first + options.cases)
    if options.case is not None:
        numbers = range(options.case, options.case + 1)
    work = partial(try_case, options.seed, names, world, out)
    rows: list[Row] = []
    with (
        get_context("spawn").Pool(options.jobs, warm_up, maxtasksperchild=CASES_A_PROCESS) as pool,
        (out / f"cases-{options.seed}.jsonl").open("w") as log,
    ):
        for row in pool.imap_unordered(work, numbers):
            rows.append(row)
            print(json.dumps(row), file=log, flush=True)
            if row["problem"] or options.case is not None:
                print(json.dumps(row, indent=1), flush=True)
    show(rows)
    faults = [row for row in rows if row["problem"]]
    write_atomic(out / f"faults-{options.seed}.json", json.dumps(faults, indent=1) + "\n")
    if faults:
        chosen = "".join(f" --kind '{name}'" for name in options.kind or ())
        again = f"--seed {options.seed} --case {faults[0]['number']}{chosen}"
        print(
            f"{len(faults)} cases with faults are kept in {out}/{options.seed}-NUMBER; one again:"
        )
        print(f"python bench/hostile_files.py {again}")
        sys.exit(1)


if __name__ == "__main__":
    main()
