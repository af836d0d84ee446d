"""``nextbest top`` and ``nextbest doctor`` beside real processes, in a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.running_file import read_running
from tests.requirements import require
from tests.running import ROOT, alive, begin, until
from tests.standing_still import stand_still

BOUND_S = 60.0
READY = b'{"status": "ready", "warnings": ["Redis fills up"]}'
METRICS = b"""nextbest_build_info{role="api",version="1",python="3"} 1.0
nextbest_decisions_total{placement="hero",tier="rules",variant="",holdout="no"} %d
nextbest_spool_records 7.0
"""


class Inner(BaseHTTPRequestHandler):
    """A process that decides a hundred times between any two looks."""

    n_looks = 0

    def do_GET(self) -> None:
        if self.path == "/metrics":
            Inner.n_looks += 1
        body = READY if self.path == "/readyz" else METRICS % (100 * Inner.n_looks)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def inner() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def nextbest(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, arguments: list[str], cwd: Path, width: int, height: int) -> None:
        self.leader, self.follower = pty.openpty()
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(self.follower)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        environment = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", *arguments],
            stdin=self.follower,
            stdout=self.follower,
            stderr=subprocess.DEVNULL,
            cwd=cwd,
            env={**environment, "NEXTBEST_REDIS": "redis://127.0.0.1:1/0"},
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )
        self.written = b""

    def until(self, words: str) -> None:
        """Read on until the command has written ``words`` since the last call; fails after a while."""
        end = time.monotonic() + BOUND_S
        while words not in self.text():
            assert time.monotonic() < end, self.text()[-3_000:]
            if select.select([self.leader], [], [], 0.1)[0]:
                self.written += os.read(self.leader, 65_536)

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written.decode(errors="replace"))

    def press(self, keys: bytes) -> None:
        self.written = b""
        os.write(self.leader, keys)

    def ended(self) -> int:
        code = self.process.wait(BOUND_S)
        while select.select([self.leader], [], [], 0.1)[0]:
            self.written += os.read(self.leader, 65_536)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


@pytest.mark.parametrize("end", ["q", "Ctrl-C", "SIGTERM"])
def test_a_terminal_is_left_as_it_was(end: str, inner: ThreadingHTTPServer, tmp_path: Path) -> None:
    terminal = Terminal(["top", "--inner", f"127.0.0.1:{inner.server_port}"], tmp_path, 80, 24)
    try:
        terminal.until("below personalised 100%")
        assert "Redis fills up" in terminal.text()
        assert "arms: Redis does not answer" in terminal.text()
        if end == "SIGTERM":
            terminal.written = b""
            terminal.process.send_signal(signal.SIGTERM)
        else:
            terminal.press(b"q" if end == "q" else b"\x03")
        assert terminal.ended() == 0
        assert b"\x1b[?25h" in terminal.written  # the cursor is shown
        assert terminal.written.endswith(b"\x1b[?1049l")  # and what stood there before
        assert termios.tcgetattr(terminal.follower) == terminal.before
    finally:
        terminal.close()


def test_a_process_that_goes_is_shown_as_away(inner: ThreadingHTTPServer, tmp_path: Path) -> None:
    address = f"127.0.0.1:{inner.server_port}"
    terminal = Terminal(["top", "--inner", address], tmp_path, 80, 24)
    try:
        terminal.until("below personalised 100%")
        terminal.written = b""
        inner.shutdown()
        inner.server_close()
        terminal.until(f"✗ {address} away")
        terminal.press(b"q")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_without_a_terminal_it_is_one_frame(inner: ThreadingHTTPServer, tmp_path: Path) -> None:
    done = nextbest(
        "top", "--inner", f"127.0.0.1:{inner.server_port}", cwd=tmp_path, NEXTBEST_REDIS="redis://127.0.0.1:1/0"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nextbest top") == 1
    assert "spool 7 records" in done.stdout
    assert "rules " in done.stdout
    assert "\x1b" not in done.stdout


def test_where_nobody_is_known_it_says_how_to_name_them(tmp_path: Path) -> None:
    done = nextbest("top", cwd=tmp_path, NEXTBEST_REDIS="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert "--inner host:port" in done.stderr
    wrong = nextbest("top", "--inner", "8701", cwd=tmp_path, NEXTBEST_REDIS="redis://127.0.0.1:1/0")
    assert wrong.returncode == 2
    assert "write host:port" in wrong.stderr


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_both_find_what_runs_beside_them(tmp_path: Path) -> None:
    require("redis")
    up = begin(tmp_path / "data")
    try:
        up.wait_ready()
        running = read_running(tmp_path / "data")
        assert running is not None
        assert sorted(running.inner) == ["api", "folder", "learner", "projector"]
        examined = nextbest("doctor", "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
        assert examined.returncode == 0, examined.stdout
        for name in running.inner:
            assert f"{name} at 127.0.0.1:{running.inner[name][1]} is ready" in examined.stdout
        assert "readers keep up" in examined.stdout
        watched = nextbest("top", "--once", "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
        assert "● folder  ● learner  ● api  ● projector" in watched.stdout
        assert "arms: nothing was decided" in watched.stdout
        stand_still(up.pids["folder"])
        stopped = nextbest("doctor", "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
        os.kill(up.pids["folder"], signal.SIGCONT)
        assert stopped.returncode == 1
        assert "folder at 127.0.0.1" in stopped.stdout
        assert "does not answer" in stopped.stdout
    finally:
        up.process.kill()
        up.process.wait()
        assert up.process.stdout is not None
        up.process.stdout.close()
        until(lambda: not any(alive(pid) for pid in up.pids.values()), "children gone")
