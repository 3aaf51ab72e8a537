"""How many faults in a generated design its simulation kills, and proofs for those it does not.

Each mutant is the design with one fault: of its logic, as Yosys' ``mutate`` spreads them, or of
the contents of its ROMs. The tests are those of ``gruhw simulate``, on the design's own samples.
Of a survivor it is tried to prove that its fault cannot be seen, in its module or in the design.
Results are written as soon as they are known; the same command goes on where it was stopped.

    python bench/mutation.py
    python bench/mutation.py --genome designs/mnist-rows/small/genome.json --pe 4 --output states
    python bench/mutation.py --genome deep/genome.json --pe 4,2  # a number for each layer
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from gruhw.basics.files import output_folder, sha256, write_atomic
from gruhw.design import Design
from gruhw.network.genome import OUTPUTS
from gruhw.network.planning import schedule_of
from gruhw_hw.datapath import core_path
from gruhw_hw.formal.redundancy import redundant
from gruhw_hw.synthesis.mutation import Fault, cell_faults, content_faults
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim import EXTREME_SEQUENCES
from gruhw_sim.expectations import Scenario
from gruhw_sim.mutation import fates
from gruhw_sim.simulators import find_simulator

GENOME = Path(__file__).parent.parent / "designs" / "mnist-rows" / "genome.json"
LOGIC, CONTENTS = "logic", "contents of ROMs"

SAMPLES = 8
"""As many as ``gruhw simulate`` takes by default."""


class Results:
    """What is known of each mutant, in a file."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {**about, "mutants": {}}
        if path.exists():
            found = json.loads(path.read_text())
            if {name: found.get(name) for name in about} == about:
                self.content = found

    def of(self, number: int) -> dict[str, Any]:
        return self.content["mutants"].get(str(number), {})

    def note(self, number: int, fault: Fault, **facts: Any) -> None:
        where = {"module": fault.module, "place": fault.place, "mode": fault.mode}
        self.content["mutants"][str(number)] = where | self.of(number) | facts
        write_atomic(self.path, json.dumps(self.content, indent=1) + "\n")


def folding(text: str) -> int | tuple[int, ...]:
    """Processing elements as users give them: one number, or one for each layer."""
    numbers = tuple(map(int, text.split(",")))
    return numbers if len(numbers) > 1 else numbers[0]


def kind_of(mode: str) -> str:
    """What a fault of this mode changes."""
    return CONTENTS if mode == "flip" else LOGIC


def core_of(cores: list[str], mutant: dict[str, Any]) -> str:
    """The one of several cores that a fault is in."""
    place = f"{mutant['module']}."
    return next((c for c in cores if place.startswith(f"{TOP}.datapath.{c}.")), "around them")


def table(title: str, mutants: list[dict[str, Any]], key: Callable[[dict[str, Any]], str]) -> Table:
    """Counts of mutants by a property."""
    found = Table(title=title)
    for heading in ("", "mutants", "killed", "proved unseen", "others", "killed of seen"):
        found.add_column(heading, justify="right" if heading else "left")
    for name in [*sorted({key(mutant) for mutant in mutants}), "all"]:
        row = [mutant for mutant in mutants if name in (key(mutant), "all")]
        killed = sum(bool(mutant["killed_by"]) for mutant in row)
        unseen = sum(bool(mutant.get("unseen")) for mutant in row)
        rate = f"{killed / (len(row) - unseen):.1%}" if len(row) > unseen else "-"
        others = len(row) - killed - unseen
        found.add_row(name, *map(str, (len(row), killed, unseen, others)), rate)
    return found


def show(results: Results) -> None:
    console = Console()
    mutants = list(results.content["mutants"].values())
    for kind in (LOGIC, CONTENTS):
        if chosen := [mutant for mutant in mutants if kind_of(mutant["mode"]) == kind]:
            console.print(
                table(f"Faults of {kind}", chosen, lambda m: m["module"].removeprefix(f"{TOP}."))
            )
            console.print(table(f"Faults of {kind}, by mode", chosen, lambda m: m["mode"]))
            if cores := results.content["cores"]:
                console.print(table(f"Faults of {kind}, by core", chosen, partial(core_of, cores)))
    console.print(table("All faults", mutants, lambda m: kind_of(m["mode"])))
    killers = Counter(m["killed_by"] for m in mutants if m["killed_by"])
    console.print("killed by " + ", ".join(f"{name}: {n}" for name, n in killers.most_common()))
    for number, mutant in results.content["mutants"].items():
        if not mutant["killed_by"]:
            verdict = mutant.get("unseen")
            said = "not judged" if verdict is None else f"unseen ({verdict})" if verdict else "open"
            place = f"{mutant['module']} {mutant['place']} {mutant['mode']}"
            console.print(
                f"survivor {number}: {place}: {said}", markup=False, highlight=False, soft_wrap=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genome", type=Path, default=GENOME)
    parser.add_argument("--pe", type=folding, default=None, help="or one for each layer: 4,2")
    parser.add_argument("--output", choices=OUTPUTS, default=None)
    parser.add_argument("--mutants", type=int, default=500, help="faults of logic")
    parser.add_argument("--contents", type=int, default=150, help="faults of ROMs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--first", type=int, nargs=2, metavar="N", help="only the first of logic, and of ROMs"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/mutation"))
    options = parser.parse_args()

    design = Design.load(options.genome, pe=options.pe, output=options.output)
    split = design.samples(wanted=SAMPLES).take(np.arange(SAMPLES))
    network, verilog = design.network, generate_verilog(design.network).verilog
    faults: list[Fault] = [
        *cell_faults(verilog, TOP, options.mutants, options.seed),
        *content_faults(verilog, options.contents, options.seed),
    ]
    genome, pe, schedule = design.genome, design.genome.folding.pe, schedule_of(network)
    about = {
        "design": "/".join(options.genome.resolve().parent.parts[-2:]),
        "layers": [str(layer) for layer in genome.network.layers],
        "cores": [path for core in schedule.cores if (path := core_path(schedule, core))],
        "pe": list(pe) if isinstance(pe, tuple) else pe,
        "output": genome.output,
        "mutants of logic": options.mutants,
        "mutants of contents": options.contents,
        "seed": options.seed,
        "verilog": sha256(verilog.encode()),
    }
    with output_folder(options.folder):
        lanes = "-".join(map(str, pe if isinstance(pe, tuple) else (pe,)))
        name = "-".join([*options.genome.resolve().parent.parts[-2:], lanes])
        results = Results(options.folder / f"{name}-{genome.output}.json", about)
    logic, contents = options.first or (options.mutants, options.contents)
    numbers = [*range(1, 1 + options.mutants)[:logic]]
    numbers += [*range(1 + options.mutants, 1 + len(faults))[:contents]]
    todo = [number for number in numbers if "killed_by" not in results.of(number)]
    if todo:
        found = fates(
            Scenario.with_extremes(
                network, network.encode(split.x), split.lengths, EXTREME_SEQUENCES, seed=0
            ),
            verilog,
            faults,
            todo,
            find_simulator("verilator"),
            build_folder=options.folder / "build",
            jobs=options.jobs,
        )
        for fate in found:
            fault = faults[fate.number - 1]
            seconds = round(fate.seconds, 1)
            results.note(fate.number, fault, killed_by=fate.killed_by, seconds=seconds)
    for number in numbers:
        known = results.of(number)
        if not known["killed_by"] and "unseen" not in known:
            fault = faults[number - 1]
            results.note(number, fault, unseen=redundant(verilog, TOP, fault, network))
    show(results)


if __name__ == "__main__":
    main()
