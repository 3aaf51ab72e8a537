"""Where the prices of terms come from: the package, the cache, or a new calibration."""

import json
from collections.abc import Callable, Mapping
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from gruhw.basics.cache import cache_folder, writing_cache
from gruhw.basics.files import MALFORMED, exists, read_bytes, write_atomic
from gruhw.errors import InputError
from gruhw_hw.area.fit import AMOUNTS, Prices
from gruhw_hw.area.kept import Progress, Tools
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis import TARGETS, library_of, tool_versions

FORMAT, VERSION = "gruhw-area", 1

MODELLED = ("ice40", "ecp5", "xc7", "asic")
"""The targets that have a model."""

Calibrate: TypeAlias = Callable[[str, Tools, Progress | None], Prices]


def _calibrate(target: str, tools: Tools, progress: Progress | None) -> Prices:
    from gruhw_hw.area.calibrate import calibrate  # imports PyTorch, which estimates do not need

    return calibrate(target, tools, progress)


def find_calibration(
    target: str,
    liberty: Path | None = None,
    progress: Progress | None = None,
    *,
    calibrate: Calibrate = _calibrate,
) -> Prices:
    """The prices for the installed versions of the tools: see :meth:`AreaModel.load`."""
    if target not in MODELLED:
        raise InputError(f"target of the area model must be one of {', '.join(MODELLED)}, "
                         f"not {target!r}")  # fmt: skip
    library = library_of(TARGETS[target], liberty)
    tools = tools_of(library)
    shipped = resources.files("gruhw_hw.area").joinpath("data", f"{target}.json")
    if shipped.is_file():
        name = f"{target}.json of the area model"
        if (prices := parse_calibration(shipped.read_bytes(), name, target, tools)) is not None:
            return prices
    name = f"area-{target}.json" if library is None else f"area-{target}-{library.sha256[:16]}.json"
    path = cache_folder() / name
    if exists(path):
        prices = parse_calibration(read_bytes(path), str(path), target, tools)
        if prices is not None:
            return prices
    with writing_cache():  # known before the work, not after it
        pass
    prices = calibrate(target, Tools(tools, library), progress)
    write_atomic(path, format_calibration(target, tools, prices))
    return prices


def tools_of(library: Liberty | None) -> dict[str, str]:
    """What calibrations depend on: the versions of the tools, and the standard-cell library."""
    versions = dict(tool_versions())
    return versions if library is None else {**versions, "library_sha256": library.sha256}


def format_calibration(target: str, tools: Mapping[str, str], prices: Prices) -> str:
    """The text of a calibration file."""
    head = {"format": FORMAT, "version": VERSION, "target": target, "tools": dict(tools)}
    lines = (
        f"  {json.dumps(name)}: {json.dumps([float(f'{price:.5g}') for price in prices[name]])}"
        for name in sorted(prices)
    )
    joined = ",\n".join(lines)
    text = json.dumps(head | {"amounts": AMOUNTS}, indent=1).removesuffix("\n}")
    return f'{text},\n "prices": {{\n{joined}\n }}\n}}\n'


def parse_calibration(
    data: bytes, source: str, target: str, tools: Mapping[str, str]
) -> Prices | None:
    """The prices in a calibration file; none if it is of other versions of the tools.

    Raises
    ------
    InputError
        If it is no whole calibration file of this target.
    """
    try:
        content: dict[str, Any] = json.loads(data)
        if content["format"] != FORMAT or content["target"] != target:
            raise ValueError(f"it is {content['format']} for {content['target']}")
        same = content["tools"] == dict(tools) and tuple(content["amounts"]) == AMOUNTS
        if content["version"] != VERSION or not same:
            return None
        prices = {str(term): [float(p) for p in row] for term, row in content["prices"].items()}
        if any(len(row) != len(AMOUNTS) or not all(map(isfinite, row)) for row in prices.values()):
            raise ValueError(f"each term must have {len(AMOUNTS)} finite prices")
    except MALFORMED as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else error
        raise InputError(
            f"{source}: must be a calibration of the area model for {target}; "
            f"delete it to have it made anew: {what}"
        ) from error
    return prices
