"""What dialects of flags and of rankings cost: CPU microseconds of one call, from its bytes to its answer's.

    python -m benchmarks.flags_cost [--rounds 7] [--calls 400]

In one process, over parts by hand in place of Redis and log (``tests/unit/api/site.py``): routing, keys, reading,
deciding and encoding. Flags are four placements of three contents each, asked for all at once; our own dialect is
asked for the same, of placements that the catalog calls sticky, as flags are. Rankings bring fifty items of three
features. Dialects
take turns within a round; medians over the rounds, and of their ratios to our own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import orjson
from starlette.types import ASGIApp, Message, Scope

from api.app import Application
from api.services import Services
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from tests.unit.api.site import Site

FLAGS = ("hero", "banner", "theme", "offer")
ARMS = {flag: tuple(f"{flag}-{n}" for n in range(3)) for flag in FLAGS}
CONTENTS = {arm: Content(body={"title": arm, "text": "x" * 80}) for arms in ARMS.values() for arm in arms}
CATALOG = Catalog(
    placements={
        **{flag: Placement(content=arms, default=arms[0], sticky=True) for flag, arms in ARMS.items()},
        "search": Placement(arms="caller"),
    },
    content=CONTENTS,
    sources={"site": Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted")},
)
CONTEXT = {"plan": "pro", "visits": 7, "page": {"path": "/tents"}}

Question: TypeAlias = Callable[[int], tuple[str, Any]]


def own_flags(n: int) -> tuple[str, Any]:
    """By our own dialect."""
    placements = [{"placement": name, "slots": 1} for name in FLAGS]
    asked = {"visitor": {"userId": f"v{n}"}, "placements": placements, "activate": False}
    return "/v1/decide", {**asked, "context": CONTEXT}


def ofrep(n: int) -> tuple[str, Any]:
    """By OFREP."""
    return "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": f"v{n}", **CONTEXT}}


def growthbook(n: int) -> tuple[str, Any]:
    """By GrowthBook."""
    asked = {"forcedVariations": {}, "forcedFeatures": [], "url": ""}
    return "/api/eval/any", {"attributes": {"id": f"v{n}", **CONTEXT}, **asked}


def posthog(n: int) -> tuple[str, Any]:
    """By PostHog."""
    return "/flags/", {"token": "sk_dev", "distinct_id": f"v{n}", "groups": {}, "person_properties": CONTEXT}


def own_ranking(n: int) -> tuple[str, Any]:
    """By our own dialect."""
    items = [{"id": f"i{k}", "features": _features(k)} for k in range(50)]
    asked = {"visitor": {"userId": f"v{n}"}, "placement": "search", "items": items, "requestId": f"r{n}"}
    return "/v1/rank", {**asked, "context": {"query": "jeans"}, "activate": False}


def metarank(n: int) -> tuple[str, Any]:
    """By Metarank."""
    items = [{"id": f"i{k}", "fields": _fields(_features(k))} for k in range(50)]
    return "/rank/search", {"id": f"r{n}", "user": f"v{n}", "fields": _fields({"query": "jeans"}), "items": items}


def _features(k: int) -> dict[str, Any]:
    return {"relevancy": k / 50, "topic": "sport", "price": 9.5}


def _fields(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]


AGAINST: dict[str, tuple[Question, Question]] = {
    "ofrep": (ofrep, own_flags),
    "growthbook": (growthbook, own_flags),
    "posthog": (posthog, own_flags),
    "metarank": (metarank, own_ranking),
}
"""Each dialect's question, and ours of the same kind."""


async def cost_us(app: ASGIApp, site: Site, asked: Question, n_calls: int) -> float:
    """CPU microseconds of a call."""
    questions = [asked(n) for n in range(n_calls)]
    calls = [(_scope(path), orjson.dumps(body)) for path, body in questions]
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
        "headers": [(b"authorization", b"Bearer sk_dev"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }


async def _call(app: ASGIApp, scope: Scope, body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise SystemExit(f"{scope['path']} was answered {message['status']}")

    await app(scope, receive, send)


async def measure(n_rounds: int, n_calls: int) -> dict[str, Any]:
    """Microseconds of each dialect and of ours, and their ratio."""
    found: dict[str, Any] = {}
    site = Site(compiled=compile_catalog(CATALOG, 1))

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield site.services()

    application = Application(services)
    async with application.started():
        for name, both in AGAINST.items():
            rounds = [
                [await cost_us(application, site, each, n_calls) for each in both] for _ in range(n_rounds + 1)
            ]
            warm = rounds[1:]
            found[name] = {
                "us": round(statistics.median(one for one, _ in warm)),
                "own_us": round(statistics.median(other for _, other in warm)),
                "ratio": round(statistics.median(one / other for one, other in warm), 3),
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
