"""What the same work costs a process that has slept: CPU hot and after a pause, of one machine.

    python -m benchmarks.waking_cost

Arithmetic alone, and 2,000 objects of 200,000 looked at in a random order: each over and over, and then after pauses
of 5 ms. Medians of five runs, microseconds of process CPU. The difference is what a machine takes to bring memory
back to a core that did something else meanwhile; no product that is asked 200 times a second is without it.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable

from benchmarks.ending import end_by_sigterm

N_OBJECTS, N_LOOKED_AT = 200_000, 2_000
PAUSE_S = 0.005


def cost_us(work: Callable[[], object], n: int, pause_s: float) -> float:
    """Of one call of ``work``."""
    started_s = time.process_time()
    for _ in range(n):
        if pause_s:
            time.sleep(pause_s)
        work()
    return (time.process_time() - started_s) / n * 1e6


def main() -> None:
    """Measure and print."""
    objects = [object() for _ in range(N_OBJECTS)]
    order = [random.Random(1).randrange(N_OBJECTS) for _ in range(N_LOOKED_AT)]

    def calculate() -> int:
        return sum(number * number for number in range(2_000))

    def look() -> None:
        for place in order:
            hash(objects[place])

    found = {}
    for name, work in (("arithmetic", calculate), ("objects", look)):
        hot = statistics.median(cost_us(work, 200, 0.0) for _ in range(5))
        woken = statistics.median(cost_us(work, 100, PAUSE_S) for _ in range(5))
        found[name] = {"hot_us": round(hot), "after_a_pause_us": round(woken)}
    print(json.dumps(found))


if __name__ == "__main__":
    end_by_sigterm()
    main()
