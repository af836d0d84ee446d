"""Topics of the log on Kafka: created, closed for writing at the end of an epoch, and opened again.

A topic is closed by its own ``max.message.bytes``: at 1 the partition's leader refuses every batch, whoever sends
it, and what is there stays readable. A broker goes by the new value milliseconds after it has learned of it, so
whoever closes a topic waits until every broker names the value, and a moment longer. Since the metadata log is
ordered, a broker that knows the topics of the next epoch has learned of it in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.admin import DescribeConfigsRequest

from eventlog.topics import Retention
from personalization.errors import Refused, Unavailable

MAX_BYTES = "max.message.bytes"
CLOSED = "1"
SETTLE_S = 0.1
"""From a broker's knowing of a setting to its going by it: some milliseconds in the same thread."""

_OF_THE_TOPIC = 1
"""Where a setting comes from: the topic itself, not a default of the broker."""


async def create_topics(
    admin: Any, retention: Mapping[str, Retention], n_partitions: int, replication: int
) -> None:
    """Create the topics that are missing.

    Parameters
    ----------
    retention
        By the name on the server.

    Raises
    ------
    Unavailable
        If Kafka does not create one.
    """
    topics = [
        NewTopic(
            name,
            n_partitions,
            replication,
            topic_configs={"retention.ms": str(kept.max_age_ms), "cleanup.policy": "delete"},
        )
        for name, kept in retention.items()
    ]
    response = await admin.create_topics(topics)
    for error in response.topic_errors:
        kind = for_code(error[1])
        if error[1] and kind is not TopicAlreadyExistsError:
            raise Unavailable(f"Kafka did not create {error[0]}: {kind.__name__} {error[2]}")


async def close_topics(admin: Any, names: Sequence[str], closed: bool) -> None:
    """Let the brokers refuse, or take again, every append to these topics.

    Raises
    ------
    Refused
        If this user may not change the topics' settings.
    Unavailable
        If Kafka does not change them for another reason.
    """
    resources = []
    for name, own in (await _own_settings(admin, names)).items():
        settings = {key: value for key, value in own.items() if key != MAX_BYTES}
        if closed:
            settings[MAX_BYTES] = CLOSED
        # The request replaces all settings of a topic, so those an operator made go along.
        resources.append(ConfigResource(ConfigResourceType.TOPIC, name, settings))
    for response in await admin.alter_configs(resources):
        for code, message, _kind, name in response.resources:
            error = for_code(code)
            if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
                raise Refused(
                    f"Kafka does not let this user change the settings of {name}: give it AlterConfigs and "
                    "DescribeConfigs on the topics of the log"
                )
            if code:
                raise Unavailable(f"Kafka did not change {name}: {error.__name__} {message or ''}".rstrip())


async def until_closed(client: Any, names: Sequence[str], timeout_s: float) -> None:
    """Wait until every broker that ``client`` (an ``AIOKafkaClient``) knows goes by it.

    Raises
    ------
    Unavailable
        If one does not in time.
    """
    request = DescribeConfigsRequest([(ConfigResourceType.TOPIC, name, [MAX_BYTES]) for name in names], False)
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    for broker in client.cluster.brokers():
        while True:
            response = await client.send(broker.nodeId, request)
            if all(_own(entries).get(MAX_BYTES) == CLOSED for *_, entries in response.resources):
                break
            if loop.time() > until:
                raise Unavailable(f"broker {broker.nodeId} does not close the topics of this epoch: try again")
            await asyncio.sleep(0.02)
    await asyncio.sleep(SETTLE_S)


async def are_closed(admin: Any, names: Sequence[str]) -> bool:
    """Whether one of the topics is closed for writing."""
    settings = await _own_settings(admin, names)
    return any(own.get(MAX_BYTES) == CLOSED for own in settings.values())


async def _own_settings(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What is set on the topics themselves; a topic that is not there has nothing."""
    found: dict[str, dict[str, str]] = {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    for response in await admin.describe_configs(wanted):
        for code, _message, _kind, name, entries in response.resources:
            if code == 0:
                found[name] = _own(entries)
    return found


def _own(entries: Sequence[Any]) -> dict[str, str]:
    return {key: value for key, value, _read_only, source, *_ in entries if source == _OF_THE_TOPIC}
