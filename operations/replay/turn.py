"""One backfill at a time, and each with a number of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from installation.opened import Installation
from operations.replay.passed_on import BACKFILL
from personalization.errors import Refused
from stream.transports.lease import Lease

LEASE_S = 30.0
"""As long as Redis may be away before another backfill can begin."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to be the only backfill.

    Attributes
    ----------
    number
        Counts the backfills there were.
    is_over
        Whether another has begun, since this one did not reach Redis for too long.
    """

    number: int
    is_over: Callable[[], bool]

    def check(self) -> None:
        """Go on only while it lasts.

        Raises
        ------
        Refused
            If it is over.
        """
        if self.is_over():
            raise Refused("another backfill has begun meanwhile: nothing is claimed; wait until that one is over")


@asynccontextmanager
async def only_backfill(opened: Installation) -> AsyncIterator[Turn]:
    """While the block runs, no other backfill does.

    Raises
    ------
    Refused
        If another does.
    """
    lease = Lease(opened.redis, f"{opened.settings.namespace}.{BACKFILL}", LEASE_S)
    if not await lease.take():
        raise Refused(
            f"another backfill runs ({await lease.holder()}): wait until it is over; one that was killed is "
            f"forgotten after {LEASE_S:.0f} s"
        )
    holding = asyncio.create_task(lease.hold())
    try:
        yield Turn(lease.generation, holding.done)
    finally:
        holding.cancel()
        await lease.release()
