"""What a backfill of windows costs for each entry of the log, against folding it, and with visitors on disk.

    python -m benchmarks.recount_cost [--rounds 5] [--visitors 2000]

The entries of ``benchmarks.fold_cost``, of so many visitors in turn, under the shop without windows; then ten are
declared. Both passes over the log are counted, and finding what is missing. Process CPU alone, medians over rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import config
from benchmarks.declared import PLAIN, SEGMENTS, declaring
from benchmarks.ending import end_by_sigterm
from benchmarks.fold_cost import entries, pure_us
from config.loader import load_catalog
from eventlog.partition import partition_of
from eventlog.port import EventLog, LogEntry
from operations.replay.interleaved import recount_all
from operations.replay.passed_on import PassedOn
from operations.replay.recount import Recount
from personalization.catalog.compiled_catalog import CompiledCatalog

N_PARTITIONS = 4


class _Log:
    """A log in memory: what a server costs is left out."""

    def __init__(self, values: list[bytes], n_visitors: int) -> None:
        self.partitions: list[list[tuple[str, bytes]]] = [[] for _ in range(N_PARTITIONS)]
        for value in values:
            for number in range(n_visitors):
                key = f"a:{number}"
                self.partitions[partition_of(key, N_PARTITIONS)].append((key, value))

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        """Entries in order."""
        found = self.partitions[partition]
        for offset in range(from_offset, len(found) if to_offset is None else to_offset):
            yield LogEntry(offset, *found[offset])


async def recount_us(log: _Log, before: CompiledCatalog, today: CompiledCatalog, n_held: int) -> float:
    """CPU µs an entry."""

    async def catalog_of(version: int) -> CompiledCatalog:
        return before

    ends = [len(found) for found in log.partitions]
    began_s = time.process_time()
    passed_on = PassedOn(1, N_PARTITIONS)
    for partition, end in enumerate(ends):
        async for found in log.read("", partition, 0, end):
            passed_on.note(found.key, found.value)
    passed_on.all_noted()
    wanted = [series for series in today.series.values() if series.event]
    recount = Recount(wanted, 1, N_PARTITIONS, passed_on, complete=True, n_held=n_held)
    await recount_all(cast(EventLog, log), recount, catalog_of, [0] * N_PARTITIONS, ends)
    n_missing = sum(1 for _ in recount.missing(0, 0))
    recount.close()
    assert n_missing > 0
    return (time.process_time() - began_s) / sum(ends) * 1e6


async def report(rounds: int, n_visitors: int) -> None:
    """Measure in turn and print."""
    shop = load_catalog(Path(config.__file__).parent / "catalog")
    before, today = declaring(shop, PLAIN, {}), declaring(shop, SEGMENTS, {})
    values = entries(before)
    log = _Log(values, n_visitors)
    found: dict[str, list[float]] = {"folded": [], "recounted": [], "on_disk": []}
    for _ in range(rounds):
        found["folded"].append(pure_us(before, values))
        found["recounted"].append(await recount_us(log, before, today, n_visitors))
        found["on_disk"].append(await recount_us(log, before, today, n_visitors // 100))
    medians = {name: statistics.median(each) for name, each in found.items()}
    print(
        json.dumps(
            {
                **{f"{name}_us": round(us, 1) for name, us in medians.items()},
                "ratio": round(medians["recounted"] / medians["folded"], 2),
                "ratio_on_disk": round(medians["on_disk"] / medians["folded"], 2),
            }
        )
    )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--visitors", type=int, default=2_000)
    arguments = parser.parse_args()
    asyncio.run(report(arguments.rounds, arguments.visitors))


if __name__ == "__main__":
    end_by_sigterm()
    main()
