"""What it costs to bring an entry of the log to a worker's handler: CPU per entry, of a handler that does nothing.

    python -m benchmarks.hand_over_cost [--rounds 5] [--entries 20000]

From a Redis started for it, through Faust, until it is acknowledged: a backlog, and then lots of ten, each
appended when the one before was handled. Medians of the rounds, microseconds of the worker's process CPU; the
append of a lot is measured apart and subtracted. To compare with a checkout that has no such file, copy it there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.ending import end_by_sigterm
from eventlog.opening import open_log
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG, Topics
from state.embedded import EmbeddedRedis
from stream.batch_agent import BatchAgent
from stream.running import run_app
from stream.worker_app import WorkerSettings, make_app

LOT = 10
VALUE = os.urandom(300)


class Handled:
    """Counts what was handled, and wakes who waits for it."""

    def __init__(self) -> None:
        self.n = 0
        self._changed = asyncio.Event()

    async def handle(self, messages: Sequence[Any]) -> None:
        """Do nothing but count."""
        self.n += len(messages)
        self._changed.set()

    async def until(self, n: int) -> None:
        """Wait until ``n`` were handled."""
        while self.n < n:
            self._changed.clear()
            await self._changed.wait()


async def cost_us(url: str, n_entries: int) -> tuple[float, float]:
    """Of an entry of a backlog, and of one of a lot."""
    log = open_log(url, Topics(f"hand-over-{time.time_ns()}."))
    await log.start()
    identity = await log.create(4)
    records = [Record(VISITOR_LOG, f"v{number % 97}", VALUE) for number in range(n_entries)]
    for at in range(0, n_entries, 1_000):
        await log.append(records[at : at + 1_000])
    app = make_app("folder", log, identity, WorkerSettings(commit_interval_s=0.5))
    handled = Handled()
    BatchAgent(app, VISITOR_LOG, lambda *read: read, handled.handle, 500, lambda _: 0.001)
    stop = asyncio.Event()
    running = asyncio.create_task(run_app(app, stop))
    await handled.until(1)
    started_s, n_before = time.process_time(), handled.n  # what starting takes is no entry's
    await handled.until(n_entries)
    backlog_us = (time.process_time() - started_s) / (n_entries - n_before) * 1e6
    n_lots = n_entries // LOT // 4
    await asyncio.sleep(1.0)
    append_s = 0.0
    began_s = time.process_time()
    for number in range(n_lots):
        before_s = time.process_time()
        await log.append(records[:LOT])
        append_s += time.process_time() - before_s
        await handled.until(n_entries + (number + 1) * LOT)
    lots_us = (time.process_time() - began_s - append_s) / (n_lots * LOT) * 1e6
    stop.set()
    await running
    await log.close()
    return backlog_us, lots_us


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=20_000)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder)) as server:
        found = [asyncio.run(cost_us(server.url, arguments.entries)) for _ in range(arguments.rounds)]
    backlog, lots = zip(*found, strict=True)
    print(
        json.dumps(
            {"backlog_us": round(statistics.median(backlog), 1), "lots_us": round(statistics.median(lots), 1)}
        )
    )


if __name__ == "__main__":
    end_by_sigterm()
    main()
