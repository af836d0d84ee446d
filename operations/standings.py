"""How placements' challengers stand, and promoting or demoting one by command."""

from __future__ import annotations

import time
from typing import Literal

from installation.audit import login
from personalization.catalog.catalog import PublishedCatalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.sections.challengers import DEMOTED, PROMOTED, Standing, contest_of
from personalization.errors import InvalidInput, Refused, Unavailable
from personalization.evaluation.contest import Contest, contest_in
from personalization.evaluation.refereeing import standing_of
from state.catalog_store import CatalogStore
from state.read_models import ReadModels

_TRIES = 20


async def contests(store: CatalogStore, read_models: ReadModels) -> list[Contest]:
    """Those of all placements that have a challenger, in the order of the catalog.

    Raises
    ------
    Refused
        If no catalog is published.
    """
    catalog, now_ms = await _in_force(store), _now_ms()
    return [
        contest_in(catalog, name, placement.shadow, await read_models.trials(name, now_ms))
        for name, placement in catalog.placements.items()
        if placement.shadow is not None
    ]


async def change_standing(store: CatalogStore, placement: str, becomes: Literal["promoted", "demoted"]) -> int:
    """Promote a placement's challenger, or demote it; the version that has it.

    Raises
    ------
    InvalidInput
        If there is no such placement, or it has no challenger.
    Refused
        If it stands so already, or others publish all the time.
    """
    for _ in range(_TRIES):
        catalog = await _in_force(store)
        written = catalog.catalog.placements.get(placement)
        if written is None:
            known = ", ".join(sorted(catalog.placements)) or "none"
            raise InvalidInput("placement", f"the catalog has no {placement!r}; there are: {known}", "unknown_name")
        if written.challenger is None:
            remedy = f"write placements.{placement}.challenger: {{policy: thompson}} to put one on trial"
            raise InvalidInput("placement", f"{placement!r} has no challenger; {remedy}", "unknown_name")
        now = standing_of(written, catalog.standings.get(placement))
        if (PROMOTED if now is not None and now.is_now == PROMOTED else DEMOTED) == becomes:
            in_force = catalog.placements[placement].spec.policy.name
            raise Refused(f"nothing is to be done: {in_force} is in force in {placement} already")
        standing = Standing(contest_of(written), becomes, _now_ms(), f"by command of {login() or 'somebody'}")
        what = f"placements.{placement}: {written.challenger.policy.name} {becomes}, {standing.why}"
        version = await store.put_standing(catalog.version, placement, standing, login(), what)
        if version is not None:
            return version
    raise Refused("others publish catalogs all the time; nothing was changed, try again")


async def _in_force(store: CatalogStore) -> CompiledCatalog:
    version = await store.latest_version()
    published: PublishedCatalog | None = await store.published(version) if version else None
    if published is None:
        raise Refused("no catalog is published here: `nextbest publish` puts one in force")
    try:
        return compile_catalog(published, version)
    except InvalidInput as error:
        raise Unavailable(f"catalog version {version} cannot be used: {error}") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
