"""The log that the settings name."""

from __future__ import annotations

from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import open_log
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import Topics
from installation.kafka_security import kafka_security
from personalization.data_cipher import DataCipher

WORKERS_HEADROOM = 0.5
"""A worker appends into a log that is full for collectors: an entry emits less than itself, save a merge."""


def log_of(
    settings: Settings,
    cipher: DataCipher,
    *,
    headroom_share: float = 0.0,
    append_timeout_s: float | None = None,
) -> RedisStreamsLog | KafkaLog:
    """The log: Kafka if the settings name one, else Redis Streams. Nothing is connected yet.

    See ``eventlog.opening.open_log`` for the parameters.
    """
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    return open_log(
        url,
        topics,
        headroom_share=headroom_share,
        append_timeout_s=append_timeout_s,
        security=kafka_security(settings),
        cipher=cipher,
    )
