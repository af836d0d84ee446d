"""What is loaded: ``nextbest up`` from a checkout, with visitors it knows; and the bare server beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from background.ports import free_port
from benchmarks.latency.cpu import cpu_s
from benchmarks.latency.scenario import KEY, N_EVENTS, N_VISITORS, event_batches, visitor_id, write_catalog

WITHIN_S = 120.0


@dataclass
class Server:
    """Something that answers decides.

    Attributes
    ----------
    pid
        The process that started all others.
    pids
        By role: ``api``, ``folder``, ``learner``, ``redis`` and so on.
    idle_shares
        CPU seconds a second while nobody asks, of one core, by role.
    """

    name: str
    url: str
    pid: int
    pids: dict[str, int]
    idle_shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def idle_share(self) -> float:
        """Of all processes."""
        return sum(self.idle_shares.values())

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far, by role."""
        return cpu_s(self.pid, self.pids)

    def look_idle(self, seconds: float) -> None:
        """Find out what it uses while nobody asks."""
        before_s = self.cpu_s()
        time.sleep(seconds)
        self.idle_shares = {role: (used - before_s[role]) / seconds for role, used in self.cpu_s().items()}


@contextmanager
def product(name: str, checkout: Path, folder: Path) -> Iterator[Server]:
    """A whole installation by the code of ``checkout``; its visitors are known when it is handed over."""
    write_catalog(folder / "catalog")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NEXTBEST_")}
    command = [sys.executable, "-P", "-m", "cli", "up", "--data-dir", str(folder / "data")]
    command += ["--port", str(free_port()), "--catalog", str(folder / "catalog")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONPATH": str(checkout)},
        cwd=folder,
        start_new_session=True,
    ) as process:
        try:
            said = _said(process)
            words = _line(said, "  processes").removeprefix("  processes").split(",")
            pids = {word.split()[0]: int(word.split()[1]) for word in words}
            server = Server(name, _line(said, "nextbest is ready at").split()[4], process.pid, pids)
            _acquaint(server.url)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WITHIN_S)


@contextmanager
def echo(checkout: Path) -> Iterator[Server]:
    """The bare server."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "benchmarks.latency.echo", str(port)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(checkout)}) as process:
        try:
            until = time.monotonic() + WITHIN_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        raise SystemExit("the bare server did not start") from None
                    time.sleep(0.05)
            yield Server("echo", f"http://127.0.0.1:{port}", process.pid, {"api": process.pid})
        finally:
            process.terminate()


def _said(process: subprocess.Popen[str]) -> list[str]:
    """What it says until it is ready."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ctrl-C stops everything" in line:
            return said
    raise SystemExit(f"it never was ready:\n{''.join(said)}")


def _line(said: list[str], words: str) -> str:
    return next(line for line in said if words in line)


def _acquaint(url: str) -> None:
    """Tell it what the visitors did, and wait until it knows the last of them."""
    for events in event_batches():
        answer = _post(f"{url}/v1/events", {"events": events})
        if answer["accepted"] != len(events):
            raise SystemExit(f"of {len(events)} events {answer['accepted']} were accepted")
    until = time.monotonic() + WITHIN_S
    last = {"visitor": {"anonymousId": visitor_id(N_VISITORS - 1)}, "placements": []}
    while (_post(f"{url}/v1/decide", last)["stateRevision"] or 0) < N_EVENTS:
        if time.monotonic() > until:
            raise SystemExit(f"it does not know its visitors after {WITHIN_S:g} s")
        time.sleep(0.1)


def _post(url: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
