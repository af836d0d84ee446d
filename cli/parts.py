"""The parts of a whole installation on this machine, as children of the supervisor."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from cli.child import ChildSpec
from cli.http_probe import free_port, is_ready
from cli.roles import LISTEN_FD
from state.embedded import find_redis_server, redis_options

LOOPBACK = "127.0.0.1"

# `-P` keeps the working folder off the import path: a user's own `config/` must not shadow ours.
_NEXTBEST = (sys.executable, "-P", "-m", "cli")
_TETHER = (sys.executable, "-P", "-m", "cli.tether")

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Vectors here are short: a BLAS that wakes every core for them only takes the core from the next process."""


def redis_part(data_dir: Path, port: int, lock_fd: int) -> ChildSpec:
    """An embedded Redis on loopback, durable by its append-only file.

    It inherits the data folder's lock: no second Redis opens the same files while this one lives.

    Raises
    ------
    Unavailable
        Where there is no ``redis-server``; says how to install one.
    """
    binary = find_redis_server()
    folder = data_dir / "redis"
    folder.mkdir(exist_ok=True)

    async def ready() -> bool:
        return await _answers_ping(port)

    return ChildSpec(
        name="redis",
        command=(*_TETHER, str(binary), *redis_options(folder, port, "")),
        ready=ready,
        inherit=(lock_fd,),
        stop_within_s=30.0,
    )


def worker_part(role: str, number: int, environment: Mapping[str, str]) -> ChildSpec:
    """A folder or a learner; ready once its ``/readyz`` says so."""
    port = free_port(LOOPBACK)

    async def ready() -> bool:
        return await is_ready(LOOPBACK, port)

    return ChildSpec(
        name=role if number == 0 else f"{role}-{number}",
        command=(*_NEXTBEST, role),
        ready=ready,
        environment={**_ONE_THREAD, **environment, "NEXTBEST_METRICS_PORT": str(port)},
    )


def api_part(host: str, listening: socket.socket, number: int, environment: Mapping[str, str]) -> ChildSpec:
    """An API process on the supervisor's ``listening`` socket: connections wait in it while one restarts."""
    port = free_port(host)

    async def ready() -> bool:
        return await is_ready(host, port)

    more = {LISTEN_FD: str(listening.fileno()), "NEXTBEST_METRICS_PORT": str(port), "NEXTBEST_API_PROCESSES": "1"}
    return ChildSpec(
        name="api" if number == 0 else f"api-{number}",
        command=(*_NEXTBEST, "api"),
        ready=ready,
        environment={**_ONE_THREAD, **environment, **more},
        inherit=(listening.fileno(),),
    )


async def _answers_ping(port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"+PONG")  # -LOADING while it reads its file
