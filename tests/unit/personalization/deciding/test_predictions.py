"""What the model expected of a choice goes with it to its outcome if a policy chose by it; else nothing does."""

from __future__ import annotations

import pytest

from personalization.catalog.catalog import Placement
from personalization.events.outcome import decode_outcome, encode_outcome
from tests.unit.personalization.scenes import Likes, ask, catalog, made, run
from tests.unit.personalization.world import World

ARMS = ("red", "green", "blue")


def test_a_choice_tells_the_mean_that_its_policy_chose_by() -> None:
    shop = catalog(None, hero=Placement(content=ARMS, default="green"))
    for n in range(20):
        answer = run(shop, ask(anonymous_id=f"a{n}"), models={"hero": Likes(red=3, green=2, blue=1)})
        (record,), (entry,) = answer.records, made(answer)
        means = {arm.arm: arm.mean for arm in record.eligible()}
        assert entry.predicted == pytest.approx(means[entry.choice.arm])


@pytest.mark.parametrize("placement", [{"apprentice": True}, {"holdout": 0.999999}])
def test_what_no_policy_chose_predicts_nothing(placement: dict[str, float]) -> None:
    shop = catalog(None, hero=Placement(content=ARMS, default="green", **placement))  # type: ignore[arg-type]
    (entry,) = made(run(shop, models={"hero": Likes(red=3, green=2, blue=1)}))
    assert entry.predicted is None


def test_an_outcome_has_the_prediction_and_the_range_it_was_made_in() -> None:
    world = World()
    world.decide("a:1", "d1", predicted=0.31)
    world.reward("a:1", "d1", 1.0, final=True)
    outcome = decode_outcome(encode_outcome(world.outcomes[-1]))
    low, high = world.catalog.catalog.placements["hero"].reward_range
    assert (outcome.predicted, outcome.reward_range) == (0.31, (low, high))
