"""The two logs every test of the contract runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventlog.kafka import KafkaLog
from eventlog.opening import open_log
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import Topics
from personalization.data_cipher import CLEAR, DataCipher

N_PARTITIONS = 4


@pytest.fixture(
    params=[pytest.param("redis", marks=pytest.mark.redis), pytest.param("kafka", marks=pytest.mark.kafka)]
)
def log_url(request: pytest.FixtureRequest) -> str:
    """A log's address, once per server."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"kafka://{request.getfixturevalue('kafka_server')}"


@pytest.fixture
def cipher() -> DataCipher:
    """What seals the log; nothing, but where a module says otherwise."""
    return CLEAR


@pytest.fixture
async def log(log_url: str, namespace: str, cipher: DataCipher) -> AsyncIterator[RedisStreamsLog | KafkaLog]:
    """A created, empty log in a namespace of its own."""
    log = open_log(log_url, Topics(prefix=namespace), cipher=cipher)
    await log.start()
    await log.create(N_PARTITIONS)
    yield log
    await log.close()
