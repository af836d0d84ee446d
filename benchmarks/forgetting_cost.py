"""What it costs to know who brought what, and whose a row is: learning as it is, and with both left out, in turn.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.forgetting_cost --rounds 8

Contexts have 16 numbers and four categories, one of which has 1,500 levels: the worst there is, as its levels are
brought by one person each. Shown is the least of the rounds, the CPU of one process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np

from benchmarks.ending import end_by_sigterm
from online_models.adaptive import row_buffer
from online_models.adaptive.arm_model import ArmModel
from online_models.bringers import Bringers
from online_models.conversion import model as conversion_model
from online_models.conversion.model import ConversionModel
from personalization.bounded import short_hash

N_ROWS, N_PERSONS, N_ARMS = 6_000, 1_500, 10


def outcomes(seed: int = 0) -> Iterator[tuple[dict[str, Any], float, bytes]]:
    """Context, reward and unit."""
    rng = np.random.default_rng(seed)
    for _ in range(N_ROWS):
        person = int(rng.integers(0, N_PERSONS))
        x: dict[str, Any] = {f"n{at}": value for at, value in enumerate(rng.normal(size=16).tolist())}
        x |= {"mail": f"{person}@x.example", "city": f"c{person % 20}", "device": "dpt"[person % 3]}
        x |= {"language": ("en", "de")[person % 2], "arm": f"a{rng.integers(0, N_ARMS)}"}
        yield x, float(rng.random() < 0.3), short_hash(str(person))


def placement(x: dict[str, Any], y: float, unit: bytes, model: ArmModel) -> None:
    """One outcome of a placement."""
    model.learn_one(x, y, unit=unit)


def conversion(x: dict[str, Any], y: float, unit: bytes, model: ConversionModel) -> None:
    """One example of a conversion."""
    model.learn_one({name: value for name, value in x.items() if name != "arm"}, y, 1.0, unit)


KINDS: dict[str, tuple[Callable[[], Any], Callable[..., None]]] = {
    "placement": (ArmModel, placement),
    "conversion": (ConversionModel, conversion),
}


def measured(kind: str, *, knows: bool) -> tuple[float, int]:
    """Microseconds of CPU an update, and bytes of a checkpoint."""
    make, learn = KINDS[kind]
    model, rows = make(), list(outcomes())
    with ExitStack() as stack:
        if not knows:
            stack.enter_context(patch.object(Bringers, "begun", lambda self, names, units: self))
            for module in (row_buffer, conversion_model):
                stack.enter_context(patch.object(module, "row_unit", lambda unit: 0))
        began_s = time.process_time()
        for x, y, unit in rows:
            learn(x, y, unit, model)
    return (time.process_time() - began_s) / N_ROWS * 1e6, len(msgspec.msgpack.encode(model.dump()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    for kind in KINDS:
        found: dict[bool, list[tuple[float, int]]] = {False: [], True: []}
        for _ in range(options.rounds):
            for knows in found:
                found[knows].append(measured(kind, knows=knows))
        without, known = (min(of) for of in found.values())
        print(
            f"{kind}: {without[0]:.1f} µs, {without[1]:,} bytes; knowing who {known[0]:.1f} µs "
            f"({known[0] / without[0]:.3f}), {known[1]:,} bytes ({known[1] / without[1]:.3f})"
        )


if __name__ == "__main__":
    end_by_sigterm()
    main()
