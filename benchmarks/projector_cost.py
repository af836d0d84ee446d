"""What the projector takes of a decision with its outcome: its own CPU, Redis's, and the bytes of rows and sums.

A look finds a hundred decisions of twenty arms, as many outcomes and three times as many entries of visitors, on
four partitions, sealed. Redis is one of its own, on the same machine.

    .venv/bin/python -m benchmarks.projector_cost [--looks 100]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from benchmarks.ending import end_by_sigterm
from eventlog.redis_keys import offset_of
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from installation.redis_clients import worker_client
from personalization.data_cipher import DATA_KEY_BYTES, DataCipher
from personalization.events.decision_record import DecisionRecord, encode_record, pack_f32
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.projecting.read_models import read_models
from personalization.visitor.choice import Choice
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.projection_store import Place, ProjectionStore
from stream.metrics import ProjectorMetrics
from stream.projecting.projector import Projector

N_PARTITIONS, N_ARMS, OF_PARTITION, VISITS = 4, 20, 25, 3
PLACES = [Place(topic, p) for topic in (DECISIONS, OUTCOMES, VISITOR_LOG) for p in range(N_PARTITIONS)]
ARMS = tuple(f"arm{n}" for n in range(N_ARMS))
CIPHER = DataCipher(True, os.urandom)


class Read(NamedTuple):
    """An entry as it was read."""

    offset: int
    key: bytes | None
    value: bytes | None


def value_of(topic: str, offset: int, now_ms: int) -> bytes:
    """What stands in the log."""
    chosen = Choice(f"{offset:056d}", "home.hero", 0, ARMS[offset % N_ARMS], 1)
    if topic == DECISIONS:
        record = DecisionRecord(
            choice=chosen,
            message_id=chosen.decision_id,
            request_id=f"{offset:032d}",
            key=f"a:visitor-{offset}",
            tier="personalised",
            reason="model",
            decided_at_ms=now_ms,
            arms=ARMS,
            weights=(2**32 // N_ARMS,) * N_ARMS,
            means_f32=pack_f32((0.1,) * N_ARMS),
            sds_f32=pack_f32((0.1,) * N_ARMS),
            features={"traits.team": "north", "context.hour": 11.0},
        )
        return CIPHER.sealed(encode_record(record), b"measured")
    if topic == OUTCOMES:
        closed = Outcome(chosen, 0.5, ClosingReason.WINDOW, now_ms, now_ms, exposed_at_ms=now_ms, predicted=0.3)
        return CIPHER.sealed(encode_outcome(closed), b"measured")
    return bytes(400)


async def measure(url: str, n_looks: int) -> dict[str, float]:
    """Microseconds a decision with its outcome, and bytes."""
    redis = worker_client(url)
    now_ms = int(time.time() * 1000)
    for place in PLACES:
        pipeline = redis.pipeline(transaction=False)
        for offset in range(n_looks * n_of(place)):
            fields: dict[Any, Any] = {"k": f"a:visitor-{offset}", "v": value_of(place.topic, offset, now_ms)}
            pipeline.xadd(f"{place.topic}:{place.partition}", fields, id=f"0-{offset + 1}")
        await pipeline.execute()
    projector = Projector(
        ProjectionStore(redis, Keys("measured"), 1, 60_000),
        read_models(),
        lambda topic, entry: CIPHER.opened(entry.value or b"", b"measured"),
        b"row key",
        N_PARTITIONS,
        1 << 26,
        ProjectorMetrics(lambda: 0.0),
    )
    await projector.assigned(dict.fromkeys(PLACES, n_looks * OF_PARTITION * VISITS))
    await redis.config_resetstat()
    began = time.process_time()
    for look in range(n_looks):
        await projector.take(await read(redis, look))
    own = time.process_time() - began
    n_decisions = n_looks * N_PARTITIONS * OF_PARTITION
    stats = await redis.info("commandstats")
    of_redis = sum(stats[f"cmdstat_{name}"]["usec"] for name in ("xread", "eval", "setrange", "pexpire"))
    sizes: dict[str, int] = {}
    async for name in redis.scan_iter("measured:*"):
        kind = name.decode().split(":")[1]
        sizes[kind] = sizes.get(kind, 0) + (await redis.memory_usage(name, samples=0) or 0)
    await redis.aclose()
    return {
        "projector_us": round(own / n_decisions * 1e6, 1),
        "redis_us": round(of_redis / n_decisions, 1),
        "rows_bytes": round(sizes["rows"] / n_decisions, 1),
        "sums_bytes": sizes["sums"],
    }


def n_of(place: Place) -> int:
    """Entries of a partition that a look finds."""
    return OF_PARTITION * (VISITS if place.topic == VISITOR_LOG else 1)


async def read(redis: Redis, look: int) -> dict[Place, list[Read]]:
    """What a look finds, as the transport reads it."""
    found: list[Any] = []
    for n in (OF_PARTITION, OF_PARTITION * VISITS):
        streams = {f"{place.topic}:{place.partition}": f"0-{look * n}" for place in PLACES if n_of(place) == n}
        found += await redis.xread(streams, count=n)  # type: ignore[arg-type]
    read_: dict[Place, list[Read]] = {}
    for stream, entries in found:
        topic, _, partition = stream.decode().rpartition(":")
        place = Place(topic, int(partition))
        read_[place] = [Read(offset_of(at), fields[b"k"], fields[b"v"]) for at, fields in entries]
    return read_


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--looks", type=int, default=100)
    options = parser.parse_args()
    CIPHER.use(bytes(DATA_KEY_BYTES))
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder) / "redis") as server:
        print(json.dumps(asyncio.run(measure(server.url, options.looks))))


if __name__ == "__main__":
    end_by_sigterm()
    main()
