"""The client for asyncio leaves the event loop to others, and is cancelled like anything that is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.clients.stub_server import Stub, serving
from tests.running import eventually

from nextbest_client import AsyncClient, Visitor

ANNA = Visitor(anonymous_id="a1")


@pytest.fixture
async def held() -> AsyncIterator[tuple[Stub, AsyncClient]]:
    with serving() as stub:
        stub.free.clear()
        async with AsyncClient(stub.url, "pk_dev", timeout_s=10) as client:
            yield stub, client
            stub.free.set()


async def test_a_decide_that_waits_holds_up_no_loop(held: tuple[Stub, AsyncClient]) -> None:
    stub, client = held
    asked = asyncio.create_task(client.decide("hero", ANNA))
    await eventually(lambda: len(stub.asked) == 1, "it is under way")
    stub.free.set()
    assert (await asked).error is None


async def test_who_is_cancelled_gets_no_default(held: tuple[Stub, AsyncClient]) -> None:
    stub, client = held
    asked = asyncio.create_task(client.decide("hero", ANNA, default="welcome"))
    await eventually(lambda: len(stub.asked) == 1, "it is under way")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_what_went_with_a_decide_that_is_cancelled_is_told_all_the_same(
    held: tuple[Stub, AsyncClient],
) -> None:
    stub, client = held
    asked = asyncio.create_task(client.decide("hero", ANNA, events=[{"type": "page"}], request_id="r-1"))
    await eventually(lambda: len(stub.asked) == 1, "it is under way")
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    stub.free.set()
    assert await client.flush()
    assert [event["messageId"] for event in stub.events()] == ["r-1:0"]
