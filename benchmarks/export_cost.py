"""What an export costs: CPU a row, by its parts, and memory while the log grows.

    python -m benchmarks.export_cost [--decisions 20000 80000] [--visitors 5000] [--to d.parquet]

From a Redis started for it, whose visitors are stored: decisions with twelve features and eight arms. Each size is
exported in a process of its own, twice: as it is, and without asking whether visitors have gone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.ending import end_by_sigterm
from eventlog.opening import open_log
from eventlog.port import Record
from eventlog.topics import DAY_MS, DECISIONS, Topics
from installation.redis_clients import worker_client
from operations.exporting.columns import What
from operations.exporting.departures import Concerned, Departures
from operations.exporting.log_export import begin, export_log
from operations.exporting.log_rows import Reading
from operations.exporting.progress import Asked, Progress, Standing
from operations.exporting.rows_file import RowsFile
from operations.exporting.target import Target
from personalization.bounded import short_hash
from personalization.events.decision_id import mint
from personalization.events.decision_record import DecisionRecord, encode_record, pack_f32
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.visitor_store import NEVER_SEEN, Change, RedisVisitorStore

SECRET = b"benchmark"
ARMS = tuple(f"arm-{n}" for n in range(8))


def record(n: int, n_visitors: int) -> DecisionRecord:
    """A decision as a shop makes it."""
    key = f"a:{random.randrange(n_visitors)}"
    made = Choice(mint(SECRET, key, n.to_bytes(9)), "home.hero", 0, random.choice(ARMS), 1 << 29, "default")
    features = {f"counts.event-{i}": random.random() for i in range(10)}
    return DecisionRecord(
        choice=made,
        message_id=made.decision_id,
        request_id=f"r{n}",
        key=key,
        tier="personalised",
        reason="",
        decided_at_ms=1_700_000_000_000 + n,
        arms=ARMS,
        weights=(1 << 29,) * len(ARMS),
        means_f32=pack_f32((0.1,) * len(ARMS)),
        sds_f32=pack_f32((0.05,) * len(ARMS)),
        features={**features, "device": "mobile", "hour": float(n % 24)},
        unit=short_hash(key),
    )


class NobodyAsks(Departures):
    """Takes everybody for present."""

    async def of(self, records: Sequence[Concerned]) -> list[str | None]:
        """None has gone."""
        return [None] * len(records)


def topics(prefix: str) -> Topics:
    """With room for all of it."""
    return Topics.bounded(prefix, 1 << 31, DAY_MS)


async def fill(url: str, prefix: str, n_decisions: int, n_visitors: int) -> None:
    """Store visitors and decisions."""
    log = open_log(url, topics(prefix))
    await log.start()
    await log.create(4)
    records = [record(n, n_visitors) for n in range(n_decisions)]
    for at in range(0, n_decisions, 1_000):
        await log.append([Record(DECISIONS, each.key, encode_record(each)) for each in records[at : at + 1_000]])
    await log.close()
    async with worker_client(url) as redis:
        store = RedisVisitorStore(redis, Keys(prefix.rstrip(".")), SECRET)
        for at in range(0, n_visitors, 500):
            states = {f"a:{n}": VisitorState(first_ms=1, traits={"plan": "pro"}) for n in range(at, at + 500)}
            changes = [Change(key, NEVER_SEEN, Visitor(state, FolderState())) for key, state in states.items()]
            await store.save(changes)


async def export(url: str, prefix: str, to: Path, *, asks: bool) -> tuple[float, float]:
    """Seconds of CPU to gather, and to write."""
    log = open_log(url, topics(prefix))
    await log.start()
    target = Target(to)
    async with worker_client(url) as redis:
        store = RedisVisitorStore(redis, Keys(prefix.rstrip(".")), SECRET)
        departures = (Departures if asks else NobodyAsks)(store, {})
        with Progress(target.progress) as progress:
            standing = Standing(asked=Asked(what=What.DECISIONS))
            await begin(log, standing)
            progress.begin(standing)
            began_s = time.process_time()
            with RowsFile(target.rows, 0) as rows:
                await export_log(log, Reading(standing, SECRET), departures, progress, rows, lambda _: None)
            gathered_s = time.process_time()
            target.finish(What.DECISIONS, progress.columns, with_ids=False)
            written_s = time.process_time()
            progress.remove()
    await log.close()
    return gathered_s - began_s, written_s - gathered_s


def _in_process(url: str, prefix: str, to: Path, asks: bool, tells: Connection) -> None:
    spent = asyncio.run(export(url, prefix, to, asks=asks))
    # Of this program alone: what getrusage tells begins with whoever started it.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    tells.send((*spent, int(peak.split()[1]) / 1024))


def measured(url: str, prefix: str, to: Path, *, asks: bool) -> tuple[float, float, float]:
    """CPU seconds to gather and to write, and MB at most, of a process of its own."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_in_process, args=(url, prefix, to, asks, theirs))
    process.start()
    found: tuple[float, float, float] = ours.recv()
    process.join()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, nargs="+", default=[20_000, 80_000])
    parser.add_argument("--visitors", type=int, default=5_000)
    parser.add_argument("--to", default="d.csv", help="Name of the file, whose ending says what it is.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder) / "redis") as redis:
        for n in options.decisions:
            prefix = f"export-{n}."
            asyncio.run(fill(redis.url, prefix, n, options.visitors))
            for asks in (True, False):
                to = Path(folder) / options.to
                gathered_s, written_s, mb = measured(redis.url, prefix, to, asks=asks)
                how = "" if asks else ", without asking who has gone"
                gathered_us, written_us = gathered_s / n * 1e6, written_s / n * 1e6
                size = to.stat().st_size / n
                costs = f"{gathered_us:.0f} µs of CPU a row to gather, {written_us:.0f} to write"
                print(f"{n:,} decisions{how}: {costs}, {mb:.0f} MB at most, {size:.0f} bytes a row")


if __name__ == "__main__":
    end_by_sigterm()
    main()
