"""Bodies of requests under way have so much room together, and give it back whatever becomes of them."""

from __future__ import annotations

import asyncio
import gzip
import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.http.dialect import NO_CONTENT, Call, Dialect, Reply, Route
from api.http.endpoint import Endpoint
from api.limits.body_room import BodyRoom
from api.process.metrics import ApiMetrics
from api.services.core import Core
from api.services.request_lines import RequestLines

LIMIT = 16 * 1024 * 1024
PART = b"x" * 1024 * 1024


class Desk:
    """A route that reads bodies, and keeps each until it is told to answer."""

    def __init__(self) -> None:
        services = SimpleNamespace(metrics=ApiMetrics(), tracer=None, request_lines=RequestLines())
        core = SimpleNamespace(services=services, bodies=BodyRoom(LIMIT))
        route = Route(("POST",), "/", "desk", None, self.handle)
        self.endpoint = Endpoint(Dialect("desk", "/", (route,)), route, cast(Core, core))
        self.may_answer = asyncio.Event()

    async def handle(self, call: Call) -> Reply:
        await call.body(LIMIT)
        await self.may_answer.wait()
        return NO_CONTENT

    def ask(self, *parts: bytes, ends: bool = True) -> asyncio.Task[int]:
        """The status, once there is one; a body that does not end is waited for."""
        coming = list(parts)
        sent: list[Any] = []

        async def receive() -> Any:
            if not coming:
                await asyncio.Event().wait()
            part = coming.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(coming) or not ends}

        async def send(message: Any) -> None:
            sent.append(message)

        async def status() -> int:
            scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
            await self.endpoint(scope, receive, send)
            return int(sent[0]["status"])

        return asyncio.create_task(status())


async def turns() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_what_does_not_fit_is_told_to_come_again_and_fits_once_others_are_answered() -> None:
    desk = Desk()
    first = [desk.ask(*[PART] * 16) for _ in range(3)]
    under_way = desk.ask(*[PART] * 15, ends=False)
    await turns()
    assert await desk.ask(*[PART] * 2) == 503
    small = desk.ask(b"{}")
    await turns()
    desk.may_answer.set()
    assert [await each for each in [*first, small]] == [204] * 4
    assert [await desk.ask(*[PART] * 16) for _ in range(3)] == [204] * 3
    under_way.cancel()
    await asyncio.wait([under_way])
    assert [await each for each in [desk.ask(*[PART] * 16) for _ in range(4)]] == [204] * 4


@pytest.mark.parametrize("part", [gzip.compress(os.urandom(1000) * 1000)[:-9], gzip.compress(b" " * 9_000_000)])
async def test_what_is_refused_gives_its_room_back(part: bytes) -> None:
    desk = Desk()
    desk.may_answer.set()
    for _ in range(100):
        assert await desk.ask(part) in (400, 413)
    assert [await each for each in [desk.ask(*[PART] * 16) for _ in range(4)]] == [204] * 4


async def test_what_is_unpacked_takes_room_too() -> None:
    desk = Desk()
    packed = gzip.compress(os.urandom(400_000) + b" " * 15_000_000)
    asked = [desk.ask(packed) for _ in range(6)]
    await turns()
    desk.may_answer.set()
    statuses = [await each for each in asked]
    assert statuses.count(204) == 4
    assert statuses.count(503) == 2
