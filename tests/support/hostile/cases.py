"""Case ``number`` of seed ``seed``: a damaged world and a command, always the same."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from webassembly import link_webassembly

from hostile.kinds import KINDS, Command, Kind
from hostile.values import PATHS, TRAPS


@dataclass(frozen=True)
class Case:
    """What is damaged, how, and which command meets it."""

    seed: int
    number: int
    kind: Kind
    mutation: str
    command: Command

    @property
    def name(self) -> str:
        """For people, and for the folder in which the case is kept."""
        return f"{self.seed}-{self.number}"


def draw(seed: int, number: int, kinds: Sequence[Kind] = KINDS) -> Case:
    """The case of this number: kinds by their weights, their mutations and commands evenly."""
    random = Random(f"{seed} {number}")
    (kind,) = random.choices(kinds, [kind.weight for kind in kinds])
    return Case(
        seed, number, kind, random.choice(list(kind.mutations)), random.choice(kind.commands)
    )


def prepare(case: Case, world: Path, folder: Path) -> Command:
    """Copy what the case needs into ``folder``, damage it, and return the command.

    The working directory must be ``folder``.
    """
    for name in case.kind.needs:
        if (world / name).is_dir():
            shutil.copytree(world / name, folder / name, symlinks=True)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(world / name, folder / name)
    if (world / "cache").is_dir():
        link_webassembly(world / "cache", folder / "cache")
    random = Random(f"{case.name} damage")
    files = sorted(Path().glob(case.kind.file))
    file = random.choice(files)
    case.kind.mutations[case.mutation](random, file)
    if case.kind.pin is not None and file.is_file():
        repin(file.with_name("genome.json"), case.kind.pin, file)
    if case.kind.renamed:
        return _rename(random, file, case.command)
    return case.command


def repin(genome: Path, field: str, file: Path) -> None:
    """Make the SHA-256 of ``file`` right in the genome."""
    content = json.loads(genome.read_text())
    content[field]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    genome.write_text(json.dumps(content))


def _rename(random: Random, file: Path, command: Command) -> Command:
    """Give a file or its folder a hostile name, wherever the file is named."""
    old = random.choice((file, *file.parents[:-1]))
    named = [name for name in (*TRAPS, *PATHS) if name.strip("./") and not {"/", "\0"} & set(name)]
    suffix = random.choice((file.suffix, "", ".npz"))
    new = old.with_name(random.choice(named) + (suffix if old == file else ""))
    old.rename(new)
    genome = next(iter(sorted(Path().rglob("genome.json"))), None)
    if genome is not None:
        text = genome.read_text()
        for part in (str(old), old.name):
            text = text.replace(json.dumps(part), json.dumps(str(new) if "/" in part else new.name))
        genome.write_text(text)
    return tuple(
        str(new / Path(word).relative_to(old)) if Path(word).is_relative_to(old) else word
        for word in command
    )
