"""Who collects by which dialect: how each sends events, and what it is told once the log has them."""

from __future__ import annotations

from typing import Any, Protocol

import httpx

from tests.unit.api.site import WRITE, Site


class Collecting(Protocol):
    """Sends events of Segment's shape by one dialect."""

    name: str
    path: str

    async def send(self, site: Site, *events: dict[str, Any], headers: dict[str, str] = WRITE) -> httpx.Response:
        """Send them at once."""
        ...

    async def send_texts(self, site: Site, *events: str) -> httpx.Response:
        """Send them at once, as they are written."""
        ...


class OwnCollecting:
    """By our own dialect."""

    name = "own"
    path = "/v1/events"

    async def send(self, site: Site, *events: dict[str, Any], headers: dict[str, str] = WRITE) -> httpx.Response:
        return await site.client.post(self.path, json={"events": list(events)}, headers=headers)

    async def send_texts(self, site: Site, *events: str) -> httpx.Response:
        return await _send(site, self.path, f'{{"events": [{",".join(events)}]}}')


class SegmentCollecting:
    """In batches on Segment's wire."""

    name = "segment"
    path = "/v1/batch"

    async def send(self, site: Site, *events: dict[str, Any], headers: dict[str, str] = WRITE) -> httpx.Response:
        return await site.client.post(self.path, json={"batch": list(events)}, headers=headers)

    async def send_texts(self, site: Site, *events: str) -> httpx.Response:
        return await _send(site, self.path, f'{{"batch": [{",".join(events)}]}}')


class SegmentSingly:
    """One by one on Segment's wire, as pages send them."""

    name = "segment-singly"
    path = "/v1/t"

    async def send(self, site: Site, *events: dict[str, Any], headers: dict[str, str] = WRITE) -> httpx.Response:
        answers = [
            await site.client.post(f"/v1/{event['type'][0]}", json=event, headers=headers) for event in events
        ]
        return max(answers, key=lambda answer: answer.status_code)

    async def send_texts(self, site: Site, *events: str) -> httpx.Response:
        return [await _send(site, self.path, event) for event in events][-1]


async def _send(site: Site, path: str, body: str) -> httpx.Response:
    return await site.client.post(path, content=body, headers=WRITE)


COLLECTING: tuple[Collecting, ...] = (OwnCollecting(), SegmentCollecting(), SegmentSingly())
