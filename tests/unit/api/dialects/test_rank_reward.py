"""Rank and Reward: events are decided, found again by their ids, and rewarded as every decision is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from personalization.catalog.catalog import Catalog, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.deciding.distribution import SCALE
from personalization.events.decision_id import key_of
from personalization.events.outcome import Outcome
from tests.contract.dialects.folding import folded
from tests.unit.api.site import ID_KEY, SERVER, WRITE, Site, open_site, shop

KEY = {"Ocp-Apim-Subscription-Key": "sk_dev"}
ACTIONS = [
    {"id": "news", "features": [{"topic": {"kind": "news"}, "length": 3}]},
    {"id": "sport", "features": [{"topic": {"kind": "sport"}}, {"tags": ["live", "new"]}]},
    {"id": "food", "features": []},
]
CONTEXT = [{"device": {"os": "ios", "screens": [2, 0.5]}}, {"hour": 9, "_secret": "x", "plan": "pro"}]


def loops(**more: Placement) -> Catalog:
    spec = shop()
    for name in list(spec.placements):
        del spec.placements[name]
    spec.placements.update({"articles": Placement(arms="caller", window_ms=60_000), **more})
    return spec


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        opened.compiled = compile_catalog(loops(), 13)
        yield opened


async def ask(site: Site, path: str = "/personalizer/v1.0/rank", headers: Any = None, **more: Any) -> Any:
    body = {"contextFeatures": CONTEXT, "actions": ACTIONS, "eventId": "e1", **more}
    return await site.client.post(path, json=body, headers=headers or KEY)


async def say(site: Site, path: str, body: Any = None, **headers: str) -> None:
    response = await site.client.post(path, json=body, headers={**KEY, **headers})
    assert response.status_code == 204, response.text


def outcomes(site: Site) -> list[Outcome]:
    """What came of everything, once every window has closed."""
    world = folded(site)
    for key in list(world.visitors):
        world.time_out(key, after_ms=DAY_MS)
    return world.outcomes


async def test_one_action_is_drawn_of_all_that_the_caller_brings(site: Site) -> None:
    answer = await ask(site)
    assert answer.status_code == 201
    body = answer.json()
    assert list(body) == ["ranking", "eventId", "rewardActionId"]
    (record,) = site.spool.decisions()
    assert (body["eventId"], body["rewardActionId"]) == ("e1", record.choice.arm)
    assert (record.choice.placement, record.key, record.exposed, record.trains) == ("articles", "a:e1", True, True)
    assert {each["id"]: each["probability"] for each in body["ranking"]} == {
        arm: weight / SCALE for arm, weight in zip(record.arms, record.weights, strict=True)
    }
    assert body["ranking"][0]["id"] == record.choice.arm


async def test_features_of_context_and_actions_are_what_the_model_is_told(site: Site) -> None:
    await ask(site)
    (record,) = site.spool.decisions()
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


async def test_excluded_actions_keep_their_place_with_probability_zero(site: Site) -> None:
    body = (await ask(site, excludedActions=["news"])).json()
    assert body["ranking"][0] == {"id": "news", "probability": 0.0}
    assert sum(each["probability"] for each in body["ranking"]) == pytest.approx(1)
    assert body["rewardActionId"] == body["ranking"][1]["id"]
    (record,) = site.spool.decisions()
    assert record.filtered == {"news": "excluded"}


async def test_a_reward_finds_its_decision_by_the_event_id_alone(site: Site) -> None:
    body = (await ask(site)).json()
    await say(site, "/personalizer/v1.0/events/e1/reward", {"value": 0.5})
    (outcome,) = outcomes(site)
    assert (outcome.choice.arm, outcome.reward, outcome.n_rewards, outcome.trains) == (
        body["rewardActionId"],
        0.5,
        1,
        True,
    )
    assert key_of(ID_KEY, outcome.choice.decision_id) == "a:e1"


async def test_an_event_without_an_id_gets_one_that_its_reward_finds(site: Site) -> None:
    event_id = (await ask(site, eventId=None)).json()["eventId"]
    await say(site, f"/personalizer/v1.0/events/{event_id}/reward", {"value": 1})
    (outcome,) = outcomes(site)
    assert outcome.reward == 1


@pytest.mark.parametrize("event_id", ["a/b", "ä%2F", "x" * 256, "events/reward"])
async def test_any_event_id_is_found_again(site: Site, event_id: str) -> None:
    assert (await ask(site, eventId=event_id)).json()["eventId"] == event_id
    await say(site, f"/personalizer/v1.0/events/{quote(event_id, safe='')}/reward", {"value": 1})
    (outcome,) = outcomes(site)
    assert outcome.reward == 1


async def test_a_reward_that_overtakes_its_ranking_waits_for_it(site: Site) -> None:
    await say(site, "/personalizer/v1.0/events/e1/reward", {"value": 1})
    await ask(site)
    site.spool.records, site.log.records = site.log.records, site.spool.records
    (outcome,) = outcomes(site)
    assert (outcome.reward, outcome.trains) == (1, True)


async def test_an_event_that_nothing_rewards_is_worth_the_default(site: Site) -> None:
    site.compiled = compile_catalog(
        loops(articles=Placement(arms="caller", default_reward=-0.5, reward_range=(-1, 1))), 13
    )
    await ask(site)
    (outcome,) = outcomes(site)
    assert (outcome.reward, outcome.n_rewards, outcome.trains) == (-0.5, 0, True)


@pytest.mark.parametrize(("combine", "total"), [("first", 0.25), ("sum", 0.75), ("max", 0.5)])
async def test_rewards_of_one_event_combine_as_the_catalog_says(site: Site, combine: Any, total: float) -> None:
    site.compiled = compile_catalog(loops(articles=Placement(arms="caller", combine=combine)), 13)
    await ask(site)
    for value in (0.25, 0.5):
        await say(site, "/personalizer/v1.0/events/e1/reward", {"value": value})
    (outcome,) = outcomes(site)
    assert outcome.reward == total


async def test_a_reward_that_a_client_sends_again_counts_once(site: Site) -> None:
    await ask(site)
    for call_id in ("c1", "c1", "c2"):
        sent = {"x-ms-client-request-id": call_id}
        await say(site, "/personalizer/events/e1/reward", {"value": 0.25}, **sent)
    (outcome,) = outcomes(site)
    assert (outcome.reward, outcome.n_rewards) == (0.5, 2)


async def test_a_deferred_event_trains_only_once_it_is_activated(site: Site) -> None:
    for event_id in ("shown", "hidden"):
        await ask(site, eventId=event_id, deferActivation=True)
    assert [each.exposed for each in site.spool.decisions()] == [False, False]
    await say(site, "/personalizer/v1.0/events/shown/activate")
    for event_id in ("shown", "hidden"):
        await say(site, f"/personalizer/v1.0/events/{event_id}/reward", {"value": 1})
    found = {key_of(ID_KEY, each.choice.decision_id): each for each in outcomes(site)}
    assert {key: outcome.trains for key, outcome in found.items()} == {"a:shown": True, "a:hidden": False}


async def test_the_same_event_ranked_twice_is_one_decision(site: Site) -> None:
    one, other = [(await ask(site)).json() for _ in range(2)]
    assert one == other
    assert len(outcomes(site)) == 1


async def test_an_endpoint_names_its_placement(site: Site) -> None:
    site.compiled = compile_catalog(loops(products=Placement(arms="caller")), 13)
    for version in ("/personalizer/v1.0", "/personalizer"):
        body = (await ask(site, f"/placements/products{version}/rank", eventId=version[-3:])).json()
        await say(site, f"/placements/products{version}/events/{body['eventId']}/reward", {"value": 1})
    assert {(each.choice.placement, each.reward) for each in outcomes(site)} == {("products", 1.0)}
    unnamed = await ask(site)
    assert unnamed.status_code == 404
    said = "endpoint: names no placement; end your endpoint in /placements/NAME, of: articles, products"
    assert unnamed.json()["error"]["message"] == said
    unknown = await ask(site, "/placements/nowhere/personalizer/v1.0/rank")
    assert "'nowhere' is not in the catalog; end your endpoint in" in unknown.json()["error"]["message"]


async def test_a_placement_with_arms_of_its_own_is_no_loop(site: Site) -> None:
    site.compiled = compile_catalog(shop(), 13)
    named = await ask(site, "/placements/home.hero/personalizer/v1.0/rank")
    assert (named.status_code, named.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert named.json()["error"]["message"] == (
        "endpoint: 'home.hero' has arms of its own; write one with 'arms: caller' in the catalog"
    )


async def test_who_is_not_asked_or_refuses_gets_the_baseline_and_is_not_logged(site: Site) -> None:
    refusing = [*CONTEXT, {"consent": {"personalization": False}}]
    body = (await ask(site, contextFeatures=refusing)).json()
    assert (body["rewardActionId"], body["ranking"][0]["probability"]) == ("news", 1.0)
    body = (await ask(site, contextFeatures=refusing, excludedActions=["news"])).json()
    assert body["rewardActionId"] == "sport"
    assert site.spool.decisions() == []


async def test_a_rule_of_the_placement_looks_at_the_context(site: Site) -> None:
    site.compiled = compile_catalog(loops(articles=Placement(arms="caller", when='context.plan == "free"')), 13)
    body = (await ask(site)).json()
    assert body["rewardActionId"] == "news"
    assert site.spool.decisions()[0].tier == "default"


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
    "context": ({"contextFeatures": {"a": 1}}, "contextFeatures", "expected `array | null`"),
    "much context": ({"contextFeatures": [{"a": [{}] * 1000}]}, "contextFeatures", "has"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_names_the_field_and_the_remedy(site: Site, case: str) -> None:
    more, target, message = BAD[case]
    answer = await ask(site, **more)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (400, "BadRequest", target)
    assert message in error["message"]
    assert error["innerError"]["code"]
    assert site.spool.records == []


async def test_only_who_may_bring_arms_ranks_and_rewards_by_event_id(site: Site) -> None:
    for path in ("rank", "events/e1/reward", "events/e1/activate"):
        page = await site.client.post(f"/personalizer/v1.0/{path}", json={"value": 1}, headers=WRITE)
        assert (page.status_code, page.json()["error"]["code"]) == (403, "403"), page.text
        nobody = await site.client.post(f"/personalizer/v1.0/{path}", json={"value": 1})
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "401")
    assert site.spool.records == site.log.records == []
    assert (await ask(site, headers=SERVER)).status_code == 201
