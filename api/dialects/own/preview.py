"""``POST /v1/preview``: what would this person see, and why? For server keys; nothing of it is kept."""

from __future__ import annotations

from api.dialects.own.preview_answer import mistaken_draft, preview_answer
from api.dialects.own.preview_wire import PREVIEW, WireFacts, WirePreview
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.limits.context_bounds import bounded_context
from api.reading.ids import check_id
from api.reading.times import time_ms
from api.services.drafts import MistakenDraft
from api.services.intake import storable
from api.services.previewing import MADE_UP
from personalization.catalog.check import nearest
from personalization.catalog.duration import read_duration_ms
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.errors import InvalidInput
from personalization.events.event import Track
from personalization.explaining.facts import Facts, MadeUpEvent

MAX_BODY_BYTES = 1024 * 1024
MAX_PLACEMENTS = 50


async def preview(call: Call) -> Reply:
    """Say what a visitor would see."""
    core = call.core
    wire = PREVIEW.read(await call.body(min(MAX_BODY_BYTES, core.services.max_body_bytes)))
    user_id, anonymous_id = _visitor(wire)
    await call.audited.begin(visitors=(user_id, anonymous_id))
    now_ms = core.services.clock_ms()
    at_ms = now_ms if wire.facts.now is None else time_ms(wire.facts.now, "facts.now")
    draft = None
    if wire.catalog is not None:
        try:
            draft = await core.drafts.prepared(wire.catalog.files, now_ms)
        except MistakenDraft as mistaken:
            return reply(mistaken_draft(mistaken.mistakes, call.request_id), 400)
    in_force = core.services.catalog.current
    request = DecideRequest(
        request_id=call.request_id,
        placements=_placements(wire, in_force if draft is None else draft),
        user_id=user_id,
        anonymous_id=anonymous_id if user_id or anonymous_id else MADE_UP,
        context=bounded_context(storable(wire.context)),
        activate=False,
        apart=wire.placements is None,  # no page shows all of them at once
        consent_default=call.caller.access.consent_default == "granted",
    )
    _check_segments(wire.facts, in_force if draft is None else draft)
    call.weigh(len(request.placements))
    found = await core.previewer.preview(request, _facts(wire.facts, at_ms), at_ms, draft)
    names = [asked.placement for asked in request.placements]
    return reply(preview_answer(found, names, at_ms, in_force.catalog.version if draft is None else None))


def _visitor(wire: WirePreview) -> tuple[str | None, str | None]:
    if wire.visitor is None:
        return None, None
    user_id = check_id(wire.visitor.user_id, "visitor.userId")
    anonymous_id = check_id(wire.visitor.anonymous_id, "visitor.anonymousId")
    if user_id is None and anonymous_id is None:
        message = "names nobody; send a userId or an anonymousId, or leave it out for somebody made up of facts"
        raise InvalidInput("visitor", message, "missing_visitor")
    return user_id, anonymous_id


def _placements(wire: WirePreview, catalog: PreparedCatalog) -> tuple[PlacementRequest, ...]:
    if wire.placements is None:
        own = [name for name, each in catalog.placements.items() if each.compiled.spec.arms != "caller"]
        return tuple(PlacementRequest(name) for name in own[:MAX_PLACEMENTS])
    if len(wire.placements) > MAX_PLACEMENTS:
        raise InvalidInput("placements", f"are {len(wire.placements)}; at most {MAX_PLACEMENTS}", "too_many")
    return tuple(
        PlacementRequest(asked) if isinstance(asked, str) else PlacementRequest(asked.placement, asked.slots)
        for asked in wire.placements
    )


def _facts(wire: WireFacts, now_ms: int) -> Facts:
    return Facts(
        traits=wire.traits,
        counts={name: float(count) for name, count in wire.counts.items()},
        cart=None if wire.cart is None else {name: float(value) for name, value in wire.cart.items()},
        n_orders=wire.n_orders,
        revenue=None if wire.revenue is None else float(wire.revenue),
        consent=wire.consent,
        segments=wire.segments,
        events=_events(wire, now_ms),
        device=wire.device,
        known=wire.known,
    )


def _check_segments(wire: WireFacts, catalog: PreparedCatalog) -> None:
    """That each segment is one of the catalog's: of another, no rule would ever ask."""
    there = catalog.catalog.segments
    for name in wire.segments:
        if name not in there:
            hint = nearest(name, there, f"there are: {', '.join(sorted(there)) or 'none'}")
            raise InvalidInput("facts.segments", f"no segment {name[:64]!r}; {hint}", "unknown_segment")


def _events(wire: WireFacts, now_ms: int) -> tuple[MadeUpEvent, ...]:
    events = []
    for index, each in enumerate(wire.events):
        ago = "0s" if each.ago is None else each.ago
        ago_ms = read_duration_ms(ago)
        if ago_ms is None:
            field = f"facts.events[{index}].ago"
            raise InvalidInput(field, f"{ago[:40]!r} is no length of time; write 30m, 12h or 7d")
        track = Track(message_id=f"preview:{index}", event=each.event, properties=each.properties)
        events.append(MadeUpEvent(track, now_ms - ago_ms))
    return tuple(sorted(events, key=lambda made_up: made_up.at_ms))
