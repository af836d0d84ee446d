"""Why a decision was made: who may see it, what is recorded of that, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import structs

from personalization.audit.record import visitor_mark
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Unavailable
from personalization.events.decision_id import mint
from personalization.explaining.preview_link import PreviewLink, sign
from personalization.key_derivation import Secrets
from personalization.visitor.visitor_state import VisitorState
from tests.unit.api.fake_records import FakeRecords
from tests.unit.api.site import ID_KEY, NOW, SECRETS, SERVER, WRITE, Site, open_site

MARK_KEY = SECRETS.key("audit-visitors")
LINK_KEY = SECRETS.key("preview-links")


def shop() -> Catalog:
    return Catalog(
        placements={
            "home.hero": Placement(content=("shoes", "tents", "pros"), default="shoes"),
            "home.list": Placement(content=("shoes", "tents"), default="shoes", slots=2),
        },
        content={
            "shoes": Content(body={"title": "Shoes"}),
            "tents": Content(body={"title": "Tents"}),
            "pros": Content(body={"title": "Pros"}, when="traits.plan == 'pro'"),
        },
        segments={"buyers": "n_orders > 0"},
        sources={"web": Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted")},
    )


@pytest.fixture
def records() -> FakeRecords:
    return FakeRecords()


@pytest.fixture
async def site(records: FakeRecords) -> AsyncIterator[Site]:
    async with open_site(compiled=compile_catalog(shop(), 12), records=records) as opened:
        opened.visitors.states["a:a1"] = VisitorState(revision=4, now_ms=NOW, n_orders=1, traits={"plan": "free"})
        yield opened


def token(*placements: str, ends_ms: int = NOW + 1, key: bytes = LINK_KEY) -> str:
    return sign(PreviewLink(ends_ms, placements), key)


async def explained(site: Site, decision_id: str, headers: dict[str, str] = SERVER) -> httpx.Response:
    return await site.client.get(f"/v1/decisions/{decision_id}/explain", headers=headers)


async def test_an_explanation_of_many_arms_lets_decisions_go_on(site: Site, records: FakeRecords) -> None:
    """It halts between its arms: what refuses a thousand takes long to say, and a page may ask for it."""
    rules = {f"pro{n}": Content(body={"n": n}, when=f"traits.plan == 'pro{n}'") for n in range(300)}
    catalog = shop()
    placements = {"home.hero": Placement(content=("shoes", *rules), default="shoes")}
    site.compiled = compile_catalog(
        structs.replace(catalog, placements=placements, content={**catalog.content, **rules}), 13
    )
    turns = 0
    done = False

    async def others() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    (decision,) = (await site.decide("home.hero", headers=SERVER)).json()["decisions"]
    of_a_decision, turns = turns, 0
    (decision,) = (await site.decide("home.hero", headers=SERVER, explain=True)).json()["decisions"]
    assert len(decision["explanation"]["refused"]) == 300
    of_explaining, turns = turns, 0
    records.kept = site.spool.decisions()
    told = (await explained(site, decision["decisionId"])).json()
    done = True
    await task
    assert len(told["refused"]) == 300
    assert min(of_explaining, turns) > of_a_decision + 5, "of one that is made, and of one that was recorded"


async def test_a_server_is_told_why_and_that_is_recorded(site: Site) -> None:
    answer = (await site.decide("home.hero", headers=SERVER, explain=True)).json()
    (decision,) = answer["decisions"]
    why = decision["explanation"]
    (record,) = site.spool.decisions()
    assert [(arm["arm"], arm["weight"]) for arm in why["arms"]] == list(
        zip(record.arms, record.weights, strict=True)
    )
    assert why["drawn"]["ticket"] == record.ticket
    assert (why["decisionId"], why["shown"]) == (decision["decisionId"], decision["contentId"])
    (refused,) = why["refused"]
    assert (refused["arm"], refused["reason"], refused["asOf"]) == ("pros", "rule", "decision")
    assert refused["values"] == {"traits.plan": "free"}
    assert why["segments"] == ["buyers"]
    assert why["words"].startswith(f"The visitor was shown {why['shown']}, with a probability of ")
    (act,) = site.audit.acts
    assert (act.trail, act.act, act.outcome) == ("reads", "explain_decide", "allowed")
    assert act.objects == (visitor_mark(MARK_KEY, "a1"), "name:home.hero")


async def test_what_cannot_be_recorded_is_not_explained_and_nothing_is_decided(site: Site) -> None:
    site.audit.error = Unavailable("away")
    assert (await site.decide("home.hero", headers=SERVER, explain=True)).status_code == 503
    assert (site.visitors.asked, site.spool.records) == ([], [])


async def test_nobody_is_told_why_without_asking(site: Site) -> None:
    answer = (await site.decide("home.hero", headers=SERVER)).json()
    assert "explanation" not in answer["decisions"][0]
    assert site.audit.acts == []


async def test_a_page_is_told_why_by_a_preview_link_alone(site: Site) -> None:
    refused = await site.decide("home.hero", explain=True)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (
        403,
        "explain_forbidden",
        "explain",
    )
    assert site.spool.records == [], "what is refused is not decided either"
    told = await site.decide("home.hero", explain=True, preview=token("home.hero"))
    assert told.json()["decisions"][0]["explanation"]["arms"]
    assert site.audit.acts == [], "a page's key is everybody's"


@pytest.mark.parametrize(
    ("preview", "words"),
    [
        ("pl_nonsense", "was not signed by this installation"),
        ("", "was not signed by this installation"),
        ("pl_ä.b", "was not signed by this installation"),
        (token("home.hero", key=SECRETS.key("draws")), "was not signed by this installation"),
        (token("home.hero", key=Secrets(b"another").key("preview-links")), "was not signed by this installation"),
        (token("home.hero", ends_ms=NOW), "the preview link ended on 2023-11-14 22:13 UTC; have another made"),
        (token("home.list"), "the preview link is for home.list alone, and home.hero is asked for too"),
    ],
)
async def test_a_link_that_does_not_hold_shows_nothing(site: Site, preview: str, words: str) -> None:
    answer = await site.decide("home.hero", explain=True, preview=preview)
    assert (answer.status_code, answer.json()["field"]) == (403, "preview")
    assert words in answer.json()["message"]


async def test_a_link_is_for_all_placements_that_are_asked_for(site: Site) -> None:
    link = token("home.hero")
    assert (await site.decide("home.hero", "home.list", explain=True, preview=link)).status_code == 403
    both = token("home.hero", "home.list")
    answer = await site.decide("home.hero", "home.list", explain=True, preview=both)
    assert len([each["explanation"] for each in answer.json()["decisions"]]) == 2


async def test_by_a_link_nobody_is_told_of_a_user_they_do_not_prove_to_be(site: Site) -> None:
    visitor = {"userId": "somebody else"}
    answer = await site.decide("home.hero", explain=True, preview=token("home.hero"), visitor=visitor)
    assert (answer.status_code, answer.json()["field"]) == (403, "visitor.userId")


async def test_a_server_makes_a_link_that_holds(site: Site) -> None:
    asked = {"placements": ["home.hero"], "validMs": 60_000}
    made = await site.client.post("/v1/preview-links", json=asked, headers=SERVER)
    assert (made.json()["placements"], made.json()["endsMs"]) == (["home.hero"], NOW + 60_000)
    assert (await site.decide("home.hero", explain=True, preview=made.json()["token"])).status_code == 200
    assert [(act.act, act.objects) for act in site.audit.acts] == [("make_preview_link", ("name:home.hero",))]
    assert (await site.client.post("/v1/preview-links", json=asked, headers=WRITE)).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"placements": []}, "placements"),
        ({"placements": ["nowhere"]}, "placements[0]"),
        ({"placements": ["home.hero"], "validMs": 0}, "validMs"),
        ({"placements": ["home.hero"], "validMs": 31 * 86_400_000}, "validMs"),
    ],
)
async def test_a_link_that_would_allow_too_much_is_refused(site: Site, body: Any, field: str) -> None:
    answer = await site.client.post("/v1/preview-links", json=body, headers=SERVER)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_an_address_asks_why_too(site: Site) -> None:
    params = {"visitor": "a1", "placement": "home.hero", "explain": "true"}
    assert (await site.client.get("/v1/decide", params=params, headers=WRITE)).status_code == 403
    params["preview"] = token("home.hero")
    told = await site.client.get("/v1/decide", params=params, headers=WRITE)
    assert told.json()["decisions"][0]["explanation"]["refused"][0]["arm"] == "pros"
    beside = await site.client.get("/v1/decide", params={**params, "format": "json"}, headers=WRITE)
    assert (beside.status_code, beside.json()["field"]) == (400, "explain")


async def test_a_recorded_decision_is_explained_and_its_visitor_stands_in_the_audit(
    site: Site, records: FakeRecords
) -> None:
    decided = (await site.decide("home.hero", headers=SERVER, explain=True)).json()["decisions"][0]
    site.audit.acts.clear()
    records.kept += site.spool.decisions()
    told = (await explained(site, decided["decisionId"])).json()
    live = decided["explanation"]
    same = ("decisionId", "shown", "weight", "arms", "drawn", "consent", "segments", "tier", "versions", "holdout")
    assert {name: told.get(name) for name in same} == {name: live.get(name) for name in same}
    assert told["refused"] == live["refused"], "the visitor has done nothing since"
    (act,) = site.audit.acts
    assert (act.trail, act.act) == ("reads", "explain_decision")
    assert visitor_mark(MARK_KEY, "a1") in act.objects


async def test_todays_values_are_never_told_as_those_of_then(site: Site, records: FakeRecords) -> None:
    decided = (await site.decide("home.hero")).json()["decisions"][0]
    records.kept += site.spool.decisions()
    state = site.visitors.states["a:a1"]
    state.revision, state.traits = 5, {"plan": "trial"}
    (refused,) = (await explained(site, decided["decisionId"])).json()["refused"]
    assert (refused["asOf"], refused["values"]) == ("now", {"traits.plan": "trial"})
    assert "as the visitor is now, traits.plan is 'trial'" in refused["words"]
    state.traits = {"plan": "pro"}
    (refused,) = (await explained(site, decided["decisionId"])).json()["refused"]
    assert "that holds now, and did not then" in refused["words"]


async def test_a_state_that_is_behind_the_decision_is_not_taken_for_the_one_that_decided(
    site: Site, records: FakeRecords
) -> None:
    decided = (await site.decide("home.hero")).json()["decisions"][0]
    records.kept += site.spool.decisions()
    site.visitors.states["a:a1"].now_ms = NOW - 1  # events that were sent along may still be on their way
    (refused,) = (await explained(site, decided["decisionId"])).json()["refused"]
    assert refused["asOf"] == "now"


async def test_a_record_is_explained_though_its_visitor_cannot_be_read(site: Site, records: FakeRecords) -> None:
    decided = (await site.decide("home.hero")).json()["decisions"][0]
    records.kept += site.spool.decisions()
    site.visitors.away = True
    told = (await explained(site, decided["decisionId"])).json()
    assert (told["segments"], told["refused"][0]["values"]) == (None, {})
    assert "its rule asks for traits.plan == 'pro', and the visitor's state could not be read" in told["words"]


async def test_what_is_recorded_nowhere_is_not_found(site: Site) -> None:
    for decision_id in ("x", mint(ID_KEY, "a:a1", b"123456789")):
        assert (await explained(site, decision_id)).status_code == 404
    assert (await explained(site, "x", WRITE)).status_code == 403


async def test_records_that_are_away_are_told_as_such(site: Site, records: FakeRecords) -> None:
    records.away = True
    assert (await explained(site, mint(ID_KEY, "a:a1", b"123456789"))).status_code == 503
