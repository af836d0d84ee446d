"""Rewards and exposures of many decisions at once: ``POST /v1/rewards`` and ``POST /v1/exposures``."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from api.dialects.own.decisions import MAX_AT_ONCE
from personalization.errors import LogFull
from personalization.events.decision_id import mint
from personalization.events.event import Activated, Rewarded
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import VisitorState
from tests.contract.dialects.folding import folded
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site

FIRST, SECOND, THIRD = (mint(ID_KEY, key, bytes([n] * 9)) for n, key in enumerate(("u:u1", "a:a2", "u:u1")))
OF_NOBODY = mint(ID_KEY, NOBODY, b"123456789")


async def expose(site: Site, *ids: Any, headers: dict[str, str] = WRITE) -> httpx.Response:
    return await site.client.post("/v1/exposures", json={"decisionIds": list(ids)}, headers=headers)


async def reward(site: Site, *rewards: Any, headers: dict[str, str] = WRITE) -> httpx.Response:
    return await site.client.post("/v1/rewards", json={"rewards": list(rewards)}, headers=headers)


async def test_many_exposures_are_one_append_each_under_its_own_key(site: Site) -> None:
    response = await expose(site, FIRST, SECOND, THIRD)
    assert (response.status_code, response.json()) == (200, {"accepted": 3, "rejected": [], "warnings": []})
    assert [(key, entry.event) for key, entry in site.entries()] == [
        ("u:u1", Activated(decision_id=FIRST)),
        ("a:a2", Activated(decision_id=SECOND)),
        ("u:u1", Activated(decision_id=THIRD)),
    ]
    assert site.log.n_appends == 1
    assert sorted(site.visitors.asked) == [("a:a2",), ("u:u1",)], "consent is asked for once a visitor"


async def test_many_rewards_are_one_append_each_under_its_own_key(site: Site) -> None:
    response = await reward(
        site,
        {"decisionId": FIRST, "name": "click", "value": 0.5, "messageId": "m1"},
        {"decisionId": SECOND, "value": 1, "messageId": 7, "final": True},
    )
    assert (response.status_code, response.json()["accepted"]) == (200, 2)
    assert [(key, entry.event) for key, entry in site.entries()] == [
        ("u:u1", Rewarded(message_id="reward:m1", decision_id=FIRST, value=0.5, name="click", final=False)),
        ("a:a2", Rewarded(message_id="reward:7", decision_id=SECOND, value=1.0, name="", final=True)),
    ]
    assert site.log.n_appends == 1


async def test_what_many_say_becomes_of_a_decision_is_what_one_says(site: Site) -> None:
    answer = (await site.decide("home.hero", activate=False)).json()
    (decision,) = answer["decisions"]
    assert (await expose(site, decision["decisionId"], decision["decisionId"])).json()["accepted"] == 2
    said = {"decisionId": decision["decisionId"], "value": 1, "messageId": "m", "final": True}
    assert (await reward(site, said, said)).json()["accepted"] == 2
    world = folded(site)
    (outcome,) = world.outcomes
    assert (outcome.choice.arm, outcome.reward, outcome.n_rewards) == (decision["contentId"], 1.0, 1)
    assert world.visitors["a:a1"].state.exposures[decision["contentId"]].total == 1


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/json", None])
async def test_a_beacon_says_who_it_is_in_its_body(site: Site, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    for path, body in (
        ("/v1/exposures", {"writeKey": "pk_dev", "decisionIds": [FIRST]}),
        ("/v1/rewards", {"writeKey": "pk_dev", "rewards": [{"decisionId": FIRST, "value": 1}]}),
    ):
        response = await site.client.post(path, content=json.dumps(body).encode(), headers=headers)
        assert response.status_code == 200, response.text
    assert [type(entry.event) for _, entry in site.entries()] == [Activated, Rewarded]


@pytest.mark.parametrize("bad", ["x", 7, None, ["a"], "", FIRST[:-2] + "AA", mint(b"other", "u:u1", b"1" * 9)])
async def test_an_id_that_is_none_is_named_by_its_place_and_refused_alone(site: Site, bad: Any) -> None:
    response = await expose(site, FIRST, bad, SECOND)
    assert (response.status_code, response.json()["accepted"]) == (200, 2)
    ((index, field),) = [(each["index"], each["field"]) for each in response.json()["rejected"]]
    assert (index, field) == (1, "decisionIds[1]")
    assert [of_type(Activated, entry.event).decision_id for _, entry in site.entries()] == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("bad", "field", "code"),
    [
        ({"decisionId": FIRST}, "rewards[1].value", "missing_field"),
        ({"value": 1}, "rewards[1].decisionId", "missing_field"),
        ({"decisionId": "x", "value": 1}, "rewards[1].decisionId", "invalid_field"),
        ({"decisionId": FIRST, "value": "1"}, "rewards[1].value", "invalid_field"),
        ({"decisionId": FIRST, "value": 1e12}, "rewards[1].value", "bad_number"),
        ({"decisionId": FIRST, "value": 2}, "rewards[1].value", "forbidden"),
        ({"decisionId": FIRST, "value": 1, "messageId": True}, "rewards[1].messageId", "bad_id"),
        ({"decisionId": FIRST, "value": 1, "name": "n" * 300}, "rewards[1].name", "too_long"),
        (7, "rewards[1]", "invalid_field"),
    ],
)
async def test_a_reward_that_is_none_is_named_and_refused_alone(
    site: Site, bad: Any, field: str, code: str
) -> None:
    response = await reward(site, {"decisionId": FIRST, "value": 1}, bad, {"decisionId": SECOND, "value": 0})
    body = response.json()
    assert (response.status_code, body["accepted"]) == (200, 2), body
    assert [(each["index"], each["field"], each["code"]) for each in body["rejected"]] == [(1, field, code)]
    assert [of_type(Rewarded, entry.event).decision_id for _, entry in site.entries()] == [FIRST, SECOND]


async def test_money_needs_a_server_key_also_among_many(site: Site) -> None:
    assert (await reward(site, {"decisionId": FIRST, "value": 49.9}, headers=SERVER)).status_code == 200
    assert (await reward(site, {"decisionId": FIRST, "value": 49.9})).status_code == 400
    assert len(site.log.records) == 1


async def test_where_none_is_good_the_answer_is_400_with_the_same_list(site: Site) -> None:
    response = await expose(site, "x", "y")
    body = response.json()
    assert (response.status_code, body["field"], body["accepted"]) == (400, "decisionIds[0]", 0)
    assert [each["index"] for each in body["rejected"]] == [0, 1]
    assert site.log.records == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/exposures", {}, "decisionIds"),
        ("/v1/exposures", {"decisionIds": []}, "decisionIds"),
        ("/v1/exposures", {"decisionIds": "x"}, "decisionIds"),
        ("/v1/exposures", {"decisionIds": ["x"] * (MAX_AT_ONCE + 1)}, "decisionIds"),
        ("/v1/exposures", [], "body"),
        ("/v1/rewards", {"rewards": None}, "rewards"),
        ("/v1/rewards", {"rewards": [7] * (MAX_AT_ONCE + 1)}, "rewards"),
    ],
)
async def test_a_body_that_holds_no_list_is_refused_whole(site: Site, path: str, body: Any, field: str) -> None:
    response = await site.client.post(path, json=body, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, field)


async def test_who_refused_since_keeps_none_of_it_and_others_keep_theirs(site: Site) -> None:
    refused = VisitorState(now_ms=NOW, consents={"personalization": Word(False, NOW)})
    site.visitors.states = {"u:u1": refused}
    response = await expose(site, FIRST, SECOND, OF_NOBODY)
    body = response.json()
    assert (response.status_code, body["accepted"]) == (200, 1)
    assert [(each["index"], each["field"], each["code"]) for each in body["warnings"]] == [
        (0, "decisionIds[0]", "no_consent"),
        (2, "decisionIds[2]", "no_consent"),
    ]
    assert [key for key, _ in site.entries()] == ["a:a2"]


async def test_what_the_log_does_not_take_is_accepted_nowhere(site: Site) -> None:
    site.log.error = LogFull("full on purpose")
    response = await expose(site, FIRST)
    assert (response.status_code, response.json()["code"]) == (503, "log_full")
