"""Kafka: there, with the topics of the log, which enough replicas hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from eventlog.kafka_security import why_shut_out
from eventlog.topics import VISITOR_LOG, Topics
from installation.kafka_security import kafka_security
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings
from personalization.errors import Unavailable

REQUEST_S = 3.0
SHUT_OUT_S = 1.0
ANSWER_S = 1.2
CLOSE_S = 0.3
"""Together below what one check may take, so that a broker that says nothing is told of as such."""


async def check_broker(around: Surroundings) -> list[Finding]:
    """Whether it answers, lets us in, and keeps the topics as they should be."""
    settings = around.settings
    with suppress(TimeoutError):
        async with asyncio.timeout(SHUT_OUT_S):
            if why := await why_shut_out(settings.kafka, kafka_security(settings), SHUT_OUT_S):
                return [wrong("kafka", why, "give what it wants", "redis-and-kafka-by-tls")]
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.kafka,
        request_timeout_ms=int(REQUEST_S * 1000),
        **kafka_security(settings).options(),
    )
    try:
        try:
            async with asyncio.timeout(ANSWER_S):
                await admin.start()
        except (KafkaError, OSError, TimeoutError) as error:
            why = str(error) or f"nothing within {ANSWER_S:g} s"
            remedy = "start it, or name another in NEXTBEST_KAFKA"
            return [wrong("kafka", f"Kafka at {settings.kafka} does not answer ({why})", remedy, "log-refuses")]
        return await _topics(around, admin)
    finally:
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await admin.close()


async def _topics(around: Surroundings, admin: Any) -> list[Finding]:
    settings = around.settings
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    names = await admin.list_topics()
    epochs = [epoch for name in names if (epoch := topics.epoch_of(name, VISITOR_LOG)) is not None]
    if not epochs:
        return [look("kafka", f"Kafka at {settings.kafka} answers; the log is not created", "start a folder")]
    wanted = {topics.on_server(topic, max(epochs)): kept for topic, kept in topics.retention.items()}
    missing = sorted(set(wanted) - set(names))
    if missing:
        what = f"topics are missing: {', '.join(missing)}"
        return [wrong("kafka", what, "they were deleted: restart the workers, which create them", "log-refuses")]
    described = {each["topic"]: each["partitions"] for each in await admin.describe_topics(list(wanted))}
    found = _partitions(described)
    for name, own in (await _settings(admin, list(wanted))).items():
        fewest = min((len(each["replicas"]) for each in described[name]), default=0)
        found += of_topic(name, own, fewest, wanted[name].max_age_ms)
    n_partitions = len(next(iter(described.values())))
    told = f"Kafka at {settings.kafka} answers; {len(wanted)} topics of {n_partitions} partitions"
    return found or [ok("kafka", told)]


def _partitions(described: Mapping[str, Any]) -> list[Finding]:
    counts = {name: len(partitions) for name, partitions in described.items()}
    found = []
    if len(set(counts.values())) > 1:
        what = ", ".join(f"{name} has {count}" for name, count in counts.items())
        found.append(wrong("kafka", f"partitions differ: {what}", "never add partitions by hand", "another-epoch"))
    lagging = [
        f"{name} {each['partition']}"
        for name, partitions in described.items()
        for each in partitions
        if len(each["isr"]) < len(each["replicas"])
    ]
    if lagging:
        what = f"{len(lagging)} partitions have replicas that are not in sync, such as {lagging[0]}"
        found.append(look("kafka", what, "see which broker is away, or slow"))
    return found


def of_topic(name: str, own: Mapping[str, str], n_replicas: int, max_age_ms: int) -> list[Finding]:
    """What is to be said of a topic's settings.

    Parameters
    ----------
    own
        Its settings by name, the broker's defaults among them.
    n_replicas
        Of its partition that has the fewest.
    max_age_ms
        How long our settings keep its entries.
    """
    found = []
    in_sync = int(own.get("min.insync.replicas", "1"))
    if in_sync > n_replicas:
        what = f"{name} wants {in_sync} replicas in sync and has {n_replicas}: it takes nothing"
        found.append(wrong("kafka", what, "lower min.insync.replicas, or give it replicas", "log-refuses"))
    elif n_replicas > 1 and in_sync < 2:
        what = f"{name} acknowledges what a single broker has: it is lost with that broker"
        found.append(look("kafka", what, "set min.insync.replicas to 2"))
    if own.get("cleanup.policy", "delete") != "delete":
        what = f"{name} is compacted: entries that must be read go"
        found.append(wrong("kafka", what, "set cleanup.policy to delete", "entries-missing"))
    kept_ms = int(own.get("retention.ms", "-1"))
    if 0 <= kept_ms < max_age_ms:
        what = f"{name} is kept for {kept_ms / 3_600_000:,.0f} h, the settings say {max_age_ms / 3_600_000:,.0f} h"
        found.append(look("kafka", what, "set its retention.ms, or NEXTBEST_LOG_AGE_MS", "entries-missing"))
    return found


async def _settings(admin: Any, names: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(wanted):
        for code, message, _kind, name, entries in response.resources:
            if code:
                raise Unavailable(f"Kafka does not tell the settings of {name} ({message})")
            found[name] = {key: value for key, value, *_ in entries}
    return found
