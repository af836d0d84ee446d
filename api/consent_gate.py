"""The door's half of the consent gate: what of the events sent may be logged under their visitors' keys."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from api.intake import Intake
from personalization.consent import CONSENT_EVENT, admitted, words_of
from personalization.decision import Answer
from personalization.errors import Unavailable
from personalization.event import ClientEvent, Track
from personalization.purposes import PERSONALISING, Word, later, recorded
from personalization.request import DecideRequest, SentEvent
from personalization.visitor_key import anonymous_key, user_key
from personalization.visitor_state import VisitorState

MAX_SAID = 65_536
"""Keys whose latest word is remembered by each process: 17 MB."""

_Who = tuple[tuple[str, ...], str | None]


class _Visitors(Protocol):
    async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]: ...


class ConsentGate:
    """Asks what visitors said about personalization before anything of theirs is logged.

    What was said through this process counts at once, before the folder has taken it into the state. Where states
    cannot be read, the default of the source counts, if it is a grant: the fold asks again, and profiles nobody who
    refused. If it is a refusal, events that grant nothing themselves are not taken, and are to be sent again.
    """

    def __init__(self, visitors: _Visitors, size: int = MAX_SAID) -> None:
        self._visitors = visitors
        self._size = size
        self._said: OrderedDict[str, Word] = OrderedDict()

    async def admit(self, events: Sequence[ClientEvent], intake: Intake) -> list[ClientEvent | None]:
        """Each event as it may be logged, None where it may not be.

        Raises
        ------
        Unavailable
            Where that is in a state which cannot be read.
        """
        states = await self._read({_who(event) for event in events})
        return [self._admit(event, states[_who(event)], intake) for event in events]

    def _admit(
        self, event: ClientEvent, states: list[VisitorState] | Unavailable, intake: Intake
    ) -> ClientEvent | None:
        keys, _ = _who(event)
        unread = states if isinstance(states, Unavailable) else None
        known = [] if isinstance(states, Unavailable) else states
        own = words_of(event).get(PERSONALISING)
        word = self._word(keys, known)
        default = intake.caller.access.consent_default == "granted"
        if own is None and word is None and unread is not None and not default:
            raise unread
        may_log = default if word is None else word.granted
        refused = unrecorded(intake.refused, known) if known or may_log else ()
        done = admitted(event, may_log=may_log, refused=refused)
        if done is not None:
            self._remember(keys, words_of(done).get(PERSONALISING), intake.received_at_ms)
        return done

    async def _read(self, visitors: set[_Who]) -> dict[_Who, list[VisitorState] | Unavailable]:
        found = await asyncio.gather(*map(self._states, visitors)) if len(visitors) > 1 else None
        if found is None:
            return {who: await self._states(who) for who in visitors}
        return dict(zip(visitors, found, strict=True))

    async def _states(self, who: _Who) -> list[VisitorState] | Unavailable:
        try:
            return await self._visitors.read(*who)
        except Unavailable as error:
            return error

    def _word(self, keys: Sequence[str], states: Sequence[VisitorState]) -> Word | None:
        said = [self._said.get(key) for key in keys] if self._said else []
        latest: Word | None = None
        for word in (*said, *(recorded(state.consents, PERSONALISING) for state in states)):
            if word is not None:
                latest = later(latest, word)
        return latest

    def _remember(self, keys: Sequence[str], granted: bool | None, at_ms: int) -> None:
        if granted is None:
            return
        for key in keys:
            self._said[key] = later(self._said.get(key), Word(granted, at_ms))
            self._said.move_to_end(key)
        while len(self._said) > self._size:
            self._said.popitem(last=False)


def _who(event: ClientEvent) -> _Who:
    user = user_key(event.user_id) if event.user_id else None
    anonymous = anonymous_key(event.anonymous_id) if event.anonymous_id else None
    return tuple(key for key in (user, anonymous) if key), user


def unrecorded(purposes: Sequence[str], states: Sequence[VisitorState]) -> tuple[str, ...]:
    """Those of ``purposes`` that not every state has as refused yet."""
    if not purposes:
        return ()
    words = [[recorded(state.consents, purpose) for state in states] or [None] for purpose in purposes]
    return tuple(
        purpose for purpose, said in zip(purposes, words, strict=True) if any(w is None or w.granted for w in said)
    )


def sent_events(
    request: DecideRequest, states: list[VisitorState] | None, answer: Answer
) -> list[SentEvent | None]:
    """The events sent along as they may be logged, None where one may not be.

    What the browser refuses of a known visitor is one of them, if it is not recorded yet.
    """
    news = unrecorded(request.refused, states) if states else request.refused
    beside = news if states or answer.events_kept else ()
    sent: list[SentEvent | None] = []
    for each in request.events:
        event = admitted(each.event, may_log=answer.events_kept, refused=beside)
        sent.append(None if event is None else SentEvent(event, each.occurred_at_ms))
    if not any(sent) and states and news:
        refusal = Track(
            message_id=uuid.uuid4().hex,
            anonymous_id=request.anonymous_id,
            user_id=request.user_id,
            event=CONSENT_EVENT,
            properties=dict.fromkeys(news, False),
        )
        sent.append(SentEvent(refusal, max(state.now_ms for state in states)))
    return sent
