"""Ports for servers that are started in a moment."""

from __future__ import annotations

import contextlib
import random
import socket

_FIRST, _LAST = 10_000, 27_999
"""Below those that systems give to outgoing connections (Linux from 32,768, others from 49,152): between the
moment a port is found free and the server's start, none of them takes it. Ports counted from it have 4,000 left."""

_TRIES = 100


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on now.

    >>> _FIRST <= free_port() <= _LAST
    True
    """
    for port in random.sample(range(_FIRST, _LAST + 1), _TRIES):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((host, port))
            return port
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
