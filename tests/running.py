"""``nextbest up`` as tests run it: a process of its own, spoken to over HTTP, gone without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from background.ports import free_port

BOUND_S = 90.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Up:
    """A running ``nextbest up``."""

    process: subprocess.Popen[str]
    url: str
    pids: dict[str, int]
    said: list[str]
    catalog: Path = Path()
    data_dir: Path = Path()
    kafka: str = ""

    def call(self, method: str, path: str, body: Any = None, key: str = "sk_dev") -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def readiness(self, name: str) -> Any:
        """What the process of that name says of itself."""
        line = next(line for line in self.said if line.startswith("  metrics "))
        address = next(part.split()[-1] for part in line.split(",") if f"{name} http" in part)
        try:
            with urllib.request.urlopen(address.removesuffix("metrics") + "readyz", timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read())

    def redis_url(self) -> str:
        return next(line.split()[1] for line in self.said if line.startswith("  redis "))

    def event_count(self, visitor: str) -> int:
        try:
            return int(self.call("GET", f"/v1/visitors/{visitor}")["eventCount"])
        except urllib.error.HTTPError as error:
            # 404: not folded yet; 503: a Redis read took longer than a decision may wait, as on a busy machine.
            if error.code in (404, 503):
                return 0
            raise

    def track(self, visitor: str, message_id: str) -> None:
        event = {"type": "track", "event": "Product Viewed", "messageId": message_id, "anonymousId": visitor}
        self.send([event])

    def send(self, events: list[dict[str, Any]], key: str = "sk_dev") -> None:
        """Send events until the log has them, as clients do: under the same message ids."""
        batch = [{"messageId": uuid.uuid4().hex, **event} for event in events]

        def accepted() -> bool:
            try:
                return bool(self.call("POST", "/v1/events", {"events": batch}, key)["accepted"] == len(batch))
            except urllib.error.HTTPError as error:
                if error.code == 503:  # "send again": the log is away or slow
                    return False
                raise

        until(accepted, f"the log takes {len(batch)} events, the first of them {batch[0]['messageId']}")

    def wait_ready(self) -> None:
        self.url = self.wait_for_line("nextbest is ready at").split()[4]
        words = self.wait_for_line("processes").removeprefix("  processes").split(",")
        self.pids = {word.split()[0]: int(word.split()[1]) for word in words}
        self.wait_for_line("Ctrl-C stops everything")

    def wait_for_line(self, words: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"never said {words!r}:\n{''.join(self.said)}")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not state.stdout.startswith("Z") and state.stdout != ""


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, f"not within {BOUND_S:.0f} s: {what}"
        time.sleep(0.05)


async def eventually(
    condition: Callable[[], bool], what: str = "the condition holds", bound_s: float = 10.0
) -> None:
    """Wait, within this event loop, until the condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + bound_s
    while not condition():
        assert loop.time() < end, f"not within {bound_s:g} s: {what}"
        await asyncio.sleep(0.005)


def start(data_dir: Path, *more: str, **settings: str) -> Up:
    """Start it and wait until it says it is ready; ``settings`` by their names in the environment."""
    up = begin(data_dir, *more, **settings)
    try:
        up.wait_ready()
    except BaseException:
        with up.process:  # it leaves nothing behind for whatever runs next to stumble over
            up.process.kill()
        raise
    return up


def begin(data_dir: Path, *more: str, **settings: str) -> Up:
    """Start it and wait for nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    # A worker's lease is let go soon; what is learned is told of once it is saved, after 10 s by default.
    soon = {"NEXTBEST_LEASE_MS": "1500", "NEXTBEST_CHECKPOINT_MS": "500"}
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "up", "--data-dir", str(data_dir), "--port", str(port), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The code beside the tests, wherever the environment they run in was installed from.
        env={**environment, "PYTHONPATH": str(ROOT), **soon, **settings},
        start_new_session=True,
    )
    return Up(process, f"http://127.0.0.1:{port}", {}, [], data_dir=data_dir)


def stop(up: Up) -> None:
    """End it, and see that nothing of it runs on."""
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGTERM)
        try:
            up.process.wait(30)
        except subprocess.TimeoutExpired:
            up.process.kill()
            up.process.wait()
    assert up.process.stdout is not None
    up.process.stdout.close()
    until(lambda: not any(alive(pid) for pid in up.pids.values()), "children gone")
