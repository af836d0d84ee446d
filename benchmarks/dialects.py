"""What a decision costs by each dialect: CPU microseconds from its bytes to its answer's, against our own's.

    python -m benchmarks.dialects [--rounds 7] [--calls 400]

In one process, over parts by hand in place of Redis and log (``tests/unit/api/site.py``): routing, keys, reading,
deciding by a model that learned 2,000 outcomes, and encoding. A ranking brings ten actions with features of their
own, and three of its context. Dialects take turns within a round; medians over the rounds, and of their ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Scope

from api.app import Application
from api.services import Services
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from state.model_store import Followed
from tests.unit.api.site import NOW, Site

TOPICS = ("sport", "politics", "culture", "travel", "science")
CATALOG = Catalog(
    placements={
        "articles": Placement(arms="caller", features=("context.device.os", "context.hour", "context.plan")),
    },
    content={"none": Content()},
    sources={"site": Source(server_keys=("sk_dev",), consent_default="granted")},
)
CONTEXT = {"device": {"os": "ios"}, "hour": 9.0, "plan": "pro"}
KEY = (b"authorization", b"Bearer sk_dev")


def own_ranking(n: int) -> tuple[str, Any]:
    """By our own dialect."""
    items = [{"id": f"{n % 50}-{k}", "features": _features(n, k)} for k in range(10)]
    asked = {"visitor": {"anonymousId": f"v{n}"}, "placement": "articles", "items": items, "requestId": f"v{n}"}
    return "/v1/rank", {**asked, "context": CONTEXT}


def rank_reward(n: int) -> tuple[str, Any]:
    """By Rank and Reward."""
    actions = [{"id": f"{n % 50}-{k}", "features": [_features(n, k)]} for k in range(10)]
    context = [{"device": CONTEXT["device"]}, {"hour": 9.0, "plan": "pro"}]
    return "/personalizer/v1.0/rank", {"actions": actions, "contextFeatures": context, "eventId": f"v{n}"}


def rank_reward_at_a_loop(n: int) -> tuple[str, Any]:
    """By Rank and Reward, with the placement in the address."""
    path, body = rank_reward(n)
    return f"/placements/articles{path}", body


AGAINST: dict[str, tuple[Callable[[int], tuple[str, Any]], Callable[[int], tuple[str, Any]]]] = {
    "rank_reward": (rank_reward, own_ranking),
    "rank_reward, the placement in the address": (rank_reward_at_a_loop, own_ranking),
}
"""Each dialect's decision, and ours of the same kind."""


def _features(n: int, k: int) -> dict[str, Any]:
    return {"topic": TOPICS[(n + k) % len(TOPICS)], "length": float(k)}


def learned() -> PlacementModel:
    """A model of 2,000 outcomes."""
    model, draw = PlacementModel("articles"), random.Random(1)
    for n in range(2_000):
        told = _features(n, n % 7)
        choice = Choice(f"d{n}", "articles", 0, f"{n % 50}-{n % 10}", 2**30, "default")
        reward = float(draw.random() < (0.5 if told["topic"] == "sport" else 0.1))
        context = {"context.device.os": draw.choice(("ios", "web")), "context.hour": 9.0, "context.plan": "pro"}
        times = {"decided_at_ms": n, "closed_at_ms": n, "exposed_at_ms": n}
        model.learn(
            Outcome(choice, reward, ClosingReason.WINDOW, **times, features=context, arm_features=told)  # type: ignore[arg-type]
        )
    return model


async def cost_us(app: ASGIApp, site: Site, asked: Callable[[int], tuple[str, Any]], n_calls: int) -> float:
    """CPU microseconds of a call."""
    calls = []
    for n in range(n_calls):
        path, body = asked(n)
        calls.append((_scope(path), orjson.dumps(body)))
    began_s = time.process_time()
    for scope, body in calls:
        await _call(app, scope, body)
    spent_s = time.process_time() - began_s
    site.spool.records.clear()
    return spent_s / n_calls * 1e6


def _scope(path: str) -> Scope:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [KEY, (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }


async def _call(app: ASGIApp, scope: Scope, body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] not in (200, 201):
            raise SystemExit(f"{scope['path']} was answered {message['status']}")

    await app(scope, receive, send)


async def measure(n_rounds: int, n_calls: int) -> dict[str, Any]:
    """Microseconds of each dialect and of ours, and their ratio."""
    found: dict[str, Any] = {}
    site = Site(compiled=compile_catalog(CATALOG, 1))
    site.follower.models["articles"] = Followed(learned().snapshot(1), NOW)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield site.services()

    application = Application(services)
    async with application.started():
        for name, (theirs, ours) in AGAINST.items():
            rounds = [
                [await cost_us(application, site, each, n_calls) for each in (theirs, ours)]
                for _ in range(n_rounds + 1)
            ][1:]  # warm from then on
            found[name] = {
                "us": round(statistics.median(one for one, _ in rounds)),
                "own_us": round(statistics.median(other for _, other in rounds)),
                "ratio": round(statistics.median(one / other for one, other in rounds), 3),
            }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400)
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(measure(asked.rounds, asked.calls))))


if __name__ == "__main__":
    main()
