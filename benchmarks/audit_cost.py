"""What a record of the audit costs: the wait before an act or a read is done, alone and many at once; its bytes.

Redis is one of its own, on the same machine. ``verified`` is what looking at one record costs, read from Redis.

    .venv/bin/python -m benchmarks.audit_cost [--records 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.ending import end_by_sigterm
from personalization.audit.record import Act, visitor_mark
from personalization.key_derivation import Secrets
from state.audit_store import AuditStore
from state.embedded import EmbeddedRedis

SECRETS = Secrets(b"a secret for a measurement")


def read_of(n: int) -> Act:
    """A read of a visitor by a site's server."""
    mark = visitor_mark(SECRETS.key("audit-visitors"), f"visitor-{n}")
    return Act(trail="reads", actor="shop/backend", act="visitor", objects=(mark,), network="192.0.2.0/24")


async def measure(url: str, n_records: int) -> dict[str, float]:
    """Microseconds, and bytes a record."""
    redis = Redis.from_url(url)
    store = AuditStore(redis, "measured", SECRETS, 10 * n_records)
    await store.append(read_of(0))
    waits = []
    for n in range(n_records):
        began = time.perf_counter()
        await store.append(read_of(n))
        waits.append(time.perf_counter() - began)
    began = time.perf_counter()
    await asyncio.gather(*(store.append(read_of(n)) for n in range(n_records)))
    at_once = (time.perf_counter() - began) / n_records
    began = time.perf_counter()
    fault, _, head = await store.verify("reads")
    assert fault is None, fault
    verified = (time.perf_counter() - began) / head.n
    used = await redis.memory_usage("measured:{audit}:reads", samples=0)
    await redis.aclose()
    return {
        "alone_us": round(statistics.median(waits) * 1e6, 1),
        "at_once_us": round(at_once * 1e6, 1),
        "verified_us": round(verified * 1e6, 1),
        "bytes": round((used or 0) / head.n),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder) / "redis") as server:
        print(json.dumps(asyncio.run(measure(server.url, options.records))))


if __name__ == "__main__":
    end_by_sigterm()
    main()
