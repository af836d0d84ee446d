"""Which adapter a URL means."""

from __future__ import annotations

from eventlog.kafka import KafkaLog
from eventlog.kafka_security import PLAINTEXT, KafkaSecurity
from eventlog.port import EventLog
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import Topics
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import InvalidInput

DEFAULT_PARTITIONS = {"kafka": 64, "redis": 4}
"""Kafka shares partitions among workers, so there are enough to grow into; on Redis one worker has all."""


def open_log(
    url: str,
    topics: Topics | None = None,
    *,
    replication: int = 1,
    headroom_share: float = 0.0,
    append_timeout_s: float | None = None,
    security: KafkaSecurity = PLAINTEXT,
    cipher: DataCipher = CLEAR,
) -> RedisStreamsLog | KafkaLog:
    """The log at ``url``; nothing is connected yet.

    Parameters
    ----------
    url
        ``redis://host:port/db``, ``rediss://…``, ``unix:///path?db=0`` or ``kafka://host:port[,host:port…]``.
    topics
        The namespace.
    replication
        Of topics created on Kafka.
    headroom_share
        See ``RedisStreamsLog``.
    append_timeout_s
        How long an append may take before its caller is told that the log is away; none: as long as suits a
        worker. A collector answers within a second.
    security
        How Kafka's brokers are spoken to; a URL of Redis says it itself.
    cipher
        Seals what is appended and opens what is read; as it is, nothing is sealed.

    Raises
    ------
    InvalidInput
        If no adapter knows the scheme.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "unix"):
        return RedisStreamsLog(
            url, topics, headroom_share=headroom_share, append_timeout_s=append_timeout_s, cipher=cipher
        )
    if scheme == "kafka" and rest:
        return KafkaLog(
            rest.strip("/"),
            topics,
            replication=replication,
            append_timeout_s=append_timeout_s,
            security=security,
            cipher=cipher,
        )
    raise InvalidInput("log_url", f"{url!r}: write redis://host:port/db, unix:///path or kafka://host:port")


def default_partitions(log: EventLog) -> int:
    """How many partitions a new log gets."""
    return DEFAULT_PARTITIONS["kafka" if isinstance(log, KafkaLog) else "redis"]
