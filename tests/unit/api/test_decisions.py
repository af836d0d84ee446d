"""Rewards, activations, visitors, placements, health."""

from __future__ import annotations

import pytest

from api.readiness import Report
from api.services import Learned
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot
from personalization.decision_id import mint
from personalization.errors import LogFull
from personalization.event import Activated, Rewarded
from personalization.visitor_key import NOBODY
from personalization.visitor_state import Affinity, Holdout, VisitorState
from state.model_store import Followed
from tests.unit.api.site import NOW, SERVER, WRITE

ID = mint(b"test-secret", "u:u1", b"123456789")


async def test_a_reward_is_appended_under_the_key_the_id_carries(site):
    body = {"name": "click", "value": 0.5, "messageId": "m1", "final": True}
    response = await site.client.post(f"/v1/decisions/{ID}/reward", json=body, headers=WRITE)
    assert (response.status_code, response.content) == (204, b"")
    ((key, entry),) = site.entries()
    assert key == "u:u1"
    assert entry.event == Rewarded(message_id="reward:m1", decision_id=ID, value=0.5, name="click", final=True)
    assert site.visitors.asked == []


async def test_activation_is_appended(site):
    response = await site.client.post(f"/v1/decisions/{ID}/activate", headers=WRITE)
    assert response.status_code == 204
    assert site.entries()[0][1].event == Activated(decision_id=ID)


@pytest.mark.parametrize("body", [b'{"value":NaN}', b'{"value":1e999}', b'{"value":1e12}', b"{}", b'{"value":"1"}'])
async def test_a_reward_that_is_no_number_is_named(site, body):
    response = await site.client.post(f"/v1/decisions/{ID}/reward", content=body, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, "value")


async def test_a_reward_may_be_sent_under_the_decisions_own_id(site):
    """The fold knows the decision by that id already, and would take the reward for the same message."""
    answer = await site.decide()
    (decision,) = answer.json()["decisions"]
    decision_id = decision["decisionId"]
    body = {"value": 1, "messageId": decision_id}
    assert (
        await site.client.post(f"/v1/decisions/{decision_id}/reward", json=body, headers=WRITE)
    ).status_code == 204
    ((_, made),), ((_, rewarded),) = site.spool.entries(), site.entries()
    assert made.event.decision_id == rewarded.event.decision_id == decision_id
    assert made.event.message_id != rewarded.event.message_id


@pytest.mark.parametrize(
    ("value", "headers", "status"),
    [(1.0, WRITE, 204), (-1.0, WRITE, 204), (1.01, WRITE, 403), (-49.9, WRITE, 403), (49.9, SERVER, 204)],
)
async def test_money_is_rewarded_by_server_key_only(site, value, headers, status):
    response = await site.client.post(f"/v1/decisions/{ID}/reward", json={"value": value}, headers=headers)
    assert response.status_code == status
    assert len(site.log.records) == (status == 204)
    if status == 403:
        assert (response.json()["code"], response.json()["field"]) == ("forbidden", "value")
        assert "server key" in response.json()["message"]


@pytest.mark.parametrize("decision_id", ["x", ID[:-2] + "AA", mint(b"other", "u:u1", b"123456789"), "%ff"])
async def test_an_id_we_did_not_make_is_refused(site, decision_id):
    response = await site.client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, "decisionId")
    assert site.log.records == []


async def test_decisions_made_without_consent_take_rewards_to_nowhere(site):
    decision_id = mint(b"test-secret", NOBODY, b"123456789")
    response = await site.client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)
    assert response.status_code == 204
    assert site.log.records == []


async def test_a_full_log_is_told(site):
    site.log.error = LogFull("full")
    response = await site.client.post(f"/v1/decisions/{ID}/activate", headers=WRITE)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_a_visitor_as_known(site):
    site.visitors.states["a:a1"] = VisitorState(
        revision=9, event_count=8, last_ms=NOW - 5, n_orders=1, traits={"age": 3}, consents={"ads": False},
        affinities={"category": Affinity(NOW, {"shoes": 2.0})}, holdouts={"home.hero": Holdout(True, NOW)},
    )  # fmt: skip
    response = await site.client.get("/v1/visitors/a1", headers=SERVER)
    assert response.json() == {
        "visitorId": "a1",
        "canonicalId": "a1",
        "revision": 9,
        "eventCount": 8,
        "lastEventMs": NOW - 5,
        "traits": {"age": 3},
        "segments": ["buyers"],
        "scores": {},
        "affinities": {"category": {"shoes": 2.0}},
        "consent": {"ads": False},
        "assignments": {"home.hero": {"control": True, "sinceMs": NOW, "crossover": False}},
        "openDecisions": 4,
    }


@pytest.mark.parametrize("path", ["/v1/visitors/a1", "/v1/placements/home.hero"])
async def test_reading_needs_a_server_key(site, path):
    response = await site.client.get(path, headers=WRITE)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert (await site.client.get(path)).status_code == 401


async def test_nobody_and_nothing_are_404(site):
    for path in ("/v1/visitors/nobody", "/v1/placements/nowhere"):
        assert (await site.client.get(path, headers=SERVER)).status_code == 404


async def test_a_visitor_that_cannot_be_read_is_503(site):
    site.visitors.away = True
    assert (await site.client.get("/v1/visitors/a1", headers=SERVER)).status_code == 503


async def test_a_placement_as_learned(site):
    site.follower.models["home.hero"] = Followed(ModelSnapshot.prior(), NOW - 20)
    site.learned = Learned([ArmReport("tents", 10, 4.0, 0.4, 0.2, 0.6)], {"epoch": 1, "partition": 0, "offset": 41})
    body = (await site.client.get("/v1/placements/home.hero", headers=SERVER)).json()
    assert body["arms"] == [
        {"contentId": "shoes", "exposures": 0, "rewards": 0.0, "mean": None, "interval": [0.0, 1.0]},
        {"contentId": "tents", "exposures": 10, "rewards": 4.0, "mean": 0.4, "interval": [0.2, 0.6]},
        {"contentId": "bags", "exposures": 0, "rewards": 0.0, "mean": None, "interval": [0.0, 1.0]},
    ]
    assert (body["modelVersion"], body["modelAgeMs"]) == (0, 20)
    assert body["trainedThrough"] == {"epoch": 1, "partition": 0, "offset": 41}


async def test_health_and_readiness(site):
    assert (await site.client.get("/healthz")).status_code == 200
    assert (await site.client.get("/readyz")).status_code == 200
    site.report = Report(missing={"catalog": "none is published yet"})
    response = await site.client.get("/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, ["catalog"])


async def test_browsers_of_any_origin_may_ask(site):
    response = await site.client.options("/v1/decide", headers={"Origin": "https://shop.example"})
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "authorization" in response.headers["access-control-allow-headers"]
