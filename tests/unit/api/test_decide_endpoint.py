"""``/v1/decide``: as the protocol says, and at all times an answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.variants import PlacementVariant
from personalization.events.decision_id import key_of
from personalization.events.event import DecisionMade, Link, Track
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import VisitorState
from state.model_store import Followed
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site, shop

UNREACHABLE_REDIS = {"tier": "rules"}


async def test_the_answer_has_the_shape_of_the_protocol(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(revision=41, now_ms=NOW - 7)
    site.follower.models["home.hero"] = Followed(ModelSnapshot.prior(), NOW - 140)
    response = await site.decide("home.hero", {"placement": "home.list", "slots": 2})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {
        "requestId", "decisions", "stateAgeMs", "stateRevision", "modelAgeMs", "catalogVersion", "warnings",
    }  # fmt: skip
    assert body["warnings"] == []
    assert (body["stateAgeMs"], body["stateRevision"], body["modelAgeMs"]) == (7, 41, 140)
    assert body["catalogVersion"] == 12
    assert [(d["placement"], d["slot"]) for d in body["decisions"]] == [
        ("home.hero", 0),
        ("home.list", 0),
        ("home.list", 1),
    ]
    for decision in body["decisions"]:
        assert set(decision) == {
            "placement", "slot", "decisionId", "contentId", "content", "probability", "policy", "tier", "reason",
            "holdout", "variant",
        }  # fmt: skip
        assert decision["tier"] == "personalised"
        assert 0 < decision["probability"] <= 1
    assert len({d["contentId"] for d in body["decisions"]}) == 3


FOUR = {"placement": "home.list", "slots": 4}


@pytest.mark.parametrize(("headers", "status"), [(WRITE, 400), (SERVER, 200)])
async def test_a_page_asks_for_no_more_slots_than_a_placement_has(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """Each is a decision to be rewarded: a page's key would have fifty by one call."""
    assert (await site.decide({"placement": "home.list", "slots": 2}, headers=headers)).status_code == 200
    before = len(site.spool.records)
    response = await site.decide(FOUR, headers=headers)
    assert response.status_code == status
    if status == 400:
        assert (response.json()["code"], response.json()["field"]) == ("too_many_slots", "placements[0].slots")
        assert len(site.spool.records) == before
    else:
        assert len(response.json()["decisions"]) == 4


async def test_content_comes_ready_to_show(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(traits={"first_name": "<Ada>"})
    shown = {}
    for _ in range(40):
        for decision in (await site.decide(FOUR, headers=SERVER)).json()["decisions"]:
            shown[decision["contentId"]] = decision["content"]
    assert shown == {
        "shoes": {"type": "html", "html": "<b>Shoes</b>"},
        "tents": {"type": "json", "json": {"title": "Tents"}},
        "bags": {"type": "redirect", "url": "https://shop.example/bags"},
        "hello": {"type": "html", "html": "Hello &lt;Ada&gt;"},
    }


async def test_decisions_go_to_both_topics_by_way_of_the_spool(site: Site) -> None:
    body = (await site.decide()).json()
    ((key, entry),) = site.spool.entries()
    (record,) = site.spool.decisions()
    assert key == "a:a1" == key_of(ID_KEY, body["decisions"][0]["decisionId"])
    assert isinstance(entry.event, DecisionMade)
    assert entry.event.choice.decision_id == record.choice.decision_id == body["decisions"][0]["decisionId"]
    assert record.request_id == body["requestId"]
    assert site.log.records == [], "the path never awaits the log"


async def test_a_spool_that_is_full_changes_nothing_for_the_visitor(site: Site) -> None:
    site.spool.full = True
    assert (await site.decide()).json()["decisions"][0]["tier"] == "personalised"
    assert 'nextbest_unlogged_total{reason="spool_full"} 2.0' in site.metrics.exposition().decode()


async def test_events_sent_along_are_logged_before_the_decision(site: Site) -> None:
    event = {"type": "track", "event": "Viewed", "messageId": "m"}
    await site.decide(visitor={"anonymousId": "a1", "userId": "u1"}, events=[event])
    keys = [key for key, _ in site.spool.entries()]
    events = [entry.event for _, entry in site.spool.entries()]
    assert keys == ["u:u1", "a:a1", "u:u1"]
    assert isinstance(events[0], Track)
    assert isinstance(events[1], Link)
    assert isinstance(events[2], DecisionMade)


async def test_ids_of_events_sent_along_are_ids_of_the_request(site: Site) -> None:
    await site.decide(events=[{"type": "identify", "userId": "u1", "anonymousId": "a1", "traits": {}}])
    assert site.visitors.asked == [("u:u1", "a:a1")]


async def test_events_of_another_visitor_are_refused(site: Site) -> None:
    response = await site.decide(events=[{"type": "page", "anonymousId": "other"}])
    assert (response.status_code, response.json()["field"]) == (400, "events[0].anonymousId")
    assert site.spool.records == []


async def test_redis_away_answers_for_nobody_and_logs_nothing(site: Site) -> None:
    site.visitors.away = True
    body = (await site.decide()).json()
    assert body["decisions"][0]["tier"] == "contextual"
    assert key_of(ID_KEY, body["decisions"][0]["decisionId"]) == NOBODY
    assert body["stateRevision"] is body["stateAgeMs"] is None
    assert site.spool.records == []


async def test_a_model_store_never_reached_means_rules(site: Site) -> None:
    site.follower.reached_ms = 0
    (decision,) = (await site.decide()).json()["decisions"]
    assert decision["tier"] == "rules"


async def test_a_catalogs_new_model_starts_from_the_prior(site: Site) -> None:
    site.follower.models["home.hero"] = Followed(ModelSnapshot.prior("river.linear_model.Perceptron"), NOW)
    (decision,) = (await site.decide()).json()["decisions"]
    assert decision["tier"] == "personalised"
    assert site.spool.decisions()[0].choice.model_version == 0


async def test_each_variant_is_decided_by_its_own_model(site: Site) -> None:
    variants = {"b": PlacementVariant(share=0.5, model="river.linear_model.Perceptron")}
    hero = structs.replace(shop().placements["home.hero"], variants=variants)
    site.compiled = compile_catalog(structs.replace(shop(), placements={"home.hero": hero}), 13)
    model = PlacementModel("home.hero@b", "river.linear_model.Perceptron")
    model.learn(Outcome(Choice("d", "home.hero", 0, "shoes", 2**31, variant="b"), 1.0, ClosingReason.WINDOW, 0, 1))
    site.follower.models["home.hero@b"] = Followed(model.snapshot(1), NOW - 9)
    seen = set()
    for n in range(40):
        body = (await site.decide(visitor={"anonymousId": f"v{n}"})).json()
        (decision,) = body["decisions"]
        choice = site.spool.decisions()[-1].choice
        assert (choice.variant or None) == decision["variant"]
        assert (choice.model_version > 0) is (decision["variant"] == "b")
        assert body["modelAgeMs"] == (9 if decision["variant"] else None)
        assert decision["tier"] == "personalised"
        seen.add(decision["variant"])
    assert seen == {None, "b"}


async def test_a_read_that_takes_too_long_leaves_the_model_the_requests_own_context(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]:
            import asyncio

            never: asyncio.Future[list[VisitorState]] = asyncio.get_running_loop().create_future()
            return await never

    monkeypatch.setattr(site.visitors, "read", Slow().read)
    body = (await site.decide(deadlineMs=500)).json()
    assert body["decisions"][0]["tier"] == "contextual"


async def test_probing_the_state_logs_nothing(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(revision=3, now_ms=NOW)
    response = await site.client.post(
        "/v1/decide", json={"visitor": {"anonymousId": "a1"}, "placements": []}, headers=WRITE
    )
    assert response.json()["stateRevision"] == 3
    assert response.json()["decisions"] == []
    assert site.spool.records == []


async def test_get_serves_beacons_and_includes(site: Site) -> None:
    response = await site.client.get("/v1/decide?visitor=a1&placement=home.hero&placement=home.list&key=pk_dev")
    assert response.status_code == 200
    assert len(response.json()["decisions"]) == 3
    assert response.headers["access-control-allow-origin"] == "*"
    missing = await site.client.get("/v1/decide?visitor=a1", headers=WRITE)
    assert (missing.status_code, missing.json()["field"]) == (400, "placement")


async def test_a_source_that_assumes_no_consent(site: Site) -> None:
    body = (await site.decide(headers={"X-API-Key": "pk_strict"})).json()
    assert body["decisions"][0]["tier"] == "rules"
    assert site.spool.records == []
    granted = await site.decide(headers={"X-API-Key": "pk_strict"}, context={"consent": {"personalization": True}})
    assert granted.json()["decisions"][0]["tier"] == "personalised"


async def test_a_refusal_sent_along_is_logged_though_nothing_else_is(site: Site) -> None:
    page = {"type": "page", "messageId": "m1"}
    refusal = {"type": "track", "event": "Consent Updated", "properties": {"personalization": False}}
    body = (await site.decide(events=[page, refusal])).json()
    assert body["decisions"][0]["tier"] == "rules"
    assert [of_type(Track, entry.event).event for _, entry in site.spool.entries()] == ["Consent Updated"]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_without_a_key_nothing_is_decided(site: Site, method: str) -> None:
    response = await site.client.request(method, "/v1/decide", headers={"Authorization": "Bearer nobody"})
    assert response.status_code == 401
    assert response.json()["code"] == "unauthorized"


async def test_metrics_tell_latency_by_tier_and_placement(site: Site) -> None:
    await site.decide()
    site.visitors.away = True
    await site.decide()
    text = (await site.client.get("http://inner/metrics")).text
    assert 'nextbest_decision_seconds_count{placement="home.hero",tier="personalised"} 1.0' in text
    assert 'nextbest_fallbacks_total{cause="state",placement="home.hero",tier="contextual"} 1.0' in text


async def test_a_spool_that_raises_keeps_no_answer_back(site: Site) -> None:
    site.spool.error = OSError(28, "No space left on device")
    response = await site.decide(events=[{"type": "page", "messageId": "m1", "anonymousId": "a1"}])
    assert response.status_code == 200
    assert b'nextbest_unlogged_total{reason="spool_full"} 3.0' in site.metrics.exposition()
