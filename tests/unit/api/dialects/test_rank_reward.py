"""Rank and Reward: events are decided, found again by their ids, and rewarded as every decision is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from personalization.catalog.catalog import Placement, RewardRule
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.deciding.distribution import SCALE
from personalization.events.decision_id import key_of
from personalization.visitor.folder_state import encode_folder
from personalization.visitor.visitor_state import encode_visitor
from tests.contract.dialects.folding import folded
from tests.unit.api.dialects.ranking import ACTIONS, KEY, loops, outcomes, say
from tests.unit.api.site import ID_KEY, SERVER, WRITE, Site, shop

CONTEXT = [{"device": {"os": "ios", "screens": [2, 0.5]}}, {"hour": 9, "_secret": "x", "plan": "pro"}]


async def ask(ranking: Site, path: str = "/personalizer/v1.0/rank", headers: Any = None, **more: Any) -> Any:
    body = {"contextFeatures": CONTEXT, "actions": ACTIONS, "eventId": "e1", **more}
    return await ranking.client.post(path, json=body, headers=headers or KEY)


async def test_one_action_is_drawn_of_all_that_the_caller_brings(ranking: Site) -> None:
    answer = await ask(ranking)
    assert answer.status_code == 201
    body = answer.json()
    assert list(body) == ["ranking", "eventId", "rewardActionId"]
    (record,) = ranking.spool.decisions()
    assert (body["eventId"], body["rewardActionId"]) == ("e1", record.choice.arm)
    assert (record.choice.placement, record.key, record.exposed, record.trains) == ("articles", "a:e1", True, True)
    assert {each["id"]: each["probability"] for each in body["ranking"]} == {
        arm: weight / SCALE for arm, weight in zip(record.arms, record.weights, strict=True)
    }
    assert body["ranking"][0]["id"] == record.choice.arm


async def test_features_of_context_and_actions_are_what_the_model_is_told(ranking: Site) -> None:
    await ask(ranking)
    (record,) = ranking.spool.decisions()
    told = {name: value for name, value in record.features.items() if name.startswith("context.")}
    assert told == {
        "context.device.os": "ios",
        "context.device.screens.0": 2.0,
        "context.device.screens.1": 0.5,
        "context.hour": 9.0,
        "context.plan": "pro",
    }
    assert record.arm_features == {
        "news": {"topic.kind": "news", "length": 3.0},
        "sport": {"topic.kind": "sport", "tags.live": 1.0, "tags.new": 1.0},
    }


async def test_excluded_actions_keep_their_place_with_probability_zero(ranking: Site) -> None:
    body = (await ask(ranking, excludedActions=["news"])).json()
    assert body["ranking"][0] == {"id": "news", "probability": 0.0}
    assert sum(each["probability"] for each in body["ranking"]) == pytest.approx(1)
    assert body["rewardActionId"] == body["ranking"][1]["id"]
    (record,) = ranking.spool.decisions()
    assert record.filtered == {"news": "excluded"}


async def test_a_reward_finds_its_decision_by_the_event_id_alone(ranking: Site) -> None:
    body = (await ask(ranking)).json()
    await say(ranking, "/personalizer/v1.0/events/e1/reward", {"value": 0.5})
    (outcome,) = outcomes(ranking)
    assert (outcome.choice.arm, outcome.reward, outcome.n_rewards, outcome.trains) == (
        body["rewardActionId"],
        0.5,
        1,
        True,
    )
    assert key_of(ID_KEY, outcome.choice.decision_id) == "a:e1"


async def test_an_event_without_an_id_gets_one_that_its_reward_finds(ranking: Site) -> None:
    event_id = (await ask(ranking, eventId=None)).json()["eventId"]
    await say(ranking, f"/personalizer/v1.0/events/{event_id}/reward", {"value": 1})
    (outcome,) = outcomes(ranking)
    assert outcome.reward == 1


@pytest.mark.parametrize("event_id", ["a/b", "ä%2F", "x" * 256, "events/reward"])
async def test_any_event_id_is_found_again(ranking: Site, event_id: str) -> None:
    assert (await ask(ranking, eventId=event_id)).json()["eventId"] == event_id
    await say(ranking, f"/personalizer/v1.0/events/{quote(event_id, safe='')}/reward", {"value": 1})
    (outcome,) = outcomes(ranking)
    assert outcome.reward == 1


async def test_a_reward_that_overtakes_its_ranking_waits_for_it(ranking: Site) -> None:
    await say(ranking, "/personalizer/v1.0/events/e1/reward", {"value": 1})
    await ask(ranking)
    ranking.spool.records, ranking.log.records = ranking.log.records, ranking.spool.records
    (outcome,) = outcomes(ranking)
    assert (outcome.reward, outcome.trains) == (1, True)


async def test_an_event_that_nothing_rewards_is_worth_the_default(ranking: Site) -> None:
    ranking.compiled = compile_catalog(
        loops(articles=Placement(arms="caller", default_reward=-0.5, reward_range=(-1, 1))), 13
    )
    await ask(ranking)
    (outcome,) = outcomes(ranking)
    assert (outcome.reward, outcome.n_rewards, outcome.trains) == (-0.5, 0, True)


@pytest.mark.parametrize(("combine", "total"), [("first", 0.25), ("sum", 0.75), ("max", 0.5)])
async def test_rewards_of_one_event_combine_as_the_catalog_says(ranking: Site, combine: Any, total: float) -> None:
    ranking.compiled = compile_catalog(loops(articles=Placement(arms="caller", combine=combine)), 13)
    await ask(ranking)
    for value in (0.25, 0.5):
        await say(ranking, "/personalizer/v1.0/events/e1/reward", {"value": value})
    (outcome,) = outcomes(ranking)
    assert outcome.reward == total


async def test_a_reward_that_a_client_sends_again_counts_once(ranking: Site) -> None:
    await ask(ranking)
    for call_id in ("c1", "c1", "c2"):
        sent = {"x-ms-client-request-id": call_id}
        await say(ranking, "/personalizer/events/e1/reward", {"value": 0.25}, **sent)
    (outcome,) = outcomes(ranking)
    assert (outcome.reward, outcome.n_rewards) == (0.5, 2)


async def test_a_deferred_event_trains_only_once_it_is_activated(ranking: Site) -> None:
    for event_id in ("shown", "hidden"):
        await ask(ranking, eventId=event_id, deferActivation=True)
    assert [each.exposed for each in ranking.spool.decisions()] == [False, False]
    await say(ranking, "/personalizer/v1.0/events/shown/activate")
    for event_id in ("shown", "hidden"):
        await say(ranking, f"/personalizer/v1.0/events/{event_id}/reward", {"value": 1})
    found = {key_of(ID_KEY, each.choice.decision_id): each for each in outcomes(ranking)}
    assert {key: outcome.trains for key, outcome in found.items()} == {"a:shown": True, "a:hidden": False}


async def test_the_same_event_ranked_twice_is_one_decision(ranking: Site) -> None:
    one, other = [(await ask(ranking)).json() for _ in range(2)]
    assert one == other
    assert len(outcomes(ranking)) == 1


async def test_an_endpoint_names_its_placement(ranking: Site) -> None:
    ranking.compiled = compile_catalog(loops(products=Placement(arms="caller")), 13)
    for version in ("/personalizer/v1.0", "/personalizer"):
        body = (await ask(ranking, f"/placements/products{version}/rank", eventId=version[-3:])).json()
        await say(ranking, f"/placements/products{version}/events/{body['eventId']}/reward", {"value": 1})
    assert {(each.choice.placement, each.reward) for each in outcomes(ranking)} == {("products", 1.0)}
    unnamed = await ask(ranking)
    assert unnamed.status_code == 404
    said = "endpoint: names no placement; end your endpoint in /placements/NAME, of: articles, products"
    assert unnamed.json()["error"]["message"] == said
    unknown = await ask(ranking, "/placements/nowhere/personalizer/v1.0/rank")
    assert "'nowhere' is not in the catalog; end your endpoint in" in unknown.json()["error"]["message"]


async def test_a_placement_with_arms_of_its_own_is_no_loop(ranking: Site) -> None:
    ranking.compiled = compile_catalog(shop(), 13)
    named = await ask(ranking, "/placements/home.hero/personalizer/v1.0/rank")
    assert (named.status_code, named.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert named.json()["error"]["message"] == (
        "endpoint: 'home.hero' has arms of its own; write one with 'arms: caller' in the catalog"
    )


async def test_who_is_not_asked_or_refuses_gets_the_baseline_and_is_not_logged(ranking: Site) -> None:
    refusing = [*CONTEXT, {"consent": {"personalization": False}}]
    body = (await ask(ranking, contextFeatures=refusing)).json()
    assert (body["rewardActionId"], body["ranking"][0]["probability"]) == ("news", 1.0)
    body = (await ask(ranking, contextFeatures=refusing, excludedActions=["news"])).json()
    assert body["rewardActionId"] == "sport"
    assert ranking.spool.decisions() == []


async def test_a_rule_of_the_placement_looks_at_the_context(ranking: Site) -> None:
    ranking.compiled = compile_catalog(loops(articles=Placement(arms="caller", when='context.plan == "free"')), 13)
    body = (await ask(ranking)).json()
    assert body["rewardActionId"] == "news"
    assert ranking.spool.decisions()[0].tier == "default"


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no actions": ({"actions": []}, "actions", "are none; send at least one"),
    "too many": ({"actions": [{"id": str(n), "features": []} for n in range(51)]}, "actions", "at most 50"),
    "no id": ({"actions": [{"id": "", "features": []}]}, "actions[0].id", "is missing"),
    "twice": ({"actions": [{"id": "a"}, {"id": "a"}]}, "actions[1].id", "'a' stands there twice"),
    "features": ({"actions": [{"id": "a", "features": ["x"]}]}, "actions[0].features[0]", "expected `object`"),
    "many features": (
        {"actions": [{"id": "a", "features": [{f"f{n}": n for n in range(65)}]}]},
        "actions[0].features",
        "are more than 64",
    ),
    "unknown exclusion": ({"excludedActions": ["x"]}, "excludedActions[0]", "is the id of no action here"),
    "all excluded": ({"excludedActions": ["news", "sport", "food"]}, "excludedActions", "names every action"),
    "long event id": ({"eventId": "x" * 257}, "eventId", "longer than 256"),
    "nobody's event id": ({"eventId": "undefined"}, "eventId", "another for every ranking"),
    "an event id that addresses swallow": ({"eventId": ".."}, "eventId", "no client could reward it"),
    "context": ({"contextFeatures": {"a": 1}}, "contextFeatures", "expected `array | null`"),
    "much context": ({"contextFeatures": [{"a": [{}] * 1000}]}, "contextFeatures", "has"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_names_the_field_and_the_remedy(ranking: Site, case: str) -> None:
    more, target, message = BAD[case]
    answer = await ask(ranking, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (400, "BadRequest", target)
    assert message in error["message"]
    assert error["innerError"]["code"]
    assert ranking.spool.records == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"actions":[{"id":"a","features":[{"x":%s1%s}]}]}' % (b"[" * 40, b"]" * 40),
        b'{"actions":[{"id":"a","x":%s1%s}]}' % (b"[" * 40, b"]" * 40),
        b'{"actions":[%s{"id":"z","features":[{"x":%s1%s}]}]}'
        % (b"".join(b'{"id":"%d","features":[{},{}]},' % n for n in range(40)), b"[" * 28, b"]" * 28),
        b'{"contextFeatures":[{"x":%s1%s}],"actions":[{"id":"a"}]}' % (b"[" * 40, b"]" * 40),
        b'{"actions":[{"id":"a","features":[{"x":"\\u0000"}]}]}',
        b'{"actions":[{"id":"a","features":[{"x":NaN}]}]}',
        b'{"actions":[{"id":"a","features":[{"x":"\\ud800"}]}]}',
        b'{"actions":[{"id":"a","features":[{"x":1e999}]}]}',
        b"[]",
        b"",
        b"\xff",
    ],
)
async def test_what_no_request_may_hold_is_refused_and_disturbs_nothing(ranking: Site, body: bytes) -> None:
    answer = await ranking.client.post("/personalizer/v1.0/rank", content=body, headers=KEY)
    assert answer.status_code == 400, answer.text
    assert ranking.spool.records == []
    assert (await ask(ranking)).status_code == 201


async def test_many_actions_are_not_taken_for_depth(ranking: Site) -> None:
    actions = [{"id": str(n), "features": [{"a": 1}, {"b": {"c": 2}}]} for n in range(50)]
    assert len((await ask(ranking, actions=actions)).json()["ranking"]) == 50


async def test_an_event_of_the_page_rewards_what_the_server_ranked(ranking: Site) -> None:
    read = RewardRule(event="Read", arm="properties.article", value=0.5)
    ranking.compiled = compile_catalog(loops(articles=Placement(arms="caller", rewards=(read,))), 13)
    chosen = (await ask(ranking)).json()["rewardActionId"]
    event = {"type": "track", "event": "Read", "anonymousId": "e1", "properties": {"article": chosen}}
    assert (await ranking.collect(event)).status_code == 200
    assert [(each.choice.arm, each.reward) for each in outcomes(ranking)] == [(chosen, 0.5)]


async def test_an_event_takes_up_little_and_goes_after_a_day(ranking: Site) -> None:
    await ask(ranking)
    world = folded(ranking)
    visitor = world.visitors["a:e1"]

    def n_bytes() -> int:
        return len(encode_visitor(visitor.state)) + len(encode_folder(visitor.folder))

    assert n_bytes() < 800
    world.time_out("a:e1", after_ms=2 * MINUTE_MS)
    assert len(world.outcomes) == 1
    assert n_bytes() < 200
    world.time_out("a:e1", after_ms=DAY_MS)
    assert not visitor.is_known


async def test_only_who_may_bring_arms_ranks_and_rewards_by_event_id(ranking: Site) -> None:
    for path in ("rank", "events/e1/reward", "events/e1/activate"):
        page = await ranking.client.post(f"/personalizer/v1.0/{path}", json={"value": 1}, headers=WRITE)
        assert (page.status_code, page.json()["error"]["code"]) == (403, "403"), page.text
        nobody = await ranking.client.post(f"/personalizer/v1.0/{path}", json={"value": 1})
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "401")
    assert ranking.spool.records == ranking.log.records == []
    assert (await ask(ranking, headers=SERVER)).status_code == 201
