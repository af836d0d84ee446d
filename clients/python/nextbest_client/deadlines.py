"""An answer that is read until a point in time: timeouts of sockets are for each part of it alone."""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class Until:
    """What ``http.client`` reads an answer from.

    Parameters
    ----------
    end_s
        By ``time.monotonic()``: then a read raises ``TimeoutError``, however much came before.
    """

    def __init__(self, sock: socket.socket, end_s: float) -> None:
        self._sock, self._end_s = sock, end_s

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As that of the socket."""
        return io.BufferedReader(_Reading(self._sock, self._end_s))


class _Reading(io.RawIOBase):
    def __init__(self, sock: socket.socket, end_s: float) -> None:
        self._sock, self._end_s = sock, end_s
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(max(0.001, self._end_s - time.monotonic()))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
