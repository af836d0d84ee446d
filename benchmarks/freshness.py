"""Freshness as a client sees it: from the intended send of an event until a decide answers the next revision.

    python -m benchmarks.freshness --url http://127.0.0.1:8700 --rate 1000 --seconds 20

Open loop: events are sent on schedule whatever the answers take, and time counts from the schedule (no coordinated
omission). Every so often one of them belongs to a probe visitor: its ``POST /v1/decide`` with ``placements: []``
is repeated every millisecond until ``stateRevision`` has grown. Goals: p50 ≤ 8 ms and p99 ≤ 25 ms on Redis
Streams, 15 and 50 on Kafka.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import aiohttp
from hdrh.histogram import HdrHistogram

from benchmarks.ending import end_by_sigterm

PROBE_EVERY_S = 0.05
GIVE_UP_S = 5.0
WARM_UP_S = 2.0


class Load:
    """The background events and the probes.

    Parameters
    ----------
    rate
        Events per second, probes included.
    batch
        Events of the background per request: 1 as a page sends them, more as servers and apps do. A probe's event
        always travels alone.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, rate: float, batch: int = 1, n_visitors: int = 500
    ) -> None:
        self._session = session
        self._batch = batch
        self._url = url
        self._rate = rate
        self._run = uuid.uuid4().hex[:8]
        self._n_visitors = n_visitors
        self._n = 0
        self.histogram = HdrHistogram(1, 10_000_000, 3)
        """Microseconds."""
        self.n_sent = 0
        self.n_failed = 0
        self.n_given_up = 0

    async def run(self, seconds: float) -> None:
        """Send for so long, then wait for what is under way."""
        under_way: set[asyncio.Task[None]] = set()
        started_s = time.perf_counter()
        next_probe_s = started_s + WARM_UP_S
        n = 0
        while (due_s := started_s + n / self._rate) < started_s + seconds:
            n += 1
            probe = due_s >= next_probe_s
            if not probe and n % self._batch:
                continue
            wait_s = due_s - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            if probe:
                next_probe_s += PROBE_EVERY_S
                task = asyncio.create_task(self._probe(due_s))
            else:
                visitors = [f"{self._run}-{(n + i) % self._n_visitors}" for i in range(self._batch)]
                task = asyncio.create_task(self._send(visitors))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=2 * GIVE_UP_S)

    async def _send(self, visitors: Sequence[str]) -> None:
        """One request with an event of each of the ``visitors``."""
        events = [self._event(visitor) for visitor in visitors]
        body = events[0] if len(events) == 1 else {"events": events}
        try:
            async with self._session.post(f"{self._url}/v1/events", json=body) as answer:
                await answer.read()
                self.n_failed += answer.status != 200
        except aiohttp.ClientError:
            self.n_failed += 1
        self.n_sent += len(events)

    def _event(self, visitor: str) -> dict[str, Any]:
        self._n += 1
        return {
            "type": "track",
            "messageId": f"{self._run}-{self._n}",
            "anonymousId": visitor,
            "event": "Product Viewed",
            "properties": {"category": ("shoes", "hats", "bags")[self._n % 3]},
        }

    async def _probe(self, due_s: float) -> None:
        """One event of a visitor nobody has seen: its revision starts at 0."""
        visitor = f"{self._run}-probe-{uuid.uuid4().hex[:8]}"
        sending = asyncio.create_task(self._send([visitor]))
        while time.perf_counter() - due_s < GIVE_UP_S:
            asked_s = time.perf_counter()
            if await self._revision(visitor) > 0:
                self.histogram.record_value(max(1, int((time.perf_counter() - due_s) * 1e6)))
                break
            await asyncio.sleep(max(0.0, asked_s + 0.001 - time.perf_counter()))
        else:
            self.n_given_up += 1
        await sending

    async def _revision(self, visitor: str) -> int:
        body: dict[str, Any] = {"visitor": {"anonymousId": visitor}, "placements": []}
        try:
            async with self._session.post(f"{self._url}/v1/decide", json=body) as answer:
                return int((await answer.json()).get("stateRevision") or 0)
        except aiohttp.ClientError:
            return 0


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8700")
    parser.add_argument("--key", default="pk_dev")
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--batch", type=int, default=1, help="events of the background per request")
    arguments = parser.parse_args()
    connector = aiohttp.TCPConnector(limit=256)
    headers = {"Authorization": f"Bearer {arguments.key}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        load = Load(session, arguments.url.rstrip("/"), arguments.rate, arguments.batch)
        await load.run(arguments.seconds)
    measured = load.histogram
    report = {
        "rate": arguments.rate,
        "batch": arguments.batch,
        "sent": load.n_sent,
        "failed": load.n_failed,
        "probes": measured.get_total_count(),
        "given_up": load.n_given_up,
        "freshness_ms": {
            name: round(measured.get_value_at_percentile(at) / 1000, 2)
            for name, at in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    end_by_sigterm()
    asyncio.run(main())
