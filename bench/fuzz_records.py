"""What random designs have compared: a record of every batch in a file, and their sum."""

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True)
class Tally:
    """What was compared; tallies add up.

    ``sequences`` and ``steps`` are what PyTorch and NumPy computed, ``cycles`` what was simulated,
    with ``resets`` in it; ``torch_values`` and ``values`` are the integers compared with those of
    the reference, of PyTorch and of the hardware. ``features`` count designs by what they have,
    and ``topologies`` by their layers. ``verilog`` has a name for each text.
    """

    designs: int = 0
    sequences: int = 0
    steps: int = 0
    cycles: int = 0
    resets: int = 0
    torch_values: int = 0
    values: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    benched: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    topologies: Counter[str] = field(default_factory=Counter)
    verilog: list[str] = field(default_factory=list)

    def __add__(self, other: "Tally") -> "Tally":
        names = [part.name for part in fields(self)]
        return Tally(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Record:
    """A batch: one line of the file of records. ``failure`` is empty if all was equal."""

    seed: int
    seconds: float
    processor_seconds: float
    failure: str
    tally: Tally

    def to_json(self) -> str:
        """One line."""
        return json.dumps(vars(self) | {"tally": vars(self.tally)}) + "\n"

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """What :meth:`to_json` wrote."""
        content = json.loads(line)
        tally = content.pop("tally")
        tally |= {
            part.name: Counter(tally[part.name])
            for part in fields(Tally)
            if part.default_factory is Counter
        }
        return cls(**content, tally=Tally(**tally))


def read_records(path: Path) -> list[Record]:
    """All batches that were recorded."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Record.from_json(line) for line in lines]


def print_summary(records: list[Record]) -> None:
    """What the batches ran, all together."""
    if not records:
        print("nothing is recorded")
        return
    total = sum((record.tally for record in records), Tally())
    seeds = sorted(record.seed for record in records)
    hours = sum(record.processor_seconds for record in records) / 3600
    print(f"{len(records)} batches, seeds {seeds[0]} to {seeds[-1]}, {hours:.2f} processor hours")
    print(f"{total.designs:,} designs, {len(set(total.verilog)):,} different Verilog texts")
    print(f"{total.sequences:,} sequences of {total.steps:,} steps, {total.resets:,} resets")
    print(f"{total.cycles:,} cycles simulated, {total.values:,} integers of them compared")
    print(f"{total.torch_values:,} integers of PyTorch compared")
    for feature, count in sorted(total.features.items()):
        print(f"{count:,} with {feature}")
    for layers, count in sorted(total.topologies.items()):
        print(f"{count:,} of {layers}")
    for simulator, count in sorted(total.benched.items()):
        print(f"{count:,} designs in the shipped bench with {simulator}")
    for message, count in total.refused.items():
        print(f"{count:,} refused: {message}")
    failures = [record for record in records if record.failure]
    print(f"{len(failures)} failures")
    for record in failures:
        print(f"seed {record.seed}: {record.failure}")
