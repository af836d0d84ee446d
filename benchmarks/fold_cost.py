"""What an event costs the folder: CPU per entry of the pure fold, and of a batch from the log into a real Redis.

    python -m benchmarks.fold_cost [--rounds 7] [--redis redis://127.0.0.1:6379/9] [--declared] [--sealed]

The visit of ``benchmarks.state_size`` (40 events of a shop visitor) with four decisions among them, for 250
visitors, under the shipped example catalog. A batch is read, folded, emitted, written as the folder does. Medians
over the rounds, process CPU alone; to compare two checkouts run each in its own folder, in turn. With
``--declared`` both are measured with ten windows and three scores declared and without, in turn; with ``--sealed``
batches with personal data encrypted and in the clear.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from redis.asyncio import Redis

import config
from benchmarks.declared import PLAIN, SCORES, SEGMENTS, declaring
from benchmarks.ending import end_by_sigterm
from benchmarks.state_size import NOW_MS, decisions, visit
from config.loader import load_catalog
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.sealing import opened_value, sealed_record
from eventlog.topics import VISITOR_LOG, Topics
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.data_cipher import CLEAR, DATA_KEY_BYTES, DataCipher
from personalization.events.entry import Entry, Position, decode_entry, encode_entry
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.timers import RedisTimerStore
from state.visitor_store import RedisVisitorStore
from stream.folding.batch_fold import Message
from stream.folding.folder import Folder
from stream.metrics import FolderMetrics

N_VISITORS = 250
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


async def batched_us(
    catalog: CompiledCatalog, values: list[bytes], url: str, name: str, cipher: DataCipher = CLEAR
) -> float:
    """CPU µs an entry of this process: batches of 500 entries of many visitors, from bytes into Redis."""
    log = RedisStreamsLog(url, Topics(f"{name}."), cipher=cipher)
    await log.create(4)
    redis: Redis = Redis.from_url(url)
    keys = Keys(name)
    visitors = RedisVisitorStore(redis, keys, b"key", cipher=cipher)
    folder = Folder(visitors, RedisTimerStore(redis, keys), log, _One(catalog), 1, FolderMetrics())
    stored = [
        (n * N_VISITORS + number, key.encode(), sealed_record(cipher, Record(VISITOR_LOG, key, value)).value)
        for n, value in enumerate(values)
        for number, key in enumerate(f"a:{number}" for number in range(N_VISITORS))
    ]
    began_s = time.process_time()
    for start in range(0, len(stored), BATCH):
        await folder.process(
            [
                Message(0, offset, key, opened_value(cipher, VISITOR_LOG, key, value))
                for offset, key, value in stored[start : start + BATCH]
            ]
        )
    spent_s = time.process_time() - began_s
    await log.close()
    await redis.aclose()
    return spent_s / len(stored) * 1e6


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


async def report_sealed(url: str, rounds: int) -> None:
    """Measure with personal data encrypted and in the clear, in turn; print medians and the median difference."""
    catalog = compile_catalog(load_catalog(Path(config.__file__).parent / "catalog"), 1)
    values = entries(catalog)
    sealing = DataCipher(True, os.urandom)
    sealing.use(os.urandom(DATA_KEY_BYTES))
    found: dict[str, list[float]] = {"clear": [], "sealed": []}
    for _ in range(rounds):
        for name, cipher in (("clear", CLEAR), ("sealed", sealing)):
            found[name].append(await batched_us(catalog, values, url, f"fold{time.time_ns()}", cipher))
    differences = [sealed - clear for clear, sealed in zip(found["clear"], found["sealed"], strict=True)]
    medians = {name: round(statistics.median(each), 2) for name, each in found.items()}
    print(json.dumps({**medians, "difference": round(statistics.median(differences), 2)}))


async def report_declared(url: str, rounds: int) -> None:
    """Measure with nothing declared, ten windows, three scores, and all of them; print medians and ratios."""
    shop = load_catalog(Path(config.__file__).parent / "catalog")
    catalogs = {
        "nothing": declaring(shop, PLAIN, {}),
        "windows": declaring(shop, SEGMENTS, {}),
        "scores": declaring(shop, PLAIN, SCORES),
        "both": declaring(shop, SEGMENTS, SCORES),
    }
    found: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in catalogs} for kind in ("pure", "batched")
    }
    for _ in range(rounds):
        for name, catalog in catalogs.items():
            values = entries(catalog)
            found["pure"][name].append(pure_us(catalog, values))
            found["batched"][name].append(await batched_us(catalog, values, url, f"fold{time.time_ns()}"))
    for kind, runs in found.items():
        us = {name: round(statistics.median(each), 2) for name, each in runs.items()}
        ratios = {name: round(each / us["nothing"], 2) for name, each in us.items()}
        print(json.dumps({kind: us, "ratio": ratios}))


def main() -> None:
    """Measure on the Redis given, or on one started for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--redis", default="", help="URL; empty: a Redis is started for the measurement")
    parser.add_argument(
        "--declared", action="store_true", help="the pure fold, with windows and scores and without"
    )
    parser.add_argument("--sealed", action="store_true", help="batches, encrypted and in the clear")
    arguments = parser.parse_args()
    measure = report_declared if arguments.declared else report_sealed if arguments.sealed else report
    if arguments.redis:
        asyncio.run(measure(arguments.redis, arguments.rounds))
        return
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        asyncio.run(measure(server.url, arguments.rounds))


if __name__ == "__main__":
    end_by_sigterm()
    main()
