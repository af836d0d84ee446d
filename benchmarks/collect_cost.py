"""What an event costs the collector: server CPU time of one API process per event taken, of visitors it knows.

Batches of 1 and of 20 events (each of another visitor) to ``POST /v1/events``, 64 connections, a real log (Redis
Streams) and states of 40 events in a real Redis; threads count, since the whole process is measured, and Redis does
not. With another checkout's path both servers are loaded in turn, round by round, each with a Redis of its own that
its own code has filled: medians are compared, the ratio is the median of the rounds' ratios.

    .venv/bin/python -m benchmarks.collect_cost [--rounds 7] [--events 8000] [--against CHECKOUT]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from background.ports import free_port
from benchmarks.decide_cost import CATEGORIES, NAMESPACE, SECRET, cpu_s
from benchmarks.decide_load import KEY, N_CONNECTIONS, N_VISITORS, Connection, Load
from benchmarks.ending import end_by_sigterm
from state.embedded import EmbeddedRedis

HERE = Path(__file__).resolve().parents[1]
BATCHES = (1, 20)
FILL = "import asyncio, sys; from benchmarks.decide_cost import prepare; asyncio.run(prepare(sys.argv[1]))"


class Events(Load):
    """A number of requests with a batch of events each."""

    def __init__(self, n_requests: int, seed: int, batch: int) -> None:
        super().__init__(n_requests, seed)
        self.batch = batch
        self.n_taken = 0

    def next_request(self) -> bytes | None:
        """The next one's bytes."""
        if self.left <= 0:
            return None
        self.left -= 1
        events = [
            {
                "type": "track",
                "event": "Product Viewed",
                "messageId": f"m-{self.rng.getrandbits(64):x}",
                "anonymousId": f"v{self.rng.randrange(N_VISITORS)}",
                "properties": {"product_id": "p7", "category": self.rng.choice(CATEGORIES), "price": 79},
                "context": {"locale": "en-GB", "page": {"path": "/shoes", "title": "Shoes"}},
            }
            for _ in range(self.batch)
        ]
        body = json.dumps(events[0] if self.batch == 1 else {"events": events}).encode()
        head = (
            "POST /v1/events HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def answered(self, head: bytes, body: bytes, seconds: float) -> None:
        """Count what was taken: on a busy machine the log may not acknowledge in time."""
        if b" 200 " in head[:20]:
            self.n_taken += json.loads(body)["accepted"]


async def load(port: int, n_requests: int, seed: int, batch: int) -> int:
    """Send them all; gives how many events were taken."""
    loop = asyncio.get_running_loop()
    events = Events(n_requests, seed, batch)
    for _ in range(N_CONNECTIONS):
        await loop.create_connection(lambda: Connection(events), "127.0.0.1", port)
    await events.done
    return events.n_taken


@dataclass(frozen=True, slots=True)
class Collector:
    """The API of one checkout."""

    process: subprocess.Popen[bytes]
    port: int

    def cost_us(self, n_events: int, seed: int, batch: int) -> float:
        """CPU µs per event taken."""
        n_sent = n_events // batch * batch
        before_s = cpu_s(self.process)
        n_taken = asyncio.run(load(self.port, n_events // batch, seed, batch))
        if n_taken < 0.9 * n_sent:
            raise SystemExit(f"only {n_taken} of {n_sent} events were taken: the machine is too busy to measure")
        return (cpu_s(self.process) - before_s) / n_taken * 1e6


@contextmanager
def collector(checkout: Path, folder: Path) -> Iterator[Collector]:
    """A Redis with visitors, and an API process on it, by the code in ``checkout``."""
    with EmbeddedRedis(folder / "redis") as redis:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")},
            "PYTHONPATH": str(checkout),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        subprocess.run([sys.executable, "-P", "-c", FILL, redis.url], env=environment, check=True, cwd=folder)
        port, inner_port = free_port(), free_port()
        environment |= {
            "NEXTBEST_REDIS": redis.url,
            "NEXTBEST_PORT": str(port),
            "NEXTBEST_METRICS_PORT": str(inner_port),
            "NEXTBEST_NAMESPACE": NAMESPACE,
            "NEXTBEST_DATA_DIR": str(folder / "data"),
            "NEXTBEST_REDIS_TIMEOUT_MS": "2000",
            "NEXTBEST_SECRET": SECRET,
        }
        process = subprocess.Popen([sys.executable, "-P", "-m", "api.main"], env=environment, cwd=folder)
        try:
            _await_ready(process, (inner_port, port))
            yield Collector(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _await_ready(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    """Code of earlier releases tells it on the API's own port, the last of ``ports``."""
    until_s = time.monotonic() + 60
    while True:
        for port in ports:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=5) as probe,
            ):
                probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                if b" 200 " in probe.recv(64):
                    return
        if process.poll() is not None or time.monotonic() > until_s:
            raise RuntimeError("the API did not start")
        time.sleep(0.05)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--events", type=int, default=8_000, help="of one load: a round has one with each batch size"
    )
    parser.add_argument("--against", type=Path, default=None, metavar="CHECKOUT")
    options = parser.parse_args()
    checkouts = {"ours": HERE} | ({} if options.against is None else {"theirs": options.against.resolve()})
    with ExitStack() as stack:
        collectors = {}
        for name, checkout in checkouts.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            collectors[name] = stack.enter_context(collector(checkout, folder))
        report: dict[str, dict[str, float]] = {}
        for batch in BATCHES:
            costs: dict[str, list[float]] = {name: [] for name in collectors}
            for each in collectors.values():
                each.cost_us(options.events // 4, 0, batch)
            for turn in range(options.rounds):
                for name, each in collectors.items():
                    costs[name].append(each.cost_us(options.events, turn + 1, batch))
                print(batch, {name: round(values[-1], 1) for name, values in costs.items()}, file=sys.stderr)
            found = {f"{name}_us": round(statistics.median(values), 1) for name, values in costs.items()}
            if "theirs" in costs:
                ratios = [ours / theirs for ours, theirs in zip(costs["ours"], costs["theirs"], strict=True)]
                found["ratio"] = round(statistics.median(ratios), 2)
            report[f"batches of {batch}"] = found
    print(json.dumps(report))


if __name__ == "__main__":
    end_by_sigterm()
    main()
