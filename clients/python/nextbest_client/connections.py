"""POSTs over connections that are kept, on the standard library alone."""

from __future__ import annotations

import functools
import http.client
import random
import socket
import ssl
import time
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from nextbest_client.deadlines import Until
from nextbest_client.errors import not_reached

MAX_RETRY_AFTER_S = 3600.0
"""Whoever asks for more is asked once an hour."""


class Reply(NamedTuple):
    """An answer; ``retry_after_s`` is what it asks to wait before the next try, 0 if nothing."""

    status: int
    body: bytes
    retry_after_s: float


class Connections:
    """Kept connections to one server; any thread may post.

    Raises
    ------
    ValueError
        Where address or key cannot be one.
    """

    def __init__(self, url: str, key: str, ssl_context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url is {url!r}; pass one such as https://nextbest.example.com")
        if not key or key.split() != [key]:
            raise ValueError("key is empty or holds blanks; pass it as `nextbest keys` printed it")
        if not key.isascii():
            raise ValueError("key holds what no key does; pass it as `nextbest keys` printed it")
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = (ssl_context or ssl.create_default_context()) if parts.scheme == "https" else None
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._resting: deque[http.client.HTTPConnection] = deque()
        self._ended = False

    def post(self, path: str, body: bytes, timeout_s: float) -> Reply:
        """Post once. On a connection that was closed while it rested it is sent again: each request counts once.

        Raises
        ------
        NextbestError
            ``timeout`` or ``unreachable``: there is no answer.
        """
        end = time.monotonic() + timeout_s
        try:
            try:
                return self._exchange(self._resting.pop(), path, body, end)
            except (ConnectionError, IndexError):
                self.close()
            return self._exchange(self._opened(), path, body, end)
        except Exception as error:
            raise not_reached(error) from error

    def close(self) -> None:
        """Close those that rest."""
        while self._resting:
            try:
                self._resting.pop().close()
            except IndexError:  # another thread took the last one
                return

    def end(self) -> None:
        """Close those that rest, and those under way once they have their answers."""
        self._ended = True
        self.close()

    def _opened(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._tls)

    def _exchange(self, connection: http.client.HTTPConnection, path: str, body: bytes, end: float) -> Reply:
        connection.timeout = left_s = max(0.001, end - time.monotonic())
        if connection.sock is not None:
            connection.sock.settimeout(left_s)
        connection.response_class = functools.partial(_answer, end)  # type: ignore[assignment]
        try:
            connection.request("POST", self._base + path, body, self._headers)
            response = connection.getresponse()
            reply = Reply(response.status, response.read(), _seconds(response.getheader("Retry-After")))
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._resting.append(connection)
        if self._ended:
            self.close()
        return reply


def _answer(end_s: float, sock: socket.socket, **more: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(Until(sock, end_s), **more)  # type: ignore[arg-type]


def _seconds(retry_after: str | None) -> float:
    if not retry_after or not retry_after.isascii() or not retry_after.isdigit():
        return 0.0
    return min(float(retry_after), MAX_RETRY_AFTER_S)


def pause_s(n_failed: int, first_s: float, longest_s: float, retry_after_s: float = 0.0) -> float:
    """How long to wait before the next try: never less than the server asks for, and everybody another while."""
    whole = min(longest_s, first_s * 2.0 ** min(n_failed - 1, 30))
    return max(retry_after_s, whole * random.uniform(0.5, 1.0)) + (retry_after_s and random.uniform(0, first_s))
