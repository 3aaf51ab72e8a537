"""What a search is asked for: read from options, stored with the search, and checked."""

from dataclasses import dataclass, fields, replace
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from gruhw.basics.cache import check_yosys_cache
from gruhw.basics.files import exists
from gruhw.basics.strict import first_problem
from gruhw.basics.values import LARGEST_SEED
from gruhw.cli.choices import InitialState, Objective, OutputKind, Preset, Target
from gruhw.cli.console import check_unicode
from gruhw.cli.network import check_like, layers_text, network_for
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.genes import preset_of
from gruhw.network.genome import Genome
from gruhw.search.folder import FLOAT_CHECKPOINT, FLOAT_MODEL
from gruhw.search.objectives import DEFAULT_TARGET

if TYPE_CHECKING:
    from gruhw.learning.tasks import Task
    from gruhw.search.objectives import Cost
    from gruhw.search.space import SearchSpace
    from gruhw.search.store import Store


@dataclass(frozen=True)
class Request:
    """What was asked for, as it is stored with a search and found again by ``--resume``.

    So that the files of ``model`` and ``start`` need not be read again, ``layers``, ``output``,
    ``initial`` and ``every_step`` are the model's, if there is one, and ``genomes`` are those of
    ``start``.
    """

    task: str = ""
    model: str | None = None
    layers: str | None = None
    output: OutputKind | None = None
    initial: InitialState | None = None
    every_step: bool = False
    objective: tuple[Objective, ...] = ("size",)
    target: Target = DEFAULT_TARGET
    preset: Preset = "full"
    pe: str = "1"
    start: tuple[str, ...] = ()
    genomes: tuple[Genome, ...] = ()
    population: int = 48
    generations: Annotated[int, Field(ge=0)] = 50
    finalists: Annotated[int, Field(ge=4)] = 16
    fine_tune_epochs: Annotated[int, Field(ge=0)] | None = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 1
    select: str = "smallest"
    quick: bool = False
    keep_outliers: bool = False

    def content(self) -> dict[str, Any]:
        """The request as JSON values."""
        genomes = [genome.model_dump(mode="json") for genome in self.genomes]
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"genomes": genomes}


QUICK = {"population": 16, "generations": 8, "finalists": 4}
"""What ``--quick`` changes, unless it is given; less training comes on top."""

QUICK_DESCENT = 0.5
"""The part of the genes that each step of a quick search's descent narrows."""

TRAINING = (
    *("task", "model", "layers", "output", "initial", "every_step"),
    *("seed", "quick", "keep_outliers"),
)
"""What the float network and the shared weights depend on."""

TRAINED = (FLOAT_CHECKPOINT, FLOAT_MODEL)
"""Files of which a folder has one as soon as something is trained."""

LATER = {"keep_outliers", "layers", "output", "initial", "every_step"}
"""Options that searches did not always have."""

UNITS = "hidden"
"""What searches had instead of layers: the units of their only GRU."""

CHANGEABLE = ("generations", "select")
"""What may differ when a search is resumed: no figure depends on them."""


def new_request(given: dict[str, Any]) -> Request:
    """The request of a new search, from the options that were given."""
    if "task" not in given:
        raise InputError("task is required, but missing: give --task, or --resume")
    request = Request(**{**(QUICK if given.get("quick") else {}), **given})
    check_unicode("task", request.task)
    check_unicode("model", request.model or "")
    for path in request.start:
        check_unicode("start", path)
    genomes = tuple(Genome.load(Path(path)) for path in request.start)
    return replace(_like_model(request), genomes=genomes)


def _like_model(request: Request) -> Request:
    """The request with the network of its model, which is checked, if there is one."""
    if request.model is None:
        return request
    from gruhw.learning.tasks import task_for
    from gruhw.network.bound import read_model

    path = Path(request.model)
    genome = Genome.load(path)
    found = genome.network
    task = task_for(request.task, found)
    read_model(genome, path)
    task.check_network(found, path)
    check_like(found, request.layers, request.initial, path, every_step=request.every_step)
    network, output = network_for(task, None, request.output, None, genome)
    if network != found:
        raise InputError(
            f"{path}: outputs of the network must be {network.outputs} for output {output}, "
            f"not {found.outputs}"
        )
    return replace(
        request,
        layers=layers_text(found),
        output=output,
        initial=found.initial,
        every_step=found.every_step,
    )


def network_of(request: Request) -> tuple[Architecture, OutputKind]:
    """The network that is asked for, and what it gives."""
    task = task_of(request)
    return network_for(task, request.layers, request.output, request.initial)


def task_of(request: Request) -> "Task":
    """The task that is asked for."""
    from gruhw.learning.tasks import load_task

    return load_task(request.task, every_step=request.every_step, initial=request.initial)


def stored_request(store: "Store", given: dict[str, Any]) -> Request:
    """The request of the search in ``store``, with what may be changed changed as ``given``."""
    stored = _upgraded(store.get("request"))
    names = {field.name for field in fields(Request)}
    # A search that began before there was an option did without it.
    if not isinstance(stored, dict) or not names - LATER <= stored.keys() <= names:
        raise InputError(f"{store.path}: a search that can be resumed is required, but missing")
    try:
        request = TypeAdapter(Request).validate_json(dumps(stored), strict=True)
    except ValidationError as error:
        raise InputError(f"{store.path}: request.{first_problem(error)}") from error
    except InputError as error:
        raise InputError(f"{store.path}: request.genomes: {error}") from error
    for name, value in given.items():
        if name not in CHANGEABLE and value != (known := getattr(request, name)):
            option = name.replace("_", "-")
            raise InputError(
                f"{store.path.parent}: {option} must be {_shown(known)}, as when the "
                f"search began, not {_shown(value)}"
            )
    changes = {name: given[name] for name in CHANGEABLE if name in given}
    return replace(request, **changes)


def _upgraded(stored: Any) -> Any:
    """What was stored, with layers where an older search had hidden units."""
    if not isinstance(stored, dict) or UNITS not in stored:
        return stored
    content = dict(stored)
    units = content.pop(UNITS)
    return content | {"layers": None if units is None else f"gru:{units}"}


def _shown(value: Any) -> str:
    """An option's value in a message."""
    if value is None:
        return "absent"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def check_training(store: "Store", request: Request) -> None:
    """Refuse what was trained for another request, before its first evaluation bound a search."""
    folder, stored = store.path.parent, _upgraded(store.get("request"))
    if not isinstance(stored, dict) or not any(exists(folder / name) for name in TRAINED):
        return
    for name in TRAINING:
        known = stored.get(name, getattr(Request, name))
        if known != (value := getattr(request, name)):
            raise InputError(
                f"{folder}: {name} must be {_shown(known)}, as when the training in it began, not "
                f"{_shown(value)}: continue it with --resume, or choose another folder with --out"
            )


def check_data(store: "Store", request: Request) -> None:
    """Refuse to go on with what was trained on other data, also before its first evaluation."""
    from gruhw.search.shared import training_data  # it brings PyTorch

    folder, contents = store.path.parent, training_data(task_of(request))
    if store.get("settings") is None and not any(exists(folder / name) for name in TRAINED):
        store.put({"contents": contents})  # nothing was trained on what is known
    store.bind_contents(contents)


def check(request: Request) -> list["Cost"]:
    """Find what is wrong before anything is written or takes time; the costs to minimise."""
    from gruhw.search.evolve import check_population
    from gruhw.search.front import Selection
    from gruhw.search.objectives import make_costs

    Selection.parse(request.select)
    check_population(request.population)
    if request.finalists % 4:
        raise InputError(f"finalists must be a multiple of 4, not {request.finalists}")
    task = task_of(request)
    space = make_space(request)
    for genome in request.genomes:
        space.vector(genome)
    costs = make_costs(request.objective, target=request.target, steps=task.steps)
    task.normalisation()
    if any(cost.estimated for cost in costs):
        check_yosys_cache()  # synthesis comes at the end
    return costs


def make_space(request: Request) -> "SearchSpace":
    """What to search."""
    from gruhw.search.space import SearchSpace

    network, output = network_of(request)
    preset = preset_of(request.preset, network)
    return SearchSpace(preset, request.task, output=output, pe=_foldings(request.pe))


def _foldings(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"pe must be numbers with commas between them, not '{text}'") from None
