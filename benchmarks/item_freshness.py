"""How soon an item is an arm: from the answer to a change until deciders have it, with 10,000 items there already.

    python -m benchmarks.item_freshness [--items 10000] [--changes 200]

A Redis of its own, the store and the follower of a decider process, and a placement that takes all items by tag.
Items come 1,000 at once, as ``POST /v1/content`` puts them in; then single ones are changed one after the other, at
random moments. Medians and 99th percentiles of the time until the prepared catalog has the change, and the CPU of
one preparation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from redis.asyncio import Redis

from api.process.catalog import PreparedInForce
from benchmarks.ending import end_by_sigterm
from personalization.catalog.catalog import Catalog, Content, Placement
from personalization.catalog.compiled_catalog import Arm, CompiledCatalog, compile_catalog
from personalization.catalog.item import Item
from personalization.deciding.candidates import MAX_CANDIDATES
from personalization.deciding.decider_catalog import with_items
from state.embedded import EmbeddedRedis
from state.item_follower import ItemFollower
from state.item_store import ItemStore

AT_ONCE = 1_000


class _Fixed:
    """One version of the catalog."""

    def __init__(self) -> None:
        placement = Placement(tags=("teaser",), content=("house-ad",), default="house-ad")
        catalog = Catalog(placements={"teasers": placement}, content={"house-ad": Content()})
        self.current: CompiledCatalog = compile_catalog(catalog, 1)


def item(number: int, priority: int = 0) -> Item:
    """One article."""
    body = {"title": f"Article {number}", "url": f"https://news.example/{number}"}
    content = Content(body=body, features={"section": f"s{number % 8}", "words": 300.0}, priority=priority)
    return Item(content=content, tags=("teaser",))


async def until(condition: Callable[[], bool]) -> None:
    """Look every millisecond."""
    while not condition():  # noqa: ASYNC110 (nothing fires where a catalog is swapped)
        await asyncio.sleep(0.001)


async def measure(url: str, n_items: int, n_changes: int) -> dict[str, float]:
    """Put items in, change some, and see when they are arms."""
    redis: Redis = Redis.from_url(url)
    store = ItemStore(redis, "items")
    follower = ItemFollower(ItemStore(redis, "items"))
    prepared = PreparedInForce(_Fixed(), follower)
    follower.on_change = prepared.items_changed
    assert prepared.current is not None
    tasks = [asyncio.create_task(follower.run()), asyncio.create_task(prepared.run())]
    began_s = time.monotonic()
    for first in range(0, n_items, AT_ONCE):
        await store.put({f"i{n}": item(n) for n in range(first, min(first + AT_ONCE, n_items))})

    def arms() -> Mapping[str, Arm]:
        return prepared.current.placements["teasers"].candidates.by_id

    await until(lambda: len(follower) == n_items and len(arms()) == min(n_items, MAX_CANDIDATES))
    filled_s = time.monotonic() - began_s
    draw, waits_ms = random.Random(1), []
    for change in range(1, n_changes + 1):
        await asyncio.sleep(draw.random() * 0.3)
        name = f"i{draw.randrange(n_items)}"
        await store.put({name: item(0, priority=change)})
        began_s = time.monotonic()
        await until(lambda: name in arms() and arms()[name].content.priority == change)  # noqa: B023 (at once)
        waits_ms.append((time.monotonic() - began_s) * 1e3)
    for task in tasks:
        task.cancel()
    taken = {"teasers": follower.tagged(["teaser"])}
    began_s = time.process_time()
    for _ in range(5):
        with_items(prepared.current, taken)
    await redis.aclose()
    waits_ms.sort()
    return {
        "items": n_items,
        "all_at_hand_s": round(filled_s, 2),
        "p50_ms": round(statistics.median(waits_ms), 1),
        "p99_ms": round(waits_ms[int(0.99 * (len(waits_ms) - 1))], 1),
        "worst_ms": round(waits_ms[-1], 1),
        "prepare_cpu_ms": round((time.process_time() - began_s) / 5 * 1e3, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        print(json.dumps(asyncio.run(measure(server.url, arguments.items, arguments.changes))))


if __name__ == "__main__":
    end_by_sigterm()
    main()
