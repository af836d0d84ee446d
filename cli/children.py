"""The parts of a whole installation on this machine, as children of the supervisor."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from background.ports import free_port
from cli.child import ChildSpec
from cli.http_probe import LOOPBACK, free_port_near, is_alive, is_ready, not_ready_words, reachable
from cli.roles import LISTEN_FD
from cli.silence import ANSWER_WITHIN_S
from state.embedded import find_redis_server, redis_options

# `-P` keeps the working folder off the import path: a user's own `config/` must not shadow ours.
_NEXTBEST = (sys.executable, "-P", "-m", "cli")
_TETHER = (sys.executable, "-P", "-m", "cli.tether")

REDIS_HANGS_AFTER_S = 60.0
"""Redis answers while it loads, rewrites its file or runs a long script, if only to say so. What does stop it is a
fork of many gigabytes or a disk that takes no more: both pass, and a restart would read everything anew."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Vectors here are short: a BLAS that wakes every core for them only takes the core from the next process."""


def redis_part(data_dir: Path, socket_path: Path, memory_bytes: int = 0) -> ChildSpec:
    """An embedded Redis behind a Unix socket, durable by its append-only file.

    Parameters
    ----------
    memory_bytes
        See ``state.embedded.redis_options``.

    Raises
    ------
    Unavailable
        Where there is no ``redis-server``; says how to install one.
    """
    binary = find_redis_server()
    folder = data_dir / "redis"
    folder.mkdir(exist_ok=True, mode=0o700)

    async def ready() -> bool:
        return (await _ping(socket_path, 1.0)).startswith(b"+PONG")

    async def alive() -> bool:
        return bool(await _ping(socket_path, ANSWER_WITHIN_S))

    return ChildSpec(
        name="redis",
        command=(*_TETHER, str(binary), *redis_options(folder, socket_path, "", memory_bytes=memory_bytes)),
        ready=ready,
        alive=alive,
        hangs_after_s=REDIS_HANGS_AFTER_S,
        patient=True,
        stop_within_s=30.0,
    )


def worker_part(
    role: str, number: int, environment: Mapping[str, str], host: str = LOOPBACK, port: int | None = None
) -> ChildSpec:
    """A folder, a learner or a projector; ready once its ``/readyz`` on ``port`` (else a free one) says so."""
    port = port or free_port(host)
    asked = reachable(host)

    async def ready() -> bool:
        return await is_ready(asked, port)

    async def alive() -> bool:
        return await is_alive(asked, port, ANSWER_WITHIN_S)

    async def waits_for() -> str:
        return await not_ready_words(asked, port)

    return ChildSpec(
        name=role if number == 0 else f"{role}-{number}",
        command=(*_NEXTBEST, role),
        ready=ready,
        alive=alive,
        waits_for=waits_for,
        environment={**_ONE_THREAD, **environment, "NEXTBEST_METRICS_PORT": str(port)},
    )


def api_part(
    host: str, listening: socket.socket, number: int, environment: Mapping[str, str], port: int | None = None
) -> ChildSpec:
    """An API process on the supervisor's ``listening`` socket: connections wait in it while one restarts.

    It is ready once its ``/readyz`` on ``host`` and ``port`` (else a free one) says so.
    """
    port = port or free_port(host)
    asked = reachable(host)

    async def ready() -> bool:
        return await is_ready(asked, port)

    async def alive() -> bool:
        return await is_alive(asked, port, ANSWER_WITHIN_S)

    async def waits_for() -> str:
        return await not_ready_words(asked, port)

    more = {LISTEN_FD: str(listening.fileno()), "NEXTBEST_METRICS_PORT": str(port), "NEXTBEST_API_PROCESSES": "1"}
    return ChildSpec(
        name="api" if number == 0 else f"api-{number}",
        command=(*_NEXTBEST, "api"),
        ready=ready,
        alive=alive,
        waits_for=waits_for,
        environment={**_ONE_THREAD, **environment, **more},
        inherit=(listening.fileno(),),
    )


METRICS_PORT_STEP = 1_000
"""From one process's port of metrics to the next: installations on neighbouring API ports do not meet."""


def metrics_ports(host: str, api_port: int, n_folders: int, first: int = 0) -> dict[str, int]:
    """Ports of ``/metrics`` by process: folder, learner and API, the API's own port + 1,000, + 2,000 and + 3,000.

    Those of further folders follow, and the projector's is the last: + 4,000 if there is one folder. One that is
    taken is replaced by a free one. Of several API processes each has a port, and the first tells the metrics of
    all.

    Parameters
    ----------
    first
        Port of the folder, instead of the API's + 1,000; the learner's is 1 above, and so on. 0: not given.
    """
    names = ["folder", "learner", "api", *(f"folder-{n}" for n in range(1, n_folders)), "projector"]
    wanted = {name: first + n if first else api_port + METRICS_PORT_STEP * (n + 1) for n, name in enumerate(names)}
    return {name: free_port_near(host, port) for name, port in wanted.items()}


async def _ping(socket_path: Path, within_s: float) -> bytes:
    """What Redis says to a PING: +PONG, or why not (-LOADING while it reads its file, -MISCONF on a full disk)."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
