"""``GET /v1/experiments``: what experiments brought, and policies on trial would have, for server keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from api.errors import no_such_name
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from personalization.evaluation.contest import Contest, contest_in
from personalization.evaluation.experiment_report import ExperimentReport


class ExperimentsQuery(Query, frozen=True, kw_only=True):
    """Of which placement."""

    placement: Annotated[
        str, Meta(description="Of this placement alone; empty: of every one that has sides to compare.")
    ] = ""
    segments: Annotated[bool, Meta(description="`true`: by segment besides.")] = False


EXPERIMENTS_QUERY: QueryReader[ExperimentsQuery] = QueryReader(ExperimentsQuery)


class ExperimentsAnswer(Answer, frozen=True, kw_only=True):
    """What experiments brought, as far as the projector has read.

    Attributes
    ----------
    at_ms
        As of when.
    experiments
        By placement, in the order of the catalog.
    challengers
        What policies on trial would have brought, by placement, in the order of the catalog.
    """

    catalog_version: int
    at_ms: int
    experiments: list[ExperimentReport]
    challengers: list[Contest]


async def show(call: Call) -> Reply:
    """Show what experiments brought."""
    services = call.core.services
    query = EXPERIMENTS_QUERY.read(call.scope["query_string"])
    asked = query.placement
    catalog = services.catalog.current.catalog
    if asked and asked not in catalog.placements:
        raise no_such_name("placement", asked, catalog.placements, field="placement")
    names = [asked] if asked else [name for name, each in catalog.placements.items() if each.split]
    now_ms = services.clock_ms()
    found = [
        await services.judging.report(name, catalog, services.read_models, now_ms, by_segment=query.segments)
        for name in names
    ]
    on_trial = [
        contest_in(catalog, name, placement.shadow, await services.read_models.trials(name, now_ms))
        for name, placement in catalog.placements.items()
        if placement.shadow is not None and asked in ("", name)
    ]
    return reply(
        ExperimentsAnswer(
            catalog_version=catalog.version,
            at_ms=now_ms,
            experiments=found,
            challengers=on_trial,
        )
    )
