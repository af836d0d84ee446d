"""A script called over a pipeline is known to Redis when it is called, and given up when Redis does not answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventlog.pipelined_script import PipelinedScript
from eventlog.redis_pipeline import RedisPipeline
from state.embedded import EmbeddedRedis
from tests.unit.eventlog.test_redis_pipeline import serving

COUNTING = "return {redis.call('INCR', KEYS[1]), ARGV[1]}"


async def test_a_script_that_redis_does_not_know_yet_or_no_more_is_carried_out_once(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pipeline = RedisPipeline(server.url, 5.0)
        script = PipelinedScript(pipeline, COUNTING, 5.0)
        redis: Redis = Redis.from_url(server.url)
        assert await script(["n"], [b"\x00\xff"]) == [1, b"\x00\xff"]
        assert await script(["n"], ["again"]) == [2, b"again"]
        await redis.script_flush()
        assert await script(["n"], ["once more"]) == [3, b"once more"]
        assert (await redis.info("commandstats"))["cmdstat_eval"]["calls"] == 2  # else its hash does
        await redis.aclose()
        script.close()
        await pipeline.aclose()


async def test_what_a_script_is_refused_for_is_raised_and_nothing_is_sent_again(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pipeline = RedisPipeline(server.url, 5.0)
        script = PipelinedScript(pipeline, "redis.call('INCR', 'n') return redis.error_reply('WRONG way')", 5.0)
        for _ in range(2):
            with pytest.raises(ResponseError, match="WRONG way"):
                await script([], [])
        redis: Redis = Redis.from_url(server.url)
        assert await redis.get("n") == b"2"
        await redis.aclose()
        script.close()
        await pipeline.aclose()


async def test_a_redis_that_hangs_is_given_up_and_asked_over_another_connection() -> None:
    async with serving() as server:
        pipeline = RedisPipeline(server.url, 5.0)
        script = PipelinedScript(pipeline, COUNTING, 0.1)
        server.replies[b"mute"] = b""
        with pytest.raises(RedisTimeoutError, match="no answer within"):
            await script(["n"], ["mute"])
        async with asyncio.timeout(5.0):
            assert await script(["n"], ["heard"]) == b"OK"
        assert server.n_connections == 2
        script.close()
        await pipeline.aclose()
