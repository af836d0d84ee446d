"""Looks at all processes of an installation at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from operations.watching.frame import WANTED, Look, ProcessLook
from operations.watching.inner_port import Address, InnerPorts
from operations.watching.scrape import read_metrics


class Watcher:
    """Asks each process how it is and what it has counted."""

    def __init__(self, ports: InnerPorts, addresses: Mapping[str, Address]) -> None:
        self._ports = ports
        self._addresses = addresses

    async def look(self) -> Look:
        """What they say now; who does not answer in time is away."""
        looks = await asyncio.gather(*(self._one(address) for address in self._addresses.values()))
        return dict(zip(self._addresses, looks, strict=True))

    async def _one(self, address: Address) -> ProcessLook:
        readiness, text = await asyncio.gather(self._ports.readiness(address), self._ports.metrics(address))
        at_s = time.monotonic()
        return ProcessLook(readiness, None if text is None else read_metrics(text, at_s, WANTED))
