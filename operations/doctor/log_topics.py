"""The log: its topics, who reads them, how far they are behind, how full they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis

from eventlog.group_members import group_members
from eventlog.kafka import KafkaLog
from eventlog.port import LogIdentity, check_identity
from eventlog.redis_keys import group_keys, partition_keys
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import OUTCOMES, VISITOR_LOG
from installation.kafka_security import kafka_security
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings
from personalization.errors import Refused, Unavailable
from state.keys import Keys
from state.log_identity import LogIdentityStore

READERS = (("folder", VISITOR_LOG), ("learner", OUTCOMES))
"""Who reads what, and commits how far; the projector commits nothing."""

MANY_ENTRIES = 5_000
"""About a second of full load: a worker further behind is not ready."""

FULL_SHARE = 0.8
KAFKA_S = 3.0


async def check_log(around: Surroundings, redis: Redis, log: RedisStreamsLog | KafkaLog) -> list[Finding]:
    """Whether the log is the one that was folded, is read, and has room."""
    try:
        identity = await log.identity()
    except Unavailable as error:
        return [look("log", str(error), "start a folder: it creates the log; or `nextbest epoch` tells of it")]
    known = await LogIdentityStore(redis, Keys(around.settings.namespace)).known()
    try:
        check_identity(identity, known)
    except Refused as error:
        return [wrong("log", str(error), "see which log it is", "another-epoch")]
    found = []
    for role, topic in READERS:
        found += await _read_by(around, redis, log, role, topic)
        share = await log.fill_share(topic)
        if share >= FULL_SHARE:
            made = wrong if share >= 1 else look
            what = f"{topic} holds {share:.0%} of what it may, and none of it may go yet"
            found.append(made("log", what, f"see to the {role}; or NEXTBEST_LOG_BYTES", "the-log-takes-nothing"))
    if isinstance(log, RedisStreamsLog):
        oldest = await _oldest(around, redis, identity)
        where = f"in Redis; {oldest}"
    else:
        where = f"in Kafka at {around.settings.kafka}"
    told = f"epoch {identity.epoch} with {identity.n_partitions} partitions, {where}"
    return found or [ok("log", f"{told}; its readers keep up")]


async def _read_by(
    around: Surroundings, redis: Redis, log: RedisStreamsLog | KafkaLog, role: str, topic: str
) -> list[Finding]:
    ends = await log.end_offsets(topic)
    earliest = await log.earliest_offsets(topic)
    done = await log.committed_offsets(role, topic)
    lag = behind(ends, earliest, done)
    at_work = await _at_work(around, redis, role)
    if at_work:
        if lag <= MANY_ENTRIES:
            return []
        return [
            look(
                "log",
                f"the {role} is {lag:,} entries behind the end of {topic}",
                "see whether it catches up; its /readyz and log say why if it does not",
                "folding-behind" if role == "folder" else "learning-behind",
            )
        ]
    what = f"no {role} is at work: {lag:,} entries of {topic} wait"
    remedy = f"start one: `nextbest {role}`, or `nextbest up`"
    return [wrong("log", what, remedy, "nobody-folds" if role == "folder" else "learning-behind")]


def behind(ends: Sequence[int], earliest: Sequence[int], committed: Sequence[int | None]) -> int:
    """Entries that are there and not committed, over all partitions.

    >>> behind([10, 5], [2, 0], [8, None])
    7
    """
    return sum(
        max(0, end - max(first, done or 0)) for end, first, done in zip(ends, earliest, committed, strict=True)
    )


async def _at_work(around: Surroundings, redis: Redis, role: str) -> bool:
    settings = around.settings
    if settings.kafka:
        group = f"{settings.namespace}.{role}"
        return bool(await group_members(settings.kafka, group, KAFKA_S, kafka_security(settings)))
    return bool(await redis.get(group_keys(f"{settings.namespace}.", role).lease))


async def _oldest(around: Surroundings, redis: Redis, identity: LogIdentity) -> str:
    """How long ago what the visitor log still holds began, by its segments."""
    name = f"{around.settings.namespace}.{VISITOR_LOG}" + (f".e{identity.epoch}" if identity.epoch > 1 else "")
    pipeline = redis.pipeline(transaction=False)
    for partition in range(identity.n_partitions):
        pipeline.lindex(partition_keys(name, partition).segments, 0)
    oldest = [int(each.split()[2]) for each in await cast("Any", pipeline.execute()) if each]
    if not oldest:
        return "it is empty"
    hours = max(0, around.machine.clock_ms() - min(oldest)) / 3_600_000
    return f"it reaches back {hours:,.1f} h"
