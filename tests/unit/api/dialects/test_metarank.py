"""Metarank: a model is a placement whose arms callers bring; feedback joins the ranking it names."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from msgspec import structs

from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.item import Item
from personalization.catalog.sections.content import Content
from personalization.events.decision_id import key_of, trial_of
from personalization.events.event import DecisionMade, Identify, Track
from tests.contract.dialects.folding import folded
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site, shop

ITEMS = [{"id": f"i{n}", "fields": [{"name": "relevancy", "value": 2.0 - n / 10}]} for n in range(5)]

MIXED = [{"name": "x", "value": ["a", 1]}]


@pytest.fixture
def ranking(site: Site) -> Site:
    catalog = shop()
    placements = {**catalog.placements, "search": Placement(arms="caller", slots=2)}
    site.compiled = compile_catalog(structs.replace(catalog, placements=placements), 13)
    return site


async def rank(
    site: Site, path: str = "/rank/search", headers: dict[str, str] = SERVER, **more: Any
) -> httpx.Response:
    body = {"id": "r1", "user": "u1", "session": "s1", "timestamp": "1599391467000", "items": ITEMS, **more}
    return await site.client.post(path, json=body, headers=headers)


async def tell(site: Site, *events: dict[str, Any], headers: dict[str, str] = SERVER) -> httpx.Response:
    return await site.client.post("/feedback", json=list(events), headers=headers)


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"event": kind, "id": f"{kind}-1", "timestamp": str(NOW), "user": "u1", **more}


async def test_items_are_ranked_as_metarank_answers(ranking: Site) -> None:
    answer = (await rank(ranking)).json()
    assert set(answer) == {"took", "items"}
    assert {each["item"] for each in answer["items"]} == {item["id"] for item in ITEMS}
    assert [each["score"] for each in answer["items"]] == [1.0, 0.8, 0.6, 0.4, 0.2], "who sorts by it has our order"
    first, second = ranking.spool.decisions()
    assert [first.choice.arm, second.choice.arm] == [each["item"] for each in answer["items"][:2]]
    assert key_of(ID_KEY, first.choice.decision_id) == "u:u1"
    assert first.arm_features["i0"] == {"relevancy": 2.0}
    assert all(not of_type(DecisionMade, entry.event).exposed for _, entry in ranking.spool.entries())


async def test_explained_it_says_what_was_known_of_each(ranking: Site) -> None:
    items = (await rank(ranking, "/rank/search?explain=true")).json()["items"]
    of_first = {each["name"]: each["value"] for each in items[0]["features"]}
    record = ranking.spool.decisions()[0]
    assert of_first["probability"] == record.choice.weight / 2**32
    assert of_first["relevancy"] == record.arm_features[record.choice.arm]["relevancy"]


async def test_asked_again_under_its_id_it_is_the_same_ranking(ranking: Site) -> None:
    first, second = (await rank(ranking)).json(), (await rank(ranking)).json()
    assert first["items"] == second["items"]
    assert len(folded(ranking).visitors["u:u1"].folder.open) == 2, "one for each slot"


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"user": "u1", "session": "s1"}, "u:u1"),
        ({"user": None, "session": "s1"}, "a:s1"),
        ({"user": None, "session": None}, "a:r1"),
        ({"user": 7}, "u:7"),
    ],
)
async def test_whose_a_ranking_is_and_its_feedback(ranking: Site, ids: dict[str, Any], key: str) -> None:
    shown = (await rank(ranking, **ids)).json()["items"]
    told = event("ranking", id="r1", items=[{"id": each["item"]} for each in shown], **ids)
    assert (await tell(ranking, {**told, **ids})).status_code == 200
    state = folded(ranking).visitors[key].state
    assert {arm: each.total for arm, each in state.exposures.items()} == {each["item"]: 1 for each in shown[:2]}


async def test_only_what_was_shown_is_exposed_whatever_its_place(ranking: Site) -> None:
    first, second, third = [each["item"] for each in (await rank(ranking)).json()["items"]][:3]
    await tell(ranking, event("ranking", id="r1", items=[{"id": third}, {"id": first}]))
    assert set(folded(ranking).visitors["u:u1"].state.exposures) == {first}
    assert second


async def test_an_interaction_names_the_decision_for_its_item_in_its_ranking(ranking: Site) -> None:
    first, second, third = [each["item"] for each in (await rank(ranking)).json()["items"]][:3]
    by_arm = {record.choice.arm: record.choice.decision_id for record in ranking.spool.decisions()}
    fields = [{"name": "count", "value": 1}]
    for n, item in enumerate((first, second, third)):
        click = event("interaction", id=f"c{n}", ranking="r1", type="click", item=item, fields=fields)
        assert (await tell(ranking, click)).json()["accepted"] == 1
    clicks = [of_type(Track, entry.event) for _, entry in ranking.entries()]
    assert [click.event for click in clicks] == ["click"] * 3
    named = [trial_of(click.properties["decisionId"]) for click in clicks]
    assert named[:2] == [trial_of(by_arm[first]), trial_of(by_arm[second])]
    assert named[2] not in [trial_of(each) for each in by_arm.values()], "nothing was drawn for the third"
    assert {**clicks[0].properties, "decisionId": ""} == {
        "count": 1,
        "itemId": first,
        "contentId": first,
        "decisionId": "",
    }


async def test_an_interaction_outside_of_rankings_names_none(ranking: Site) -> None:
    await tell(ranking, event("interaction", type="like", item="i1"))
    ((key, entry),) = ranking.entries()
    assert (key, of_type(Track, entry.event).properties) == ("u:u1", {"itemId": "i1", "contentId": "i1"})


async def test_what_is_known_of_a_user_is_traits(ranking: Site) -> None:
    await tell(ranking, event("user", fields=[{"name": "age", "value": 33}, {"name": "gender", "value": "m"}]))
    ((key, entry),) = ranking.entries()
    assert (key, of_type(Identify, entry.event).traits) == ("u:u1", {"age": 33, "gender": "m"})


async def test_what_is_known_of_an_item_is_kept_and_stands_beside_what_was(ranking: Site) -> None:
    fields = [{"name": "color", "value": ["white", "black"]}, {"name": "is_cute", "value": True}]
    assert (await tell(ranking, event("item", item="i1", fields=fields))).json()["accepted"] == 1
    await tell(ranking, event("item", item="i1", fields=[{"name": "price", "value": 9}]))
    kept = ranking.items.kept["i1"].content.features
    assert kept == {"color": ("white", "black"), "is_cute": 1.0, "price": 9.0}
    assert [act.act for act in ranking.audit.acts] == ["metarank_items"] * 2
    assert ranking.audit.acts[0].objects == ("content_id:i1",)
    assert ranking.log.records == []


async def test_all_that_one_request_tells_of_an_item_is_kept(ranking: Site) -> None:
    told = [[{"name": "color", "value": "red"}], [{"name": "price", "value": 9}]]
    assert (await tell(ranking, *[event("item", item="i1", fields=each) for each in told])).json()["accepted"] == 2
    assert ranking.items.kept["i1"].content.features == {"color": "red", "price": 9.0}


async def test_an_item_that_does_not_fit_beside_what_is_kept_is_refused(ranking: Site) -> None:
    many = [{"name": f"f{n}", "value": n} for n in range(40)]
    await tell(ranking, event("item", item="i1", fields=many))
    more = [{"name": f"g{n}", "value": n} for n in range(40)]
    response = await tell(ranking, event("item", item="i1", fields=more))
    assert (response.status_code, response.json()["field"]) == (400, "events[0].fields")
    assert len(ranking.items.kept["i1"].content.features) == 40


async def test_items_need_the_permission_and_what_may_not_is_not_done(ranking: Site) -> None:
    response = await tell(ranking, event("item", item="i1", fields=[]), event("user"), headers=WRITE)
    assert response.status_code == 403
    assert ranking.items.kept == {}
    assert ranking.log.records == []


async def test_what_cannot_be_recorded_is_not_done(ranking: Site) -> None:
    ranking.audit.error = OSError("away on purpose")
    assert (await tell(ranking, event("item", item="i1"))).status_code >= 500
    assert ranking.items.kept == {}


async def test_what_is_kept_of_an_item_is_known_when_it_is_ranked(
    ranking: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"i1": Item(content=Content(features={"color": ("red",), "relevancy": 9.0}))}
    monkeypatch.setattr("api.process.catalog.NoItems.get", lambda _, item_id: kept.get(item_id))
    await rank(ranking)
    record = ranking.spool.decisions()[0]
    assert record.arm_features["i1"] == {"color.red": 1.0, "relevancy": 1.9}, "what is sent now counts"


@pytest.mark.parametrize(("headers", "key"), [(WRITE, "a:u1"), (SERVER, "u:u1")], ids=["write key", "server key"])
async def test_a_pages_user_is_a_browser(ranking: Site, headers: dict[str, str], key: str) -> None:
    await tell(ranking, event("interaction", type="click", item="i1"), headers=headers)
    assert [found for found, _ in ranking.entries()] == [key]


@pytest.mark.parametrize("form", ["one", "list", "lines", "pretty"])
async def test_events_come_alone_in_a_list_or_line_by_line(ranking: Site, form: str) -> None:
    events = [event("user", id=f"m{n}") for n in range(1 if form in ("one", "pretty") else 2)]
    body = {
        "one": orjson.dumps(events[0]),
        "pretty": orjson.dumps(events[0], option=orjson.OPT_INDENT_2),
        "list": orjson.dumps(events),
        "lines": b"\n".join(map(orjson.dumps, events)) + b"\n",
    }[form]
    headers = {**SERVER, "Content-Type": "application/x-www-form-urlencoded"}
    response = await ranking.client.post("/feedback", content=body, headers=headers)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert {**answer, "tookMillis": 0} == {"accepted": len(events), "status": "ok", "tookMillis": 0, "updated": 0}
    assert len(ranking.log.records) == len(events)


@pytest.mark.parametrize(("sent", "at_ms"), [(str(NOW - 5_000), NOW - 5_000), (NOW - 5_000, NOW - 5_000),
    (NOW // 1000 - 5, NOW - 5_000), ("2023-11-14T22:13:15Z", NOW - 5_000), (None, NOW)])  # fmt: skip
async def test_every_form_of_time_is_read(ranking: Site, sent: Any, at_ms: int) -> None:
    await tell(ranking, event("user", timestamp=sent))
    assert [entry.occurred_at_ms for _, entry in ranking.entries()] == [at_ms]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"event": "nothing"}, "events[1].event"),
        ({"event": "user"}, "events[1].user"),
        ({"event": "user", "user": 7.5}, "events[1].user"),
        ({"event": "user", "user": "u1", "timestamp": "soon"}, "events[1].timestamp"),
        ({"event": "user", "user": "u1", "timestamp": "9" * 5_000}, "events[1].timestamp"),
        ({"event": "user", "user": "u1", "fields": [{"value": 1}]}, "events[1].fields[0].name"),
        ({"event": "ranking", "user": "u1", "items": [{"id": "i1"}]}, "events[1].id"),
        ({"event": "ranking", "id": "r1", "user": "u1"}, "events[1].items"),
        ({"event": "ranking", "id": "r1", "items": [{"id": ""}]}, "events[1].items[0].id"),
        ({"event": "interaction", "id": "c", "user": "u1", "type": "click"}, "events[1].item"),
        ({"event": "interaction", "id": "c", "user": "u1", "item": "i1"}, "events[1].type"),
        ({"event": "interaction", "id": "c", "type": "click", "item": "i1"}, "events[1].user"),
        ({"event": "item", "fields": []}, "events[1].item"),
        ({"event": "item", "item": "i1", "fields": MIXED}, "events[1].fields[0].value"),
        ({"event": "item", "item": "shoes"}, "events[1].item"),
        (7, "events[1]"),
    ],
)
async def test_a_bad_event_is_named_and_keeps_no_good_one_back(ranking: Site, bad: Any, field: str) -> None:
    response = await tell(ranking, event("user"), bad)
    assert response.status_code == 200, response.text
    (rejected,) = response.json()["rejected"]
    assert (rejected["index"], rejected["field"]) == (1, field)
    assert (response.json()["accepted"], len(ranking.log.records)) == (1, 1)
    alone = await tell(ranking, bad)
    assert (alone.status_code, alone.json()["field"]) == (400, field.replace("[1]", "[0]"))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"id": None}, "id"),
        ({"items": []}, "items"),
        ({"items": [{"id": "a"}, {"id": "a"}]}, "items[1].id"),
        ({"items": [{"id": None}]}, "items[0].id"),
        ({"items": [{"id": "a", "fields": [{"name": "", "value": 1}]}]}, "items[0].fields[0].name"),
        ({"items": [{"id": "a", "fields": [{"name": "v", "value": [1] * 65}]}]}, "items[0].fields[0].value"),
        ({"user": 7.5}, "user"),
    ],
)
async def test_a_bad_ranking_is_named_and_decides_nothing(ranking: Site, more: dict[str, Any], field: str) -> None:
    response = await rank(ranking, **more)
    assert (response.status_code, response.json()["field"]) == (400, field), response.text
    assert ranking.spool.records == []


@pytest.mark.parametrize("model", ["nowhere", "home.hero"])
async def test_a_model_that_is_none_is_not_found(ranking: Site, model: str) -> None:
    response = await rank(ranking, f"/rank/{model}")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    assert "search" in response.json()["message"]


async def test_a_page_may_not_rank(ranking: Site) -> None:
    assert (await rank(ranking, headers=WRITE)).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"[1", b"x", b'{"event":"user"'])
async def test_a_body_that_is_none_is_refused(ranking: Site, body: bytes) -> None:
    response = await ranking.client.post("/feedback", content=body, headers=SERVER)
    assert response.status_code == 400
    assert response.json()["field"] in ("body", "events", "events[0]")


async def test_what_was_taken_but_not_as_it_was_sent_is_kept_and_its_sender_told(ranking: Site) -> None:
    ids = [f"interaction-{n}" for n in range(2)]
    events = [event("interaction", type="click", item="i0") | {"id": sent_id} for sent_id in ids]
    events[1]["timestamp"] = str(NOW - 400 * DAY_MS)
    answer = await tell(ranking, *events, headers=WRITE)
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 2
    ((index, field),) = [(each["index"], each["field"]) for each in answer.json()["warnings"]]
    assert (index, field) == (1, "events[1].timestamp")
    assert [of_type(Track, entry.event).message_id for _, entry in ranking.entries()] == ids


async def test_a_line_that_is_no_json_keeps_no_other_line_back(ranking: Site) -> None:
    lines = [orjson.dumps(event("user", id="m0")), b'{"event":"user",', orjson.dumps(event("user", id="m2"))]
    response = await ranking.client.post("/feedback", content=b"\n".join(lines), headers=SERVER)
    assert response.status_code == 200, response.text
    assert [(each["index"], each["code"]) for each in response.json()["rejected"]] == [(1, "bad_json")]
    assert [of_type(Identify, entry.event).message_id for _, entry in ranking.entries()] == ["m0", "m2"]


@pytest.mark.parametrize(
    ("query", "explained"),
    [("explain=true", True), ("explain=True", True), ("explain=false&x=explain=true", False)],
)
async def test_a_ranking_is_explained_where_the_address_says_so(ranking: Site, query: str, explained: bool) -> None:
    items = (await rank(ranking, f"/rank/search?{query}")).json()["items"]
    assert all(("features" in item) == explained for item in items)


@pytest.mark.parametrize("place", ["id", "user", "items", "fields"])
async def test_no_text_of_a_ranking_holds_a_nul(ranking: Site, place: str) -> None:
    others: dict[str, Any] = {"items": [*ITEMS, {"id": "a\0b"}], "fields": [{"name": "query", "value": "a\0b"}]}
    more: dict[str, Any] = {place: others.get(place, "a\0b")}
    answer = await rank(ranking, **more)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_text")
    assert answer.json()["field"].startswith(place)
    assert ranking.spool.records == []


async def test_what_nobody_looks_at_in_a_ranking_may_be_deep(ranking: Site) -> None:
    deep = "[" * 60 + "]" * 60
    sent = orjson.dumps({"id": "r1", "user": "u1", "items": ITEMS}).decode()
    for nested, status in ((deep, 200), ("[" * 200_000 + "]" * 200_000, 400)):
        body = f'{sent[:-1]},"else":{nested}}}'
        response = await ranking.client.post("/rank/search", content=body, headers=SERVER)
        assert response.status_code == status, response.text


def consent(answer: Any) -> list[dict[str, Any]]:
    return [{"name": "consent.personalization", "value": answer}]


async def test_a_refusal_among_the_fields_is_heeded_and_recorded(ranking: Site) -> None:
    assert (await rank(ranking, fields=consent(False))).status_code == 200
    assert ranking.spool.decisions() == [], "nothing is decided of who refuses"
    click = event("interaction", type="click", item="i0", ranking="r1", fields=consent(False))
    assert (await tell(ranking, click)).status_code == 200
    state = folded(ranking).visitors["u:u1"].state
    assert state.event_count == 0
    assert [word.granted for word in state.consents.values()] == [False]


@pytest.mark.parametrize("answer", ["false", 0, None, [False]])
async def test_what_is_neither_a_yes_nor_a_no_is_refused(ranking: Site, answer: Any) -> None:
    ranked = await rank(ranking, fields=consent(answer))
    told = await tell(ranking, event("user", fields=consent(answer)))
    assert [each.status_code for each in (ranked, told)] == [400, 400]
    assert [each.json()["field"] for each in (ranked, told)] == ["fields[0].value", "events[0].fields[0].value"]
    assert ranking.spool.records == ranking.log.records == []
