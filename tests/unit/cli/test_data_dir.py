"""The data folder of ``nextbest up``: one at a time, and its owner's alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli.data_dir
from cli.data_dir import DataDir
from personalization.errors import Refused

KILLED = """
import os, pathlib, signal, subprocess, sys
from cli.data_dir import DataDir
lock = DataDir(pathlib.Path(sys.argv[1])).lock_fd
child = subprocess.Popen(["sleep", "600"], pass_fds=(lock,), stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """One that holds the folder was killed and left a child that has inherited its lock; both their pids."""
    program = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
    yield holder.pid, child
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_what_a_killed_one_left_is_waited_for_and_that_is_said(tmp_path: Path, killed: tuple[int, int]) -> None:
    holder, child = killed
    said: list[str] = []

    def end_it(line: str) -> None:
        said.append(line)
        os.kill(child, signal.SIGKILL)

    DataDir(tmp_path, end_it).release()
    assert said == [f"waiting for what a `nextbest up` that was killed (process {holder}) left to end"]


def test_what_a_killed_one_left_and_does_not_end_is_told(
    tmp_path: Path, killed: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.data_dir, "ORPHANS_S", 0.2)
    said: list[str] = []
    with pytest.raises(
        Refused, match=rf"was killed \(process {killed[0]}\) still use .*: end them \(`lsof .*lock`"
    ):
        DataDir(tmp_path, said.append)
    assert len(said) == 1


def test_data_folder_is_one_persons(tmp_path: Path) -> None:
    held = DataDir(tmp_path / "data")
    with pytest.raises(Refused, match=rf"in use by another `nextbest up` \(process {os.getpid()}\)"):
        DataDir(tmp_path / "data")
    held.release()
    DataDir(tmp_path / "data").release()


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"cannot write to the data folder .*; choose another with --data-dir"):
        DataDir(tmp_path / "file" / "data")


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    secret = data_dir.secret()
    assert len(secret) >= 40
    assert data_dir.secret() == secret
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "visitors").mkdir()
    data_dir.empty()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "logs", "secret"]
    data_dir.release()


def test_what_others_could_read_of_a_data_folder_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "data"
    DataDir(path).release()
    (path / "redis").mkdir(mode=0o755)
    (path / "redis" / "appendonly.aof").touch(0o644)
    (path / "logs" / "api.log").touch(0o644)
    (path / "mine").mkdir(mode=0o755)
    (path / "elsewhere").touch(0o644)
    (path / "logs" / "link.log").symlink_to(path / "elsewhere")
    path.chmod(0o755)
    DataDir(path).release()

    def mode(name: str) -> int:
        return (path / name).stat().st_mode & 0o777

    assert [mode(name) for name in ("", "redis", "logs")] == [0o700] * 3
    assert [mode(name) for name in ("redis/appendonly.aof", "logs/api.log")] == [0o600] * 2
    assert [mode(name) for name in ("mine", "elsewhere")] == [0o755, 0o644], "not ours"


def test_a_folder_of_somebodys_own_is_not_closed_by_being_named(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    DataDir(tmp_path / "home").release()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "home" / "logs").stat().st_mode & 0o777 == 0o700
