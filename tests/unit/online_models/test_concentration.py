"""How much few visitors teach an arm is never said too large, and with few visitors it is said exactly."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from online_models.concentration import OUTCOMES, ArmShares, Concentration
from online_models.distinct_count import DistinctCount
from personalization.bounded import short_hash
from personalization.catalog.duration import DAY_MS
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

NOON_MS = 1_700_000_000_000


def taught(visitor: object, arm: str = "red", day: int = 0, weight: float = 1.0) -> Outcome:
    at_ms = NOON_MS + day * DAY_MS
    choice = Choice("d", "hero", 0, arm, 2**31)
    unit = short_hash(str(visitor)) if visitor is not None else b""
    return Outcome(choice, 0.0, ClosingReason.WINDOW, at_ms, at_ms, unit=unit, sample_weight=weight)


def of(concentration: Concentration, arm: str = "red") -> ArmShares:
    return concentration.shares()[arm]


def test_what_few_visitors_taught_is_known_exactly() -> None:
    concentration = Concentration()
    for visitor in range(100):
        concentration.add(taught(visitor), 0.0)
    for _ in range(100):
        concentration.add(taught("busy"), 0.5)
    found = of(concentration)
    assert found.outcomes.whole == 200
    assert found.outcomes.of_top == 0.5
    assert found.outcomes.n_visitors == pytest.approx(101, rel=0.2)
    assert (found.rewards.whole, found.rewards.of_top) == (50.0, 1.0)


def test_what_an_outcome_stands_for_counts() -> None:
    concentration = Concentration()
    for visitor in range(64):
        concentration.add(taught(visitor), 0.0)
    concentration.add(taught("above capacity", weight=64.0), 1.0)
    assert of(concentration).outcomes.of_top == 0.5


def test_arms_are_told_apart_and_the_busiest_comes_first() -> None:
    concentration = Concentration()
    for visitor in range(50):
        concentration.add(taught(visitor, "red"), 1.0)
        concentration.add(taught(visitor, "green"), 1.0)
        concentration.add(taught("busy", "green"), 1.0)
    assert list(concentration.shares()) == ["green", "red"]
    assert of(concentration, "green").rewards.of_top == pytest.approx(0.5)
    assert of(concentration, "red").rewards.of_top == pytest.approx(0.02)


def test_what_nobody_known_taught_says_nothing_of_visitors() -> None:
    concentration = Concentration()
    concentration.add(taught(None), 1.0)
    assert concentration.shares() == {}


def test_a_day_counts_until_the_day_after_has_ended() -> None:
    concentration = Concentration()
    concentration.add(taught("one"), 0.0)
    concentration.add(taught("two", day=1), 0.0)
    assert of(concentration).outcomes.whole == 2
    concentration.add(taught("three", day=2), 0.0)
    assert of(concentration).outcomes.whole == 2, "of the first day nothing is left"
    concentration.add(taught("four", day=9), 0.0)
    assert of(concentration).outcomes.whole == 1


def test_one_who_came_on_both_days_is_one() -> None:
    concentration = Concentration()
    for day in (0, 1):
        for visitor in range(50):
            concentration.add(taught(visitor, day=day), 0.0)
        for _ in range(25):
            concentration.add(taught("busy", day=day), 0.0)
    assert of(concentration).outcomes.of_top == pytest.approx(50 / 150)


def test_of_very_many_visitors_a_share_is_short_by_no_more_than_said_and_never_over() -> None:
    rng, concentration, true = random.Random(3), Concentration(), Counter[str]()
    n = 40_000
    for _ in range(n):
        visitor = f"busy-{rng.randrange(20)}" if rng.random() < 0.3 else f"{rng.randrange(10**9)}"
        true[visitor] += 1
        concentration.add(taught(visitor), 0.0)
    found = of(concentration).outcomes
    n_top = round(0.01 * found.n_visitors)
    exact = sum(count for _, count in true.most_common(n_top)) / n
    assert exact - n_top / OUTCOMES <= found.of_top <= exact
    assert found.of_top > 0.25, "the busy ones are seen"


def test_a_checkpoint_knows_the_same() -> None:
    concentration = Concentration()
    for day in (0, 1):
        for visitor in range(300):
            concentration.add(taught(visitor % 40, f"arm-{visitor % 7}", day), float(visitor % 3 == 0))
    loaded = Concentration.load(concentration.dump())
    assert loaded.shares() == concentration.shares()
    assert loaded.dump() == concentration.dump()
    for each in (loaded, concentration):
        each.add(taught("next", day=2), 1.0)
    assert loaded.shares() == concentration.shares()


@pytest.mark.parametrize("n", [0, 1, 8, 100, 300, 2_000, 100_000])
def test_how_many_different_ones_came_is_known_within_three_standard_errors(n: int) -> None:
    seen, twice = DistinctCount(), DistinctCount()
    for number in range(n):
        for count in (seen, twice, twice):
            count.add(short_hash(str(number)))
    assert seen.estimate() == pytest.approx(n, rel=0.28, abs=0.5)
    assert twice.dump() == seen.dump()
