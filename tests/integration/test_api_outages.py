"""The API while its Redis hangs, is gone or takes no writes: it answers, says what is wrong, recovers by itself."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from api.process import composition
from eventlog.port import Record
from eventlog.spool import Spool
from state.embedded import EmbeddedRedis
from state.keys import Keys
from tests.integration.test_api import accepted, api, decide, settings_for, until
from tests.requirements import require
from tests.standing_still import stand_still
from tests.unit.api.site import WRITE

pytestmark = [pytest.mark.redis, pytest.mark.alone]

PAGE = {"type": "page", "anonymousId": "a1", "messageId": "m1"}

GENEROUS_S = 10.0
"""What ends long before Redis answers has ended by itself; how soon on a machine at leisure its constant says."""


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may hurt."""
    require("redis")
    with EmbeddedRedis(tmp_path / "redis") as server:
        yield server


@contextmanager
def hanging(server: EmbeddedRedis) -> Iterator[None]:
    """The server takes connections and bytes, and answers nothing."""
    assert server.pid is not None
    stand_still(server.pid)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def readyz(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    response = await client.get("http://inner/readyz")
    return response.status_code, response.json()


def says(client: httpx.AsyncClient, part: str, words: str) -> Callable[[], Awaitable[bool]]:
    async def said() -> bool:
        status, body = await readyz(client)
        assert status == 200, "what all processes share takes none of them away from the load balancer"
        return part in body["warnings"] and words in body["reasons"][part]

    return said


def all_well(client: httpx.AsyncClient) -> Callable[[], Awaitable[bool]]:
    async def well() -> bool:
        return await readyz(client) == (200, {"status": "ready", "missing": [], "warnings": [], "reasons": {}})

    return well


async def timed(call: Awaitable[httpx.Response]) -> tuple[float, int, dict[str, Any]]:
    began = time.monotonic()
    response = await call
    return time.monotonic() - began, response.status_code, response.json()


def collect(client: httpx.AsyncClient, n: int) -> Awaitable[httpx.Response]:
    return client.post("/v1/events", json={**PAGE, "messageId": f"m{n}"}, headers=WRITE)


async def test_a_redis_that_hangs_costs_collectors_a_second_and_deciders_nothing(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    assert composition.APPEND_TIMEOUT_S < 1.0
    settings = settings_for(own_redis.url, tmp_path, redis_timeout_ms=100, deadline_ms=400)
    async with api(settings) as client:
        await until(lambda: accepted(client, PAGE))
        await until(all_well(client))
        with hanging(own_redis):
            await until(says(client, "redis", "Redis does not answer"))

            for callers in (1, 100):
                answers = await asyncio.gather(*(timed(collect(client, n)) for n in range(callers)))
                assert {status for _, status, _ in answers} == {503}
                assert {body["code"] for _, _, body in answers} == {"unavailable"}
                # All wait beside one another, and none for Redis: one after the other they would take 90 s.
                assert max(seconds for seconds, _, _ in answers) < GENEROUS_S
            assert "the log" in (await readyz(client))[1]["reasons"]["log"]

            for n in range(20):
                began = time.monotonic()
                tier = (await decide(client, f"a{n}"))["decisions"][0]["tier"]
                assert (tier, time.monotonic() - began < GENEROUS_S) == ("contextual", True)

        await until(lambda: accepted(client, PAGE))
        await until(lambda: personalised(client))
        await until(all_well(client))


async def personalised(client: httpx.AsyncClient) -> bool:
    return bool((await decide(client))["decisions"][0]["tier"] == "personalised")


async def test_a_redis_that_is_gone_is_told(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client:
        await until(all_well(client))
        own_redis.stop()
        await until(says(client, "redis", "Redis does not answer"))
        await until(lambda: shows(client, 'nextbest_not_well{part="redis"} 1.0'))
        own_redis.start()
        await until(all_well(client))
        await until(lambda: shows(client, 'nextbest_not_well{part="redis"} 0.0'))


async def shows(client: httpx.AsyncClient, line: str) -> bool:
    return line in (await client.get("http://inner/metrics")).text.splitlines()


async def test_a_redis_whose_disk_is_full_is_called_that(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client, Redis.from_url(own_redis.url) as redis:
        await until(lambda: accepted(client, PAGE))
        await redis.config_set("save", "1 1")
        shutil.rmtree(own_redis.data_dir)  # it stands in a folder that is gone, and can save to it no more
        await redis.bgsave()
        await until(says(client, "redis", "the disk Redis writes to is full or cannot be written"))
        response = await client.post("/v1/events", json=PAGE, headers=WRITE)
        assert (response.status_code, response.json()["code"]) == (503, "storage_full")
        assert "once there is room" in response.json()["message"]
        assert "MISCONF" not in response.text
        assert (await decide(client))["decisions"][0]["tier"] == "personalised", "reading goes on"
        await redis.config_set("stop-writes-on-bgsave-error", "no")
        await redis.config_set("save", "")  # else it would wait at its end for a disk it can save to
        await until(lambda: accepted(client, PAGE))
        await until(all_well(client))


async def test_a_redis_without_memory_is_called_that(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client, Redis.from_url(own_redis.url) as redis:
        await until(lambda: accepted(client, PAGE))
        await redis.config_set("maxmemory", 1)
        await until(says(client, "redis", "Redis is out of memory"))
        response = await client.post("/v1/events", json=PAGE, headers=WRITE)
        assert (response.status_code, response.json()["code"]) == (503, "storage_full")
        await redis.config_set("maxmemory", 0)
        await until(lambda: accepted(client, PAGE))
        await until(all_well(client))


async def test_whether_redis_takes_writes_is_asked_without_writing(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client, Redis.from_url(own_redis.url) as redis:
        await until(all_well(client))
        asked = "cmdstat_setrange"
        before = (await redis.info("commandstats"))[asked]["calls"]

        async def asked_again() -> bool:
            return bool((await redis.info("commandstats"))[asked]["calls"] > before + 2)

        await until(asked_again)
        assert not await redis.exists("test:probe")
        assert "probe" not in "".join(
            path.read_text(errors="replace") for path in (tmp_path / "redis").glob("*.aof")
        )


async def test_a_task_that_ends_is_started_again_counted_and_told(
    own_redis: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [RuntimeError("nobody expected this"), OSError(28, "No space left on device")]
    append = Spool._next_batch

    async def failing(spool: Spool) -> Sequence[Record] | None:
        if ends:
            raise ends.pop()
        return await append(spool)

    async with api(settings_for(own_redis.url, tmp_path)) as client:
        await until(all_well(client))
        monkeypatch.setattr(Spool, "_next_batch", failing)
        await decide(client)
        await until(says(client, "task:spool", "it ended, and is started again: RuntimeError"))
        assert await shows(client, 'nextbest_task_restarts_total{task="spool"} 2.0')

        async def decided() -> bool:
            return await shows(client, "nextbest_spool_records 0.0")

        await until(decided)
        await until(all_well(client))


async def test_what_is_no_model_is_told_and_keeps_no_other_from_being_followed(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client, Redis.from_url(own_redis.url) as redis:
        keys = Keys("test")
        await redis.sadd(keys.models, "home.hero", "home.list")
        await redis.hset(keys.model("home.hero"), mapping={"version": 7, "header": b"\xff", "at_ms": 1})
        await redis.set(keys.model("home.list"), "not even a hash")
        await until(says(client, "models", "the newest of home.hero, home.list cannot be read here"))
        assert (await decide(client))["decisions"][0]["tier"] == "personalised"
        await redis.delete(keys.models)
        await until(all_well(client))


async def test_metrics_that_only_grow_are_counters(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    async with api(settings_for(own_redis.url, tmp_path)) as client:
        await client.post("/v1/events", json={**PAGE, "colour": "red"}, headers=WRITE)
        await until(lambda: shows(client, "nextbest_unknown_fields_total 1.0"))
        assert await shows(client, "nextbest_spool_dropped_records_total 0.0")
        text = (await client.get("http://inner/metrics")).text
        assert set(re.findall(r"# TYPE (\S*(?:unknown|dropped|restarts)\S*_total) (\w+)", text)) == {
            ("nextbest_unknown_fields_total", "counter"),
            ("nextbest_spool_dropped_records_total", "counter"),
            ("nextbest_task_restarts_total", "counter"),
        }


async def test_starting_while_redis_hangs_takes_seconds_not_a_minute(
    own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    settings = settings_for(own_redis.url, tmp_path)
    with hanging(own_redis):
        began = time.monotonic()
        async with composition.open_services(settings) as services:
            assert time.monotonic() - began < 5.0
            assert set(services.readiness().missing) == {"catalog", "models"}
            with pytest.raises(Exception, match="no catalog is published yet"):
                _ = services.catalog.current
