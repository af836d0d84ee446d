"""The decisions that ``benchmarks.decide_cost`` asks for, over as many connections as it says: a closed loop."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import cast

KEY = "pk_bench"
N_VISITORS, N_CONNECTIONS = 2_000, 64


class Connection(asyncio.Protocol):
    """One keep-alive connection: the next request as soon as the answer is whole."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)
        self.ask()

    def ask(self) -> None:
        """Send the next request."""
        request = self.load.next_request()
        if request is None:
            self.transport.close()
        else:
            self.began = time.perf_counter()
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Read the answer."""
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.buffer = body[length:]
        self.load.answered(head, body, time.perf_counter() - self.began)
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        self.load.closed()


class Load:
    """A number of requests over 64 connections."""

    def __init__(self, n_requests: int, seed: int) -> None:
        self.left = n_requests
        self.rng = random.Random(seed)
        self.seconds: list[float] = []
        self.tiers: dict[str, int] = {}
        self.open = N_CONNECTIONS
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes | None:
        """The next one's bytes."""
        if self.left <= 0:
            return None
        self.left -= 1
        body = json.dumps(
            {
                "visitor": {"anonymousId": f"v{self.rng.randrange(N_VISITORS)}"},
                "placements": ["home.hero"],
                "context": {
                    "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
                    "locale": "en-GB",
                    "page": {"path": "/"},
                },
            }
        ).encode()
        head = (
            "POST /v1/decide HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def answered(self, head: bytes, body: bytes, seconds: float) -> None:
        """Count one."""
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"{head!r} {body!r}")
        self.seconds.append(seconds)
        for decision in json.loads(body).get("decisions", ()) if len(self.seconds) % 16 == 0 else ():
            self.tiers[decision["tier"]] = self.tiers.get(decision["tier"], 0) + 1

    def closed(self) -> None:
        """One connection is done."""
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


async def run_load(port: int, n_requests: int, seed: int) -> Load:
    """Send them all."""
    loop = asyncio.get_running_loop()
    load = Load(n_requests, seed)
    for _ in range(N_CONNECTIONS):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", port)
    await load.done
    return load
