"""``POST /v1/rank``: items that callers bring, ranked with exact probabilities, recorded with what was known."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.permissions import GRANTED, Permission
from personalization.audit.record import visitor_mark
from personalization.catalog.catalog import Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.distribution import SCALE
from personalization.errors import Unavailable
from personalization.visitor.visitor_state import VisitorState
from tests.unit.api.site import NOW, SECRETS, SERVER, WRITE, Site, shop

ITEMS = [{"id": f"i{n}", "features": {"price": n, "new": True, "genres": ["War", "Love"]}} for n in range(5)]


@pytest.fixture
def ranking(site: Site) -> Site:
    spec = shop()
    spec.placements["mine"] = Placement(arms="caller")
    spec.placements["held"] = Placement(arms="caller", holdout=0.999999)
    spec.placements["closed"] = Placement(arms="caller", when="n_orders > 5")
    spec.content["plain"] = Content()
    site.compiled = compile_catalog(spec, 13)
    return site


async def rank(site: Site, **more: Any) -> Any:
    body = {"visitor": {"anonymousId": "a1"}, "placement": "mine", "items": ITEMS, **more}
    return await site.client.post("/v1/rank", json=body, headers=SERVER)


async def test_all_are_ranked_and_one_is_drawn(ranking: Site) -> None:
    answer = (await rank(ranking)).json()
    (decision,) = answer["decisions"]
    (record,) = ranking.spool.decisions()
    assert (record.choice.decision_id, record.choice.arm) == (decision["decisionId"], decision["itemId"])
    assert sum(record.weights) == SCALE
    assert record.arms == tuple(item["id"] for item in ITEMS)
    features = {"price": 0.0, "new": 1.0, "genres.War": 1.0, "genres.Love": 1.0}
    assert record.arm_features["i0"] == features
    ranked = answer["ranking"]
    assert ranked[0]["id"] == decision["itemId"]
    assert {each["id"]: each["probability"] for each in ranked} == {
        arm: weight / SCALE for arm, weight in zip(record.arms, record.weights, strict=True)
    }
    rest = [each["probability"] for each in ranked[1:]]
    assert rest == sorted(rest, reverse=True)
    assert (answer["tier"], answer["placement"]) == ("personalised", "mine")


async def test_what_is_excluded_is_not_ranked_and_recorded_so(ranking: Site) -> None:
    answer = (await rank(ranking, excluded=["i1", "i3"], slots=2)).json()
    assert {each["id"] for each in answer["ranking"]} == {"i0", "i2", "i4"}
    assert [each["id"] for each in answer["ranking"][:2]] == [each["itemId"] for each in answer["decisions"]]
    assert ranking.spool.decisions()[0].filtered == {"i1": "excluded", "i3": "excluded"}


async def test_what_nobody_knows_of_a_request_or_an_item_is_ignored(ranking: Site) -> None:
    items = [{"id": "a", "colour": "red"}, {"id": "b"}]
    response = await rank(ranking, items=items, mood="good")
    assert response.status_code == 200, response.text
    assert {each["id"] for each in response.json()["ranking"]} == {"a", "b"}


async def test_content_that_was_sent_comes_back(ranking: Site) -> None:
    items = [{"id": "a", "content": {"title": "A"}}, {"id": "b"}]
    ranked = (await rank(ranking, items=items)).json()["ranking"]
    assert {each["id"]: each.get("content") for each in ranked} == {"a": {"title": "A"}, "b": None}


async def test_who_is_held_out_or_refused_gets_the_callers_order(ranking: Site) -> None:
    held = (await rank(ranking, placement="held")).json()
    assert held["holdout"] is True
    assert [each["id"] for each in held["ranking"]] == ["i0", "i1", "i2", "i3", "i4"]
    refused = (await rank(ranking, context={"consent": {"personalization": False}})).json()
    assert refused["tier"] == "rules"
    assert [each["id"] for each in refused["ranking"]] == ["i0", "i1", "i2", "i3", "i4"]
    assert [each["probability"] for each in refused["ranking"]] == [1.0, None, None, None, None]


@pytest.mark.parametrize("slots", [1, 2, 5])
async def test_what_is_excluded_is_shown_to_nobody_who_is_held_out(ranking: Site, slots: int) -> None:
    answer = (await rank(ranking, placement="held", excluded=["i0", "i2"], slots=slots)).json()
    assert answer["holdout"] is True
    assert [each["itemId"] for each in answer["decisions"]] == ["i1", "i3", "i4"][:slots]
    assert [each["id"] for each in answer["ranking"]] == ["i1", "i3", "i4"]


async def test_what_is_excluded_is_not_shown_where_the_placements_rule_does_not_hold(ranking: Site) -> None:
    answer = (await rank(ranking, placement="closed", excluded=["i0"])).json()
    assert (answer["tier"], answer["decisions"][0]["itemId"]) == ("default", "i1")
    assert [each["id"] for each in answer["ranking"]] == ["i1", "i2", "i3", "i4"]


async def test_the_same_request_sent_again_is_the_same_decision(ranking: Site) -> None:
    one, other = [(await rank(ranking, requestId="r1")).json() for _ in range(2)]
    assert one["decisions"] == other["decisions"]
    assert one["ranking"] == other["ranking"]


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no items": ({"items": []}, "items", "are none; bring at least one"),
    "too many": ({"items": [{"id": str(n)} for n in range(1001)]}, "items", "are 1001; at most 1,000 are ranked"),
    "no id": ({"items": [{"id": "a"}, {"features": {}}]}, "items[1].id", "is missing"),
    "empty id": ({"items": [{"id": ""}]}, "items[0].id", "is missing"),
    "twice": ({"items": [{"id": "a"}, {"id": "a"}]}, "items[1].id", "'a' stands there twice"),
    "features": ({"items": [{"id": "a", "features": {"x": {"y": 1}}}]}, "items[0].features.x", "expected"),
    "one of a feature's": (
        {"items": [{"id": "a"}, {"id": "b", "features": {"y": 1, "x": ["a", 1]}}]},
        "items[1].features.x[1]",
        "expected `str`, got `int`",
    ),
    "many features": (
        {"items": [{"id": "a", "features": {f"f{n}": n for n in range(65)}}]},
        "items[0].features",
        "are 65; at most 64",
    ),
    "many categories": (
        {"items": [{"id": "a", "features": {"x": [str(n) for n in range(65)]}}]},
        "items[0].features.x",
        "are 65 categories at once; at most 64",
    ),
    "a huge number": (
        {"items": [{"id": "a"}, {"id": "b", "content": {"n": [2**64]}}]},
        "items[1].content.n[0]",
        "64 bits",
    ),
    "a low number": ({"items": [{"id": "a", "content": -(2**63) - 1}]}, "items[0].content", "send it as text"),
    "items of none": ({"items": None}, "items", "expected `array`, got `null`"),
    "items as object": ({"items": {}}, "items", "expected `array`"),
    "unknown exclusion": ({"excluded": ["x"]}, "excluded[0]", "is the id of no item here"),
    "all excluded": ({"excluded": [item["id"] for item in ITEMS]}, "excluded", "names every item"),
    "nobody": ({"visitor": {}}, "visitor", "names nobody"),
    "slots": ({"slots": 99}, "slots", "must lie between 1 and 50"),
    "its own arms": ({"placement": "home.hero"}, "placement", "has arms of its own; call POST /v1/decide"),
    "unknown": ({"placement": "mein"}, "placement", "no placement 'mein'"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_names_the_field_and_the_remedy(ranking: Site, case: str) -> None:
    more, field, message = BAD[case]
    answer = await rank(ranking, **more)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert message in answer.json()["message"]
    assert ranking.spool.records == []


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (b'{"id":"a","features":{"x":NaN}}', "items[0].features.x"),
        (rb'{"id":"\ud800"}', "items[0].id"),
        (rb'{"id":"a","content":"\ud800"}', "items[0].content"),
        (b'{"id":"a","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "items[0].content"),
    ],
    ids=["NaN", "half an id", "half a character", "deep"],
)
async def test_an_item_that_cannot_be_read_is_named(ranking: Site, item: bytes, field: str) -> None:
    body = b'{"visitor":{"anonymousId":"a1"},"placement":"mine","items":[%s]}' % item
    answer = await ranking.client.post("/v1/rank", content=body, headers=SERVER)
    assert answer.status_code == 400
    assert answer.json()["field"].startswith(field)


async def test_only_a_server_key_ranks_and_only_rank_fills_such_a_placement(ranking: Site) -> None:
    body = {"visitor": {"anonymousId": "a1"}, "placement": "mine", "items": ITEMS}
    assert (await ranking.client.post("/v1/rank", json=body, headers=WRITE)).status_code == 403
    answer = await ranking.decide("mine")
    assert (answer.status_code, answer.json()["field"]) == (400, "placements[0]")
    assert "call POST /v1/rank" in answer.json()["message"]
    flags = await ranking.client.post(
        "/ofrep/v1/evaluate/flags", json={"context": {"targetingKey": "a1"}}, headers=WRITE
    )
    assert flags.status_code == 200, "placements that callers fill are no flags"
    assert "mine" not in {flag["key"] for flag in flags.json()["flags"]}


async def test_a_ranking_says_why_and_that_is_recorded(ranking: Site) -> None:
    ranking.visitors.states["a:a1"] = VisitorState(revision=4, now_ms=NOW)
    answer = (await rank(ranking, excluded=["i1"], slots=2, explain=True)).json()
    records = ranking.spool.decisions()
    assert len(answer["decisions"]) == len(records) == 2
    for decision, record in zip(answer["decisions"], records, strict=True):
        why = decision["explanation"]
        assert (why["decisionId"], why["shown"]) == (decision["decisionId"], decision["itemId"])
        assert [(arm["arm"], arm["weight"]) for arm in why["arms"]] == list(
            zip(record.arms, record.weights, strict=True)
        )
        assert ("i1", "excluded") in [(each["arm"], each["reason"]) for each in why["refused"]]
        assert why["words"].startswith(f"The visitor was shown {decision['itemId']}")
    (act,) = ranking.audit.acts
    assert (act.trail, act.act, act.outcome) == ("reads", "explain_rank", "allowed")
    assert act.objects == (visitor_mark(SECRETS.key("audit-visitors"), "a1"), "name:mine")


async def test_a_ranking_is_explained_to_nobody_who_does_not_ask(ranking: Site) -> None:
    answer = (await rank(ranking)).json()
    assert "explanation" not in answer["decisions"][0]
    assert ranking.audit.acts == []


async def test_a_ranking_whose_explanation_cannot_be_recorded_is_not_made(ranking: Site) -> None:
    ranking.audit.error = Unavailable("away")
    assert (await rank(ranking, explain=True)).status_code == 503
    assert (ranking.visitors.asked, ranking.spool.records) == ([], [])


async def test_a_mistake_in_a_ranking_that_is_to_be_explained_names_the_field(ranking: Site) -> None:
    answer = await rank(ranking, slots=99, explain=True)
    assert (answer.status_code, answer.json()["field"]) == (400, "slots")


def test_whoever_may_rank_may_be_told_why() -> None:
    """So a ranking takes no preview link."""
    assert all(Permission.VISITORS in may for may in GRANTED.values() if Permission.RANK in may)
