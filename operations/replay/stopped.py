"""Workers must be stopped while what they write is written anew; and stay so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from eventlog.group_members import group_members
from installation.kafka_security import kafka_security
from installation.opened import Installation
from personalization.errors import Refused
from stream.transports.lease import Lease

HOW_TO_STOP = (
    "stop it and try again: Ctrl-C in `nextbest up`, then --data-dir; `docker compose stop folder learner`; or "
    "whatever keeps the workers running"
)


@asynccontextmanager
async def workers_stopped(opened: Installation, roles: Collection[str]) -> AsyncIterator[None]:
    """While the block runs, nobody works in these roles (``folder``, ``learner``).

    On Redis Streams their leases are ours meanwhile: a worker that starts waits. Kafka has no leases; there a
    worker that starts all the same finds every state with its fence, and a write that it forestalls is refused.

    Raises
    ------
    Refused
        Where somebody does.
    """
    async with AsyncExitStack() as stack:
        for role in roles:
            group = f"{opened.settings.namespace}.{role}"
            if opened.settings.kafka:
                security = kafka_security(opened.settings)
                members = await group_members(opened.settings.kafka, group, security=security)
                if members:
                    raise Refused(f"a {role} is at work ({', '.join(sorted(members))}): {HOW_TO_STOP}")
                continue
            lease = Lease(opened.redis, group, opened.settings.lease_ms / 1000)
            if not await lease.take():
                raise Refused(f"a {role} is at work ({await lease.holder()}): {HOW_TO_STOP}")
            stack.push_async_callback(lease.release)
            renewing = asyncio.create_task(lease.hold())
            stack.callback(renewing.cancel)
        yield
