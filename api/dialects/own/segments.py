"""``GET /v1/segments`` and ``GET /v1/segments/{name}/visitors``: how large segments are, and who is in one."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from api.errors import no_such_name
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from api.limits.slices import Slices
from api.services.segments import page_of, sizes_of
from personalization.visitor.visitor_key import is_registered, raw_id


class SegmentAnswer(Answer, frozen=True, kw_only=True):
    """A segment.

    Attributes
    ----------
    size
        How many visitors are in it; null: it is not counted yet, or cannot be.
    of
        Of how many of whom something is known that may be used.
    counted_ms
        When the oldest part of it was counted.
    why_not
        Why it cannot be counted.
    """

    name: str
    rule: str
    size: int | None
    of: int | None
    counted_ms: int | None
    why_not: str | None


class SegmentsAnswer(Answer, frozen=True, kw_only=True):
    """The segments of the catalog, in its order."""

    catalog_version: int
    segments: list[SegmentAnswer]


class PageQuery(Query, frozen=True, kw_only=True):
    """Which page."""

    cursor: Annotated[
        int, Meta(ge=0, le=2**63 - 1, description="Where it begins: `cursor` of the page before; 0: the first.")
    ] = 0


PAGE_QUERY: QueryReader[PageQuery] = QueryReader(PageQuery)


class Member(Answer, frozen=True, kw_only=True):
    """Somebody who is in a segment."""

    kind: Literal["user", "anonymous"]
    id: str


class MembersAnswer(Answer, frozen=True, kw_only=True):
    """Some of those who are in a segment now.

    Attributes
    ----------
    cursor
        Where the next page begins; null: this is the last.
    """

    segment: str
    at_ms: int
    visitors: list[Member]
    cursor: int | None


async def show(call: Call) -> Reply:
    """Show all segments."""
    services = call.core.services
    catalog = services.catalog.current.catalog
    found = [
        SegmentAnswer(
            name=each.name,
            rule=each.rule,
            size=each.size,
            of=each.of,
            counted_ms=each.counted_ms,
            why_not=each.why_not,
        )
        for each in await sizes_of(catalog, services.segments)
    ]
    return reply(SegmentsAnswer(catalog_version=catalog.version, segments=found))


async def members(call: Call) -> Reply:
    """Show some of those who are in a segment."""
    services = call.core.services
    name = call.params["name"]
    now_ms = services.clock_ms()
    page = await page_of(
        name,
        PAGE_QUERY.read(call.scope["query_string"]).cursor,
        services.catalog.current.catalog,
        services.segments,
        services.conversions,
        now_ms,
        Slices(services.turnstile),
    )
    if page is None:
        raise no_such_name("segment", name, services.catalog.current.catalog.segments)
    visitors = [Member(kind="user" if is_registered(key) else "anonymous", id=raw_id(key)) for key in page.keys]
    return reply(MembersAnswer(segment=name, at_ms=now_ms, visitors=visitors, cursor=page.cursor or None))
