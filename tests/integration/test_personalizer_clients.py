"""Azure Personalizer's own clients against real servers: what they rank and reward is stored and learned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai import personalizer as new_sdk
from azure.cognitiveservices import personalizer as old_sdk
from azure.cognitiveservices.personalizer.models import ErrorResponseException, RankableAction, RankRequest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from msrest.authentication import CognitiveServicesCredentials

from eventlog.topics import DECISIONS
from personalization.deciding.distribution import SCALE
from personalization.events.decision_record import DecisionRecord, decode_record
from personalization.events.outcome import Outcome
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(120)]

OldClient: Any = old_sdk.PersonalizerClient
NewClient: Any = new_sdk.PersonalizerClient
"""Neither has types that hold: the old one has none, the new one those of a class below it."""

CATALOG = """
placements:
  articles: {arms: caller, window: 1s, combine: first, reward_range: [-1, 1]}
  products: {arms: caller, window: 1s}
content: {none: {}}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
ACTIONS: list[Any] = [
    {"id": "pasta", "features": [{"taste": {"kind": "salty"}}, {"nutrition": {"calories": 600}}]},
    {"id": "ice-cream", "features": [{"taste": {"kind": "sweet"}}]},
    {"id": "juice", "features": [{"taste": {"kind": "sweet"}}]},
]
CONTEXT: list[Any] = [{"time": {"of_day": "morning"}}, {"device": "mobile"}]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


@pytest.fixture
def old(site: Site) -> Any:
    return OldClient(f"{site.up.url}/placements/articles", CognitiveServicesCredentials("sk_dev"))


@pytest.fixture
def new(site: Site) -> Iterator[Any]:
    with NewClient(f"{site.up.url}/placements/products", AzureKeyCredential("sk_dev")) as client:
        yield client


_numbers = itertools.count(1)


@pytest.fixture
def event_id() -> str:
    return f"event/{next(_numbers)}"


def request(event_id: str | None, **more: Any) -> Any:
    actions = [RankableAction(**action) for action in ACTIONS]
    make: Any = RankRequest
    return make(actions=actions, context_features=CONTEXT, event_id=event_id, **more)


def records(site: Site, event_id: str) -> list[DecisionRecord]:
    """What was decided of an event; the spool hands it over behind the answer."""

    def found() -> list[DecisionRecord]:
        return [decode_record(value) for key, _, value in site.raw(DECISIONS) if key == f"a:{event_id}"]

    until(lambda: bool(found()), f"{event_id} is logged")
    return found()


def outcomes(site: Site, event_id: str) -> list[Outcome]:
    """What came of an event, slot by slot, once every window has closed."""
    decided = records(site, event_id)
    placement = decided[0].choice.placement
    ids = [record.choice.decision_id for record in decided]
    until(lambda: set(ids) <= set(site.outcomes(placement)), f"{event_id} has closed")
    closed = site.outcomes(placement)
    return [closed[each] for each in ids]


def test_the_old_client_ranks_and_its_reward_is_the_outcome_of_the_action_drawn(
    site: Site, old: Any, event_id: str
) -> None:
    answer = old.rank(request(event_id))
    assert answer.event_id == event_id
    assert answer.ranking[0].id == answer.reward_action_id
    old.events.reward(event_id, 0.5)
    old.events.reward(event_id, -1.0)  # combine: first
    (record,) = records(site, event_id)
    assert (record.choice.placement, record.choice.arm) == ("articles", answer.reward_action_id)
    assert {each.id: each.probability for each in answer.ranking} == {
        arm: weight / SCALE for arm, weight in zip(record.arms, record.weights, strict=True)
    }
    told = {name: value for name, value in record.features.items() if name.startswith("context.")}
    assert told == {"context.time.of_day": "morning", "context.device": "mobile"}
    assert record.arm_features["pasta"] == {"taste.kind": "salty", "nutrition.calories": 600.0}
    (outcome,) = outcomes(site, event_id)
    assert (outcome.choice.arm, outcome.choice.weight) == (answer.reward_action_id, record.choice.weight)
    assert (outcome.reward, outcome.n_rewards, outcome.trains) == (0.5, 2, True)


def test_the_old_client_makes_no_id_and_excludes_an_action(site: Site, old: Any) -> None:
    answer = old.rank(request(None, excluded_actions=["pasta"]))
    assert (answer.ranking[0].id, answer.ranking[0].probability) == ("pasta", 0.0)
    old.events.reward(answer.event_id, 1.0)
    (outcome,) = outcomes(site, answer.event_id)
    assert (outcome.choice.arm, outcome.reward) == (answer.reward_action_id, 1.0)
    assert outcome.choice.arm != "pasta"
    assert [record.filtered for record in records(site, answer.event_id)] == [{"pasta": "excluded"}]


def test_the_old_client_activates_what_it_deferred(site: Site, old: Any, event_id: str) -> None:
    for name in (event_id, f"{event_id}/hidden"):
        old.rank(request(name, defer_activation=True))
        old.events.reward(name, 1.0)
    old.events.activate(event_id)
    assert [(each.trains, each.reward) for each in outcomes(site, event_id)] == [(True, 1.0)]
    assert [each.trains for each in outcomes(site, f"{event_id}/hidden")] == [False]


def test_the_old_client_is_told_what_is_wrong(site: Site, old: Any) -> None:
    with pytest.raises(ErrorResponseException) as refused:
        old.rank(request(None, excluded_actions=["tea"]))
    told: Any = refused.value.error
    error = told.error
    assert (error.code, error.target) == ("BadRequest", "excludedActions[0]")
    assert error.inner_error.code == "unknown_name"
    unnamed = OldClient(site.up.url, CognitiveServicesCredentials("sk_dev"))
    with pytest.raises(ErrorResponseException, match="of: articles, products"):
        unnamed.rank(request(None))
    page = OldClient(f"{site.up.url}/placements/articles", CognitiveServicesCredentials("pk_dev"))
    with pytest.raises(ErrorResponseException, match="needs a server key"):
        page.rank(request(None))


def test_the_new_client_ranks_rewards_and_activates(site: Site, new: Any, event_id: str) -> None:
    body = {"actions": ACTIONS, "contextFeatures": CONTEXT, "eventId": event_id, "deferActivation": True}
    answer = new.rank(body)
    new.activate(event_id)
    new.reward(event_id, {"value": 0.25})
    new.reward(event_id, {"value": 0.25})  # two calls, two rewards: combine: sum
    (outcome,) = outcomes(site, event_id)
    assert (outcome.choice.placement, outcome.choice.arm) == ("products", answer["rewardActionId"])
    assert (outcome.reward, outcome.trains) == (0.5, True)


def test_the_new_client_fills_slots_and_rewards_each_for_itself(site: Site, new: Any, event_id: str) -> None:
    slots = [
        {"id": "top", "baselineAction": "pasta", "excludedActions": ["juice"], "features": [{"size": "large"}]},
        {"id": "side", "baselineAction": "juice"},
    ]
    body = {"actions": ACTIONS, "contextFeatures": CONTEXT, "slots": slots, "eventId": event_id}
    answer = new.rank_multi_slot({**body, "deferActivation": True})
    chosen = {slot["id"]: slot["rewardActionId"] for slot in answer["slots"]}
    assert list(chosen) == ["top", "side"]
    assert chosen["top"] != chosen["side"]
    assert chosen["top"] != "juice"
    new.activate_multi_slot(event_id)
    new.reward_multi_slot(event_id, {"reward": [{"slotId": "side", "value": 1.0}]})
    top, side = outcomes(site, event_id)
    assert [(each.choice.arm, each.reward, each.trains) for each in (top, side)] == [
        (chosen["top"], 0.0, True),
        (chosen["side"], 1.0, True),
    ]
    assert set(records(site, event_id)[1].arms) == {"pasta", "ice-cream", "juice"} - {chosen["top"]}


def test_the_new_client_is_told_what_is_wrong(new: Any) -> None:
    with pytest.raises(HttpResponseError) as refused:
        new.rank({"actions": []})
    assert refused.value.status_code == 400
    assert refused.value.error is not None
    assert (refused.value.error.code, refused.value.error.target) == ("BadRequest", "actions")


def test_what_is_rewarded_is_learned(site: Site, new: Any, event_id: str) -> None:
    before = site.learned("products")
    body = {"actions": ACTIONS, "contextFeatures": CONTEXT, "eventId": event_id}
    new.rank(body)
    new.reward(event_id, {"value": 1.0})
    until(lambda: site.learned("products")[1] >= before[1] + 1, "its reward is in the model's books")
