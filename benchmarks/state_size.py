"""What one visitor costs in Redis: a shop visitor of 40 events with 0, 4 and 32 open decisions.

    python -m benchmarks.state_size --redis redis://127.0.0.1:6379/9

Folds a typical visit (pages, products of three categories, a basket, an order, an identify with four traits)
by the pure fold under the shipped example catalog, writes it as the folder does, and asks Redis. Bytes of values
and of memory (``MEMORY USAGE``: value, name and bookkeeping), for what the decider reads and for all keys. The
fourth row declares ten windows and three scores; the last rows ask for no conversion, as most shops do, and keep as
many examples open as there may be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from msgspec import structs
from redis.asyncio import Redis

import config
from benchmarks.declared import SCORES, SEGMENTS, declaring
from benchmarks.ending import end_by_sigterm
from config.loader import load_catalog
from personalization.catalog.catalog import Catalog, Content
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.decision_id import mint
from personalization.events.entry import Entry, Position
from personalization.events.event import DecisionMade, Event, Identify, Page, Track
from personalization.features import pack
from personalization.folding.fold import fold
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import MAX_OPEN_EXAMPLES
from personalization.visitor.visitor import Visitor
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.visitor_store import NEVER_SEEN, Change, RedisVisitorStore

N_EVENTS = 40
GOAL_BYTES = 900
"""Of what the decider reads, with no decision open."""

KEY = "u:7f3c2a91-5b0e-4d8e-9a1b-2c6f0d4e8b17"
NOW_MS = 1_767_225_600_000


def visit() -> list[Event]:
    """40 events of one visitor of a shop."""
    events: list[Event] = []

    def ids(n: int) -> dict[str, Any]:
        return {"message_id": f"{n:08x}-4d8e-9a1b-2c6f-0d4e8b17", "anonymous_id": "5b0e2c6f", "user_id": KEY[2:]}

    traits = {"plan": "gold", "city": "Lisbon", "age": 34, "newsletter": True}
    events.append(Identify(**ids(0), traits=traits))
    for n in range(1, N_EVENTS):
        category = ("shoes", "jackets", "bags")[n % 3]
        properties = {"productId": f"sku-{n % 9}", "category": category, "price": 49.9, "value": 49.9}
        if n == 30:
            events.append(Track(**ids(n), event="Product Added", properties=properties))
        elif n == 32:
            events.append(Track(**ids(n), event="Order Completed", properties={"revenue": 49.9, "total": 49.9}))
        elif n % 4 == 0:
            events.append(Page(**ids(n), name="category", properties={"category": category}))
        else:
            events.append(Track(**ids(n), event="Product Viewed", properties=properties))
    return events


def decisions(catalog: CompiledCatalog, n_open: int) -> list[Event]:
    """Decisions as the decider logs them, with a dozen features each."""
    placements = list(catalog.placements.values())
    features: dict[str, float | str] = {f"feature_{n}": 0.25 * n for n in range(8)}
    features |= {"device": "mobile", "hour": 14.0, "affinity.category": "shoes", "known": 1.0}
    made = []
    for n in range(n_open):
        placement = placements[n % len(placements)]
        made.append(
            DecisionMade(
                choice=Choice(
                    decision_id=mint(b"secret", KEY, n.to_bytes(9, "big")),
                    placement=placement.name,
                    slot=0,
                    arm=placement.arms[n % len(placement.arms)].id,
                    weight=2**31 + n,
                    policy="default",
                    catalog_version=catalog.version,
                ),
                message_id=f"decision-{n}",
                features=pack(features),
            )
        )
    return cast("list[Event]", made)


def folded(catalog: CompiledCatalog, events: list[Event]) -> Visitor:
    """The visitor after ``events``, a minute apart."""
    visitor = Visitor.new()
    for offset, event in enumerate(events):
        now_ms = NOW_MS + offset * 20_000
        entry = Entry(received_at_ms=now_ms, occurred_at_ms=now_ms, catalog_version=catalog.version, event=event)
        fold(visitor, KEY, Position(1, 1_000_000 + offset), entry, catalog)
    return visitor


async def measure(redis: Redis, catalog: CompiledCatalog) -> list[dict[str, int]]:
    """One row per number of open decisions."""
    keys = Keys(f"size{time.time_ns()}")
    store = RedisVisitorStore(redis, keys, b"key")
    rows = []
    spec = catalog.catalog
    plain = compile_catalog(structs.replace(spec, conversions={}, content=_unscored(spec)), 1)
    for shop, n_open, n_examples in (
        *((catalog, n_open, 1) for n_open in (0, 4, 32)),
        (declaring(spec, SEGMENTS, SCORES), 0, 1),
        (plain, 0, 0),
        (catalog, 0, MAX_OPEN_EXAMPLES),
    ):
        visitor = folded(shop, visit() + decisions(shop, n_open))
        if n_examples > 1 and visitor.folder.conversions is not None:
            visitor.folder.conversions.open *= n_examples
        names = [keys.visitor(KEY), keys.folder(KEY)]
        await redis.delete(*names)
        await store.save([Change(KEY, NEVER_SEEN, visitor)])
        values = [int(await cast("Any", redis.strlen(name))) for name in names]
        memory = [int(await cast("Any", redis.memory_usage(name)) or 0) for name in names]
        rows.append(
            {
                "open_decisions": len(visitor.folder.open),
                "open_examples": len(visitor.folder.conversions.open) if visitor.folder.conversions else 0,
                "decider_value_bytes": values[0],
                "decider_memory_bytes": memory[0],
                "all_value_bytes": sum(values),
                "all_memory_bytes": sum(memory),
            }
        )
        await redis.delete(*names)
    return rows


def _unscored(catalog: Catalog) -> dict[str, Content]:
    """The contents without rules that name a score."""
    return {
        name: structs.replace(content, when=None) if content.when and "scores" in content.when else content
        for name, content in catalog.content.items()
    }


async def report(url: str) -> None:
    """Measure and print."""
    shipped = Path(config.__file__).parent / "catalog"
    catalog = compile_catalog(load_catalog(shipped), 1)
    redis: Redis = Redis.from_url(url)
    try:
        rows = await measure(redis, catalog)
    finally:
        await redis.aclose()
    print(json.dumps({"events": N_EVENTS, "goal_bytes": GOAL_BYTES, "rows": rows}, indent=2))
    first = rows[0]["decider_value_bytes"]
    declared = rows[3]["decider_value_bytes"]
    print(f"{declared} B with ten windows and three scores: {'met' if declared <= GOAL_BYTES else 'NOT met'}")
    print(f"{first} B read by the decider, goal {GOAL_BYTES}: {'met' if first <= GOAL_BYTES else 'NOT met'}")


def main() -> None:
    """Measure on the Redis given, or on one started for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", default="", help="URL; empty: a Redis is started for the measurement")
    arguments = parser.parse_args()
    if arguments.redis:
        asyncio.run(report(arguments.redis))
        return
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        asyncio.run(report(server.url))


if __name__ == "__main__":
    end_by_sigterm()
    main()
