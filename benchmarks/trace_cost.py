"""What traces cost: CPU time of one API process per decision, with a share of the requests recorded and with none.

The decisions and the load are those of ``decide_cost``. Two servers of the same code take turns in short rounds,
which begin with the one and the other alternately; one of them hands its spans to a collector that answers at once.
The median over the rounds of a start, and over the starts, is compared.

    .venv/bin/python -m benchmarks.trace_cost [--starts 3] [--rounds 8] [--share 0.01] [--goal 1.03]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.decide_cost import HERE, cpu_s, prepare, server
from benchmarks.decide_load import run_load
from benchmarks.ending import end_by_sigterm
from state.embedded import EmbeddedRedis

OFF, ON = "off", "on"


@contextmanager
def collector() -> Iterator[str]:
    """Takes whatever is sent, and gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()


@contextmanager
def told(**variables: str) -> Iterator[None]:
    """What a process is told that is started in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def recording(endpoint: str, share: float) -> dict[str, str]:
    """What a process is told that records a share of the requests, and hands them to a collector."""
    return {
        "NEXTBEST_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": str(share),
    }


def measure(n_rounds: int, n_requests: int, share: float) -> dict[str, list[float]]:
    """Start both servers anew, and load them in turn: microseconds of CPU for a decision, by round."""
    found: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        asyncio.run(prepare(redis.url))
        servers: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        with told(NEXTBEST_TRACES="off"):
            servers[OFF] = stack.enter_context(server("api.main", redis.url, folder / OFF, HERE))
        with told(**recording(stack.enter_context(collector()), share)):
            servers[ON] = stack.enter_context(server("api.main", redis.url, folder / ON, HERE))
        for _, port in servers.values():
            asyncio.run(run_load(port, 2_000, 0))
        for turn in range(n_rounds):
            for name in (OFF, ON) if turn % 2 else (ON, OFF):
                process, port = servers[name]
                before = cpu_s(process)
                asyncio.run(run_load(port, n_requests, turn + 1))
                found[name].append((cpu_s(process) - before) / n_requests * 1e6)
    return found


def main() -> int:
    """Measure, print, and judge against the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--goal", type=float, default=1.03)
    arguments = parser.parse_args()
    ratios: list[float] = []
    costs: dict[str, list[float]] = defaultdict(list)
    for _ in range(arguments.starts):
        start = measure(arguments.rounds, arguments.requests, arguments.share)
        ratios.append(statistics.median(on / off for on, off in zip(start[ON], start[OFF], strict=True)))
        for name, rounds in start.items():
            costs[name] += rounds
        print(round(ratios[-1], 3), file=sys.stderr)
    ratio = round(statistics.median(ratios), 3)
    report = {
        "share": arguments.share,
        "cpu_us": {name: round(statistics.median(rounds), 1) for name, rounds in costs.items()},
        "ratio": ratio,
        "ratio_by_start": [round(each, 3) for each in ratios],
    }
    print(json.dumps(report))
    return 0 if ratio <= arguments.goal else 1


if __name__ == "__main__":
    end_by_sigterm()
    raise SystemExit(main())
