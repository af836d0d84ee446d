"""What an outcome costs the learner: process CPU of its books and bounds alone, and with the default model.

4,000 outcomes of five arms, of as many visitors, from 1,500 networks; the least of eight runs, microseconds. Beside
them a shop's: 20 arms with a category each, a context of what a page, a visit and a history tell, and rewards that
hang on both, so that the default model learns curves and matches.

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
CATEGORIES = ("shoes", "bags", "shirts", "tents", "stoves")


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


def wide_outcomes() -> list[Outcome]:
    """What a shop's pages brought: 20 offers, up to fifteen features, of which a visitor's likings come and go."""
    rng = random.Random(2)
    return [_of_shop(number, rng) for number in range(N)]


def _of_shop(number: int, rng: random.Random) -> Outcome:
    arm = rng.randrange(20)
    category = CATEGORIES[arm % len(CATEGORIES)]
    likings = {
        f"affinities.category.{each}": float(rng.randrange(1, 6)) for each in CATEGORIES if rng.random() < 0.4
    }
    features: dict[str, float | str] = {
        **likings,
        "cart_value": float(rng.choice((0, 20, 45, 120))),
        "counts.Product Viewed": float(rng.randrange(9)),
        "counts.Product Added": float(rng.randrange(3)),
        "device": rng.choice(("mobile", "desktop")),
        "hour": float(rng.randrange(24)),
        "n_orders": float(rng.randrange(4)),
        "segments.loyal": float(rng.random() < 0.2),
        "session.number": float(rng.randrange(1, 9)),
        "session.n_events": float(rng.randrange(1, 30)),
        "session.seconds": rng.random() * 600.0,
    }
    fits = f"affinities.category.{category}" in likings and features["device"] == "mobile"
    return Outcome(
        Choice(f"d{number}", "hero", 0, f"offer-{arm}", 2**30),
        float(rng.random() < (0.3 if fits else 0.05)),
        ClosingReason.WINDOW,
        NOON_MS,
        NOON_MS + number,
        NOON_MS,
        features=features,
        arm_features={"category": category},
        unit=short_hash(f"visitor-{number}"),
        by="server",
    )


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
    """Print all three."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=8)
    arguments = parser.parse_args()
    came = outcomes()
    whole = min(cost_us(came) for _ in range(arguments.runs))
    with patch.object(ArmModel, "learn_one", _nothing):
        books = min(cost_us(came) for _ in range(arguments.runs))
    came = wide_outcomes()
    wide = min(cost_us(came) for _ in range(arguments.runs))
    print(
        json.dumps(
            {
                "us_of_books_and_bounds": round(books, 2),
                "us_with_the_model": round(whole, 1),
                "us_with_the_model_of_a_shop": round(wide, 1),
            }
        )
    )


if __name__ == "__main__":
    end_by_sigterm()
    main()
