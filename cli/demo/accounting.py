"""Lost and duplicated events, counted from what the visitors' states say they applied."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from cli.demo.transport import ApiError, Transport

SETTLE_S = 30.0
"""How long the last events may take from the log into the states before they count as lost."""

POLL_S = 0.1
TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Accounts:
    """Events that never arrived, and events applied more than once."""

    lost: int
    duplicates: int


async def count(transport: Transport, sent: Mapping[str, int], settle_s: float = SETTLE_S) -> Accounts:
    """Compare every visitor's ``eventCount`` with the distinct events ``sent`` for it.

    A state still short of events is asked again until ``settle_s`` have passed.
    """
    until = time.monotonic() + settle_s
    limit = asyncio.Semaphore(TOGETHER)

    async def one(visitor_id: str, n_sent: int) -> int:
        async with limit:
            while True:
                n = await _event_count(transport, visitor_id)
                if n >= n_sent or time.monotonic() > until:
                    return n - n_sent
                await asyncio.sleep(POLL_S)

    off_by = await asyncio.gather(*(one(visitor_id, n) for visitor_id, n in sent.items()))
    return Accounts(lost=-sum(n for n in off_by if n < 0), duplicates=sum(n for n in off_by if n > 0))


async def _event_count(transport: Transport, visitor_id: str) -> int:
    try:
        answer = await transport.request("GET", f"/v1/visitors/{quote(visitor_id, safe='')}")
    except ApiError as error:
        if error.status == 404:
            return 0
        raise
    return int(answer["eventCount"])
