"""The door's half of the consent gate: what of the events sent may be logged under their visitors' keys."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from api.limits.slices import Slices
from api.services.intake import Intake
from personalization.audience.consent import CONSENT_EVENT, admitted, answerable, words_of
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest, SentEvent
from personalization.errors import Unavailable
from personalization.events.event import ClientEvent, Track
from personalization.visitor.purposes import ALL, PERSONALISING, Word, Words, later, may, merge, recorded, spoken
from personalization.visitor.visitor_key import anonymous_key, user_key
from personalization.visitor.visitor_state import VisitorState

MAX_SAID = 65_536
"""Keys whose latest words are remembered by each process (``benchmarks.api_memory`` shows what they take)."""

GRANT_FOLDED_WITHIN_MS = 10_000
"""So long a grant that a process heard counts beside a state without it: then the state alone says, also of who was
erased since."""

REFUSAL_FOLDED_WITHIN_MS = 3_600_000
"""A refusal counts longer, for a folder may lag: nobody is personalised against their word because it does."""

_READ_AT_ONCE = 100
"""Visitors: their states take a few milliseconds to decode."""

_Who = tuple[tuple[str, ...], str | None]


class _Visitors(Protocol):
    async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]: ...

    async def read_each(
        self, visitors: Sequence[tuple[Sequence[str], str | None]]
    ) -> list[list[VisitorState] | Unavailable]: ...


class Admitted(NamedTuple):
    """An event as it may be logged; ``agreed``: by a word that may not stand under its key yet."""

    event: ClientEvent
    agreed: bool


class ConsentGate:
    """Asks what visitors said about personalization before anything of theirs is logged.

    What was said through this process counts at once, before the folder has taken it into the state, and beside the
    state only until the folder has had time for it: so all processes agree. Where states cannot be read, all that
    was said through this process counts, else the default of the source, if it is a grant: the fold asks again, and
    profiles nobody who refused. If it is a refusal, events that grant nothing themselves are not taken, and are to
    be sent again.
    """

    def __init__(self, visitors: _Visitors, size: int = MAX_SAID) -> None:
        self._visitors = visitors
        self._size = size
        self._said: OrderedDict[str, Words] = OrderedDict()

    async def admit(self, events: Sequence[ClientEvent], intake: Intake, slices: Slices) -> list[Admitted | None]:
        """Each event as it may be logged, None where it may not be.

        Visitors are read by the hundred: a decision that is read for at the same moment waits for no more of them.

        Raises
        ------
        Unavailable
            Where that is in a state which cannot be read.
        """
        of_events = [_who(event) for event in events]
        visitors = list(dict.fromkeys(of_events))
        states: dict[_Who, list[VisitorState] | Unavailable] = {}
        for at in range(0, len(visitors), _READ_AT_ONCE):
            some = visitors[at : at + _READ_AT_ONCE]
            states.update(zip(some, await self._visitors.read_each(some), strict=True))
            if at:
                await slices.pause()
        slices.begin()
        found: list[Admitted | None] = []
        for event, who in zip(events, of_events, strict=True):
            if slices.is_over:
                await slices.pause()
            found.append(self._admit(event, who[0], states[who], intake))
        return found

    def _admit(
        self, event: ClientEvent, keys: Sequence[str], states: list[VisitorState] | Unavailable, intake: Intake
    ) -> Admitted | None:
        unread = states if isinstance(states, Unavailable) else None
        known = [] if isinstance(states, Unavailable) else states
        words = words_of(event)
        default = intake.caller.access.consent_default == "granted"
        if default and not words and not intake.refused and self._is_silent(keys, known):
            return Admitted(event, agreed=False)
        own = spoken(words, PERSONALISING)
        word = self._word(keys, known, None if unread is not None else intake.received_at_ms)
        if own is None and word is None and unread is not None and not default:
            raise unread
        may_log = default if word is None else word.granted
        refused = unrecorded(intake.refused, known) if known or may_log else ()
        done = admitted(event, may_log=may_log, refused=refused) if words or refused or not may_log else event
        if done is None:
            return None
        if done is not event or words:
            self.remember(keys, words_of(done), intake)
        if default or not may_log:
            return Admitted(done, agreed=False)
        recorded_all = len(known) == len(keys) and all(recorded(each.consents, PERSONALISING) for each in known)
        return Admitted(done, agreed=not recorded_all)

    async def admits_answer(self, key: str, intake: Intake) -> bool:
        """Whether what became of a decision made under ``key`` may be logged there.

        It was made with consent, or it would be nobody's: so only a refusal since then keeps it out, and where
        states cannot be read the fold asks again.
        """
        named = intake.catalog.named.purposes
        states = await self._read_all(key)
        heard = self.heard((key,), named)
        if states is not None:
            heard = _unfolded(heard, intake.received_at_ms)
        held = [state.consents for state in states or ()]
        if not (intake.refused or heard or any(held)):
            return True
        return all(_answerable({**words}, heard, intake) for words in held or [{}])

    async def _read_all(self, key: str) -> list[VisitorState] | None:
        """The states there and where its redirects lead, to whomever: a decision's id is proof of its key.

        None where they cannot be read.
        """
        try:
            states = await self._visitors.read((key,), None)
            target = states[0].redirect if states else None
            return states if target is None else states + await self._visitors.read((target,), target)
        except Unavailable:
            return None

    @property
    def has_heard(self) -> bool:
        """Whether anything was said at all through this process, which is remembered."""
        return bool(self._said)

    def lately(self, keys: Sequence[str], named: Collection[str], now_ms: int) -> Words:
        """What was said under any of the keys through this process, and may not be folded yet."""
        return _unfolded(self.heard(keys, named), now_ms)

    def heard(self, keys: Sequence[str], named: Collection[str]) -> Words:
        """All that was said under any of the keys through this process: it counts where no state can be read."""
        found: Words = {}
        for words in map(self._said.get, keys):
            if words:
                merge(found, words, named)
        return found

    def forget(self, key: str) -> None:
        """Whoever is behind the key was erased."""
        self._said.pop(key, None)

    def remember(self, keys: Sequence[str], words: Mapping[str, bool], intake: Intake) -> None:
        """Words on purposes that somebody asks for were said under each of the keys: they count at once."""
        named = intake.catalog.named.purposes
        kept = {
            purpose: Word(granted, intake.received_at_ms)
            for purpose, granted in words.items()
            if purpose in named or purpose == ALL
        }
        if not kept:
            return
        for key in keys:
            merge(self._said.setdefault(key, {}), kept, named)
            self._said.move_to_end(key)
        while len(self._said) > self._size:
            self._said.popitem(last=False)

    def remember_event(self, event: ClientEvent, intake: Intake) -> None:
        """What an event says was said under each key it names."""
        words = words_of(event)
        if words:
            self.remember(_who(event)[0], words, intake)

    def _is_silent(self, keys: Sequence[str], states: Sequence[VisitorState]) -> bool:
        """Whether nothing was ever said under any of the keys, which is so of most."""
        for state in states:
            if state.consents:
                return False
        return self._said.keys().isdisjoint(keys)

    def _word(self, keys: Sequence[str], states: Sequence[VisitorState], now_ms: int | None) -> Word | None:
        """The word that holds; ``now_ms``: of those heard here only what may not be folded yet; None: all."""
        heard = [self._said[key] for key in keys if key in self._said]
        said = [recorded(words if now_ms is None else _unfolded(words, now_ms), PERSONALISING) for words in heard]
        latest: Word | None = None
        for word in (*said, *(recorded(state.consents, PERSONALISING) for state in states)):
            if word is not None:
                latest = later(latest, word)
        return latest


def _unfolded(words: Words, now_ms: int) -> Words:
    """Those of the words that the folder may not have had time for."""
    return {purpose: word for purpose, word in words.items() if now_ms - word.at_ms < _folded_within_ms(word)}


def _folded_within_ms(word: Word) -> int:
    return GRANT_FOLDED_WITHIN_MS if word.granted else REFUSAL_FOLDED_WITHIN_MS


def _answerable(words: Words, lately: Words, intake: Intake) -> bool:
    merge(words, lately, intake.catalog.named.purposes)
    refused = intake.refused
    return answerable(intake.catalog, lambda purpose: purpose not in refused and may(words, purpose, default=True))


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


def refused_besides(event: ClientEvent, request: DecideRequest) -> list[Track]:
    """What an event sent along refuses, for each id that its request names and the event does not.

    Whoever refuses beside a decision refuses for all whom it is made for; a grant holds for whom it names.
    """
    words = words_of(event)
    refused = {purpose: False for purpose, granted in words.items() if not granted} if words else {}
    if not refused:
        return []
    found = []
    if request.user_id and not event.user_id:
        found.append(
            Track(message_id=event.message_id, user_id=request.user_id, event=CONSENT_EVENT, properties=refused)
        )
    if request.anonymous_id and not event.anonymous_id:
        anonymous_id = request.anonymous_id
        found.append(
            Track(message_id=event.message_id, anonymous_id=anonymous_id, event=CONSENT_EVENT, properties=refused)
        )
    return found


def sent_events(
    request: DecideRequest, states: list[VisitorState] | None, answer: Answer, now_ms: int
) -> list[SentEvent | None]:
    """The events sent along as they may be logged, None where one may not be; what the request says comes first."""
    beside = () if states or not answer.events_kept else request.refused
    sent: list[SentEvent | None] = []
    if answer.words:
        said = Track(
            message_id=uuid.uuid4().hex,
            anonymous_id=request.anonymous_id,
            user_id=request.user_id,
            event=CONSENT_EVENT,
            properties=answer.words,
        )
        sent.append(SentEvent(said, now_ms))
    for each in request.events:
        event = admitted(each.event, may_log=answer.events_kept, refused=beside)
        sent.append(None if event is None else SentEvent(event, each.occurred_at_ms))
    return sent
