"""What an agent handles and acknowledges: what was read since reading last began anew, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from stream.batch_agent import BatchAgent
from stream.worker_app import WorkerApp

HERE, THERE = TP("log", 0), TP("log", 1)


class App:
    """What an agent asks of its app."""

    should_stop = False
    reading = 1
    lease_generation = 7

    def __init__(self) -> None:
        self.acknowledged: dict[TP, list[int]] = {}
        self.work: Callable[[Any], Any] | None = None

    def receive(self, topics: Sequence[str], receiver: Any, work: Callable[[Any], Any]) -> None:
        self.work = work

    def acknowledge(self, done: dict[TP, list[int]]) -> None:
        for tp, offsets in done.items():
            self.acknowledged.setdefault(tp, []).extend(offsets)


class Handler:
    """Remembers what it is given."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.handled: list[tuple[int, int, int]] = []
        self.raises: Exception | None = None
        self.begins_anew = False

    async def __call__(self, messages: Sequence[tuple[int, int, int]]) -> None:
        if self.raises is not None:
            raise self.raises
        self.handled += messages
        if self.begins_anew:
            self.app.reading += 1


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def handler(app: App) -> Handler:
    return Handler(app)


@pytest.fixture
async def agent(app: App, handler: Handler) -> BatchAgent[tuple[int, int, int]]:
    return BatchAgent(
        cast("WorkerApp", app),
        "log",
        lambda partition, entry, generation: (partition, entry.offset, generation),
        handler,
        10,
        lambda _: 0.0,
    )


def entries(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


async def work_a_while(app: App) -> None:
    assert app.work is not None
    working = asyncio.ensure_future(app.work(None))
    await asyncio.wait([working], timeout=0.05)
    app.should_stop = True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_what_was_handled_is_acknowledged(
    app: App, handler: Handler, agent: BatchAgent[tuple[int, int, int]]
) -> None:
    reached = await agent.take({HERE: entries(3, 5), THERE: entries(1)}, {HERE: 3, THERE: 1})
    assert reached == {HERE: 6, THERE: 2}
    await work_a_while(app)
    assert handler.handled == [(0, 3, 7), (0, 5, 7), (1, 1, 7)]
    assert app.acknowledged == {HERE: [3, 5], THERE: [1]}


async def test_what_was_read_before_reading_began_anew_is_left_to_be_read_again(
    app: App, handler: Handler, agent: BatchAgent[tuple[int, int, int]]
) -> None:
    await agent.take({HERE: entries(3, 4)}, {HERE: 3})
    app.reading, app.lease_generation = 2, 8
    await agent.take({HERE: entries(2)}, {HERE: 2})
    await work_a_while(app)
    assert handler.handled == [(0, 2, 8)]
    assert app.acknowledged == {HERE: [2]}


async def test_what_was_in_hand_when_reading_began_anew_is_not_acknowledged(
    app: App, handler: Handler, agent: BatchAgent[tuple[int, int, int]]
) -> None:
    handler.begins_anew = True
    await agent.take({HERE: entries(3)}, {HERE: 3})
    await work_a_while(app)
    assert handler.handled == [(0, 3, 7)]
    assert app.acknowledged == {}


async def test_what_a_batch_raises_ends_the_agent_and_acknowledges_nothing(
    app: App, handler: Handler, agent: BatchAgent[tuple[int, int, int]]
) -> None:
    handler.raises = ValueError("a batch")
    await agent.take({HERE: entries(3)}, {HERE: 3})
    await work_a_while(app)
    assert app.acknowledged == {}
    with pytest.raises(ValueError, match="a batch"):
        await agent.until_ended()


async def test_an_agent_that_is_stopped_ends_though_a_call_dropped_its_cancellation(
    app: App, handler: Handler, agent: BatchAgent[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As redis-py's sending does before Python 3.12: the worker waited for its agent for ever."""
    entered = asyncio.Event()

    async def drops(messages: Sequence[tuple[int, int, int]]) -> None:
        entered.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        handler.handled += messages

    monkeypatch.setattr(agent, "_handle", drops)
    assert app.work is not None
    work = asyncio.create_task(app.work(None))
    await agent.take({HERE: entries(1)}, {HERE: 1})
    await entered.wait()
    app.should_stop = True
    work.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({work})
    assert work.cancelled()
    assert app.acknowledged == {HERE: [1]}, "what was handled all the same is done"
