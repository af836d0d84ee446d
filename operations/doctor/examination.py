"""All checks together: each is bounded, none disturbs another, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import aiohttp
from aiokafka.errors import KafkaError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from eventlog.redis_connection import redis_client
from eventlog.redis_errors import in_words, refusal
from installation.visitor_log import log_of
from operations.doctor.catalog import check_published
from operations.doctor.clock import check_clock
from operations.doctor.disk import check_data_dir, check_redis_disk
from operations.doctor.finding import Finding, Level, look, wrong
from operations.doctor.host import check_open_files, check_ports
from operations.doctor.kafka_broker import check_broker
from operations.doctor.log_topics import check_log
from operations.doctor.processes import check_processes
from operations.doctor.redis_memory import check_memory, check_use
from operations.doctor.redis_server import check_kernel, check_persistence, check_reachable, check_writable
from operations.doctor.settings import check_settings
from operations.doctor.surroundings import Surroundings
from operations.doctor.versions import check_packages, check_redis_version
from operations.watching.inner_port import InnerPorts
from personalization.data_cipher import CLEAR
from personalization.errors import NextbestError

CHECK_S = 3.0
"""Of one check. Redis is asked first whether it is there, the others follow together: both, what is closed at the
end, and the start of the command stay below ten seconds."""

CLOSE_S = 0.5
ANSWER_S = 2.0

OfRedis = Callable[[Surroundings, Redis], Awaitable[list[Finding]]]

OF_REDIS: Mapping[str, OfRedis] = {
    "redis-version": check_redis_version,
    "redis": check_writable,
    "redis-persistence": check_persistence,
    "redis-memory": check_memory,
    "redis-use": check_use,
    "redis-kernel": check_kernel,
    "clock": check_clock,
    "catalog": check_published,
    "disk": check_redis_disk,
}

ORDER = (
    *("settings", "versions", "redis", "redis-version", "redis-persistence", "redis-memory", "redis-use"),
    *("redis-kernel", "clock", "kafka", "log", "catalog", "processes", "disk", "host"),
)
"""Of what is shown: what others rest on first."""


async def examine(around: Surroundings) -> list[Finding]:
    """Look at everything; what could not be looked at is a finding too."""
    looked = [
        _bounded("settings", check_settings(around)),
        _bounded("versions", check_packages(around)),
        _bounded("disk", check_data_dir(around)),
        _bounded("host", check_open_files(around)),
        _bounded("host", check_ports(around)),
        _processes(around),
        _servers(around),
    ]
    found = [finding for findings in await asyncio.gather(*looked) for finding in findings]
    return sorted(found, key=lambda finding: ORDER.index(finding.check))


def is_wrong(findings: list[Finding]) -> bool:
    """Whether anything is."""
    return any(finding.level is Level.WRONG for finding in findings)


async def _processes(around: Surroundings) -> list[Finding]:
    async with aiohttp.ClientSession() as session:
        return await _bounded("processes", check_processes(around, InnerPorts(session, ANSWER_S)))


async def _servers(around: Surroundings) -> list[Finding]:
    if around.not_running:
        return [wrong("redis", around.not_running, "start it: `nextbest up`, with the same --data-dir")]
    if around.is_unknown("NEXTBEST_REDIS"):
        remedy = "set NEXTBEST_REDIS right"
        return [look("redis", "Redis is not asked, as its address cannot be read", remedy)]
    redis = redis_client(
        around.settings.redis,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        reachable, of_kafka = await asyncio.gather(
            _bounded("redis", check_reachable(around, redis)), _kafka(around)
        )
        if any(finding.level is Level.WRONG for finding in reachable):
            return [*reachable, *of_kafka]
        checks = [_bounded(name, check(around, redis)) for name, check in OF_REDIS.items()]
        of_redis = await asyncio.gather(*checks, _log(around, redis, of_kafka))
        return [*reachable, *of_kafka, *(finding for findings in of_redis for finding in findings)]
    finally:
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await redis.aclose()


async def _kafka(around: Surroundings) -> list[Finding]:
    if around.is_unknown("NEXTBEST_KAFKA"):
        return [look("kafka", "Kafka is not asked, as its address cannot be read", "set NEXTBEST_KAFKA right")]
    return await _bounded("kafka", check_broker(around)) if around.settings.kafka else []


async def _log(around: Surroundings, redis: Redis, of_kafka: list[Finding]) -> list[Finding]:
    if any(finding.level is Level.WRONG for finding in of_kafka) or around.is_unknown("NEXTBEST_KAFKA"):
        return []
    log = log_of(around.settings, CLEAR)
    try:
        return await _bounded("log", check_log(around, redis, log))
    finally:
        with suppress(NextbestError, KafkaError, RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await log.close()


async def _bounded(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    """What a check found; or that it could not look, and why."""
    try:
        async with asyncio.timeout(CHECK_S):
            return await check
    except TimeoutError:
        return [look(name, f"nothing was heard of it within {CHECK_S:g} s", "try again; see what hangs")]
    except RedisError as error:
        if refusal(error) == "NOPERM":
            what = f"this user of Redis may not look ({error})"
            return [look(name, what, "give it the command, or look as another user")]
        return [look(name, f"it cannot be looked at: {in_words(error)}", "see what Redis says")]
    except (KafkaError, NextbestError, OSError) as error:
        return [look(name, f"it cannot be looked at: {error}", "try again")]
