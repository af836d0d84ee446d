"""For whom a request speaks: the ids it names, and whether it may name the user among them.

Everybody can read a write key in the page it stands in, and write any user id beside it. Where a source verifies
its users, such a request speaks for the user only with proof (``api.access.proof``); without, its visitor is who
the anonymous id says, and nothing under the user's key is read, written or linked.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from api.access.proof import USER_HASH, USER_TOKEN, Proof
from api.reading.notice import Notice
from api.services.intake import Intake
from personalization.errors import InvalidInput

ProofSource: TypeAlias = Callable[[], Proof]
"""What the request as a whole shows, looked up if it is asked for."""

UNVERIFIED = "unverified_user"


class Named(NamedTuple):
    """The ids that a request or an event names.

    Attributes
    ----------
    doubt
        Why it does not speak for the user, in words that follow the id; None: it does, or nobody asks.
    proven
        Whether it proved that it does.
    """

    user_id: str | None
    anonymous_id: str | None
    doubt: str | None = None
    proven: bool = False


def named(
    user_id: str | None, anonymous_id: str | None, own: Proof, others: ProofSource, field: str, intake: Intake
) -> Named:
    """Whom ids stand for.

    Parameters
    ----------
    own
        What is shown beside the ids; else ``others`` is asked.
    field
        Where the user id stands, for what the sender is told.
    """
    access = intake.caller.access
    if user_id is None or intake.caller.is_server:
        return Named(user_id, anonymous_id)
    proof = own if own.is_shown else others()
    if not proof.is_shown and not access.verify_users:
        return Named(user_id, anonymous_id)
    doubt = intake.identities.why_not(access.source, user_id, proof, intake.received_at_ms)
    if doubt is None or access.verify_users:
        return Named(user_id, anonymous_id, doubt, proven=doubt is None)
    intake.notices.append(Notice(field, UNVERIFIED, f"{doubt}; it counts as long as verify_users is off"))
    return Named(user_id, anonymous_id)


def beyond_doubt(who: Named, field: str, intake: Intake) -> Named:
    """Who it is for once the user is left out if there is doubt; the sender is told.

    Raises
    ------
    InvalidInput
        Where nobody else is named.
    """
    if who.doubt is None:
        return who
    if who.anonymous_id is None:
        raise unverified(who, field)
    intake.notices.append(left_out(who, field))
    return Named(None, who.anonymous_id)


def unverified(who: Named, field: str) -> InvalidInput:
    """The refusal of what names a user without proof, and nobody else."""
    return InvalidInput(field, f"{who.doubt}; {_REMEDY}, or name an anonymousId", UNVERIFIED)


def left_out(who: Named, field: str) -> Notice:
    """What the sender is told of a user who was left out."""
    return Notice(field, UNVERIFIED, f"{who.doubt}, and was left out; {_REMEDY}")


_REMEDY = f"send {USER_HASH} or {USER_TOKEN} beside it, made by your server"


def proof_in(context: MutableMapping[str, Any] | None) -> Proof:
    """What a context shows; it is no part of the context from then on."""
    if not context or not (USER_HASH in context or USER_TOKEN in context):
        return Proof()
    return Proof(_text(context.pop(USER_HASH, None)), _text(context.pop(USER_TOKEN, None)))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
