"""The reports of an installation's experiments, read from what its projector has added up."""

from __future__ import annotations

from collections.abc import Mapping

from installation.opened import Installation
from personalization.catalog.check import nearest
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement, compile_catalog
from personalization.errors import Refused
from personalization.evaluation.experiment_report import ExperimentReport
from personalization.evaluation.judging import report_of
from state.read_models import ReadModels


async def experiments_of(
    opened: Installation, placement: str | None, now_ms: int, *, by_segment: bool
) -> list[ExperimentReport]:
    """The report of a placement; None: of every one that has sides to compare.

    Raises
    ------
    Refused
        Where no catalog is published, or the one in force has no such placement.
    Unavailable
        If Redis does not answer.
    """
    latest = await opened.catalogs.latest()
    if latest is None:
        raise Refused("no catalog is published here: `nextbest publish` puts one in force")
    version, catalog = latest
    compiled = compile_catalog(catalog, version)
    read_models = ReadModels(opened.redis, opened.keys)
    return [
        report_of(
            each, compiled.metrics, await read_models.strata(name, now_ms), segments=None if by_segment else ()
        )
        for name, each in _asked_for(compiled, placement).items()
    ]


def _asked_for(catalog: CompiledCatalog, placement: str | None) -> Mapping[str, CompiledPlacement]:
    there = catalog.placements
    if placement is None:
        return {name: each for name, each in there.items() if each.split}
    if placement not in there:
        known = f"there are: {', '.join(sorted(there)) or 'none'}"
        raise Refused(f"there is no placement {placement!r}; {nearest(placement, there, known)}")
    return {placement: there[placement]}
