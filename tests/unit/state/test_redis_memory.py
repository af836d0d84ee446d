"""A Redis that fills up says so before it refuses, and one that would forget is named with what it would forget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from state.embedded import EmbeddedRedis
from state.redis_memory import RedisMemory
from tests.requirements import require

pytestmark = pytest.mark.redis

MIB = 1024 * 1024


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """One that may have 32 MiB."""
    require("redis")
    with EmbeddedRedis(tmp_path, memory_bytes=32 * MIB) as server:
        async with Redis.from_url(server.url) as client:
            yield client


async def fill(redis: Redis, name: str, n_mib: int) -> None:
    """In small pieces: what is under way counts as well."""
    for n in range(10 * n_mib):
        await redis.set(f"{name}{n}", b"x" * (MIB // 10))


async def test_it_warns_from_80_percent_and_not_before(redis: Redis) -> None:
    heard: list[tuple[int, int]] = []
    memory = RedisMemory(redis, lambda used, limit: heard.append((used, limit)))
    await fill(redis, "a", 15)
    await memory.look()
    assert memory.warning() is None
    await fill(redis, "b", 8)
    await memory.look()
    warning = memory.warning()
    assert warning is not None
    assert warning.startswith("Redis has used ")
    assert "of the 32 MiB it may" in warning
    used, limit = heard[-1]
    assert limit == 32 * MIB
    assert 25 * MIB < used < limit
    await redis.delete(*[f"a{n}" for n in range(150)])
    await memory.look()
    assert memory.warning() is None


async def test_at_the_bound_it_refuses_and_forgets_nothing(redis: Redis) -> None:
    with pytest.raises(OutOfMemoryError):
        await fill(redis, "a", 64)
    assert await redis.dbsize() > 150
    assert await redis.exists("a0")
    assert (await redis.info("stats"))["evicted_keys"] == 0


@pytest.mark.parametrize(
    ("policy", "lost"),
    [
        ("allkeys-lru", "the log, models and the catalog"),
        ("volatile-ttl", "visitors' states, their open decisions and refusals of consent"),
    ],
)
async def test_one_that_evicts_is_named_with_what_is_lost(redis: Redis, policy: str, lost: str) -> None:
    memory = RedisMemory(redis)
    await redis.config_set("maxmemory-policy", policy)
    await memory.look()
    warning = memory.warning() or ""
    assert f"maxmemory-policy {policy}" in warning
    assert lost in warning
    # Without a bound nothing is evicted.
    await redis.config_set("maxmemory", 0)
    await memory.look()
    assert memory.warning() is None
    assert memory.limit_bytes > 32 * MIB, "the machine's"


async def test_a_user_who_may_not_ask_is_asked_for_nothing_more(redis: Redis) -> None:
    await redis.acl_setuser("limited", enabled=True, nopass=True, commands=["+get"], keys=["*"])
    await redis.auth("any", "limited")
    memory = RedisMemory(redis)
    assert not await memory.look()
    assert memory.warning() is None
