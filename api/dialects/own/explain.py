"""``GET /v1/decisions/{id}/explain``, ``POST /v1/preview-links``; and decisions explained as they are made."""

from __future__ import annotations

import contextlib
import time
from typing import Annotated

from msgspec import Meta

from api.errors import none_such
from api.http.answer import Answer as Told
from api.http.answer import reply
from api.http.dialect import Call, Reply
from api.limits.slices import Slices
from api.reading.wire import Reader, Wire
from api.services.explaining import Explainer, explanations_of, made_link, see_that_may_explain
from api.services.intake import Intake
from personalization.catalog.duration import DAY_MS
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest
from personalization.deciding.watching import FilledSlot
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.explaining.explanation import Explanation

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


class PreviewLinkAnswer(Told, frozen=True, kw_only=True):
    """A preview link.

    Attributes
    ----------
    token
        What a page sends as ``preview`` beside ``explain``.
    """

    token: str
    placements: list[str]
    ends_ms: int


_NOT_RECORDED = (
    "no decision of this id is recorded; send the id as /v1/decide answered it: a decision is found a moment after "
    "it was made, and until the log lets it go"
)


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
        raise none_such("decisionId", _NOT_RECORDED)
    return reply(found, headers=_NO_STORE)


async def preview_link(call: Call) -> Reply:
    """Make a preview link."""
    wire = PREVIEW_LINK.read(await call.body(MAX_BODY_BYTES))
    token, link = made_link(wire.placements, wire.valid_ms, call.core.services)
    await call.audited.begin(objects=[f"name:{name}" for name in link.placements])
    answer = PreviewLinkAnswer(token=token, placements=list(link.placements), ends_ms=link.ends_ms)
    return reply(answer, headers=_NO_STORE)


async def decided_and_explained(
    call: Call, act: str, preview: str | None, request: DecideRequest, intake: Intake, deadline_ms: float | None
) -> tuple[Answer, list[Explanation]]:
    """Decide, and say why each slot shows what it shows; of a server key that is recorded first.

    Parameters
    ----------
    act
        What the audit calls it.
    preview
        The token of a preview link, if one was sent.

    Raises
    ------
    ApiError
        403 where the caller may not be told; 503 where it cannot be recorded. Nothing is decided then.
    InvalidInput
        As ``Decider.decide``.
    """
    await _let_explain(call, act, preview, request)
    decider = call.core.decider
    slots: list[FilledSlot] = []
    # Its time begins now: that it is looked at is recorded first, and who wants to know why can wait.
    deadline = decider.deadline(time.perf_counter(), deadline_ms)
    answer = await decider.decide(request, intake, deadline, watch=slots.append)
    return answer, await explanations_of(slots, Slices(call.core.services.turnstile))


async def _let_explain(call: Call, act: str, preview: str | None, request: DecideRequest) -> None:
    """See that the caller may be told why ``request`` is decided as it is; of a server key it is recorded."""
    see_that_may_explain(call.caller, preview, request, call.core.services)
    if call.caller.is_server:
        audited = call.audited_as("reads", act)
        await audited.begin(
            visitors=(request.user_id, request.anonymous_id),
            objects=[f"name:{asked.placement}" for asked in request.placements],
        )
