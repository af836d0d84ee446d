"""A connection to Redis whose commands hiredis packs, as redis-py's own blocking connection has it done.

Its asyncio connection packs them in Python, argument by argument: a fifth of what a small batch costs a worker.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Connection
from redis.connection import HiredisRespSerializer


class PackedConnection(Connection):
    """For ``connection_class`` of ``Redis.from_url``; for TLS and Unix sockets redis-py takes its own."""

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
