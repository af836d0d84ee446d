"""The stream of decisions: ratings in time order, each sent as an event, each followed by a choice of shelf.

For every rating, one ``POST /v1/decide`` carries the rating itself (``events``: applied to this very answer
*and* appended to the log) and asks for the person's next shelf; a film the person liked decides all that
person's decisions still open, whose rewards go back at the same moment. Nothing is read ahead: the ratings
are an iterator, and a request is built from what came out of it so far.

Order. Requests of one person are strictly sequential, with a pause for the state to catch up (``pacing``).
Ratings start in the global order, and one starts only while fewer than ``IN_FLIGHT`` separate it from the oldest
unfinished one. The most popular shelf is chosen, and learned, at the start of each rating, in the global order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cli.demo.baselines import MostPopular, uniform_hit_rate
from cli.demo.movielens import MovieLens, Rating
from cli.demo.pacing import Pacing
from cli.demo.scores import Scores
from cli.demo.shelves import PLACEMENT, SHELVES, carried_by
from cli.demo.transport import Transport

IN_FLIGHT = 256
"""Among 256 consecutive ratings are about 9 people: what may overlap, with the order kept to 1.3 %. More in flight
means larger batches in every part; at 512 weights lag so far behind on a busy machine that it costs reward."""

PROBE_EVERY = 40
"""Every n-th rating is followed until the visitor's state knows it."""

PROBE_LIMIT_S = 10.0
PROBE_PAUSE_S = 0.001


@dataclass(slots=True)
class Measured:
    """What was seen on the wire.

    Attributes
    ----------
    decide_ms
        From sending a decide to its answer, at the client.
    freshness_ms
        From sending a rating until a decide for that visitor answers with a state that knows it.
    n_current
        Decisions whose state knew *every* earlier rating of the person; the one sent along they know anyway.
    tiers
        Answers by tier.
    """

    n_events: int = 0
    n_decisions: int = 0
    n_current: int = 0
    decide_ms: list[float] = field(default_factory=list)
    freshness_ms: list[float] = field(default_factory=list)
    n_probes_lost: int = 0
    tiers: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Open:
    decision_id: str
    shelf: str
    most_popular: str


@dataclass(slots=True)
class _Person:
    visitor_id: str
    n_sent: int = 0
    n_open: int = 0
    """Decisions open once everything started so far is through."""
    last: asyncio.Task[None] | None = None
    open: list[_Open] = field(default_factory=list)


class Replay:
    """Plays ratings through an API.

    Parameters
    ----------
    run_id
        Prefix of visitor and message ids: every run has people of its own.
    """

    def __init__(self, data: MovieLens, transport: Transport, run_id: str) -> None:
        self._data = data
        self._transport = transport
        self._run_id = run_id
        self._people: dict[int, _Person] = {}
        self._popular = MostPopular(list(SHELVES))
        self._pacing = Pacing()
        self._probes: set[asyncio.Task[None]] = set()
        self.scores = Scores()
        self.measured = Measured()

    def visitors(self) -> dict[str, int]:
        """Visitor id → how many distinct events were sent for it."""
        return {person.visitor_id: person.n_sent for person in self._people.values()}

    async def play(self, ratings: Iterable[Rating]) -> None:
        """Send everything; returns once all of it is answered.

        Raises
        ------
        NextbestError
            Where the API refuses a request or stays away.
        """
        window: list[asyncio.Task[None]] = []
        try:
            for index, rating in enumerate(ratings):
                while len(window) >= IN_FLIGHT:
                    await asyncio.shield(window[0])
                    while window and window[0].done():
                        window.pop(0).result()
                window.append(self._begin(index, rating))
                await asyncio.sleep(0)
            await asyncio.gather(*window)
            await asyncio.gather(*self._probes)
        finally:
            for task in (*window, *self._probes):
                task.cancel()

    def _begin(self, index: int, rating: Rating) -> asyncio.Task[None]:
        person = self._people.get(rating.user)
        if person is None:
            person = self._people[rating.user] = _Person(f"{self._run_id}-{rating.user}")
        if rating.liked:
            clicked = carried_by(self._data.films[rating.item].genres)
            for _ in range(person.n_open):
                self._popular.learn(clicked)
            person.n_open = 0
        person.n_open += 1
        task = asyncio.create_task(self._play_one(index, rating, person, person.last, self._popular.choose()))
        person.last = task
        return task

    async def _play_one(
        self, index: int, rating: Rating, person: _Person, before: asyncio.Task[None] | None, most_popular: str
    ) -> None:
        if before is not None:
            await before
            await asyncio.sleep(self._pacing.pause_s)
        decided = person.open if rating.liked else []
        if decided:
            person.open = []
        deciding = asyncio.create_task(self._decide(index, rating, person, most_popular))
        await asyncio.gather(deciding, *(self._reward(rating, one) for one in decided))
        person.open.append(deciding.result())

    async def _decide(self, index: int, rating: Rating, person: _Person, most_popular: str) -> _Open:
        events = self._events(rating, person)
        n_before = person.n_sent
        person.n_sent += len(events)
        body = {"visitor": {"userId": person.visitor_id}, "placements": [PLACEMENT], "events": events}
        sent = time.perf_counter()
        if index % PROBE_EVERY == 0:
            probe = asyncio.create_task(self._probe(person.visitor_id, person.n_sent, sent))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)
        answer = await self._transport.request("POST", "/v1/decide", body)
        measured = self.measured
        measured.decide_ms.append((time.perf_counter() - sent) * 1000)
        measured.n_events += 1
        measured.n_decisions += 1
        current = (answer["stateRevision"] or 0) >= n_before
        self._pacing.answered(current)
        measured.n_current += current
        decision = answer["decisions"][0]
        measured.tiers[decision["tier"]] = measured.tiers.get(decision["tier"], 0) + 1
        return _Open(decision["decisionId"], decision["contentId"], most_popular)

    def _events(self, rating: Rating, person: _Person) -> list[dict[str, Any]]:
        user_id = person.visitor_id
        film = self._data.films[rating.item]
        events: list[dict[str, Any]] = []
        if person.n_sent == 0:
            who = self._data.people[rating.user]
            traits = {"age": who.age, "gender": who.gender, "occupation": who.occupation}
            events.append({"type": "identify", "messageId": f"{user_id}-who", "userId": user_id, "traits": traits})
        properties = {
            "itemId": str(rating.item),
            "title": film.title,
            "genres": list(film.genres),
            "rating": rating.rating,
        }
        message_id = f"{user_id}-{rating.item}"
        events.append(
            {
                "type": "track",
                "event": "Film Rated",
                "messageId": message_id,
                "userId": user_id,
                "properties": properties,
            }
        )
        return events

    async def _reward(self, rating: Rating, decided: _Open) -> None:
        clicked = carried_by(self._data.films[rating.item].genres)
        hit = clicked[decided.shelf]
        self.scores.add(rating.user, hit, clicked[decided.most_popular], uniform_hit_rate(clicked))
        body = {"name": "click", "value": float(hit), "messageId": f"{decided.decision_id}-end", "final": True}
        await self._transport.request("POST", f"/v1/decisions/{decided.decision_id}/reward", body)

    async def _probe(self, visitor_id: str, revision: int, sent: float) -> None:
        body = {"visitor": {"userId": visitor_id}, "placements": []}
        while time.perf_counter() - sent < PROBE_LIMIT_S:
            answer = await self._transport.request("POST", "/v1/decide", body)
            if (answer["stateRevision"] or 0) >= revision:  # null where the state could not be read
                self.measured.freshness_ms.append((time.perf_counter() - sent) * 1000)
                return
            await asyncio.sleep(PROBE_PAUSE_S)
        self.measured.n_probes_lost += 1
