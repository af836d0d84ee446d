"""What a decision costs by each dialect: CPU microseconds from its bytes to its answer's, against our own's.

    python -m benchmarks.dialects [--rounds 9] [--calls 200] [--only ofrep,metarank]

In one process, over parts by hand in place of Redis and log (``tests/unit/api/site.py``): routing, keys, reading,
deciding and encoding. **Flags** are four placements of three contents each, asked for all at once; our own dialect
is asked for the same, of placements that the catalog calls sticky, as flags are. **Rankings** bring items with
features of their own, ten by Rank and Reward and fifty by Metarank, for a model that learned 2,000 outcomes; our
own dialect is brought the same. Dialects take turns with ours within a round; medians over the rounds, and of their
ratios.
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
from typing import Any, TypeAlias

import orjson
from starlette.types import ASGIApp, Message, Scope

from api.app import Application
from api.services.ports import Services
from benchmarks.ending import end_by_sigterm
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from state.model_store import Followed
from tests.unit.api.site import NOW, Site

FLAGS = ("hero", "banner", "theme", "offer")
ARMS = {flag: tuple(f"{flag}-{n}" for n in range(3)) for flag in FLAGS}
CONTENTS = {arm: Content(body={"title": arm, "text": "x" * 80}) for arms in ARMS.values() for arm in arms}
TOPICS = ("sport", "politics", "culture", "travel", "science")
CATALOG = Catalog(
    placements={
        **{flag: Placement(content=arms, default=arms[0], sticky=True) for flag, arms in ARMS.items()},
        "articles": Placement(arms="caller", features=("context.device.os", "context.hour", "context.plan")),
    },
    content=CONTENTS,
    sources={"site": Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted")},
)
KEY = (b"authorization", b"Bearer sk_dev")
ABOUT = {"plan": "pro", "visits": 7, "page": {"path": "/tents"}}
CONTEXT = {"device": {"os": "ios"}, "hour": 9.0, "plan": "pro"}
N_ACTIONS, N_ITEMS = 10, 50

Question: TypeAlias = Callable[[int], tuple[str, Any]]


def own_flags(n: int) -> tuple[str, Any]:
    """By our own dialect."""
    placements = [{"placement": name, "slots": 1} for name in FLAGS]
    asked = {"visitor": {"userId": f"v{n}"}, "placements": placements, "activate": False}
    return "/v1/decide", {**asked, "context": ABOUT}


def ofrep(n: int) -> tuple[str, Any]:
    """By OFREP."""
    return "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": f"v{n}", **ABOUT}}


def growthbook(n: int) -> tuple[str, Any]:
    """By GrowthBook."""
    asked = {"forcedVariations": {}, "forcedFeatures": [], "url": ""}
    return "/api/eval/any", {"attributes": {"id": f"v{n}", **ABOUT}, **asked}


def posthog(n: int) -> tuple[str, Any]:
    """By PostHog."""
    return "/flags/", {"token": "sk_dev", "distinct_id": f"v{n}", "groups": {}, "person_properties": ABOUT}


def own_ranking(n: int, n_items: int = N_ACTIONS) -> tuple[str, Any]:
    """By our own dialect."""
    items = [{"id": _arm(n, k), "features": _features(n, k)} for k in range(n_items)]
    asked = {"visitor": {"anonymousId": f"v{n}"}, "placement": "articles", "items": items, "requestId": f"v{n}"}
    return "/v1/rank", {**asked, "context": CONTEXT}


def rank_reward(n: int) -> tuple[str, Any]:
    """By Rank and Reward."""
    actions = [{"id": _arm(n, k), "features": [_features(n, k)]} for k in range(N_ACTIONS)]
    context = [{"device": CONTEXT["device"]}, {"hour": 9.0, "plan": "pro"}]
    return "/personalizer/v1.0/rank", {"actions": actions, "contextFeatures": context, "eventId": f"v{n}"}


def rank_reward_at_a_placement(n: int) -> tuple[str, Any]:
    """By Rank and Reward, with the placement in the address."""
    path, body = rank_reward(n)
    return f"/placements/articles{path}", body


def own_long_ranking(n: int) -> tuple[str, Any]:
    """By our own dialect, of as many as Metarank ranks, which defers."""
    path, body = own_ranking(n, N_ITEMS)
    return path, {**body, "activate": False}


def metarank(n: int) -> tuple[str, Any]:
    """By Metarank."""
    items = [{"id": _arm(n, k), "fields": _fields(_features(n, k))} for k in range(N_ITEMS)]
    context = {"hour": 9.0, "plan": "pro"}
    return "/rank/articles", {"id": f"v{n}", "session": f"v{n}", "fields": _fields(context), "items": items}


AGAINST: dict[str, tuple[Question, Question]] = {
    "ofrep": (ofrep, own_flags),
    "growthbook": (growthbook, own_flags),
    "posthog": (posthog, own_flags),
    "rank_reward": (rank_reward, own_ranking),
    "rank_reward_at_a_placement": (rank_reward_at_a_placement, own_ranking),
    "metarank": (metarank, own_long_ranking),
}
"""Each dialect's question, and ours of the same kind."""


def _arm(n: int, k: int) -> str:
    return f"{n % 50}-{k}"


def _features(n: int, k: int) -> dict[str, Any]:
    return {"topic": TOPICS[(n + k) % len(TOPICS)], "length": float(k), "price": 9.5}


def _fields(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def learned() -> PlacementModel:
    """A model of 2,000 outcomes."""
    model, draw = PlacementModel("articles"), random.Random(1)
    for n in range(2_000):
        told = _features(n, n % 7)
        choice = Choice(f"d{n}", "articles", 0, _arm(n, n % 10), 2**30, "default")
        reward = float(draw.random() < (0.5 if told["topic"] == "sport" else 0.1))
        context = {"context.device.os": draw.choice(("ios", "web")), "context.hour": 9.0, "context.plan": "pro"}
        times = {"decided_at_ms": n, "closed_at_ms": n, "exposed_at_ms": n}
        model.learn(
            Outcome(choice, reward, ClosingReason.WINDOW, **times, features=context, arm_features=told)  # type: ignore[arg-type]
        )
    return model


async def cost_us(app: ASGIApp, site: Site, asked: Question, n_calls: int) -> float:
    """CPU microseconds of a call."""
    questions = [asked(n) for n in range(n_calls)]
    calls = [(_scope(path), orjson.dumps(body)) for path, body in questions]
    began_s = time.process_time()
    for scope, body in calls:
        await _call(app, scope, body)
    spent_s = time.process_time() - began_s
    if not site.spool.records:
        raise SystemExit(f"{questions[0][0]} decided nothing")
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


async def measure(names: list[str], n_rounds: int, n_calls: int) -> dict[str, Any]:
    """Microseconds of each dialect and of ours, and their ratio."""
    found: dict[str, Any] = {}
    site = Site(compiled=compile_catalog(CATALOG, 1))
    site.follower.models["articles"] = Followed(learned().snapshot(1), NOW)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield site.services()

    application = Application(services)
    async with application.started():
        for name in names:
            rounds = [
                [await cost_us(application, site, each, n_calls) for each in AGAINST[name]]
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
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--only", default=",".join(AGAINST), help="dialects, with commas between them")
    asked = parser.parse_args()
    print(json.dumps(asyncio.run(measure(asked.only.split(","), asked.rounds, asked.calls))))


if __name__ == "__main__":
    end_by_sigterm()
    main()
