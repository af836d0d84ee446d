"""Commands packed by hiredis are, byte for byte, those of redis-py's own asyncio connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import DataError

from background.redis_url import complete_url
from background.tls import TlsFiles
from eventlog.redis_connection import PackedConnection, PackedTlsConnection, PackedUnixConnection, redis_client


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


@pytest.mark.parametrize(
    ("url", "connection"),
    [
        ("redis://127.0.0.1:1", PackedConnection),
        ("rediss://127.0.0.1:1", PackedTlsConnection),
        ("unix:///run/redis.sock", PackedUnixConnection),
    ],
)
def test_every_kind_of_connection_packs_so(url: str, connection: Callable[[], Connection]) -> None:
    pool = redis_client(url, socket_timeout=3.0).connection_pool
    assert pool.connection_class is connection
    assert connection().pack_command("PING") == [b"*1\r\n$4\r\nPING\r\n"]
    assert pool.connection_kwargs["socket_timeout"] == 3.0


def test_what_the_url_says_of_tls_reaches_the_connection_and_redis_py_sees_none_of_it() -> None:
    files = TlsFiles(ca="/etc/c a.pem", certificate="/etc/c.pem", key="/etc/k.pem", server_name="cache.internal")
    url = complete_url("rediss://user@cache:6380/2", "p/w?&", files)
    told = redis_client(url).connection_pool.connection_kwargs
    expected = {"username": "user", "password": "p/w?&", "host": "cache", "port": 6380, "db": 2, "tls": files}
    assert {name: told[name] for name in expected} == expected
    assert not [name for name in told if name.startswith(("tls_", "ssl_"))]
