"""What counts as a sign of life of each part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from background.ports import free_port
from cli.child import ChildSpec
from cli.children import metrics_ports, redis_part, worker_part
from cli.http_probe import is_alive, is_ready, listening_socket, not_ready_words
from cli.silence import ANSWER_WITHIN_S
from state.embedded import EmbeddedRedis
from tests.requirements import require
from tests.standing_still import stand_still


@asynccontextmanager
async def server(port: int, answer: bytes | None) -> AsyncIterator[None]:
    """Says ``answer`` to whatever is asked; nothing at all for None, as a process that hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is not None:
            await reader.readline()
            writer.write(answer)
        else:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


@asynccontextmanager
async def redis_that_says(path: Path, answer: bytes) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield


def redis_spec(tmp_path: Path, socket_path: Path) -> ChildSpec:
    require("redis")
    return redis_part(tmp_path, socket_path)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"+PONG\r\n", True),
        (b"-LOADING Redis is loading the dataset in memory\r\n", False),
        (b"-BUSY Redis is busy running a script\r\n", False),
        (b"-MISCONF Errors writing to the AOF file: No space left on device\r\n", False),
    ],
)
async def test_a_redis_that_says_anything_is_alive(tmp_path: Path, answer: bytes, ready: bool) -> None:
    socket_path = tmp_path / "s"
    spec = redis_spec(tmp_path, socket_path)
    assert spec.alive is not None
    async with redis_that_says(socket_path, answer):
        assert (await spec.alive(), await spec.ready()) == (True, ready)
    assert (await spec.alive(), await spec.ready()) == (False, False)


@pytest.mark.redis
async def test_a_redis_that_is_stopped_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.children.ANSWER_WITHIN_S", 0.2)
    require("redis")
    with EmbeddedRedis(tmp_path / "stopped") as stopped:
        spec = redis_spec(tmp_path, stopped.socket_path)
        assert spec.alive is not None
        assert await spec.alive()
        assert stopped.process is not None
        stand_still(stopped.process.pid)
        assert not await spec.alive()


def test_redis_is_waited_for_longer_than_anybody_else(tmp_path: Path) -> None:
    spec = redis_spec(tmp_path, tmp_path / "s")
    worker = worker_part("folder", 0, {})
    assert spec.patient
    assert spec.hangs_after_s >= 4 * worker.hangs_after_s > 2 * ANSWER_WITHIN_S


async def test_a_process_that_answers_503_is_alive_and_not_ready() -> None:
    port = free_port()
    async with server(port, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"):
        assert await is_alive("127.0.0.1", port, 5)
        assert not await is_ready("127.0.0.1", port)


async def test_a_process_that_takes_connections_and_says_nothing_is_not_alive() -> None:
    port = free_port()
    async with server(port, None):
        assert not await is_alive("127.0.0.1", port, 0.1)


def test_metrics_have_fixed_ports_and_a_taken_one_is_replaced() -> None:
    api = free_port() % 50_000 + 2_000
    with contextlib.closing(listening_socket("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = metrics_ports("127.0.0.1", taken - 1_000, 3)
        assert list(ports) == ["folder", "learner", "api", "folder-1", "folder-2", "projector"]
        assert ports["folder"] != taken
        assert 0 < ports["folder"] < 65_536
    assert metrics_ports("127.0.0.1", taken - 1_000, 1)["folder"] == taken, "it is free again"
    # Installations on neighbouring ports of the API do not meet.
    first, second = metrics_ports("127.0.0.1", api, 1), metrics_ports("127.0.0.1", api + 1, 1)
    assert not set(first.values()) & set(second.values())
    assert api + 1 not in first.values()


def test_a_port_beyond_the_last_is_replaced_by_a_free_one() -> None:
    assert all(0 < port < 65_536 for port in metrics_ports("127.0.0.1", 65_000, 2).values())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"status": "waiting", "reason": "waiting for catalog: x", "warnings": []}', "waiting for catalog: x"),
        (
            b'{"status": "waiting", "missing": ["catalog"], "warnings": [], "reasons": {"catalog": "none yet"}}',
            "catalog: none yet",
        ),
        (b'{"status": "ready", "warnings": []}', ""),
        (b"<html>", ""),
        (b"[]", ""),
    ],
)
async def test_what_a_process_waits_for_is_read_from_its_own_words(answer: bytes, words: str) -> None:
    port = free_port()
    async with server(port, b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n" + answer):
        assert await not_ready_words("127.0.0.1", port) == words
    assert await not_ready_words("127.0.0.1", port) == ""
