"""Asks a process how it is, at its inner port."""

from __future__ import annotations

from typing import NamedTuple

import aiohttp
import msgspec

from personalization.errors import InvalidInput

PART_BYTES = 64 * 1024
MAX_BYTES = 64 * 1024 * 1024
"""Of one answer; ten thousand series are 1 MB."""


class Address(NamedTuple):
    """Where a process tells how it is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str) -> Address:
    """The address that ``host:port`` means.

    Raises
    ------
    InvalidInput
        If it is none.

    >>> address_of("10.0.0.7:8701"), str(address_of("[::1]:8701"))
    (Address(host='10.0.0.7', port=8701), '[::1]:8701')
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidInput("--inner", f"{text!r} is no address: write host:port, such as 10.0.0.7:8701")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


class Readiness(msgspec.Struct, frozen=True):
    """What ``/readyz`` says, of an API process or a worker.

    Attributes
    ----------
    status
        ``ready`` or ``waiting``.
    reason
        Why a worker waits.
    missing
        What an API process lacks.
    warnings
        What is not well: the names of parts (API), or sentences (workers).
    reasons
        What is missing or not well of an API process, in words.
    """

    status: str
    reason: str = ""
    missing: list[str] = []
    warnings: list[str] = []
    reasons: dict[str, str] = {}

    @property
    def waits_for(self) -> str:
        """Why it is not ready; empty: it is."""
        if self.status == "ready":
            return ""
        return self.reason or "; ".join(f"{name}: {self.reasons.get(name, '')}" for name in self.missing) or "?"

    @property
    def not_well(self) -> list[str]:
        """What is not well though it does its work, each in a sentence."""
        return [f"{each}: {self.reasons[each]}" if each in self.reasons else each for each in self.warnings]


class InnerPorts:
    """Asks processes; nobody is waited for longer than ``within_s``."""

    def __init__(self, session: aiohttp.ClientSession, within_s: float) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=within_s)

    async def readiness(self, address: Address) -> Readiness | None:
        """What it says of itself; None: nothing, or nothing that can be read."""
        body = await self._get(address, "/readyz")
        try:
            return None if body is None else msgspec.json.decode(body, type=Readiness)
        except msgspec.DecodeError:
            return None

    async def metrics(self, address: Address) -> str | None:
        """Its metrics as Prometheus's text; None: it says nothing."""
        body = await self._get(address, "/metrics")
        return None if body is None else body.decode("utf-8", errors="replace")

    async def _get(self, address: Address, path: str) -> bytes | None:
        body = bytearray()
        try:
            async with self._session.get(f"http://{address}{path}", timeout=self._timeout) as answer:
                async for part in answer.content.iter_chunked(PART_BYTES):
                    body += part
                    if len(body) > MAX_BYTES:
                        return None
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        return bytes(body)
