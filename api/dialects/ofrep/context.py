"""OFREP's evaluation context, read: whose it is, and what rules and models may look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.types import Scope

from api.dialect import Call
from api.exchange import header
from api.ids import WireId, is_given
from api.intake import Intake
from api.speaking import Named, beyond_doubt, named, proof_in
from api.wire import Reader, Wire
from personalization.errors import InvalidInput

MISSING_KEY = "missing_targeting_key"

_BROWSER = "Mozilla/"
"""So the name of every browser begins, and that of no HTTP library."""


class WireEvaluation(Wire, frozen=True, kw_only=True):
    """What is asked: an evaluation of one flag or of all, the same."""

    context: dict[str, Any] | None = None


class _AnyEvaluation(WireEvaluation, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


EVALUATION: Reader[WireEvaluation] = Reader(WireEvaluation, _AnyEvaluation)


class EvaluationContext(NamedTuple):
    """For whom a flag is evaluated, and in which context."""

    who: Named
    context: dict[str, Any]


def evaluation_context(sent: dict[str, Any] | None, intake: Intake, call: Call) -> EvaluationContext:
    """The context as sent, checked.

    A write key is a page's: there ``targetingKey`` is the anonymous id, and ``userId`` beside it a user's, whom it
    may have to prove (``userHash`` or ``userToken`` beside it). A
    server key's ``targetingKey`` is the user id, and ``anonymousId`` beside it the same person's browser; where
    both are one text, nobody is logged in, and it is the browser's alone.

    Raises
    ------
    InvalidInput
        Names the field; of code ``MISSING_KEY`` where there is no ``targetingKey``.
    """
    context = dict(sent or {})
    targeting_key = _sent_id(context, "targetingKey")
    user_id, anonymous_id = _sent_id(context, "userId"), _sent_id(context, "anonymousId")
    if not is_given(targeting_key):
        raise InvalidInput(
            "context.targetingKey", "is missing; send the visitor's id, the same at every evaluation", MISSING_KEY
        )
    key = intake.id(targeting_key, "context.targetingKey")
    if intake.caller.is_server:
        anonymous = intake.id(anonymous_id, "context.anonymousId")
        return EvaluationContext(Named(None if anonymous == key else key, anonymous), context)
    user = intake.id(user_id, "context.userId")
    who = named(user, key, proof_in(context), call.proof, "context.userId", intake)
    return EvaluationContext(beyond_doubt(who, "context.userId", intake), _with_browser(context, call.scope))


def _sent_id(context: dict[str, Any], name: str) -> WireId:
    value = context.pop(name, None)
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidInput(f"context.{name}", "is no id; an id is text or a whole number", "bad_id")


def _with_browser(context: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The context, with what a browser says of itself where the context does not."""
    agent = header(scope, b"user-agent")
    if agent is None or not agent.startswith(_BROWSER.encode()):
        return context
    said: Mapping[str, str | None] = {"userAgent": agent.decode("latin-1"), "locale": _locale(scope)}
    return {**{name: value for name, value in said.items() if value}, **context}


def _locale(scope: Scope) -> str | None:
    """The language a browser prefers, as ``Accept-Language`` has it first."""
    accepted = (header(scope, b"accept-language") or b"").decode("latin-1")
    first = accepted.split(",")[0].split(";")[0].strip()
    return None if first == "*" else first
