"""What ``GET /v1/decide`` asks for: its parameters, for beacons and server-side includes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from api.dialects.own.wire import WireDecide, WirePlacement, WireVisitor
from api.http.query import Query, QueryReader
from personalization.errors import InvalidInput

Format: TypeAlias = Literal["html", "json"]
"""What is answered of a decision: nothing but its content."""

Slots: TypeAlias = Annotated[int, Meta(ge=1, le=50)]
DeadlineMs: TypeAlias = Annotated[int, Meta(ge=0, le=10_000)]


class DecideQuery(Query, frozen=True, kw_only=True):
    """The parameters."""

    placement: Annotated[list[str], Meta(description="What to decide; may stand several times.")]
    visitor: Annotated[
        str | None,
        Meta(description="The anonymous id. Empty, as of a cookie that is not there: the answer is for nobody."),
    ] = None
    user_id: Annotated[str | None, Meta(description="The user, with proof where it is asked for.")] = None
    user_hash: Annotated[str | None, Meta(description="HMAC-SHA256 of the user id, in hex.")] = None
    user_token: Annotated[str | None, Meta(description="A JSON Web Token with `sub` and `exp`.")] = None
    request_id: Annotated[str | None, Meta(description="Your own id of this call: sent again it counts once.")] = (
        None
    )
    slots: Annotated[Slots | None, Meta(description="How many, of a single placement.")] = None
    format: Annotated[
        Format | None,
        Meta(description="`html`, `json`: the content alone, chosen among those of that type."),
    ] = None
    deadline_ms: Annotated[DeadlineMs | None, Meta(description="Answer within this.")] = None
    activate: Annotated[bool, Meta(description="`false`: it counts as shown only once that is said.")] = True
    explain: Annotated[bool, Meta(description="`true`: the answer says why, to those who may see it.")] = False
    preview: Annotated[str | None, Meta(description="The token of a preview link, for `explain`.")] = None
    locale: Annotated[str | None, Meta(description="As `context.locale`; else what the browser says.")] = None
    user_agent: Annotated[str | None, Meta(description="As `context.userAgent`; else what the browser says.")] = (
        None
    )
    timezone: Annotated[str | None, Meta(description="As `context.timezone`.")] = None
    url: Annotated[str | None, Meta(description="As `context.page.url`.")] = None
    path: Annotated[str | None, Meta(description="As `context.page.path`.")] = None
    title: Annotated[str | None, Meta(description="As `context.page.title`.")] = None
    referrer: Annotated[str | None, Meta(description="As `context.page.referrer`.")] = None


DECIDE_QUERY: QueryReader[DecideQuery] = QueryReader(DecideQuery)


def asked_by(query: DecideQuery) -> WireDecide:
    """The call of the decider that the parameters are.

    Raises
    ------
    InvalidInput
        Where it says how many of several placements, or asks to explain what answers with a content alone.
    """
    if query.slots is not None and len(query.placement) > 1:
        raise InvalidInput("slots", "is of one placement; ask for several by POST /v1/decide", "invalid_field")
    if query.explain and query.format is not None:
        raise InvalidInput("explain", "has no place beside the content alone; leave out format", "invalid_field")
    return WireDecide(
        visitor=WireVisitor(query.visitor, query.user_id, query.user_hash, query.user_token),
        request_id=query.request_id,
        placements=[WirePlacement(name, query.slots) for name in query.placement],
        context=_context(query),
        deadline_ms=query.deadline_ms,
        activate=query.activate,
        explain=query.explain,
        preview=query.preview,
    )


def _context(query: DecideQuery) -> dict[str, Any]:
    said = {"locale": query.locale, "userAgent": query.user_agent, "timezone": query.timezone}
    page = {"url": query.url, "path": query.path, "title": query.title, "referrer": query.referrer}
    context: dict[str, Any] = {name: value for name, value in said.items() if value}
    told = {name: value for name, value in page.items() if value}
    return {**context, "page": told} if told else context
