"""A pipeline hands each reply to whoever asked, connects when it is asked, and leaves a connection that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from eventlog.redis_pipeline import RedisPipeline

WITHIN_S = 5.0


class Server:
    """Speaks enough of Redis: every command gets what stands for it, or nothing while it hangs."""

    def __init__(self) -> None:
        self.replies: dict[bytes, bytes] = {}
        self.hangs = False
        self.n_connections = 0
        self.url = ""
        self.unanswered = asyncio.Semaphore(0)
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        self._writers.add(writer)
        self._serving.append(asyncio.current_task())
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            if words[0] == b"GET" and self.hangs:
                self.unanswered.release()
                continue
            writer.write(self.replies.get(words[-1], b"+OK\r\n"))
        writer.close()

    def drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def ended(self) -> None:
        await asyncio.wait([task for task in self._serving if task])


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}?protocol=2"
    try:
        yield server
    finally:
        listening.close()
        server.drop()
        await server.ended()


class Answer:
    """What a question came to."""

    def __init__(self, pipeline: RedisPipeline, name: str) -> None:
        self.came: list[Any] = []
        self._event = asyncio.Event()
        self.asked = pipeline.ask(self._take, "GET", name)

    def _take(self, outcome: Any) -> None:
        self.came.append(outcome)
        self._event.set()

    async def whole(self) -> Any:
        async with asyncio.timeout(WITHIN_S):
            await self._event.wait()
        (outcome,) = self.came
        return outcome


async def test_each_gets_its_own_reply_over_one_connection() -> None:
    async with serving() as server:
        server.replies = {b"a": b"$1\r\nA\r\n", b"b": b"$-1\r\n", b"c": b"-WRONGTYPE no\r\n"}
        pipeline = RedisPipeline(server.url, 1.0)
        a, b, c = (Answer(pipeline, name) for name in "abc")  # before it is connected
        assert await a.whole() == b"A"
        assert await b.whole() is None
        assert isinstance(await c.whole(), ResponseError)
        assert await Answer(pipeline, "a").whole() == b"A"
        assert server.n_connections == 1
        await pipeline.aclose()


async def test_a_connection_that_broke_fails_what_was_asked_and_the_next_question_finds_another() -> None:
    async with serving() as server:
        pipeline = RedisPipeline(server.url, 1.0)
        await Answer(pipeline, "a").whole()
        server.hangs = True
        lost = Answer(pipeline, "a")
        server.drop()
        assert isinstance(await lost.whole(), RedisConnectionError)
        server.hangs = False
        assert await Answer(pipeline, "a").whole() == b"OK"
        assert server.n_connections == 2
        await pipeline.aclose()


async def test_who_gave_up_hears_nothing_and_others_ask_over_another_connection() -> None:
    async with serving() as server:
        pipeline = RedisPipeline(server.url, 1.0)
        await Answer(pipeline, "a").whole()
        server.hangs = True
        left, waiting = Answer(pipeline, "a"), Answer(pipeline, "a")
        async with asyncio.timeout(WITHIN_S):
            await server.unanswered.acquire()
            await server.unanswered.acquire()
        left.asked.leave()
        server.hangs = False
        assert await Answer(pipeline, "a").whole() == b"OK"
        assert server.n_connections == 2
        assert not left.came
        assert not waiting.came, "whoever has not given up still waits"
        waiting.asked.leave()
        assert len(pipeline._lanes) == 1, "nobody waits for the other"
        await pipeline.aclose()


async def test_where_nobody_listens_whoever_asked_is_told() -> None:
    async with serving() as server:
        url = server.url
        await Answer(pipeline := RedisPipeline(url, 1.0), "a").whole()
        await pipeline.aclose()
    pipeline = RedisPipeline(url, 1.0)
    assert isinstance(await Answer(pipeline, "a").whole(), RedisConnectionError)
    await pipeline.aclose()


async def test_a_connection_under_way_is_made_though_whoever_asked_for_it_gave_up() -> None:
    async with serving() as server:
        server.replies = {b"a": b"$1\r\nA\r\n", b"b": b"$1\r\nB\r\n"}
        pipeline = RedisPipeline(server.url, 1.0)
        impatient = Answer(pipeline, "a")
        impatient.asked.leave()
        assert await Answer(pipeline, "b").whole() == b"B"
        assert server.n_connections == 1, "one by TLS would never be made within a decision's deadline"
        assert not impatient.came
        await pipeline.aclose()
