"""Placements evaluated as flags, whichever protocol asks: whose flags they are, and how they are decided.

Clients of flags evaluate ahead of time, all flags at once, and poll. So every decision is deferred, kept for the
session, and independent of what other flags show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from api.http.browser import with_browser
from api.http.dialect import Call
from api.reading.ids import WireId, is_given
from api.services.intake import Intake
from api.services.speaking import Named, beyond_doubt, named, proof_in
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.errors import InvalidInput

MAX_BODY_BYTES = 1024 * 1024

_VALUE = {"html": "html", "json": "json", "redirect": "url"}
"""Where each type of content has what is shown."""


class EvaluationContext(NamedTuple):
    """For whom flags are evaluated, and in which context."""

    who: Named
    context: dict[str, Any]


class FlagId(NamedTuple):
    """Where a protocol has the id of whom flags are for.

    Attributes
    ----------
    name
        Its name among what describes the visitor.
    at
        Where that stands in the body, for errors.
    missing
        The code of the error where there is none.
    """

    name: str
    at: str
    missing: str = "missing_visitor"


def evaluation_context(
    sent: Mapping[str, Any] | None, flag_id: FlagId, intake: Intake, call: Call
) -> EvaluationContext:
    """What describes the visitor as sent, checked.

    A write key is a page's: there the id is the anonymous one, and ``userId`` beside it a user's, whom it
    may have to prove (``userHash`` or ``userToken`` beside it). A server key's is the user id, and
    ``anonymousId`` beside it the same person's browser; where both are one text, nobody is logged in, and it is the
    browser's alone.

    Raises
    ------
    InvalidInput
        Names the field; of code ``flag_id.missing`` where nobody is named.
    """
    context = dict(sent or {})
    at = flag_id.at
    sent_id = _sent_id(context, flag_id.name, at)
    user_id, anonymous_id = _sent_id(context, "userId", at), _sent_id(context, "anonymousId", at)
    where = f"{at}.{flag_id.name}"
    if not is_given(sent_id):
        raise InvalidInput(
            where, "is missing; send the visitor's id, the same at every evaluation", flag_id.missing
        )
    key = intake.id(sent_id, where)
    if intake.caller.is_server:
        anonymous = intake.id(anonymous_id, f"{at}.anonymousId")
        return EvaluationContext(Named(None if anonymous == key else key, anonymous), context)
    user = intake.id(user_id, f"{at}.userId")
    who = named(user, key, proof_in(context), call.proof, f"{at}.userId", intake)
    return EvaluationContext(beyond_doubt(who, f"{at}.userId", intake), with_browser(context, call.scope))


def flags_in(catalog: CompiledCatalog) -> list[str]:
    """The placements that are flags: all but those whose arms the caller brings."""
    return [name for name, each in catalog.placements.items() if each.spec.arms != "caller"]


def evaluation(call: Call, whose: EvaluationContext, intake: Intake, flags: Sequence[str]) -> DecideRequest:
    """A request to evaluate flags; raises ``InvalidInput`` where the context is too much."""
    return call.core.decider.request(
        intake,
        call.request_id,
        tuple([PlacementRequest(flag, 1) for flag in flags]),
        user_id=whose.who.user_id,
        anonymous_id=whose.who.anonymous_id,
        proven=whose.who.proven,
        context=whose.context,
        activate=False,
        sticky=True,
        apart=True,
    )


async def evaluation_body(call: Call) -> bytes:
    """The body of a request to evaluate; raises as ``Call.body`` does."""
    return await call.body(min(MAX_BODY_BYTES, call.core.services.max_body_bytes))


def value_of(content: Mapping[str, Any]) -> Any:
    """The value of a flag that shows ``content``.

    >>> value_of({"type": "redirect", "url": "https://shop.example/"})
    'https://shop.example/'
    """
    return content[_VALUE[content["type"]]]


def _sent_id(context: dict[str, Any], name: str, at: str) -> WireId:
    value = context.pop(name, None)
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidInput(f"{at}.{name}", "is no id; an id is text or a whole number", "bad_id")
