"""A preview says what a decision would be, and leaves no trace of itself."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from msgspec import structs

from api.process.draft_check import CheckedDraft, checked
from api.services.drafts import Drafts
from personalization.catalog.catalog import Cap
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Unavailable
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import Exposure, VisitorState
from tests.unit.api.site import NOW, SERVER, WRITE, Site, open_site, shop

DRAFT = {
    "placements.yaml": "placements:\n  home.hero:\n    content: [shoes, boots]\n    default: shoes\n",
    "content.yaml": (
        "content:\n  shoes: {type: html, body: <b>Shoes</b>}\n"
        '  boots: {type: html, body: <b>Boots</b>, when: \'count("Viewed", within="7d") >= 1\'}\n'
    ),
}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        catalog = shop()
        content = {
            **catalog.content,
            "tents": structs.replace(catalog.content["tents"], when="traits.plan == 'pro'"),
            "bags": structs.replace(catalog.content["bags"], cap=(Cap(limit=1, per="visitor"),)),
            "shoes": structs.replace(catalog.content["shoes"], when="device == 'mobile' || 'buyers' in segments"),
        }
        opened.compiled = compile_catalog(structs.replace(catalog, content=content), 12)
        yield opened


async def asked(site: Site, headers: Mapping[str, str] = SERVER, **body: Any) -> httpx.Response:
    return await site.client.post("/v1/preview", json={"placements": ["home.hero"], **body}, headers=dict(headers))


async def previewed(site: Site, **body: Any) -> dict[str, Any]:
    response = await asked(site, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def arms(found: dict[str, Any]) -> list[str]:
    return [arm["arm"] for arm in why(found)["arms"]]


def refused(found: dict[str, Any]) -> dict[str, str]:
    return {arm["arm"]: arm["reason"] for arm in why(found)["refused"]}


def why(found: dict[str, Any]) -> dict[str, Any]:
    """The explanation of the first slot."""
    explained: dict[str, Any] = found["placements"][0]["slots"][0]["explanation"]
    return explained


async def test_a_visitor_is_shown_what_they_could_be_shown_and_why_nothing_else(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(
        event_count=3,
        first_ms=NOW - 5,
        traits={"plan": "free"},
        n_orders=2,
        exposures={"bags": Exposure(1, 0, 1, 1, NOW - 5)},
    )
    found = await previewed(site, visitor={"anonymousId": "a1"})
    assert found["known"] is True
    assert arms(found) == ["shoes"]
    assert refused(found) == {"tents": "rule", "bags": "cap"}
    [tents] = [arm for arm in why(found)["refused"] if arm["arm"] == "tents"]
    assert tents["failing"] == ["traits.plan == 'pro' does not hold: traits.plan is 'free'"]
    assert "traits.plan is 'free'" in tents["words"]


async def test_a_preview_is_explained_as_a_decision_is(site: Site) -> None:
    """By the same steps, in the same words; but that it would be shown, and has no id."""
    site.visitors.states["a:a1"] = VisitorState(
        event_count=3, first_ms=NOW - 5, traits={"plan": "free"}, n_orders=2
    )
    body = {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}
    seen = why(await previewed(site, **body))
    answered = await site.client.post("/v1/decide", json={**body, "explain": True}, headers=SERVER)
    told = answered.json()["decisions"][0]["explanation"]
    drawn = ("words", "decisionId", "shown", "drawn", "effects", "weight", "probability")
    assert {name: seen[name] for name in seen if name not in drawn} == {
        name: told[name] for name in told if name not in drawn
    }
    assert seen["decisionId"] == "", "nothing can be rewarded by it"
    assert seen["words"].startswith("The visitor would be shown ")


async def test_placements_that_are_not_named_are_previewed_each_on_its_own(site: Site) -> None:
    """No page shows all of them at once: what stands in one may stand in another."""
    every = await previewed(site, placements=None, facts={"nOrders": 1})
    assert len(every["placements"]) == len(site.compiled.placements)
    assert all(each["slots"] for each in every["placements"])
    reasons = {arm["reason"] for each in every["placements"] for arm in each["slots"][0]["explanation"]["refused"]}
    assert "taken" not in reasons


async def test_a_preview_draws_from_what_a_decision_draws_from(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(event_count=3, first_ms=NOW - 5, traits={"plan": "pro"}, n_orders=1)
    found = await previewed(site, visitor={"anonymousId": "a1"}, placements=["home.hero", "home.list"])
    await site.decide("home.hero", {"placement": "home.list"})
    for record in site.spool.decisions():
        placement = next(each for each in found["placements"] if each["placement"] == record.choice.placement)
        slot = placement["slots"][record.choice.slot]
        if not record.above:  # what stands above was drawn anew
            told = slot["explanation"]["arms"]
            assert [arm["arm"] for arm in told] == list(record.arms)
            assert [arm["weight"] for arm in told] == list(record.weights)


async def test_facts_are_laid_over_what_is_known(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(event_count=3, first_ms=NOW - 5, traits={"plan": "free"})
    who = {"anonymousId": "a1"}
    assert refused(await previewed(site, visitor=who)) == {"tents": "rule", "shoes": "rule"}
    facts = {"traits": {"plan": "pro"}, "device": "mobile"}
    assert refused(await previewed(site, visitor=who, facts=facts)) == {}
    facts = {"traits": {"plan": None}, "segments": {"buyers": True}}
    assert refused(await previewed(site, visitor=who, facts=facts)) == {"tents": "rule"}


async def test_somebody_made_up_is_nobody_that_is_known(site: Site) -> None:
    found = await previewed(site, facts={"nOrders": 1})
    assert found["known"] is False
    assert refused(found) == {"tents": "rule"}
    assert site.visitors.asked == []


@pytest.mark.parametrize("now", ["0001-01-01T00:00:00Z", 0, "9999-12-31T23:59:59.999Z"])
async def test_a_preview_may_be_of_any_time_that_can_be_sent(site: Site, now: Any) -> None:
    found = await previewed(site, facts={"now": now, "consent": {"personalization": True}})
    assert "agreed to personalization on" in why(found)["words"]


async def test_somebody_made_up_is_held_out_nowhere(site: Site) -> None:
    catalog = structs.replace(site.compiled.catalog, holdout=0.5)
    site.compiled = compile_catalog(catalog, 13)
    found = await previewed(site, facts={"nOrders": 1})
    assert found["placements"][0]["slots"][0]["holdout"] is False


async def test_who_refused_is_shown_what_rules_show(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(event_count=3, consents={"personalization": Word(True, NOW)})
    found = await previewed(site, visitor={"anonymousId": "a1"}, facts={"consent": {"personalization": False}})
    assert found["placements"][0]["slots"][0]["tier"] in ("rules", "default")
    assert [(word["purpose"], word["granted"]) for word in why(found)["consent"]] == [("personalization", False)]


async def test_a_preview_leaves_no_trace(site: Site) -> None:
    state = VisitorState(event_count=3, first_ms=NOW - 5, traits={"plan": "pro"})
    site.visitors.states["a:a1"] = state
    before, metrics = copy.deepcopy(state), decided(site)
    facts = {"traits": {"plan": "free"}, "events": [{"event": "Viewed"}], "consent": {"personalization": True}}
    await previewed(site, visitor={"anonymousId": "a1", "userId": "u1"}, placements=None, facts=facts)
    assert site.visitors.states == {"a:a1": before}
    assert (site.spool.records, site.log.records) == ([], [])
    assert decided(site) == metrics
    [act] = site.audit.acts
    assert (act.trail, act.act) == ("reads", "preview"), "who looked at whom is on record, and nothing else"


def decided(site: Site) -> list[str]:
    """What is counted of decisions, events and links."""
    lines = site.metrics.exposition().decode().splitlines()
    of_any_request = ("nextbest_request", "nextbest_event_loop")
    return [line for line in lines if line.startswith("nextbest_") and not line.startswith(of_any_request)]


async def test_a_write_key_may_not_preview(site: Site) -> None:
    assert (await asked(site, WRITE, visitor={"anonymousId": "a1"})).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"visitor": {}}, "visitor"),
        ({"placements": ["nope"]}, "placements[0]"),
        ({"facts": {"events": [{"event": "Viewed", "ago": "soon"}]}}, "facts.events[0].ago"),
        ({"facts": {"now": "whenever"}}, "facts.now"),
        ({"facts": {"device": "fridge"}}, "facts.device"),
        ({"facts": {"segments": {"no such segment": True}}}, "facts.segments"),
        ({"facts": {"consent": {f"purpose {n}": True for n in range(33)}}}, "facts.consent"),
        ({"facts": {"traits": {f"trait {n}": 1 for n in range(257)}}}, "facts.traits"),
        ({"facts": {"traits": {"plan": "x" * 257}}}, "facts.traits"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_field(site: Site, body: dict[str, Any], field: str) -> None:
    response = await asked(site, **body)
    assert (response.status_code, response.json()["field"]) == (400, field)


async def test_a_draft_is_previewed_before_it_is_published() -> None:
    async with open_site() as site:
        draft = {"catalog": {"files": DRAFT}}
        found = await previewed(site, **draft)
        assert found["catalogVersion"] is None
        assert refused(found) == {"boots": "rule"}
        seen = await previewed(site, **draft, facts={"events": [{"event": "Viewed", "ago": "1h"}]})
        assert arms(seen) == ["shoes", "boots"]
        assert list(site.compiled.placements["home.hero"].spec.content) == ["shoes", "tents", "bags"]


async def test_a_draft_is_checked_once(site: Site) -> None:
    checks = []

    async def check(files: Mapping[str, bytes]) -> CheckedDraft:
        checks.append(sorted(files))
        return checked(dict(files))

    drafts = Drafts(site.services(), check)
    first = await drafts.prepared(DRAFT, NOW)
    assert await drafts.prepared(dict(reversed(DRAFT.items())), NOW) is first
    await drafts.prepared({**DRAFT, "more.yaml": "# nothing"}, NOW)
    assert len(checks) == 2


async def test_a_draft_that_is_remembered_waits_for_no_other(site: Site) -> None:
    """And of others no more wait than are checked within a minute and a half: the next is told to come again."""
    gate = asyncio.Event()
    gate.set()

    async def check(files: Mapping[str, bytes]) -> CheckedDraft:
        await gate.wait()
        return checked(dict(files))

    drafts = Drafts(site.services(), check)
    first = await drafts.prepared(DRAFT, NOW)
    gate.clear()
    others = [{**DRAFT, "more.yaml": f"# {n}"} for n in range(4)]
    waiting = [asyncio.create_task(drafts.prepared(files, NOW)) for files in others[:3]]
    await asyncio.sleep(0)
    assert await drafts.prepared(DRAFT, NOW) is first
    with pytest.raises(Unavailable, match="3 drafts are being checked"):
        await drafts.prepared(others[3], NOW)
    gate.set()
    assert len({id(each) for each in await asyncio.gather(*waiting)}) == 3
    await drafts.prepared(others[3], NOW)


async def test_of_a_window_that_a_draft_brings_nothing_is_known(site: Site) -> None:
    """Nobody looked at it so far: how often it happened is not known, which is not the same as never."""
    site.visitors.states["a:a1"] = VisitorState(event_count=3, first_ms=NOW - 5)
    rule = {"content.yaml": DRAFT["content.yaml"].replace(">= 1", "== 0")}
    who = {"anonymousId": "a1"}
    assert refused(await previewed(site, visitor=who, catalog={"files": {**DRAFT, **rule}})) == {"boots": "rule"}


async def test_a_mistaken_draft_is_refused_with_file_and_line(site: Site) -> None:
    files = {**DRAFT, "placements.yaml": DRAFT["placements.yaml"].replace("boots", "bots")}
    response = await asked(site, catalog={"files": files})  # by a process of its own
    assert response.status_code == 400
    told = response.json()
    assert told["code"] == "mistaken_draft"
    assert [(each["file"], each["line"]) for each in told["mistakes"]] == [("placements.yaml", 3)]
    assert "bots" in told["message"]
    unreadable = (await asked(site, catalog={"files": {"a.yaml": "placements: ["}})).json()
    assert unreadable["message"].startswith("a.yaml:2: a bracket"), "what is wrong of a file as a whole has no path"
