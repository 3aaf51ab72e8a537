"""The files of a finished search; the same search writes the same bytes."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gruhw.basics.files import sha256, write_atomic
from gruhw.network.genome import FileReference
from gruhw.network.parts import VALIDATION_SEEN
from gruhw.search.clusters import cluster
from gruhw.search.folder import (
    BEST,
    BEST_MODEL,
    FRONT,
    FRONT_PICTURE,
    FRONT_TABLE,
    GENOMES_PICTURE,
    remove_leftovers,
)
from gruhw.search.front import Candidate
from gruhw.search.objectives import with_unit
from gruhw.search.plots import draw_front, draw_genomes
from gruhw.search.result import Member, Result, baseline_bits


def describe_member(result: Result, member: Member) -> dict[str, Any]:
    """A member's figures for programs."""
    described: dict[str, Any] = {
        "selected": member == result.selected,
        "homogeneous": member.homogeneous,
        **member.candidate.figure.to_json(),
        "costs": _costs(result, member.candidate),
    }
    if result.fine_tuned:
        described["before_fine_tuning"] = {
            **member.shared.figure.to_json(),
            "costs": _costs(result, member.shared),
        }
    if member.estimated:
        described["estimated"] = dict(member.estimated)
    genome = member.candidate.genome
    return described | {"folding": genome.folding.model_dump(), "genes": dict(genome.genes)}


def _costs(result: Result, candidate: Candidate) -> dict[str, Any]:
    return dict(zip((cost.name for cost in result.costs), candidate.costs, strict=True))


def describe(result: Result) -> dict[str, Any]:
    """A search's result for programs: the contents of ``pareto.json``."""
    settings, space = result.settings, result.space
    groups = cluster([member.candidate.genome for member in result.front])
    figure = result.selected.candidate.figure
    return {
        "format": "gruhw-pareto",
        "version": result.selected.candidate.genome.version,
        "task": space.task,
        **space.described,
        "preset": space.preset.name,
        "pe": list(space.pe),
        "objectives": [
            {"name": cost.name, "label": cost.label, "unit": cost.unit, "identity": cost.identity}
            for cost in result.costs
        ],
        "validation_sequences": figure.sequence_total,
        "validation_variations": figure.times,
        VALIDATION_SEEN: result.validation_seen,
        "population": settings.population,
        "generations": settings.generations,
        "seed": settings.seed,
        "select": str(settings.selection),
        "fine_tuned": result.fine_tuned,
        "evaluations": len(result.evaluated),
        "hypervolume": {
            "reference": list(result.reference.point),
            "homogeneous": result.reference.homogeneous,
            "gain": result.gain,
        },
        "front": [
            {**describe_member(result, member), "cluster": group}
            for member, group in zip(result.front, groups, strict=True)
        ],
        "homogeneous": [describe_member(result, member) for member in result.baseline],
        "history": [
            {"generation": s.generation, "evaluations": s.evaluations, "gain": s.gain}
            for s in result.history
        ],
    }


def front_csv(result: Result) -> str:
    """The front, then the homogeneous genomes, one a line: the contents of ``pareto.csv``."""
    costs = [cost.name for cost in result.costs]
    estimated = [name for name in costs if name in result.selected.estimated]
    score, genes = result.selected.candidate.score, result.space.network.gene_names
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("part", "selected", "homogeneous"),
            *score.columns,
            *((f"shared_{name}" for name in score.short) if result.fine_tuned else ()),
            *costs,
            *(f"estimated_{name}" for name in estimated),
            "pe",
            *genes,
        ]
    )
    for part, members in (("front", result.front), ("homogeneous", result.baseline)):
        for member in members:
            found, genome = member.candidate, member.candidate.genome
            before = member.shared.score.short.values() if result.fine_tuned else ()
            writer.writerow(
                [
                    *(part, int(member == result.selected), member.homogeneous or ""),
                    *(*found.score.columns.values(), *before, *found.costs),
                    *(member.estimated[name] for name in estimated),
                    genome.folding.pe,
                    *(genome.genes[gene] for gene in genes),
                ]
            )
    return text.getvalue()


def write_results(result: Result, out: Path) -> list[str]:
    """Write every file of the result into the search's folder ``out``, and remove leftovers.

    Returns
    -------
    list
        Their names. ``best.json`` is the last. After a kill just before it, an older one names the
        SHA-256 of a model that is gone, so that it is refused until the search is resumed.

    Raises
    ------
    InputError
        If one cannot be written; the others are as they were, or new.
    """
    files: dict[str, bytes | str] = {
        FRONT: _json(describe(result)),
        FRONT_TABLE: front_csv(result),
        FRONT_PICTURE: draw_front(result),
        GENOMES_PICTURE: draw_genomes(result),
    }
    genome = result.selected.candidate.genome
    if result.selected.model is not None:
        model = result.selected.model.to_bytes()
        files[BEST_MODEL] = model
        reference = FileReference(file=BEST_MODEL, sha256=sha256(model))
        genome = genome.model_copy(update={"model": reference})
    files[BEST] = genome.to_json()
    for name, contents in files.items():
        write_atomic(out / name, contents)
    remove_leftovers(out)
    return list(files)


def summary(result: Result) -> dict[str, str]:
    """The result for people: the selected genome beside the homogeneous baseline."""
    selected, eight = result.selected, result.eight
    bits = baseline_bits(result.space)
    name = f"validation {selected.candidate.figure.name}"
    rows = {
        "selected": str(result.settings.selection),
        name: str(selected.candidate.figure),
        f"{name} of {bits} bits": str(eight.candidate.figure),
    }
    if result.validation_seen:
        rows["validation data"] = "may have been trained on"
    pairs = zip(selected.candidate.costs, eight.candidate.costs, strict=True)
    for cost, (figure, other) in zip(result.costs, pairs, strict=True):
        share = f", {figure / other - 1:+.1%}" if other else ""
        name = with_unit(cost)
        rows[name] = f"{figure:,} (of {bits} bits: {other:,}{share})"
        if cost.name in selected.estimated:
            found, base = selected.estimated[cost.name], eight.estimated[cost.name]
            rows[f"{name}, estimated"] = f"{found:,} (of {bits} bits: {base:,})"
    return rows | {
        "members of the front": str(len(result.front)),
        "hypervolume": f"{result.gain:.3f} times that of homogeneous widths",
        "evaluations": f"{len(result.evaluated):,}",
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
