"""A version decides with the same bits whatever its decider had read before: whole, in steps, in any order."""

from __future__ import annotations

import random
from typing import Any

from online_models.adaptive.linear_scorer import LinearScorer
from online_models.placement_model import PlacementModel
from online_models.reward_model import Estimates
from online_models.snapshot import ModelSnapshot
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

ARMS = tuple(f"arm{i}" for i in range(18))
N_PUBLISHED = 30


def contexts() -> list[dict[str, Any]]:
    rng = random.Random(2)
    return [
        {"age": rng.gauss(40, 10), "device": rng.choice(["mobile", "desktop"]), f"likes.{n % 9}": rng.random()}
        for n in range(60)
    ]


def bits(snapshot: ModelSnapshot) -> list[tuple[bytes, bytes]]:
    found: list[Estimates] = [snapshot.estimate(ARMS, x) for x in contexts()]
    return [(each.mean.tobytes(), each.sd.tobytes()) for each in found]


def test_whoever_read_it_whole_and_whoever_followed_it_estimate_the_same_bits() -> None:
    model, rng, met = PlacementModel("p"), random.Random(3), list(ARMS)
    rng.shuffle(met)
    snapshot = followed = ModelSnapshot.prior()
    for step in range(N_PUBLISHED):
        for n in range(20):
            arm = rng.choice(met[: 1 + step])  # they become known one after the other, in no order of their names
            x = contexts()[rng.randrange(60)]
            reward = float(rng.random() < 0.1 + 0.02 * ARMS.index(arm))
            model.learn(
                Outcome(Choice(f"d{step}-{n}", "p", 0, arm, 2**31), reward, ClosingReason.WINDOW, 0, 1, features=x)
            )
        previous, snapshot = snapshot, model.snapshot(1)
        followed = followed.apply(snapshot.changed_since(previous))
    parts = snapshot.encode()
    shuffled = list(parts.arms.items())
    rng.shuffle(shuffled)
    whole = ModelSnapshot.decode(parts.header, dict(shuffled))
    assert isinstance(whole.scorer, LinearScorer)
    assert len(whole.scorer.arms) == len(ARMS)
    assert bits(followed) == bits(whole)
