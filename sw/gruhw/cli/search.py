"""The command that searches for widths."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field, TypeAdapter, ValidationError

from gruhw.cli.console import JsonPath, counting, errors, figures, progress, results, write_json
from gruhw.cli.hardware import Target
from gruhw.cli.learning import LARGEST_SEED
from gruhw.errors import GruhwError, InputError
from gruhw.genome import first_problem
from gruhw.tasks.custom import MAXIMUM_SIZE

if TYPE_CHECKING:
    from gruhw.search.evaluation import Prepare
    from gruhw.search.objectives import Cost
    from gruhw.search.result import Progress, Result
    from gruhw.search.store import Store


class Objective(StrEnum):
    """What to minimise besides mistakes."""

    size = "size"
    luts = "luts"
    area = "area"
    memory = "memory"
    cycles = "cycles"
    energy = "energy"


class PresetName(StrEnum):
    """Which widths are free."""

    full = "full"
    operators17 = "operators17"


class SearchInterruptedError(GruhwError):
    """Ctrl-C, after everything known was stored."""

    exit_status = 130


@dataclass(frozen=True)
class Request:
    """What was asked for, as it is stored with a search and found again by ``--resume``."""

    task: str = ""
    model: str | None = None
    hidden: Annotated[int, Field(ge=1, le=MAXIMUM_SIZE)] | None = None
    objective: tuple[Objective, ...] = (Objective.size,)
    target: Target = Target.ice40
    preset: PresetName = PresetName.full
    pe: str = "1"
    start: tuple[str, ...] = ()
    population: int = 48
    generations: Annotated[int, Field(ge=0)] = 50
    finalists: Annotated[int, Field(ge=4)] = 16
    fine_tune_epochs: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 1
    select: str = "smallest"
    quick: bool = False


QUICK = {"population": 16, "generations": 8, "finalists": 4}
"""What ``--quick`` changes, unless it is given; less training comes on top."""

QUICK_DESCENT = 0.5
"""The part of the genes that each step of a quick search's descent narrows."""

CHANGEABLE = ("generations", "select")
"""What may differ when a search is resumed: no figure depends on them."""


def search(
    out: Annotated[
        Path, typer.Option(help="The search's folder, for its memory and results.", metavar="DIR")
    ],
    task: Annotated[
        str | None,
        typer.Option(help="A task's name, or an .npz file.", metavar="TASK"),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The genome file of a trained design to start from.", metavar="FILE"),
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(
            help="Hidden units; the model's, or the task's, if absent.",
            min=1,
            max=MAXIMUM_SIZE,
            metavar="N",
        ),
    ] = None,
    objective: Annotated[
        list[Objective] | None,
        typer.Option(
            help="What to minimise besides mistakes; up to three times. size if absent.",
            metavar=f"<{'|'.join(Objective)}>",
        ),
    ] = None,
    target: Annotated[
        Target | None, typer.Option(help=f"What LUTs are counted for; {Request.target} if absent.")
    ] = None,
    preset: Annotated[
        PresetName | None,
        typer.Option(help="Which widths are free: all (full), or the paper's 17."),
    ] = None,
    pe: Annotated[
        str | None,
        typer.Option(help=f"Foldings to try, as in 1,2,4; {Request.pe} if absent.", metavar="LIST"),
    ] = None,
    start: Annotated[
        list[Path] | None,
        typer.Option(help="A genome file to begin with; may be repeated.", metavar="FILE"),
    ] = None,
    population: Annotated[
        int | None,
        typer.Option(
            help=f"Genomes a generation, a multiple of 4; {Request.population} if absent.",
            metavar="N",
        ),
    ] = None,
    generations: Annotated[
        int | None,
        typer.Option(help=f"Generations; {Request.generations} if absent.", min=0, metavar="N"),
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(
            help=f"Genomes that are fine-tuned at the end; {Request.finalists} if absent.",
            min=4,
            metavar="N",
        ),
    ] = None,
    fine_tune_epochs: Annotated[
        int | None,
        typer.Option(help="Epochs of their fine-tuning; the task's if absent.", min=0, metavar="N"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help=f"Seed of every random choice; {Request.seed} if absent.",
            min=0,
            max=LARGEST_SEED,
            metavar="N",
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="Which genome becomes best.json: smallest (the smallest at least as accurate "
            "as 8 bits), knee, max-accuracy, or budget=N of the first objective.",
            metavar="RULE",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; as many as there are cores if absent.", min=1, metavar="N"),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A taste of two minutes: little training, few small generations."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the search in --out; its options need not be repeated."
        ),
    ] = False,
    json: JsonPath = None,
) -> None:
    """Search for the widths that classify as well as 8 bits, for less."""
    given: dict[str, Any] = {
        "task": task,
        "model": str(model) if model else None,
        "hidden": hidden,
        "objective": tuple(map(str, objective)) if objective else None,
        "target": str(target) if target else None,
        "preset": str(preset) if preset else None,
        "pe": pe,
        "start": tuple(map(str, start)) if start else None,
        "population": population,
        "generations": generations,
        "finalists": finalists,
        "fine_tune_epochs": fine_tune_epochs,
        "seed": seed,
        "select": select,
        "quick": quick or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    try:
        _search(given, out, workers or os.cpu_count() or 1, json, resume=resume)
    except KeyboardInterrupt:
        raise SearchInterruptedError(
            f"interrupted; what is known is stored: continue with gruhw search --resume --out {out}"
        ) from None


def _search(
    given: dict[str, Any], out: Path, workers: int, json: Path | None, *, resume: bool
) -> None:
    from gruhw.search.results import describe, summary, write_results
    from gruhw.search.store import Store

    if not resume:
        _check(_new_request(given))
    with Store(out, create=not resume) as store:
        request = _stored_request(store, given) if resume else _new_request(given)
        # A selection that fails should not be what the next --resume tries again.
        kept = replace(request, select=store.get("request")["select"]) if resume else request
        store.put({"request": asdict(kept)})
        result = _run(request, out, store, workers)
        files = write_results(result, out)
        store.put({"request": asdict(request)})
    results.print(figures(f"Search {out}", summary(result)))
    progress.print(f"written: {', '.join(files)}")
    write_json(json, describe(result))


def _new_request(given: dict[str, Any]) -> Request:
    if "task" not in given:
        raise InputError("task is required, but missing: give --task, or --resume")
    return Request(**{**(QUICK if given.get("quick") else {}), **given})


def _stored_request(store: "Store", given: dict[str, Any]) -> Request:
    """The request of the search in ``store``, with what may be changed changed as ``given``."""
    stored = store.get("request")
    names = {field.name for field in fields(Request)}
    if not isinstance(stored, dict) or set(stored) != names:
        raise InputError(f"{store.path}: a search that can be resumed is required, but missing")
    try:
        request = TypeAdapter(Request).validate_json(dumps(stored), strict=True)
    except ValidationError as error:
        raise InputError(f"{store.path}: request.{first_problem(error)}") from error
    stored = asdict(request)
    for name, value in given.items():
        if name not in CHANGEABLE and value != stored[name]:
            option = name.replace("_", "-")
            raise InputError(
                f"{store.path.parent}: {option} must be {_shown(stored[name])}, as when the "
                f"search began, not {_shown(value)}"
            )
    changes = {name: given[name] for name in CHANGEABLE if name in given}
    request = replace(request, **changes)
    _check(request)
    return request


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _check(request: Request) -> None:
    """Find what is wrong before anything is written or takes time."""
    from gruhw.search.evolve import check_population
    from gruhw.search.front import Selection
    from gruhw.search.objectives import make_costs
    from gruhw.tasks import load_task

    _foldings(request.pe)
    Selection.parse(request.select)
    check_population(request.population)
    task = load_task(request.task)
    for cost in make_costs(request.objective, target=request.target, steps=task.steps):
        _prepare(cost)


def _prepare(cost: "Cost") -> None:
    """Have the cost's area model calibrated, if that is needed: it takes up to an hour."""
    what = f"calibrating {cost.label}"
    with counting(what) as tell:

        def show(done: int, steps: int) -> None:
            tell(done, steps)
            if not progress.is_terminal:
                errors.print(f"{what}: {done}/{steps}")

        cost.prepare(show)


def _foldings(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"pe must be numbers with commas between them, not '{text}'") from None


def _preparation() -> "Prepare":
    """What makes tasks ready; it brings PyTorch, for which other commands should not wait."""
    from gruhw.search.prepare import prepare

    return prepare


def _run(request: Request, out: Path, store: "Store", workers: int) -> "Result":
    from gruhw.genome import PRESETS, Genome
    from gruhw.search.descent import NARROWED
    from gruhw.search.evaluation import Preparation
    from gruhw.search.front import Selection
    from gruhw.search.objectives import make_costs
    from gruhw.search.result import Settings
    from gruhw.search.run import search as run_search
    from gruhw.search.space import SearchSpace

    starts = [Genome.load(Path(path)) for path in request.start]
    with _telling() as (say, tell):
        wanted = Preparation(
            request.task,
            Path(request.model) if request.model else None,
            out,
            hidden=request.hidden,
            seed=request.seed,
            fine_tune_epochs=request.fine_tune_epochs,
            quick=request.quick,
            workers=workers,
        )
        prepared = _preparation()(wanted, say)
        return run_search(
            prepared,
            SearchSpace(
                PRESETS[request.preset],
                prepared.sizes,
                prepared.task,
                pe=_foldings(request.pe),
            ),
            make_costs(request.objective, target=request.target, steps=prepared.steps),
            Settings(
                population=request.population,
                generations=request.generations,
                seed=request.seed,
                finalists=request.finalists,
                narrowed=QUICK_DESCENT if request.quick else NARROWED,
                selection=Selection.parse(request.select),
            ),
            store,
            workers=workers,
            seeds=starts,
            tell=tell,
        )


@contextmanager
def _telling() -> Iterator[tuple[Callable[[str], None], Callable[["Progress"], None]]]:
    """What shows a line, and what shows a search's progress.

    On a terminal one line changes all the time; elsewhere each finished generation gets one.
    """
    if not progress.is_terminal:

        def print_finished(now: "Progress") -> None:
            if now.finished:
                errors.print(_line(now))

        yield errors.print, print_finished
        return
    with progress.status("preparing") as status:
        yield status.update, lambda now: status.update(_line(now))


def _line(now: "Progress") -> str:
    if now.generation is None:
        return now.phase
    parts = [
        f"generation {now.generation}/{now.generations}",
        f"{now.rate:.1f} evaluations/s",
        f"hypervolume {now.gain:.3f} of homogeneous",
    ]
    if now.best is not None:
        parts.append(f"best {now.best.costs[0]:,} at {now.best.accuracy:.2%}")
    if now.left is not None:
        minutes, seconds = divmod(round(now.left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)
