"""Connections to Redis, by a URL that says all there is to know of the server: password and files of TLS included.

hiredis packs their commands, as redis-py's own blocking connection has it done. Its asyncio connection packs them
in Python, argument by argument: a fifth of what a small batch costs a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError

from background.redis_url import apart
from background.tls import TlsFiles


class _Packing(AbstractConnection):
    _serializer = HiredisRespSerializer()

    def pack_command(self, *args: Any) -> list[bytes]:
        """The bytes of one command.

        Raises
        ------
        redis.exceptions.DataError
            Where an argument is neither text, bytes nor a number.
        """
        packed: list[bytes] = self._serializer.pack(*args)
        return packed

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.WriteTransport:
        """The transport of a connection that was made; what arrives goes to ``protocol`` from now on."""
        if self._writer is None:
            raise RedisConnectionError("the connection was closed")
        transport = self._writer.transport
        transport.set_protocol(protocol)
        return transport

    def let_go(self) -> None:
        """Close at once, whatever is under way."""
        self._parser.on_disconnect()  # type: ignore[no-untyped-call]
        self._close()  # type: ignore[no-untyped-call]


class HandedOver(Protocol):
    """A connection that redis-py makes, and whose transport somebody else uses."""

    async def connect(self) -> None:
        """Connect, with password, TLS and database; raises ``RedisError`` or ``OSError``."""

    def hand_over(self, protocol: asyncio.BaseProtocol) -> asyncio.WriteTransport:
        """The transport; what arrives goes to ``protocol``."""

    def let_go(self) -> None:
        """Close at once."""


class PackedConnection(_Packing, Connection):
    """Over TCP."""


class PackedUnixConnection(_Packing, UnixDomainSocketConnection):
    """Over a Unix socket."""


class PackedTlsConnection(_Packing, SSLConnection):
    """Over TLS. The files are read for each connection: what has taken their place is in force from the next on.

    Parameters
    ----------
    tls
        None: as redis-py's own parameters of the URL (``ssl_ca_certs`` …) say.
    """

    def __init__(self, tls: TlsFiles | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments: dict[str, Any] = dict(super()._connection_arguments())
        if self._tls is not None:
            arguments["ssl"] = self._tls.context()
        return arguments


class PlainPool(ConnectionPool):
    """Gives and takes connections without a lock, counters of telemetry and a word to listeners: nobody reads them.

    They are a good part of what a command costs its caller. What a pool promises stays: a connection that was
    closed, or on which something came unasked, is made anew.
    """

    async def get_connection(self, command_name: object = None, *keys: Any, **options: Any) -> AbstractConnection:
        """One that is ready to send a command."""
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            if not connection.is_connected or await connection.can_read():
                await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take it back."""
        if connection.should_reconnect():  # type: ignore[no-untyped-call]
            await connection.disconnect()
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)


_PACKED = {SSLConnection: PackedTlsConnection, UnixDomainSocketConnection: PackedUnixConnection}


def redis_client(url: str, **options: Any) -> Redis:
    """A client for ``url``, which says more than the ``options`` where both speak.

    It closes its connections when it is closed.
    """
    plain, tls = apart(url)
    arguments: dict[str, Any] = {**options, **parse_url(plain)}
    kind = _PACKED.get(arguments.pop("connection_class", None), PackedConnection)
    if tls is not None:
        arguments["tls"] = tls
    client: Redis = Redis.from_pool(PlainPool(connection_class=kind, **arguments))
    return client
