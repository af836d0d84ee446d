"""Commands to Redis on one connection as they come, and their replies as they arrive: no task, no timer, no lock.

What redis-py's asyncio client does for each command (a connection from its pool, a future that its stream's reader
waits for, a timer) takes longer than Redis does. It still connects, with password, TLS and database; then its
transport is ours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from eventlog.redis_connection import HandedOver, redis_client

Then: TypeAlias = Callable[[Any], None]
"""Takes the reply, or the error that came in its place; must not raise."""

_MORE = object()


class RedisPipeline:
    """Asks Redis; connects when it is asked, and again once a connection broke or somebody gave up on it.

    Parameters
    ----------
    url
        All there is to know of the server.
    connect_timeout_s
        For the connection alone; who asks gives up when it likes, and others find it made.
    """

    def __init__(self, url: str, connect_timeout_s: float) -> None:
        pool = redis_client(url, socket_connect_timeout=connect_timeout_s).connection_pool
        self._connection = cast("Callable[[], HandedOver]", pool.make_connection)
        self._lane: _Lane | None = None
        self._lanes: set[_Lane] = set()

    def ask(self, then: Then, *command: str | bytes) -> Asked:
        """Send a command; ``then`` is told what came of it, once, unless the one asked is left before."""
        lane = self._lane
        if lane is None or lane.is_closed:
            lane = self._lane = _Lane(self._connection(), self._lanes)
        return lane.ask(then, command)

    async def aclose(self) -> None:
        """Close the connections; what was asked fails."""
        self._lane = None
        for lane in list(self._lanes):
            await lane.aclose()


class Asked:
    """A command that was sent."""

    __slots__ = ("_lane", "packed", "then")

    def __init__(self, then: Then, lane: _Lane, packed: bytes) -> None:
        self.then: Then | None = then
        self.packed = packed
        self._lane = lane

    def leave(self) -> None:
        """Wait for the reply no more; what is asked from now on goes by another connection, if there was one."""
        self.then = None
        self._lane.left(self)


class _Lane(asyncio.Protocol):
    """A connection, with what it has not answered yet, in order.

    Attributes
    ----------
    is_closed
        Nothing more may be asked of it.
    """

    def __init__(self, connection: HandedOver, lanes: set[_Lane]) -> None:
        self._connection = connection
        self._lanes = lanes
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_MORE)
        self._asked: deque[Asked] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self.is_closed = False
        lanes.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def ask(self, then: Then, command: tuple[str | bytes, ...]) -> Asked:
        asked = Asked(then, self, hiredis.pack_command(command))
        self._asked.append(asked)
        if self._transport is not None:
            self._transport.write(asked.packed)
        return asked

    def left(self, asked: Asked) -> None:
        """Somebody waits no more. It is closed once nobody does; while it connects it is still made."""
        if self._transport is None:
            self._asked.remove(asked)
            return
        self.is_closed = True
        if all(asked.then is None for asked in self._asked):
            self._close(RedisConnectionError("given up"))

    async def aclose(self) -> None:
        self._close(RedisConnectionError("closed"))
        await asyncio.wait([self._connecting])

    async def _connect(self) -> None:
        try:
            await self._connection.connect()
            transport = self._connection.hand_over(self)
        except Exception as error:  # whatever kept it from being there is what those who wait are told
            self._close(error)
            return
        if self._asked:
            transport.write(b"".join(asked.packed for asked in self._asked))
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand on every reply that is whole."""
        reader = self._reader
        reader.feed(data)
        while (reply := reader.gets()) is not _MORE:
            if isinstance(reply, hiredis.PushNotification):
                continue
            then = self._asked.popleft().then
            if then is not None:
                then(reply)
        if self.is_closed and all(asked.then is None for asked in self._asked):
            self._close(RedisConnectionError("given up"))

    def connection_lost(self, exc: Exception | None) -> None:
        """What was asked will not be answered."""
        self._close(RedisConnectionError(f"the connection to Redis broke: {exc or 'it was closed'}"))

    def _close(self, error: Exception) -> None:
        self.is_closed = True
        self._lanes.discard(self)
        self._connecting.cancel()
        self._connection.let_go()
        asked, self._asked = self._asked, deque()
        for each in asked:
            if each.then is not None:
                each.then(error)
