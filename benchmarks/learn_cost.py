"""What an outcome costs the learner: process CPU of its books and bounds alone, and with the default model.

4,000 outcomes of five arms, of as many visitors, from 1,500 networks; the least of eight runs, microseconds.

    PYTHONHASHSEED=0 OPENBLAS_NUM_THREADS=1 python -m benchmarks.learn_cost

Run it in each checkout in turn to compare two.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from typing import Any
from unittest.mock import patch

from benchmarks.ending import end_by_sigterm
from online_models.adaptive.arm_model import ArmModel
from online_models.placement_model import PlacementModel
from personalization.bounded import short_hash
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

NOON_MS = 1_700_000_000_000
N, N_NETWORKS = 4_000, 1_500


def outcomes() -> list[Outcome]:
    """What pages with a write key brought."""
    rng = random.Random(1)
    return [
        Outcome(
            Choice(f"d{number}", "hero", 0, f"offer-{rng.randrange(5)}", 2**30),
            float(rng.random() < 0.05),
            ClosingReason.WINDOW,
            NOON_MS,
            NOON_MS + number,
            NOON_MS,
            features={"device": rng.choice(["mobile", "desktop"]), "hour": float(rng.randrange(24))},
            unit=short_hash(f"visitor-{number}"),
            by="write",
            origin=short_hash(f"network-{rng.randrange(N_NETWORKS)}"),
        )
        for number in range(N)
    ]


def cost_us(came: list[Outcome]) -> float:
    """Of one outcome, learned by a new model."""
    model = PlacementModel("hero")
    started_s = time.process_time()
    for outcome in came:
        model.learn(outcome)
    return (time.process_time() - started_s) / len(came) * 1e6


def _nothing(*_: Any, **__: Any) -> None:
    """What a model that costs nothing learns."""


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=8)
    arguments = parser.parse_args()
    came = outcomes()
    whole = min(cost_us(came) for _ in range(arguments.runs))
    with patch.object(ArmModel, "learn_one", _nothing):
        books = min(cost_us(came) for _ in range(arguments.runs))
    print(json.dumps({"us_of_books_and_bounds": round(books, 2), "us_with_the_model": round(whole, 1)}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
