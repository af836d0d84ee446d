"""Undoes that an anonymous id is a user's: what comes under it from then on is somebody else's."""

from __future__ import annotations

import uuid

from api.reading.ids import WireId
from api.services.intake import Intake
from api.services.ports import Services
from personalization.errors import InvalidInput
from personalization.events.event import Unlinked
from personalization.visitor.visitor_key import anonymous_key, user_key


class Unlinker:
    """Takes browsers away from users they were linked to by mistake, or by somebody who was not them.

    What has moved to the user stays there: nobody can tell any more what of it was whose.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def unlink(
        self, anonymous_id: WireId, user_id: WireId, intake: Intake, *, message_id: WireId = None
    ) -> None:
        """Append that ``anonymous_id`` is not the user's any more.

        Parameters
        ----------
        user_id
            Only if it is this user's; None: whoever's it is.
        message_id
            The caller's own, by which what is sent twice counts once.

        Raises
        ------
        InvalidInput
            Names the field.
        Unavailable
            Where the log did not take it.
        """
        anonymous = intake.id(anonymous_id, "anonymousId")
        user = intake.id(user_id, "userId")
        if anonymous is None:
            raise InvalidInput("anonymousId", "is missing; send the id to be taken away", "missing_field")
        if user is None and user_id is not None:
            raise InvalidInput("userId", "is nobody's id; leave it out, or send the user's", "degenerate_id")
        sent = intake.id(message_id, "messageId")
        unlinked = Unlinked(
            message_id=f"unlink:{sent}" if sent else uuid.uuid4().hex,
            canonical="" if user is None else user_key(user),
        )
        services = self._services
        await services.append([intake.record(anonymous_key(anonymous), unlinked)])
        services.linker.forget(anonymous_key(anonymous))
        services.proven_pairs.forget(anonymous)
