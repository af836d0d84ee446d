"""Commands packed by hiredis are, byte for byte, those of redis-py's own asyncio connection."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Connection, Redis
from redis.exceptions import DataError

from eventlog.redis_connection import PackedConnection


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "é{a:1}"),
        ("CONFIG GET", "maxmemory"),
        ("SET", b"\x00\xff\r\n", 7, -3, 1.5, 0.1, 1e300, float("inf"), ""),
        ("EVALSHA", b"x" * 100_000, memoryview(b"ab"), bytearray(b"cd")),
    ],
)
def test_the_bytes_of_a_command_are_the_librarys(command: tuple[Any, ...]) -> None:
    assert b"".join(PackedConnection().pack_command(*command)) == b"".join(Connection().pack_command(*command))


@pytest.mark.parametrize("value", [True, None, ["a"]])
def test_what_redis_cannot_take_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        PackedConnection().pack_command("SET", "a", value)


def test_a_url_brings_its_own_class_where_it_needs_one() -> None:
    plain = Redis.from_url("redis://127.0.0.1:1", connection_class=PackedConnection)
    secure = Redis.from_url("rediss://127.0.0.1:1", connection_class=PackedConnection)
    assert plain.connection_pool.connection_class is PackedConnection
    assert secure.connection_pool.connection_class is not PackedConnection
