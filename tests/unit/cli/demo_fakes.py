"""A hand-written API and a small world for the demo's tests."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import orjson

from cli.demo.movielens import Film, MovieLens, Person, Rating
from cli.demo.shelves import SHELVES

GENRES = sorted(genre for shelf in SHELVES.values() for genre in shelf)


def small_world(n_ratings: int, n_people: int = 7, n_films: int = 40, seed: int = 1) -> MovieLens:
    """People who rate each film at most once, in time order."""
    rng = random.Random(seed)
    films = {
        item: Film(f"Film {item}", tuple(rng.sample(GENRES, rng.randint(1, 3)))) for item in range(1, n_films + 1)
    }
    people = {user: Person(20 + user, rng.choice("MF"), "writer") for user in range(1, n_people + 1)}
    pairs = rng.sample([(user, item) for user in people for item in films], n_ratings)
    ratings = [Rating(1000 + index // 3, user, item, rng.randint(1, 5)) for index, (user, item) in enumerate(pairs)]
    return MovieLens(tuple(sorted(ratings, key=lambda r: (r.timestamp_s, r.user, r.item))), people, films)


class FakeApi:
    """Answers as the API does, from the request alone; keeps what it was sent.

    Each answer takes a few turns of the event loop, more for some requests than for others, so that what may
    overlap does.
    """

    def __init__(self, drop: int = 0, repeat: int = 0) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.event_counts: dict[str, int] = {}
        self.visitors_in_flight: set[str] = set()
        self.rewards: dict[str, float] = {}
        self.chosen: dict[str, str] = {}
        self._drop = drop
        self._repeat = repeat

    async def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request."""
        self.requests.append((method, path, body))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            for _ in range(len(self.requests) % 5 + 1):
                await asyncio.sleep(0)
            return self._answer(method, path, body)
        finally:
            self.in_flight -= 1

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        if path.startswith("/v1/visitors/"):
            return {"eventCount": self.event_counts[path.rpartition("/")[2]]}
        assert method == "POST"
        assert body is not None
        if path.endswith("/reward"):
            decision_id = path.split("/")[3]
            assert body["final"] is True
            assert decision_id not in self.rewards, "rewarded twice"
            self.rewards[decision_id] = body["value"]
            return None
        visitor = body["visitor"]["userId"]
        count = self.event_counts.get(visitor, 0) + len(body.get("events", ()))
        if body.get("events") and self._drop:
            self._drop -= 1
            count -= 1
        if body.get("events") and self._repeat:
            self._repeat -= 1
            count += 1
        self.event_counts[visitor] = count
        answer: dict[str, Any] = {"decisions": [], "stateRevision": count}
        if body["placements"]:
            digest = hashlib.sha256(orjson.dumps(body)).hexdigest()
            shelf = list(SHELVES)[int(digest, 16) % len(SHELVES)]
            self.chosen[digest] = shelf
            answer["decisions"] = [{"decisionId": digest, "contentId": shelf, "tier": "personalised"}]
        return answer
