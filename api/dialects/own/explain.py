"""``GET /v1/decisions/{id}/explain``, ``POST /v1/preview-links``; and who may ask ``/v1/decide`` to explain."""

from __future__ import annotations

import contextlib
from typing import Annotated

from msgspec import Meta

from api.errors import not_found
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.limits.slices import Slices
from api.reading.wire import Reader, Wire
from api.services.explaining import Explainer, made_link, see_that_may_explain
from personalization.catalog.duration import DAY_MS
from personalization.deciding.request import DecideRequest
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of

MAX_BODY_BYTES = 64 * 1024
_NO_STORE = [(b"cache-control", b"no-store")]


class WirePreviewLink(Wire, frozen=True, kw_only=True):
    """A preview link that is to be made.

    Attributes
    ----------
    placements
        Those whose decisions may be explained to whoever has it.
    valid_ms
        For how long, 30 days at most.
    """

    placements: Annotated[list[str], Meta(min_length=1, max_length=50)]
    valid_ms: int = DAY_MS


class _AnyPreviewLink(WirePreviewLink, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


PREVIEW_LINK: Reader[WirePreviewLink] = Reader(WirePreviewLink, _AnyPreviewLink)


class PreviewLinkAnswer(Answer, frozen=True, kw_only=True):
    """A preview link.

    Attributes
    ----------
    token
        What a page sends as ``preview`` beside ``explain``.
    """

    token: str
    placements: list[str]
    ends_ms: int


async def explained(call: Call) -> Reply:
    """Explain a recorded decision."""
    services = call.core.services
    decision_id = call.params["decision_id"]
    visitor = None
    with contextlib.suppress(InvalidInput):  # of no visitor of ours: then it is not found either
        visitor = key_of(services.decision_keys().ids, decision_id)[2:]
    await call.audited.begin(visitors=(visitor,))
    explainer = Explainer(services, slices=Slices(services.turnstile))
    found = None if visitor is None else await explainer.of_decision(decision_id)
    if found is None:
        raise not_found(call.scope["path"])
    return reply(found, headers=_NO_STORE)


async def preview_link(call: Call) -> Reply:
    """Make a preview link."""
    wire = PREVIEW_LINK.read(await call.body(MAX_BODY_BYTES))
    token, link = made_link(wire.placements, wire.valid_ms, call.core.services)
    await call.audited.begin(objects=[f"name:{name}" for name in link.placements])
    answer = PreviewLinkAnswer(token=token, placements=list(link.placements), ends_ms=link.ends_ms)
    return reply(answer, headers=_NO_STORE)


async def let_explain(call: Call, preview: str | None, request: DecideRequest) -> None:
    """See that the caller may be told why ``request`` is decided as it is; of a server key it is recorded.

    Raises
    ------
    ApiError
        403 where it may not; 503 where it cannot be recorded.
    """
    see_that_may_explain(call.caller, preview, request, call.core.services)
    if call.caller.is_server:
        audited = call.audited_as("reads", "explain_decide")
        await audited.begin(
            visitors=(request.user_id, request.anonymous_id),
            objects=[f"name:{asked.placement}" for asked in request.placements],
        )
