"""``GET /v1/audit``: who did what, for admin keys."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, MsgspecError

from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from api.reading.json_schema import described
from personalization.audit.chain import SignedRecord, decode, note_of
from personalization.audit.record import Outcome, Trail

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000

From: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]


class AuditQuery(Query, frozen=True, kw_only=True, rename={"from_n": "from"}):
    """Which records."""

    trail: Annotated[Trail, Meta(description="What was done, or what was read.")] = "acts"
    from_n: Annotated[From, Meta(description="The number of the first.")] = 0
    limit: Annotated[Limit, Meta(description="How many at most.")] = DEFAULT_LIMIT


class AuditRecord(Answer, frozen=True, kw_only=True):
    """One thing that somebody did.

    Attributes
    ----------
    times
        How many such refusals it stands for.
    of
        Number of the record that it says more about.
    """

    n: int
    at_ms: int
    actor: str
    act: str
    objects: list[str]
    outcome: Outcome
    status: int | None
    network: str | None
    of: int | None
    times: int


class UnreadableRecord(Answer, frozen=True, kw_only=True):
    """A record that somebody has changed."""

    n: int
    unreadable: bool = True


_REFERENCES = [{"$ref": f"#/components/schemas/{each.__name__}"} for each in (AuditRecord, UnreadableRecord)]


class AuditAnswer(Answer, frozen=True, kw_only=True):
    """Records of one trail, in order.

    Attributes
    ----------
    next
        Where to go on; null: there are no more.
    last
        The newest record in a few letters, to be kept elsewhere.
    """

    trail: Trail
    records: list[Annotated[Any, described({"anyOf": [*_REFERENCES]})]]
    next: int | None
    last: str | None


AUDIT_QUERY: QueryReader[AuditQuery] = QueryReader(AuditQuery)


async def show(call: Call) -> Reply:
    """Records of one trail from a number on, in order; this very read is recorded before them."""
    query = AUDIT_QUERY.read(call.scope["query_string"])
    log = call.core.services.audit
    entries = await log.read(query.trail, query.from_n, query.limit)
    head = await log.head(query.trail)
    told = AuditAnswer(
        trail=query.trail,
        records=[_shown(entry) for entry in entries],
        next=entries[-1].n + 1 if entries and len(entries) == query.limit else None,
        last=note_of(query.trail, head) if head.n else None,
    )
    return reply(told)


def _shown(entry: SignedRecord) -> AuditRecord | UnreadableRecord:
    """A record; one that cannot be read is shown as that, for somebody has changed it."""
    try:
        record = decode(entry.body)
    except MsgspecError:
        return UnreadableRecord(n=entry.n)
    return AuditRecord(
        n=entry.n,
        at_ms=record.at_ms,
        actor=record.actor,
        act=record.act,
        objects=list(record.objects),
        outcome=record.outcome,
        status=record.status or None,
        network=record.network or None,
        of=record.of or None,
        times=record.times,
    )
