"""Rewards, activations, visitors, placements, health."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from msgspec import structs

from api.process.readiness import Report
from api.services.ports import ModelReport
from online_models.imitation import Imitation
from online_models.insight import ArmInsight, Effect, Matter, ModelInsight
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot
from personalization.catalog.catalog import Events, Placement, RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.sections.variants import PlacementVariant
from personalization.errors import LogFull
from personalization.events.decision_id import mint
from personalization.events.event import Activated, DecisionMade, Rewarded
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_key import NOBODY
from personalization.visitor.visitor_state import Affinity, Decayed, Holdout, VisitorState
from state.model_store import Followed
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site, shop

ID = mint(ID_KEY, "u:u1", b"123456789")


async def test_a_reward_is_appended_under_the_key_the_id_carries(site: Site) -> None:
    body = {"name": "click", "value": 0.5, "messageId": "m1", "final": True}
    response = await site.client.post(f"/v1/decisions/{ID}/reward", json=body, headers=WRITE)
    assert (response.status_code, response.content) == (204, b"")
    ((key, entry),) = site.entries()
    assert key == "u:u1"
    assert entry.event == Rewarded(message_id="reward:m1", decision_id=ID, value=0.5, name="click", final=True)
    site.visitors.away = True  # no more than consent is asked for, and without an answer the fold asks
    assert (await site.client.post(f"/v1/decisions/{ID}/reward", json=body, headers=WRITE)).status_code == 204
    assert len(site.entries()) == 2


async def test_activation_is_appended(site: Site) -> None:
    response = await site.client.post(f"/v1/decisions/{ID}/activate", headers=WRITE)
    assert response.status_code == 204
    assert site.entries()[0][1].event == Activated(decision_id=ID)


@pytest.mark.parametrize("body", [b'{"value":NaN}', b'{"value":1e999}', b'{"value":1e12}', b"{}", b'{"value":"1"}'])
async def test_a_reward_that_is_no_number_is_named(site: Site, body: bytes) -> None:
    response = await site.client.post(f"/v1/decisions/{ID}/reward", content=body, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, "value")


async def test_a_reward_may_be_sent_under_the_decisions_own_id(site: Site) -> None:
    """The fold knows the decision by that id already, and would take the reward for the same message."""
    answer = await site.decide()
    (decision,) = answer.json()["decisions"]
    decision_id = decision["decisionId"]
    body = {"value": 1, "messageId": decision_id}
    assert (
        await site.client.post(f"/v1/decisions/{decision_id}/reward", json=body, headers=WRITE)
    ).status_code == 204
    ((_, made),), ((_, rewarded),) = site.spool.entries(), site.entries()
    decided, reward = of_type(DecisionMade, made.event), of_type(Rewarded, rewarded.event)
    assert decided.choice.decision_id == reward.decision_id == decision_id
    assert decided.message_id != reward.message_id


@pytest.mark.parametrize(
    ("value", "headers", "status"),
    [(1.0, WRITE, 204), (-1.0, WRITE, 204), (1.01, WRITE, 403), (-49.9, WRITE, 403), (49.9, SERVER, 204)],
)
async def test_money_is_rewarded_by_server_key_only(
    site: Site, value: float, headers: dict[str, str], status: int
) -> None:
    response = await site.client.post(f"/v1/decisions/{ID}/reward", json={"value": value}, headers=headers)
    assert response.status_code == status
    assert len(site.log.records) == (status == 204)
    if status == 403:
        assert (response.json()["code"], response.json()["field"]) == ("forbidden", "value")
        assert "server key" in response.json()["message"]


@pytest.mark.parametrize("decision_id", ["x", ID[:-2] + "AA", mint(b"other", "u:u1", b"123456789"), "%ff"])
async def test_an_id_we_did_not_make_is_refused(site: Site, decision_id: str) -> None:
    response = await site.client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, "decisionId")
    assert site.log.records == []


def other_texts_of(decision_id: str) -> list[str]:
    """Texts that base64 decodes to the same bytes."""
    digits = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    spare_bits = {0: 0, 3: 2, 2: 4}[len(decision_id) % 4]
    last = digits.index(decision_id[-1])
    same = [decision_id[:-1] + digits[last + n] for n in range(1, 1 << spare_bits)]
    padded = [decision_id + "=" * (-len(decision_id) % 4)] if spare_bits else []
    return [*same, *padded, decision_id.replace("-", "+").replace("_", "/")]


@pytest.mark.parametrize("key", ["u:u1", "a:ä", "u:jane@example.com", "u:" + "x" * 31, "u:????>>>>" * 4])
async def test_a_decision_id_is_taken_letter_for_letter(site: Site, key: str) -> None:
    minted = mint(ID_KEY, key, b"123456789")
    others = {text for text in other_texts_of(minted) if text != minted}
    assert others or len(minted) % 4 == 0
    for text in others:
        for call in ("reward", "activate"):
            path = f"/v1/decisions/{quote(text, safe='')}/{call}"
            response = await site.client.post(path, json={"value": 1}, headers=WRITE)
            assert response.status_code in (400, 404), text
    assert site.log.records == []
    response = await site.client.post(f"/v1/decisions/{minted}/reward", json={"value": 1}, headers=WRITE)
    assert (response.status_code, site.entries()[0][0]) == (204, key)


def weighing(**placements: Placement) -> CompiledCatalog:
    return compile_catalog(structs.replace(shop(), placements=placements), 13)


HERO = Placement(content=("shoes", "tents"), default="shoes", weights={"click": 0.1, "purchase": 1.0})
LIST = Placement(content=("shoes", "tents"), default="shoes", rewards=(RewardRule(event="Clicked"),))


@pytest.mark.parametrize(
    ("placements", "name", "status"),
    [
        ({"hero": HERO}, "click", 204),
        ({"hero": HERO}, "", 204),
        ({"hero": HERO}, "clik", 400),
        ({"hero": HERO, "plain": structs.replace(LIST, rewards=())}, "clik", 400),
        ({"hero": HERO, "other": structs.replace(LIST, weights={"like": 1.0})}, "like", 204),
        ({"hero": HERO, "list": LIST}, "clik", 204),  # it may be one of the list's, where any name will do
        ({"list": LIST}, "clik", 204),
    ],
)
async def test_a_name_that_nobodys_weights_list_is_refused_with_the_names_there_are(
    site: Site, placements: dict[str, Placement], name: str, status: int
) -> None:
    await site.client.post(f"/v1/decisions/{ID}/reward", json={"value": 1, "name": "clik"}, headers=WRITE)
    site.log.records.clear()
    site.compiled = weighing(**placements)
    response = await site.client.post(f"/v1/decisions/{ID}/reward", json={"value": 1, "name": name}, headers=WRITE)
    assert response.status_code == status, response.text
    assert len(site.log.records) == (status == 204)
    if status == 400:
        assert (response.json()["field"], response.json()["code"]) == ("name", "unknown_name")
        assert "click, purchase" in response.json()["message"]


async def test_decisions_made_without_consent_take_rewards_to_nowhere(site: Site) -> None:
    decision_id = mint(ID_KEY, NOBODY, b"123456789")
    response = await site.client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)
    assert response.status_code == 204
    assert site.log.records == []


async def test_a_full_log_is_told(site: Site) -> None:
    site.log.error = LogFull("full")
    response = await site.client.post(f"/v1/decisions/{ID}/activate", headers=WRITE)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_a_visitor_as_known(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(
        revision=9, event_count=8, last_ms=NOW - 5, n_orders=1, traits={"age": 3},
        consents={"ads": Word(False, NOW)}, cart={"boots": 40.0, "tent": 2.5}, revenue=99.0,
        counts={"view_item": Decayed(1.0, NOW), "Product Viewed": Decayed(2.0, NOW), "Sung": Decayed(1.0, NOW)},
        affinities={"category": Affinity(NOW, {"shoes": 2.0})}, holdouts={"home.hero": Holdout(True, NOW)},
    )  # fmt: skip
    catalog = structs.replace(site.compiled.catalog, events=Events(presets=("segment", "ga4")))
    site.compiled = compile_catalog(catalog, 12)
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
        "cart": {"boots": 40.0, "tent": 2.5},
        "cartValue": 42.5,
        "revenue": 99.0,
        "nOrders": 1,
        "counts": {"view_item": 1.0, "Product Viewed": 2.0, "Sung": 1.0},
        "meanings": {"viewed": 3.0},
        "consent": {"ads": False},
        "assignments": {"home.hero": {"control": True, "sinceMs": NOW, "crossover": False}},
        "openDecisions": 4,
        "session": None,
        "segmentReasons": {
            "buyers": {
                "holds": True,
                "whyUnknown": None,
                "rule": "n_orders > 0",
                "values": {"n_orders": 1},
                "failing": [],
            }
        },
        "windows": [],
        "exposures": [],
        "caps": [],
    }


@pytest.mark.parametrize("path", ["/v1/visitors/a1", "/v1/placements/home.hero"])
async def test_reading_needs_a_server_key(site: Site, path: str) -> None:
    response = await site.client.get(path, headers=WRITE)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert (await site.client.get(path)).status_code == 401


async def test_nobody_and_nothing_are_404(site: Site) -> None:
    for path in ("/v1/visitors/nobody", "/v1/placements/nowhere"):
        assert (await site.client.get(path, headers=SERVER)).status_code == 404


async def test_a_visitor_that_cannot_be_read_is_503(site: Site) -> None:
    site.visitors.away = True
    assert (await site.client.get("/v1/visitors/a1", headers=SERVER)).status_code == 503


async def test_a_placement_as_learned(site: Site) -> None:
    site.follower.models["home.hero"] = Followed(ModelSnapshot.prior(), NOW - 20)
    site.learned = ModelReport(
        [ArmReport("tents", 10, 4.0, 0.4, 0.2, 0.6)], {"epoch": 1, "partition": 0, "offset": 41}
    )
    body = (await site.client.get("/v1/placements/home.hero", headers=SERVER)).json()
    assert body["arms"] == [
        {"contentId": "shoes", "exposures": 0, "rewards": 0.0, "mean": None, "interval": [0.0, 1.0]},
        {"contentId": "tents", "exposures": 10, "rewards": 4.0, "mean": 0.4, "interval": [0.2, 0.6]},
        {"contentId": "bags", "exposures": 0, "rewards": 0.0, "mean": None, "interval": [0.0, 1.0]},
    ]
    assert (body["modelVersion"], body["modelAgeMs"]) == (0, 20)
    assert body["trainedThrough"] == {"epoch": 1, "partition": 0, "offset": 41}


async def test_a_placements_variants_as_learned(site: Site) -> None:
    variants = {
        "own": PlacementVariant(share=0.5, content=("tents", "bags")),
        "same": PlacementVariant(share=0.25, learn="shared"),
    }
    hero = structs.replace(shop().placements["home.hero"], variants=variants)
    site.compiled = compile_catalog(structs.replace(shop(), placements={"home.hero": hero}), 13)
    site.follower.models["home.hero@own"] = Followed(ModelSnapshot.prior(), NOW - 30)
    site.learned = ModelReport([ArmReport("tents", 10, 4.0, 0.4, 0.2, 0.6)], {"epoch": 1})
    body = (await site.client.get("/v1/placements/home.hero", headers=SERVER)).json()
    own, same = body["variants"]["own"], body["variants"]["same"]
    assert (own["share"], own["learn"], own["modelAgeMs"]) == (0.5, "own", 30)
    assert [(arm["contentId"], arm["exposures"]) for arm in own["arms"]] == [("tents", 10), ("bags", 0)]
    assert (same["share"], same["learn"], same["modelAgeMs"]) == (0.25, "shared", None)
    assert [arm["contentId"] for arm in same["arms"]] == ["shoes", "tents", "bags"]
    assert site.asked_of == ["home.hero@own", "home.hero", "home.hero"]


async def test_a_placements_model_says_what_it_goes_by(site: Site) -> None:
    variants = {"own": PlacementVariant(share=0.5, content=("tents", "bags"))}
    hero = structs.replace(shop().placements["home.hero"], variants=variants)
    site.compiled = compile_catalog(structs.replace(shop(), placements={"home.hero": hero}), 13)
    path = "/v1/placements/home.hero/model"
    body = (await site.client.get(path, headers=SERVER)).json()
    assert (body["placement"], body["variant"], body["learned"], body["arms"]) == ("home.hero", None, 0, [])
    tents = ArmInsight("tents", 12.0, 9, 5, 7, 0.25, 0.4, [Effect("device=phone", 0.1)])
    site.insight = ModelInsight(
        "default", 12, [tents], [Matter("device", 0.08)], "recent contexts", 3, 0, {"rebuilds": 1}, 2
    )
    body = (await site.client.get(path, params={"variant": "own"}, headers=SERVER)).json()
    assert body["arms"] == [
        {
            "contentId": "tents",
            "exposures": 12.0,
            "held": 9,
            "firstMs": 5,
            "lastMs": 7,
            "shareOfLate": 0.25,
            "meanEstimate": 0.4,
            "effects": [{"what": "device=phone", "change": 0.1}],
        }
    ]
    assert (body["matters"], body["forgotten"]) == ([{"feature": "device", "moves": 0.08}], 2)
    assert site.asked_of == ["home.hero", "home.hero@own"]
    assert body["calibration"] == [], "nothing is added up here"
    refused = await site.client.get(path, params={"variant": "none"}, headers=SERVER)
    assert (refused.status_code, refused.json()["code"]) == (400, "unknown_variant")
    assert (await site.client.get("/v1/placements/nowhere/model", headers=SERVER)).status_code == 404
    assert (await site.client.get(path, headers=WRITE)).status_code == 403


async def test_an_apprentice_tells_how_often_its_policy_agrees(site: Site) -> None:
    hero = structs.replace(shop().placements["home.hero"], apprentice=True)
    site.compiled = compile_catalog(structs.replace(shop(), placements={"home.hero": hero}), 13)
    path = "/v1/placements/home.hero"
    body = (await site.client.get(path, headers=SERVER)).json()
    assert body["apprentice"] == {"decisions": 0, "matchRate": None}
    site.learned = ModelReport([], {"epoch": 1}, Imitation(n=40, weight=40.0, matched=30.0))
    body = (await site.client.get(path, headers=SERVER)).json()
    assert body["apprentice"] == {"decisions": 40, "matchRate": 0.75}
    for n in range(30):
        asked = {"visitor": {"anonymousId": f"a{n}"}, "placements": ["home.hero"]}
        answer = (await site.client.post("/v1/decide", json=asked, headers=WRITE)).json()["decisions"][0]
        assert (answer["contentId"], answer["probability"]) == ("shoes", 1.0)
    text = site.metrics.exposition().decode()
    agreed = sum(record.choice.policy_arm == "shoes" for record in site.spool.decisions())
    assert 0 < agreed < 30
    for matched, n in (("yes", agreed), ("no", 30 - agreed)):
        line = f'nextbest_apprentice_decisions_total{{matched="{matched}",placement="home.hero"}} {n}.0'
        assert line in text


async def test_health_and_readiness(site: Site) -> None:
    assert (await site.client.get("http://inner/healthz")).status_code == 200
    assert (await site.client.get("http://inner/readyz")).status_code == 200
    site.report = Report(missing={"catalog": "none is published yet"})
    response = await site.client.get("http://inner/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, ["catalog"])


async def test_browsers_of_any_origin_may_ask(site: Site) -> None:
    response = await site.client.options("/v1/decide", headers={"Origin": "https://shop.example"})
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "authorization" in response.headers["access-control-allow-headers"]
