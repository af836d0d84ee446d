"""What an event costs the folder: CPU per entry of the pure fold, and of a batch from the log into a real Redis.

    python -m benchmarks.fold_cost [--rounds 7] [--redis redis://127.0.0.1:6379/9] [--windows]

The visit of ``benchmarks.state_size`` (40 events of a shop visitor) with four decisions among them, for 250
visitors, under the shipped example catalog. A batch is read, folded, emitted, written as the folder does. Medians
over the rounds, process CPU alone; to compare two checkouts run each in its own folder, in turn. With ``--windows``
the pure fold is measured under ten followed segments and under none, in turn, and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from msgspec import structs
from redis.asyncio import Redis

import config
from benchmarks.state_size import NOW_MS, decisions, visit
from config.loader import load_catalog
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import Topics
from personalization.catalog.catalog import Catalog, Content
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.entry import Entry, Position, decode_entry, encode_entry
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.timers import RedisTimerStore
from state.visitor_store import RedisVisitorStore
from stream.folder import Folder, Message
from stream.metrics import FolderMetrics

N_VISITORS = 250
SEGMENTS = {
    "keen": 'count("Product Viewed", within="7d") >= 3',
    "filling": 'count("Product Added", within="1d") >= 2',
    "stranger": 'never("Order Completed")',
    "away": 'since("Product Viewed") > duration("14d")',
    "browsing": 'count("Product List Viewed", within="30d") < 5',
    "shoes": """count("Product Viewed", where='properties.category == "shoes"', within="7d") >= 2""",
    "reading": 'count("page", within="1h") >= 4',
    "spender": 'sum("Order Completed", of="properties.revenue", within="90d") > 200',
    "hunter": 'count("Coupon Applied", within="30d") >= 1',
    "customer": 'last("Order Completed") > timestamp("2026-01-01T00:00:00Z")',
}
"""Ten windows, one a segment: of kinds, operators and lengths of all sorts."""
BATCH = 500


class _One:
    """The catalog, whatever version is asked for."""

    def __init__(self, catalog: CompiledCatalog) -> None:
        self.current = catalog

    async def get(self, version: int) -> CompiledCatalog:
        return self.current


def entries(catalog: CompiledCatalog) -> list[bytes]:
    """One visitor's entries, as the log stores them, a decision after every tenth event."""
    made = decisions(catalog, 4)
    found = []
    for n, event in enumerate(visit()):
        found.append(event)
        if n % 10 == 9:
            found.append(made[n // 10])
    return [
        encode_entry(
            Entry(
                received_at_ms=NOW_MS + n * 20_000,
                occurred_at_ms=NOW_MS + n * 20_000,
                catalog_version=catalog.version,
                event=event,
            )
        )
        for n, event in enumerate(found)
    ]


def pure_us(catalog: CompiledCatalog, values: list[bytes]) -> float:
    """CPU µs an entry: decode and fold."""
    began_s = time.process_time()
    for number in range(N_VISITORS):
        visitor, key = Visitor.new(), f"a:{number}"
        for offset, value in enumerate(values):
            fold(visitor, key, Position(1, offset), decode_entry(value), catalog)
    return (time.process_time() - began_s) / (N_VISITORS * len(values)) * 1e6


async def batched_us(catalog: CompiledCatalog, values: list[bytes], url: str, name: str) -> float:
    """CPU µs an entry of this process: batches of 500 entries of many visitors, from bytes into Redis."""
    log = RedisStreamsLog(url, Topics(f"{name}."))
    await log.create(4)
    redis: Redis = Redis.from_url(url)
    keys = Keys(name)
    folder = Folder(
        RedisVisitorStore(redis, keys), RedisTimerStore(redis, keys), log, _One(catalog), 1, FolderMetrics()
    )
    messages = [
        Message(0, n * N_VISITORS + number, f"a:{number}".encode(), value)
        for n, value in enumerate(values)
        for number in range(N_VISITORS)
    ]
    began_s = time.process_time()
    for start in range(0, len(messages), BATCH):
        await folder.process(messages[start : start + BATCH])
    spent_s = time.process_time() - began_s
    await log.close()
    await redis.aclose()
    return spent_s / len(messages) * 1e6


async def report(url: str, rounds: int) -> None:
    """Measure and print."""
    catalog = compile_catalog(load_catalog(Path(config.__file__).parent / "catalog"), 1)
    values = entries(catalog)
    pure_us(catalog, values)
    pure = [pure_us(catalog, values) for _ in range(rounds)]
    batched = [await batched_us(catalog, values, url, f"fold{time.time_ns()}") for _ in range(rounds)]
    print(
        json.dumps(
            {
                "pure_us": round(statistics.median(pure), 2),
                "batched_us": round(statistics.median(batched), 2),
                "pure": [round(each, 2) for each in pure],
                "batched": [round(each, 2) for each in batched],
            }
        )
    )


def report_windows(rounds: int) -> None:
    """Measure with ten windows and with none, and print the ratio of the medians."""
    shop = load_catalog(Path(config.__file__).parent / "catalog")
    without = compile_catalog(structs.replace(shop, segments={"loyal": "n_orders > 2"}, content=_plain(shop)), 1)
    ten = {"loyal": "n_orders > 2", **SEGMENTS}
    with_ten = compile_catalog(structs.replace(shop, segments=ten, content=_plain(shop)), 1)
    found: dict[str, list[float]] = {"none": [], "ten": []}
    for _ in range(rounds):
        for name, catalog in (("none", without), ("ten", with_ten)):
            found[name].append(pure_us(catalog, entries(catalog)))
    none, many = (statistics.median(found[name]) for name in ("none", "ten"))
    print(json.dumps({"none_us": round(none, 2), "ten_us": round(many, 2), "ratio": round(many / none, 2)}))


def _plain(shop: Catalog) -> dict[str, Content]:
    """The contents without the rules that name the shop's own segments."""
    return {name: structs.replace(content, when=None) for name, content in shop.content.items()}


def main() -> None:
    """Measure on the Redis given, or on one started for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--redis", default="", help="URL; empty: a Redis is started for the measurement")
    parser.add_argument("--windows", action="store_true", help="the pure fold, with ten windows and with none")
    arguments = parser.parse_args()
    if arguments.windows:
        report_windows(arguments.rounds)
        return
    if arguments.redis:
        asyncio.run(report(arguments.redis, arguments.rounds))
        return
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        asyncio.run(report(server.url, arguments.rounds))


if __name__ == "__main__":
    main()
