"""A connection is used again only where nothing but the next reply can come on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from background.ports import free_port
from eventlog.redis_connection import redis_client

COMMAND = re.compile(rb"(?:^|(?<=\n))\*\d+\r\n")


class Server:
    """Says OK to every command, and what else it is told to; the connections it was opened."""

    def __init__(self) -> None:
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.silent = False
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while data := await reader.read(65_536):
            self.asked.set()
            if not self.silent:
                writer.write(b"+OK\r\n" * len(COMMAND.findall(data)))
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for writer in server.writers:
        writer.close()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Redis]:
    client = client_of(server.port)
    yield client
    await client.aclose()


def client_of(port: int) -> Redis:
    return redis_client(f"redis://127.0.0.1:{port}", retry=Retry(NoBackoff(), 0), protocol=2)


async def asked(client: Redis) -> object:
    async with asyncio.timeout(5):
        return await client.get("a")


async def until_ended(client: Redis) -> None:
    """Until what the server did has reached the client's one connection."""
    (connection,) = client.connection_pool._available_connections
    for _ in range(10_000):
        if await connection.can_read():
            return
        await asyncio.sleep(0)
    raise AssertionError("nothing came")


async def test_a_connection_that_rests_is_used_again(server: Server, client: Redis) -> None:
    assert [await asked(client) for _ in range(3)] == [b"OK"] * 3
    assert len(server.writers) == 1


async def test_two_at_once_have_one_each(server: Server, client: Redis) -> None:
    assert set(await asyncio.gather(asked(client), asked(client))) == {b"OK"}
    assert len(server.writers) == 2


async def test_one_that_the_server_closed_is_made_anew(server: Server, client: Redis) -> None:
    await asked(client)
    server.writers[0].close()
    await until_ended(client)
    assert await asked(client) == b"OK"
    assert len(server.writers) == 2


async def test_what_comes_unasked_is_nobodys_reply(server: Server, client: Redis) -> None:
    await asked(client)
    server.writers[0].write(b"+SOMEBODY ELSE'S\r\n")
    await until_ended(client)
    assert await asked(client) == b"OK"
    assert len(server.writers) == 2


async def test_the_reply_to_who_gave_up_is_nobody_elses(server: Server, client: Redis) -> None:
    await asked(client)
    server.silent = True
    server.asked.clear()
    given_up = asyncio.create_task(asked(client))
    await server.asked.wait()
    given_up.cancel()
    await asyncio.wait([given_up])
    server.silent = False
    server.writers[0].write(b"+TOO LATE\r\n")
    assert await asked(client) == b"OK"
    assert len(server.writers) == 2


async def test_who_cannot_connect_takes_no_place_in_the_pool() -> None:
    client = client_of(free_port())
    pool = client.connection_pool
    for _ in range(3):
        with pytest.raises(RedisConnectionError):
            await asked(client)
    assert (len(pool._in_use_connections), len(pool._available_connections)) == (0, 1)
    await client.aclose()
