"""Asks a process on this machine whether it is ready. A bare socket: the supervisor needs no HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

from background.ports import free_port
from personalization.errors import Refused

LOOPBACK = "127.0.0.1"
TIMEOUT_S = 2.0


def reachable(host: str) -> str:
    """Where to ask a process of this machine that listens on ``host``."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)


async def is_ready(host: str, port: int, path: str = "/readyz") -> bool:
    """Whether ``GET path`` answers 200."""
    return (await _status_line(host, port, path, TIMEOUT_S)).split(b" ")[1:2] == [b"200"]


async def not_ready_words(host: str, port: int, within_s: float = TIMEOUT_S) -> str:
    """What ``/readyz`` says is waited for; empty if it is ready, or says nothing."""
    raw = await _answer(host, port, "/readyz", within_s)
    try:
        told = json.loads(raw.partition(b"\r\n\r\n")[2] or b"{}")
        if told.get("status") != "waiting":
            return ""
        reasons = [f"{name}: {told['reasons'].get(name, '')}" for name in told.get("missing", [])]
        return str(told.get("reason") or "; ".join(reasons))
    except (ValueError, AttributeError, KeyError):
        return ""


async def is_alive(host: str, port: int, within_s: float, path: str = "/healthz") -> bool:
    """Whether ``GET path`` answers anything: what answers has an event loop that turns."""
    return bool(await _status_line(host, port, path, within_s))


async def _status_line(host: str, port: int, path: str, within_s: float) -> bytes:
    return await _answer(host, port, path, within_s, whole=False)


async def _answer(host: str, port: int, path: str, within_s: float, *, whole: bool = True) -> bytes:
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return await (reader.read() if whole else reader.readline())
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return b""


def free_port_near(host: str, wanted: int) -> int:
    """``wanted`` if nobody listens there now, else any free port."""
    if 0 < wanted < 65_536:
        with socket.socket() as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # the port of one that has just ended is free
            with contextlib.suppress(OSError):
                probe.bind((host, wanted))
                return wanted
    return free_port(host)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket already listening, to hand to the API processes: connections wait in it while one restarts.

    Raises
    ------
    Refused
        Where the port is taken, or may not be used.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise Refused(
            f"cannot listen on {host}:{port} ({error.strerror}); "
            "stop what uses that port, or choose another with --port"
        ) from error
    return sock
