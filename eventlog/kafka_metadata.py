"""Kafka's metadata request in the version that tells topic ids (KIP-516), which aiokafka does not speak yet.

A topic deleted and created anew has the same name and another id: only the id shows that stored offsets no
longer mean anything.
"""

from __future__ import annotations

import uuid
from io import BytesIO
from typing import Any, NamedTuple

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)


class _Uuid(AbstractType):
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _Response(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV12(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _AllTopics(Request[_RequestV12]):
    API_KEY = 3

    def build(self, request_struct_class: type[_RequestV12]) -> _RequestV12:
        return request_struct_class(None, False, False, {})


class TopicMetadata(NamedTuple):
    """What identifies a topic."""

    topic_id: str
    n_partitions: int


class ClusterMetadata(NamedTuple):
    """What identifies a cluster, and all its topics by name."""

    cluster_id: str
    topics: dict[str, TopicMetadata]


async def fetch_metadata(client: Any) -> ClusterMetadata:
    """Ask any broker ``client`` (an ``AIOKafkaClient``) knows."""
    response = await client.send(client.get_random_node(), _AllTopics())
    return ClusterMetadata(
        response.cluster_id,
        {
            name: TopicMetadata(str(topic_id), len(partitions))
            for error, name, topic_id, _internal, partitions, _operations, _tags in response.topics
            if error == 0
        },
    )
