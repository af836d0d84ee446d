"""The rights of the person: to see all that is kept of them, to take it along, and to have it erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from redis.exceptions import RedisError

from api.reading.plain import plain
from eventlog.about import Owned, Person, is_decision_of, is_letter_of, unit_of
from eventlog.dead_letters import decode_dead_letter
from eventlog.partition import partition_of
from eventlog.port import EventLog, LogEntry
from eventlog.topics import DEAD_LETTERS, DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.errors import InvalidInput, Unavailable
from personalization.events.decision_record import decode_record
from personalization.events.entry import decode_entry
from personalization.events.outcome_records import decode_record_under
from personalization.visitor.visitor_key import anonymous_key, raw_id, user_key
from state.erasure_store import Erasure, ErasureStore
from state.people import People, home_of, units_of
from state.visitor_store import Stored, UnreadableState

Kind = Literal["user", "anonymous"]

POLL_S = 0.1
SLICE = 200
"""Entries of the log looked at before others may run."""


class Rights:
    """Exports and erases persons.

    Parameters
    ----------
    now_ms
        Wall clock.
    """

    def __init__(self, people: People, erasures: ErasureStore, log: EventLog, now_ms: Callable[[], int]) -> None:
        self._people = people
        self._erasures = erasures
        self._log = log
        self._now_ms = now_ms

    async def person(self, visitor_id: str, kind: Kind | None) -> dict[str, Stored]:
        """What is stored under each key of a person, the end of their redirects first; empty values: nothing.

        Parameters
        ----------
        kind
            Which of the two kinds of ids it is; None: whichever is known.

        Raises
        ------
        InvalidInput
            Where the id is known as both, and they are two persons.
        Unavailable
            Where Redis does not answer.
        """
        async with _asking():
            found = [
                await self._people.states_of(key)
                for key, of_kind in ((user_key(visitor_id), "user"), (anonymous_key(visitor_id), "anonymous"))
                if kind in (None, of_kind)
            ]
        known = [each for each in found if any(stored.visitor_value for stored in each.values())]
        if len(known) == 2 and known[0].keys().isdisjoint(known[1].keys()):
            raise InvalidInput(
                "kind", "is needed: this is a user's id and another one's anonymous id; add ?kind=user or anonymous"
            )
        return known[0] if known else {key: stored for each in found for key, stored in each.items()}

    async def erase(self, person: dict[str, Stored], wait_s: float) -> Erasure:
        """Have a person erased; waits a while for it to be done.

        Raises
        ------
        Unavailable
            Where Redis does not answer; then it may have been asked for all the same.
        """
        async with _asking():
            erasure = await self._erasures.ask(tuple(person), self._now_ms())
            until_s = time.monotonic() + wait_s
            while not erasure.done_ms and time.monotonic() < until_s:
                await asyncio.sleep(POLL_S)
                erasure = await self._erasures.find(erasure.erasure_id) or erasure
        return erasure

    async def erasure(self, erasure_id: str) -> Erasure | None:
        """What is known of an erasure."""
        async with _asking():
            return await self._erasures.find(erasure_id)

    async def export(self, person: dict[str, Stored]) -> dict[str, Any]:
        """All that is kept of a person, by the names of the fields it is kept in; bytes in hexadecimal.

        Raises
        ------
        Unavailable
            Where the log does not answer.
        """
        return {
            "ids": [{"kind": "user" if key.startswith("u:") else "anonymous", "id": raw_id(key)} for key in person],
            "exportedMs": self._now_ms(),
            "states": list(_states(person)),
            "log": await self._entries(person),
        }

    async def _entries(self, person: dict[str, Stored]) -> dict[str, list[dict[str, Any]]]:
        """What the log holds of them, by topic. What nobody can say is theirs is not among it."""
        who = Person(frozenset(person), home_of(person))
        owned = Owned(who)
        n_partitions = (await self._log.identity()).n_partitions
        of_keys = sorted({partition_of(key, n_partitions) for key in person})
        found: dict[str, list[dict[str, Any]]] = {topic: [] for topic in _DECODERS}
        for partition in of_keys:
            theirs = [each async for entry in self._read(VISITOR_LOG, partition) for each in owned.take(entry)]
            theirs += owned.rest(unclaimed=False)
            for each in sorted(theirs):
                if each.key in person:
                    found[VISITOR_LOG].append(_shown(VISITOR_LOG, partition, each))
        units = units_of(person, owned.shared)
        for topic, partitions in ((DECISIONS, of_keys), *((each, range(n_partitions)) for each in _BY_OTHERS)):
            for partition in partitions:
                async for each in self._read(topic, partition):
                    if topic == DECISIONS:
                        is_theirs = is_decision_of(who, owned, each.key, each.value, unclaimed=False)
                    elif topic == OUTCOMES:
                        is_theirs = unit_of(each.key, each.value) in units
                    else:
                        is_theirs = is_letter_of(who, each.value)
                    if is_theirs:
                        found[topic].append(_shown(topic, partition, each))
        return found

    async def _read(self, topic: str, partition: int) -> AsyncIterator[LogEntry]:
        start = (await self._log.earliest_offsets(topic))[partition]
        n = 0
        async for each in self._log.read(topic, partition, start):
            n += 1
            if n % SLICE == 0:
                await asyncio.sleep(0)
            yield each


_BY_OTHERS = (OUTCOMES, DEAD_LETTERS)
"""Topics in which a person's entries stand under other keys than theirs."""

_DECODERS: dict[str, Callable[[str, bytes], Any]] = {
    VISITOR_LOG: lambda key, value: decode_entry(value),
    DECISIONS: lambda key, value: decode_record(value),
    OUTCOMES: decode_record_under,
    DEAD_LETTERS: lambda key, value: decode_dead_letter(value),
}


def _shown(topic: str, partition: int, found: LogEntry) -> dict[str, Any]:
    where = {"partition": partition, "offset": found.offset, "key": found.key}
    try:
        return where | {"entry": plain(_DECODERS[topic](found.key, found.value))}
    except (InvalidInput, ValueError):
        return where | {"bytes": found.value.hex()}


def _states(person: dict[str, Stored]) -> Iterator[dict[str, Any]]:
    """What is stored under each key; of a browser that leads elsewhere that alone: who uses it now is not said."""
    for key, stored in person.items():
        try:
            visitor = stored.visitor()
        except UnreadableState as error:
            yield {"key": key, "unreadable": str(error)}
            continue
        if visitor.is_known and visitor.state.redirect is not None:
            yield {"key": key, "leadsTo": visitor.state.redirect}
        elif visitor.is_known:
            yield {"key": key, "profile": plain(visitor.state), "open": plain(visitor.folder)}


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
