"""Who reads for a consumer group on Kafka, asked before something is done that takes stopped workers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
)

from eventlog.kafka_security import PLAINTEXT, KafkaSecurity
from personalization.errors import Unavailable

TRANSIENT = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""A new cluster makes its offsets topic when first asked for a coordinator."""


async def group_members(
    servers: str, group: str, timeout_s: float = 10.0, security: KafkaSecurity = PLAINTEXT
) -> list[str]:
    """The clients (``client@host``) that are members of ``group`` now; none for a group nobody has heard of.

    A worker that was killed stays a member until its session ends.

    Raises
    ------
    Unavailable
        If Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=servers, request_timeout_ms=int(timeout_s * 1000), **security.options()
    )
    try:
        async with asyncio.timeout(timeout_s):
            await admin.start()
            return await _described(admin, group)
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka does not answer at {servers}: {type(error).__name__} {error}") from error
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()


async def _described(admin: Any, group: str) -> list[str]:
    while True:
        try:
            responses = await admin.describe_consumer_groups([group])
        except TRANSIENT:
            await asyncio.sleep(0.1)
            continue
        members = []
        for response in responses:
            for _error, _group, _state, _protocol_type, _protocol, found, *_ in response.groups:
                members += [f"{client}@{host.lstrip('/')}" for _id, client, host, *_ in found]
        return members
