"""The command that searches for widths."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gruhw.basics.values import LARGEST_SEED
from gruhw.cli.choices import OneOfObjectives, Preset, Target
from gruhw.cli.console import JsonPath, counting, errors, figures, progress, results, write_json
from gruhw.cli.learning import OutlierOption
from gruhw.cli.network import (
    EveryStepOption,
    HiddenOption,
    InitialOption,
    LayersOption,
    NetworkOutputOption,
    given_layers,
)
from gruhw.cli.request import (
    QUICK_DESCENT,
    Request,
    check,
    check_data,
    check_training,
    make_space,
    new_request,
    stored_request,
)
from gruhw.errors import GruhwError

if TYPE_CHECKING:
    from gruhw.search.evaluation import Prepare
    from gruhw.search.objectives import Cost
    from gruhw.search.result import Progress, Result
    from gruhw.search.store import Store


class SearchInterruptedError(GruhwError):
    """Ctrl-C, after everything known was stored."""

    exit_status = 130


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
    layers: LayersOption = None,
    hidden: HiddenOption = None,
    output: NetworkOutputOption = None,
    initial: InitialOption = None,
    every_step: EveryStepOption = False,
    objective: Annotated[
        list[OneOfObjectives] | None,
        typer.Option(
            help="What to minimise besides mistakes (or squared errors); up to three times. size "
            "if absent.",
            metavar=f"<{'|'.join(OneOfObjectives)}>",
        ),
    ] = None,
    target: Annotated[
        Target | None,
        typer.Option(
            help="What the objective luts counts LUTs for: ice40, ecp5 or xc7; "
            f"{Request.target} if absent."
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="Which widths are free: all (full), or results alone, whose widths weights share "
            "(operators17: of a GRU, the paper's 17)."
        ),
    ] = None,
    pe: Annotated[
        str | None,
        typer.Option(
            help=f"Foldings to try, each for all layers, as in 1,2,4; {Request.pe} if absent.",
            metavar="LIST",
        ),
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
            help="Members of the front, and wider ones, that are fine-tuned at the end, a multiple "
            "of 4; homogeneous and plain ones, and those that rules select, come on top; "
            f"{Request.finalists} if absent.",
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
    keep_outliers: OutlierOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the search in --out; its options need not be repeated."
        ),
    ] = False,
    json: JsonPath = None,
) -> None:
    """Search for widths that do as well as 8 bits, for less."""
    given: dict[str, Any] = {
        "task": task,
        "model": str(model) if model else None,
        "layers": given_layers(layers, hidden),
        "output": output,
        "initial": initial,
        "every_step": every_step or None,
        "objective": tuple(map(str, objective)) if objective else None,
        "target": target,
        "preset": preset,
        "pe": pe,
        "start": tuple(map(str, start)) if start else None,
        "population": population,
        "generations": generations,
        "finalists": finalists,
        "fine_tune_epochs": fine_tune_epochs,
        "seed": seed,
        "select": select,
        "quick": quick or None,
        "keep_outliers": keep_outliers or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    try:
        _search(given, out, workers or os.cpu_count() or 1, json, resume=resume)
    except KeyboardInterrupt:
        again = "the same command" if _unbegun(out) else _resuming(out)
        raise SearchInterruptedError(
            f"interrupted; what is known is stored: continue with {again}"
        ) from None


def _unbegun(out: Path) -> bool:
    """Whether the folder holds no search yet: calibrations are made before it, in the cache."""
    from gruhw.search.store import FILE

    return not (out / FILE).exists()


def _resuming(out: Path) -> str:
    """The command that goes on with the search in ``out``, as a shell takes it."""
    return f"gruhw search --resume --out {quote(str(out))}"


def _search(
    given: dict[str, Any], out: Path, workers: int, json: Path | None, *, resume: bool
) -> None:
    from gruhw.search.front import NothingFitsError
    from gruhw.search.store import Store

    uncalibrated: Sequence[Cost] = ()
    if not resume:
        request = new_request(given)
        _calibrate(check(request))
    # It brings Matplotlib, which complains itself of a cache that it cannot write.
    from gruhw.search.results import describe, summary, write_results

    with Store(out, create=not resume) as store:
        if resume:
            request = stored_request(store, given)
            uncalibrated = check(request)
            before = replace(request, select=store.get("request")["select"])
        else:
            check_training(store, request)
            before = request
        store.put({"request": request.content()})
        # What is interrupted from here on goes on with what was asked for.
        check_data(store, request)
        _calibrate(uncalibrated)
        try:
            result = _run(request, out, store, workers)
        except NothingFitsError as error:
            # A rule that nothing fits should not be what the next --resume tries again.
            store.put({"request": before.content()})
            raise NothingFitsError(
                f"{error}; what is known is stored: try another rule with {_resuming(out)} "
                "--select RULE"
            ) from error
        files = write_results(result, out)
    results.print(figures(f"Search {out}", summary(result)))
    progress.print(f"written: {', '.join(files)}")
    write_json(json, describe(result))


def _calibrate(costs: Sequence["Cost"]) -> None:
    """Have area models calibrated that are not yet: it takes an hour or two each."""
    for cost in costs:
        with counting(f"calibrating {cost.label}") as tell:
            cost.prepare(partial(_show_calibration, cost, tell))


def _show_calibration(
    cost: "Cost", tell: Callable[[int, int], None], done: int, steps: int
) -> None:
    tell(done, steps)
    if not progress.is_terminal:
        errors.print(f"calibrating {cost.label}: {done}/{steps}")


def _preparation() -> "Prepare":
    """What makes tasks ready; it brings PyTorch, for which other commands should not wait."""
    from gruhw.search.prepare import prepare

    return prepare


def _run(request: Request, out: Path, store: "Store", workers: int) -> "Result":
    from gruhw.search.descent import NARROWED
    from gruhw.search.evaluation import Preparation
    from gruhw.search.front import Selection
    from gruhw.search.objectives import make_costs
    from gruhw.search.result import Settings
    from gruhw.search.run import search as run_search

    with _telling() as (say, tell):
        space = make_space(request)
        wanted = Preparation(
            request.task,
            Path(request.model) if request.model else None,
            out,
            network=space.network,
            seed=request.seed,
            fine_tune_epochs=request.fine_tune_epochs,
            quick=request.quick,
            keep_outliers=request.keep_outliers,
            workers=workers,
        )
        prepared = _preparation()(wanted, say)
        return run_search(
            prepared,
            space,
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
            seeds=request.genomes,
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
    parts = [now.phase]
    if now.generation is not None:
        parts = [f"generation {now.generation}/{now.generations}"]
        if now.rate is not None:
            parts.append(_pace(now.rate))
        parts.append(f"hypervolume {now.gain:.3f} of homogeneous")
    if now.best is not None:
        parts.append(f"best {now.best.costs[0]:,} at {now.best.figure}")
    if now.left is not None:
        minutes, seconds = divmod(round(now.left), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)


def _pace(rate: float) -> str:
    """Evaluations a second, or in the shortest time in which there is at least one."""
    second, minute, hour = (rate * seconds for seconds in (1, 60, 3600))
    if second >= 1:
        return f"{second:.1f} evaluations/s"
    if minute >= 1:
        return f"{minute:.1f} evaluations/min"
    return f"{hour:.2g} evaluations/h"
