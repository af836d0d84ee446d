"""A decision that is shown later than it is made is seen to be, in whatever order the log has the two."""

from __future__ import annotations

import msgspec
import pytest

from personalization.catalog.duration import DAY_MS
from personalization.events.event import DecisionMade
from personalization.events.outcome import USUAL_RANGE, USUAL_WEIGHT, Outcome, encode_outcome
from personalization.projecting.arms import Arms, arms_in, buckets_over
from personalization.projecting.facts import DecisionFact, decode_outcome_fact
from personalization.projecting.sums import no_sums
from personalization.visitor.choice import Choice
from tests.unit.personalization.rewarding import KEY, WINDOW, Step, tell
from tests.unit.personalization.world import World, shop


def exposures(outcome: Outcome, *, at_once: bool) -> float:
    """As the projector counts them, of the decision and its outcome together."""
    arms, sums = Arms(), no_sums()
    made = DecisionFact(choice=outcome.choice, request_id="r", decided_at_ms=outcome.decided_at_ms, exposed=at_once)
    arms.decided(made, sums)
    arms.closed(decode_outcome_fact(encode_outcome(outcome)), sums)
    by_name = {bucket.name: of_bucket for bucket, of_bucket in sums.items()}
    now_ms = outcome.closed_at_ms
    placement = outcome.choice.placement
    found = arms_in([by_name.get(name, {}) for name in buckets_over(placement, DAY_MS, now_ms)], placement)
    return sum(each.n_exposures for each in found.values())


STORIES: dict[str, tuple[list[Step], bool]] = {
    "at once": ([("decide", "d1", "red")], True),
    "activated": ([("defer", "d1", "red"), ("activate", "d1")], False),
    "activated, and that was logged first": ([("activate", "d1"), ("defer", "d1", "red")], False),
    "shown by a reward that was logged first": ([("reward", "d1", 1.0), ("defer", "d1", "red")], False),
}


@pytest.mark.parametrize(("steps", "at_once"), STORIES.values(), ids=STORIES.keys())
def test_what_was_shown_counts_as_shown_once(steps: list[Step], at_once: bool) -> None:
    world = World(shop())
    for step in [*steps, ("wait", WINDOW + 1)]:
        tell(world, step)
    (outcome,) = world.outcomes
    assert exposures(outcome, at_once=at_once) == 1


def test_an_activation_by_a_clock_that_is_behind_does_not_come_before_its_decision() -> None:
    world = World(shop())
    tell(world, ("defer", "d1", "red"))
    world.now_ms -= 500
    tell(world, ("activate", "d1"))
    tell(world, ("wait", WINDOW + 1_000))
    (outcome,) = world.outcomes
    assert outcome.exposed_at_ms == outcome.decided_at_ms + 1
    assert exposures(outcome, at_once=False) == 1


@pytest.mark.parametrize(
    ("range_", "predicted", "more_bytes"), [((0.0, 9.0), None, 0), ((0.0, 1.0), 0.5, 19), ((0.0, 9.0), 0.5, 51)]
)
def test_an_outcome_carries_no_more_than_its_prediction_needs(
    range_: tuple[float, float], predicted: float | None, more_bytes: int
) -> None:
    world = World(shop(reward_range=range_))
    world.send(KEY, DecisionMade(message_id="m1", choice=Choice("d1", "hero", 0, "red", 1), predicted=predicted))
    tell(world, ("wait", WINDOW + 1))
    (outcome,) = world.outcomes
    usual = {"reward_range": USUAL_RANGE, "training_weight": USUAL_WEIGHT, "sample_weight": USUAL_WEIGHT}
    bare = msgspec.structs.replace(outcome, predicted=None, **usual)
    assert len(encode_outcome(outcome)) == len(encode_outcome(bare)) + more_bytes
