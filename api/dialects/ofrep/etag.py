"""What tells one bulk evaluation from another, so that a poll that would bring nothing new is answered by 304.

Clients keep their tag when the context changes, and take a 304 for "what I have is right". So the tag names the
question with the answer: an evaluation in another context never has the tag of this one.
"""

from __future__ import annotations

import orjson

from api.services.intake import Intake
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest
from personalization.keyed_hash import hmac_sha256

_TAG_BYTES = 16


def etag_of(secret: bytes, body: bytes, request: DecideRequest, intake: Intake, answer: Answer) -> bytes:
    """The tag of an answer to ``body``, as the header has it.

    Of a choice that is kept for the session the decision id counts. What is served without a draw (to the
    control group, by rules alone) has a new id at every evaluation; of it only the content counts.
    """
    shown = [
        (
            decision.placement,
            decision.content_id,
            decision.content,
            decision.tier,
            decision.decision_id if decision.sticky else "",
        )
        for decision in answer.decisions
    ]
    source = intake.caller.access.source
    browser = (str(request.context.get("userAgent")), str(request.context.get("locale")), intake.refused)
    named = (source, request.keys(), browser, intake.catalog.version, answer.session, shown)
    digest = hmac_sha256(secret, b"etag:" + orjson.dumps(named) + b"\x1f" + body)
    return b'"%s"' % digest[:_TAG_BYTES].hex().encode()


def tags_in(if_none_match: bytes | None) -> frozenset[bytes]:
    """The tags of an ``If-None-Match`` header; a proxy may have made one weak.

    >>> sorted(tags_in(b'"a", W/"b"')), tags_in(None)
    ([b'"a"', b'"b"'], frozenset())
    """
    return frozenset(tag.strip().removeprefix(b"W/") for tag in (if_none_match or b"").split(b",") if tag.strip())
