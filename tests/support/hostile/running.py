"""Running the command of a case as a user would, and judging how it ends."""

import ctypes
import faulthandler
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hostile.cases import Case, prepare
from hostile.damage import UNREADABLE
from hostile.world import other_versions, surroundings

TIME = 120
"""Seconds after which a command hangs; the slowest, which compile, take a quarter of it."""

MEMORY = 6 << 30
"""Bytes that a command may have as its own."""

CAPABILITY_VERSION, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 0x20080522, 1 << 1, 1 << 2
LONGEST_LINE = 4000
LARGEST_READ = 1 << 26
"""Bytes of a file that is compared."""

PROGRESS = re.compile(
    r"(generated|evaluated|verified) in [\d.]+ s"
    r"| *(float|shared|quantised|fine-tuning|fine-tuned)( training, epoch)? .*|generation \d.*"
    r"|written: .*|[\w., ]*(best\.json|best\.safetensors|genomes\.png)[\w., ]*"
    r"|gruhw: warning: one sample of .* decides the fraction bits of .*"
)
"""Lines that commands print on standard error while they work: of so few sequences, one may well
decide.
"""

ELSEWHERE = "/tmp"
"""Where cases run: a path that every tool takes, and that is not part of any world."""

ENDINGS = ("pe must be", "task must be", "the area model is calibrated anew")
"""What commands say that have read everything, and of files that have no name of their own."""

RESULTS = ("out", "out.json", "design")
"""What commands write, if they do not refuse; a search keeps what it knows in any case."""

TRAP = "trap"
"""The file that is made by whatever runs a hostile name or a pickle."""

Main = Callable[[tuple[str, ...]], None]


@dataclass(frozen=True)
class Outcome:
    """How a command ended: a negative status is that of a signal.

    ``before`` and ``after`` say what every path leads to, and ``changed`` whether the files that
    the case is about differ from those of the world.
    """

    status: int
    out: str
    err: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    changed: bool

    @property
    def words(self) -> str:
        """In a word: what is absent would have been downloaded."""
        names = {0: "works", 1: "absent", 2: "refused", -signal.SIGALRM: "hangs"}
        return names.get(self.status, f"status {self.status}")


def snapshot(folder: Path) -> dict[str, str]:
    """What each path below ``folder`` leads to, without following links."""

    def describe(path: Path) -> str:
        found = path.lstat()
        kind = stat.filemode(found.st_mode)[0]
        if kind == "l":
            return f"link to {path.readlink()}"
        if kind != "-":
            return kind
        if found.st_size > LARGEST_READ:
            return f"file of {found.st_size}"
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def paths() -> Iterator[Path]:
        for parent, folders, files in os.walk(folder):
            yield from (Path(parent) / name for name in (*folders, *files))

    return {str(path.relative_to(folder)): describe(path) for path in sorted(paths())}


def run(case: Case, world: Path, main: Main, kept: Path | None = None) -> Outcome:
    """Run a case in a temporary folder; a copy of the damaged world stays in ``kept``."""
    with tempfile.TemporaryDirectory(prefix="gruhw-hostile-", dir=ELSEWHERE) as name:
        folder = Path(name)
        with surroundings(folder):
            command = prepare(case, world, folder)
            if kept is not None:
                keep(folder, kept, case, command)
            before = snapshot(folder)
            versions = other_versions() if case.kind.name == "calibration" else nullcontext()
            with _nameless() as out, _nameless() as err, versions:
                status = _fork(command, main, out.fileno(), err.fileno(), case.mutation)
                texts = [_read(file) for file in (out, err)]
            return Outcome(status, *texts, before, snapshot(folder), _changed(case, world, before))


def _nameless() -> IO[bytes]:
    return tempfile.TemporaryFile(dir=ELSEWHERE)


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(1 << 22).decode("utf-8", "replace")


def _changed(case: Case, world: Path, before: Mapping[str, str]) -> bool:
    whole = {str(path.relative_to(world)): path for path in world.glob(case.kind.file)}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in whole.items()}
    return any(before.get(name) != found for name, found in hashes.items())


def keep(folder: Path, kept: Path, case: Case, command: tuple[str, ...]) -> None:
    """Copy small ordinary files and links, and write down the command."""
    for path in sorted(folder.rglob("*")):
        place = kept / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            place.symlink_to(path.readlink())
        elif path.is_dir():
            place.mkdir(exist_ok=True)
        elif path.is_file() and path.stat().st_size < LARGEST_READ:
            shutil.copyfile(path, place)
    what = {"kind": case.kind.name, "mutation": case.mutation, "command": command}
    (kept / "case.json").write_text(json.dumps(what, indent=1) + "\n")


def _fork(command: tuple[str, ...], main: Main, out: int, err: int, mutation: str) -> int:
    """The exit status of ``main`` in a process of its own, or the negative number of a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_child(command, main, out, err, mutation))
    _, status = os.waitpid(child, 0)
    # Yosys and simulators may still be at work, in process groups of their own.
    for process in _members(session=child):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _members(session: int) -> Iterator[int]:
    """The processes of a session."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(ProcessLookupError):
            if os.getsid(process := int(folder.name)) == session:
                yield process


def _stream(descriptor: int, errors: str) -> IO[str]:
    """What prints to a descriptor, as long as the process lives."""
    return os.fdopen(descriptor, "w", encoding="utf-8", errors=errors, closefd=False)


def _child(command: tuple[str, ...], main: Main, out: int, err: int, mutation: str) -> int:
    try:
        os.setsid()
        faulthandler.disable()  # a crash is found by its status, and no news to the test's own log
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = _stream(1, "strict"), _stream(2, "backslashreplace")
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if mutation == UNREADABLE:
            _respect_permissions()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, TIME)
        main(command)
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 70
    except BaseException:
        traceback.print_exc()
        status = 70
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        status = 71
    return status


def _respect_permissions() -> None:
    """Take from the superuser the right to read what nobody may: see capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Effective, permitted and inheritable ones, the lower 32 first.
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) == 0:
        for place in (0, 1):
            sets[place] &= ~(CAP_DAC_OVERRIDE | CAP_DAC_READ_SEARCH)
        libc.capset(header, sets)


def judge(case: Case, outcome: Outcome) -> str | None:
    """What is wrong with how a case ended; None if nothing is."""
    lines = outcome.err.splitlines()
    if outcome.status == 1 and "cannot be downloaded" in outcome.err:
        return None  # nothing is there, which is no fault of a file
    if outcome.status not in (0, 2):
        return f"status {outcome.status}: {lines[-1] if lines else 'nothing printed'}"[:300]
    told = [line for line in lines if not PROGRESS.fullmatch(line)]
    if (problem := _wrong_lines(case, outcome, told)) is not None:
        return problem
    return _wrong_files(case, outcome)


def _wrong_lines(case: Case, outcome: Outcome, lines: list[str]) -> str | None:
    names = {Path(name).name for name in (*outcome.before, case.kind.file)} | set(ENDINGS)
    if outcome.status == 0:
        return f"printed: {lines[0]}"[:300] if lines else None
    if len(lines) != 1 or not lines[0].startswith("gruhw: "):
        return f"{len(lines)} lines on standard error: {' / '.join(lines)}"[:300]
    if len(lines[0]) > LONGEST_LINE:
        return f"a line of {len(lines[0])} characters"
    if not (case.kind.renamed or any(name in lines[0] for name in names)):
        return f"names no file: {lines[0]}"[:300]
    if not lines[0].isprintable():
        return f"a line that cannot be printed: {lines[0]!r}"[:300]
    if any(text in lines[0] for text in ("Error(", "object has no", "Traceback")):
        return f"Python's words: {lines[0]}"[:300]
    return None


def _wrong_files(case: Case, outcome: Outcome) -> str | None:
    before, after = outcome.before, outcome.after
    changed = [name for name in after if before.get(name) != after[name]]
    changed += [name for name in before if name not in after]
    if any(Path(name).name == TRAP for name in after):
        return "something ran: a file trap is there"
    # PyTorch makes a folder for what it may compile.
    if left := [name for name in changed if name.startswith("tmp/") and "torch" not in name]:
        return f"left behind: {left[0]}"
    if left := [name for name in changed if Path(name).name.startswith(".")]:
        return f"half-written: {left[0]}"
    if outcome.status == 0 and case.kind.pinned and outcome.changed:
        return "another SHA-256 was accepted"
    if outcome.status != 0 and case.command[0] != "search":
        written = [name for name in changed if name.split("/")[0] in RESULTS]
        written = [name for name in written if after.get(name) != "d"]
        return f"refused, but wrote {written[0]}" if written else None
    return None
