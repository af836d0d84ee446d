"""What is learned of actions that callers bring: which suits which context, new ones too; and by an apprentice."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from api.dialects.rank_reward.actions import actions_of
from api.dialects.rank_reward.features import context_features, merged
from api.dialects.rank_reward.wire import WireAction
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Placement
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import unpack
from tests.unit.personalization.scenes import NOW, catalog, made, run

pytestmark = pytest.mark.slow

TOPICS = ("sport", "news", "food", "art")
LIKED = {"ios": "sport", "android": "news", "web": "food"}
"""What each device's people click in six of ten; anything else in one."""

N_CALLS, N_LATE, LEARN_EVERY = 2_000, 500, 25


class Played(NamedTuple):
    """What the late calls came to: shares of them.

    Attributes
    ----------
    liked
        The topic that the context likes was shown.
    match_rate
        Of an apprentice, what the books say.
    """

    liked: float
    match_rate: float | None


def play(placement: Placement, *, new_every: int) -> Played:
    """Rank again and again, the topics as new actions every so many calls; what is shown is clicked or not."""
    draw, learner, shop = random.Random(7), PlacementModel("articles"), catalog(articles=placement)
    snapshot, liked = learner.snapshot(1), 0
    for n in range(N_CALLS):
        device = draw.choice(tuple(LIKED))
        # As an application that knows: what is liked comes first.
        topics = sorted(TOPICS, key=lambda topic: topic != LIKED[device])
        actions = [
            WireAction(id=f"{n // new_every}-{topic}", features=[{"kind": {"topic": topic}}]) for topic in topics
        ]
        context = merged([{"device": {"os": device}}])
        told = context_features(context, "context")
        asked = PlacementRequest("articles", 1, actions_of(actions).without({}), told)
        event_id = f"event-{n}"
        request = DecideRequest(
            request_id=event_id, placements=(asked,), anonymous_id=event_id, repeatable=True, consent_default=True
        )
        answer = run(shop, request, models={"articles": snapshot}, now_ms=NOW + n * 60_000)
        (entry,) = made(answer)
        is_liked = entry.choice.arm.endswith(LIKED[device])
        liked += is_liked and n >= N_CALLS - N_LATE
        learner.learn(
            Outcome(
                entry.choice,
                float(draw.random() < (0.6 if is_liked else 0.1)),
                ClosingReason.WINDOW,
                n,
                n,
                n,
                features=unpack(entry.features),
                arm_features=unpack(entry.arm_features),
                unit=entry.unit,
            )
        )
        if n % LEARN_EVERY == LEARN_EVERY - 1:
            snapshot = learner.snapshot(1)
    return Played(liked / N_LATE, learner.imitation.rate)


def test_what_suits_a_context_is_found_though_actions_are_new_every_hundred_calls() -> None:
    assert play(Placement(arms="caller"), new_every=100).liked > 0.7, "by chance .25"


def test_an_apprentice_shows_the_best_and_its_policy_cannot_know_that_it_is() -> None:
    """What was never shown may be better, for all that the data say: so decision 71 promises no match rate."""
    played = play(Placement(arms="caller", apprentice=True), new_every=N_CALLS)
    assert played.liked == 1
    assert played.match_rate is not None
    assert 0 < played.match_rate < 0.6
