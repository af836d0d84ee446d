"""What Redis holds in memory, what it may, and what it is used for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis

from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings
from state.redis_memory import ALARM_SHARE, RedisMemory

FULL_SHARE = 0.95
MIB = 1024 * 1024

SAMPLE = 2_000
"""Keys that are weighed, at most: 20 ms of Redis's time, in steps of 200 that let others go between."""

STEP = 200
SAMPLE_S = 1.0


async def check_memory(_: Surroundings, redis: Redis) -> list[Finding]:
    """How full it is, and whether it would rather forget than refuse."""
    memory = RedisMemory(redis)
    await memory.look()
    if not memory.limit_bytes:
        return [look("redis-memory", "Redis does not tell how full it is", "let its user run INFO")]
    used, share = memory.used_bytes / MIB, memory.used_bytes / memory.limit_bytes
    told = f"{used:,.0f} MiB of the {memory.limit_bytes / MIB:,.0f} MiB it may are used ({share:.0%})"
    found = []
    if memory.policy and memory.policy != "noeviction":
        found.append(
            wrong(
                "redis-memory",
                memory.warning() or "",
                "CONFIG SET maxmemory-policy noeviction, and in its configuration",
                "redis-fills-up",
            )
        )
    remedy = "more memory (maxmemory, NEXTBEST_REDIS_MEMORY_BYTES), or keep less: NEXTBEST_LOG_BYTES"
    if share >= FULL_SHARE:
        found.append(wrong("redis-memory", told, remedy, "redis-soon-full"))
    elif share >= ALARM_SHARE:
        found.append(look("redis-memory", told, remedy, "redis-fills-up"))
    if not (await redis.info("memory")).get("maxmemory"):
        found.append(
            look(
                "redis-memory",
                f"{used:,.0f} MiB are used, and nothing bounds them: a full machine ends Redis",
                "CONFIG SET maxmemory to what it may have, and in its configuration",
            )
        )
    return found or [ok("redis-memory", told)]


async def check_use(around: Surroundings, redis: Redis) -> list[Finding]:
    """What the namespace takes by kind of key, from a bounded sample."""
    began, cursor, n_seen = time.monotonic(), 0, 0
    bytes_of: defaultdict[str, int] = defaultdict(int)
    namespace = around.settings.namespace
    while n_seen < SAMPLE and time.monotonic() - began < SAMPLE_S:
        cursor, keys = await redis.scan(cursor, count=STEP)
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.memory_usage(key)
        sizes: Sequence[Any] = await pipeline.execute()
        for key, size in zip(keys, sizes, strict=True):
            bytes_of[kind_of(cast("bytes", key).decode(errors="replace"), namespace)] += int(size or 0)
        n_seen += len(keys)
        if not cursor:
            break
    n_keys = int(await redis.dbsize())
    if not n_seen:
        return [ok("redis-use", "nothing is kept yet")]
    scale = n_keys / n_seen if cursor else 1.0
    parts = sorted(bytes_of.items(), key=lambda part: -part[1])
    told = ", ".join(f"{kind} {shown_bytes(size * scale)}" for kind, size in parts[:6])
    how = f"about, by {n_seen:,} of {n_keys:,} keys" if cursor else f"{n_keys:,} keys"
    return [ok("redis-use", f"{told} ({how})")]


def shown_bytes(size: float) -> str:
    """A size for people.

    >>> shown_bytes(700), shown_bytes(3.2e6)
    ('1 KiB', '3.1 MiB')
    """
    return f"{size / MIB:,.1f} MiB" if size >= MIB else f"{size / 1024:,.0f} KiB"


def kind_of(name: str, namespace: str) -> str:
    """What a key is for; never whose it is.

    >>> kind_of("shop:visitor:{u:7}", "shop"), kind_of("{shop.visitor-log:3}:meta", "shop")
    ('visitor', 'visitor-log')
    >>> kind_of("cache:7", "shop")
    'others'
    """
    if name.startswith(f"{namespace}:"):
        return name[len(namespace) + 1 :].partition(":")[0].strip("{}")
    if name.startswith(f"{{{namespace}."):
        return name[len(namespace) + 2 :].partition("}")[0].partition(":")[0]
    return "others"
