"""Rank and Reward with several slots: each a decision of its own, given those above it."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.distribution import SCALE
from personalization.deciding.eligibility import TAKEN
from personalization.events.decision_id import key_of
from tests.unit.api.dialects.ranking import ACTIONS, KEY, loops, outcomes, say
from tests.unit.api.site import ID_KEY, SERVER, Site

SLOTS = [
    {"id": "top", "baselineAction": "sport", "features": [{"size": "large"}], "excludedActions": ["food"]},
    {"id": "side/2", "baselineAction": "news", "features": [{"size": "small"}]},
]


async def ask(site: Site, start: str = "/personalizer", **more: Any) -> Any:
    body = {"contextFeatures": [{"hour": 9}], "actions": ACTIONS, "slots": SLOTS, "eventId": "e1", **more}
    return await site.client.post(f"{start}/multislot/rank", json=body, headers=KEY)


async def test_each_slot_is_a_decision_given_those_above_it(ranking: Site) -> None:
    answer = await ask(ranking)
    assert answer.status_code == 201
    body = answer.json()
    records = ranking.spool.decisions()
    chosen = [record.choice.arm for record in records]
    assert body == {
        "slots": [{"id": name, "rewardActionId": arm} for name, arm in zip(("top", "side/2"), chosen, strict=True)],
        "eventId": "e1",
    }
    first, second = records
    assert (first.choice.slot, second.choice.slot) == (0, 1)
    assert set(first.arms) == {"sport", "news"}
    assert set(second.arms) == {"news", "sport", "food"} - {chosen[0]}
    assert second.above == (chosen[0],)
    assert second.filtered == {chosen[0]: TAKEN}
    assert sum(second.weights) == SCALE
    assert [record.features["slot.size"] for record in records] == ["large", "small"]
    assert {record.features["context.hour"] for record in records} == {9.0}


async def test_a_reward_is_its_slots_alone(ranking: Site) -> None:
    await ask(ranking)
    await say(ranking, "/personalizer/multislot/events/e1/reward", {"reward": [{"slotId": "side/2", "value": 0.5}]})
    assert {outcome.choice.slot: outcome.reward for outcome in outcomes(ranking)} == {0: 0.0, 1: 0.5}


async def test_rewards_of_slots_that_are_sent_again_count_once(ranking: Site) -> None:
    await ask(ranking)
    rewards = {"reward": [{"slotId": slot, "value": 0.25} for slot in ("top", "side/2", "top")]}
    for _ in range(2):
        sent = {"x-ms-client-request-id": "c1"}
        await say(ranking, "/personalizer/multislot/events/e1/reward", rewards, **sent)
    assert {outcome.choice.slot: outcome.reward for outcome in outcomes(ranking)} == {0: 0.5, 1: 0.25}


@pytest.mark.parametrize("start", ["/personalizer/v1.0", "/personalizer/v1.1-preview.3", "/personalizer"])
@pytest.mark.parametrize("loop", ["", "/placements/articles"])
async def test_slots_are_ranked_and_rewarded_under_every_path_there_was(
    ranking: Site, loop: str, start: str
) -> None:
    await ask(ranking, loop + start)
    await say(ranking, f"{loop}{start}/multislot/events/e1/reward", {"reward": [{"slotId": "top", "value": 1}]})
    assert [outcome.reward for outcome in outcomes(ranking)] == [1.0, 0.0]


@pytest.mark.parametrize("overtakes", [False, True])
async def test_one_activation_shows_every_slot_whether_it_came_before_or_behind(
    ranking: Site, overtakes: bool
) -> None:
    for event_id in ("shown", "hidden"):
        await ask(ranking, eventId=event_id, deferActivation=True)
    await say(ranking, "/personalizer/multislot/events/shown/activate")
    if overtakes:
        ranking.spool.records, ranking.log.records = ranking.log.records, ranking.spool.records
    found = outcomes(ranking)
    assert sorted((each.choice.slot, each.trains, each.exposed_at_ms is not None) for each in found) == [
        (0, False, False),
        (0, True, True),
        (1, False, False),
        (1, True, True),
    ]


@pytest.mark.parametrize("linked_before", [False, True])
async def test_an_activation_shows_no_other_event_of_the_user_it_was_linked_to(
    ranking: Site, linked_before: bool
) -> None:
    for event_id in ("e1", "e2"):
        await ask(ranking, eventId=event_id, deferActivation=True)
    views = [{"type": "track", "event": "View", "anonymousId": each, "userId": "bob"} for each in ("e1", "e2")]
    assert (await ranking.collect(*views, headers=SERVER)).status_code == 200
    if linked_before:
        ranking.spool.records, ranking.log.records = [*ranking.log.records, *ranking.spool.records], []
    await say(ranking, "/personalizer/multislot/events/e1/activate")
    exposed = {key_of(ID_KEY, each.choice.decision_id): each.exposed_at_ms for each in outcomes(ranking)}
    assert {key: at_ms is not None for key, at_ms in exposed.items()} == {"a:e1": True, "a:e2": False}


async def test_rewards_of_slots_are_taken_all_at_once_or_not_at_all(ranking: Site) -> None:
    await ask(ranking)
    path = "/personalizer/multislot/events/e1/reward"
    rewards = [{"slotId": "top", "value": 1}, {"slotId": "side/2", "value": 1e10}]
    answer = await ranking.client.post(path, json={"reward": rewards}, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "reward[1].value")
    assert ranking.log.records == [], "what is sent again, mended, counts once"
    rewards[1]["value"] = 0.5
    await say(ranking, path, {"reward": rewards})
    assert ranking.log.n_appends == 1
    assert [outcome.reward for outcome in outcomes(ranking)] == [1.0, 0.5]


async def test_one_activation_makes_the_rewards_before_it_count(ranking: Site) -> None:
    await ask(ranking, deferActivation=True)
    rewards = {"reward": [{"slotId": "top", "value": 1}]}
    await say(ranking, "/personalizer/multislot/events/e1/reward", rewards)
    await say(ranking, "/personalizer/multislot/events/e1/activate")
    assert [(each.reward, each.trains) for each in outcomes(ranking)] == [(1.0, True), (0.0, True)]


async def test_who_is_held_out_gets_each_slots_baseline(ranking: Site) -> None:
    ranking.compiled = compile_catalog(loops(articles=Placement(arms="caller", holdout=0.999999)), 13)
    body = (await ask(ranking)).json()
    assert [slot["rewardActionId"] for slot in body["slots"]] == ["sport", "news"]


async def test_a_slot_that_nothing_is_left_for_is_empty_and_the_next_is_not(ranking: Site) -> None:
    slots = [
        {"id": "a", "baselineAction": "news", "excludedActions": ["food"]},
        {"id": "b", "baselineAction": "sport", "excludedActions": ["news", "food"]},
        {"id": "c", "baselineAction": "food"},
    ]
    seen = set()
    for n in range(20):
        body = (await ask(ranking, slots=slots, eventId=f"e{n}")).json()
        seen.add(tuple(slot["rewardActionId"] for slot in body["slots"]))
    assert {chosen for chosen in seen if chosen[0] == "sport"} == {("sport", None, "news"), ("sport", None, "food")}
    assert {chosen for chosen in seen if chosen[0] == "news"} == {("news", "sport", "food")}


def slot(**more: Any) -> list[dict[str, Any]]:
    return [SLOTS[0], {**SLOTS[1], **more}]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no slots": ({"slots": []}, "slots", "are none; send at least one"),
    "too many": ({"slots": [{"id": str(n), "baselineAction": "news"} for n in range(4)]}, "slots", "for 3 actions"),
    "twice": ({"slots": slot(id="top")}, "slots[1].id", "'top' stands there twice"),
    "no id": ({"slots": slot(id="")}, "slots[1].id", "is missing"),
    "no such baseline": ({"slots": slot(baselineAction="x")}, "slots[1].baselineAction", "is the id of no action"),
    "baseline of two": (
        {"slots": slot(baselineAction="sport")},
        "slots[1].baselineAction",
        "is another slot's too",
    ),
    "excluded baseline": (
        {"slots": slot(excludedActions=["news"])},
        "slots[1].baselineAction",
        "'news' is excluded there",
    ),
    "no baseline": ({"slots": [{"id": "top"}]}, "slots[0].baselineAction", "is missing"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_slot_is_named_with_the_remedy(ranking: Site, case: str) -> None:
    more, target, message = BAD[case]
    answer = await ask(ranking, **more)
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, target), answer.text
    assert message in answer.json()["error"]["message"]
    assert ranking.spool.records == []
