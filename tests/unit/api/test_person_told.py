"""A person is told which decisions are made about them, on what data, and how to object; and nobody else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from api.access.proof import identity_secret, user_hash
from api.services.ports import Services
from api.services.records import NoRecords
from personalization.catalog.catalog import Cap
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.privacy import Controller, Privacy
from personalization.events.decision_record import DecisionRecord
from personalization.visitor.choice import Choice
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import Exposure, VisitorState
from tests.unit.api.site import NOW, SECRETS, SERVER, WRITE, Site, open_site, shop

SHOWN = {"bags": Exposure(2, 0, 2, 2, NOW - 5)}
HASH = user_hash(identity_secret(SECRETS, "web"), "u1")


class FakeRecords(NoRecords):
    """Has the records of one visitor."""

    def __init__(self) -> None:
        self.kept: list[DecisionRecord] = []
        self.asked: list[str] = []

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        self.asked = list(keys)
        return self.kept[:limit]


@dataclass
class Shop(Site):
    records: NoRecords = field(default_factory=FakeRecords)

    def services(self) -> Services:
        services = super().services()
        services.records = self.records
        return services


@pytest.fixture
async def site() -> AsyncIterator[Shop]:
    catalog = shop()
    content = {
        **catalog.content,
        "tents": structs.replace(catalog.content["tents"], when="traits.plan == 'pro'"),
        "bags": structs.replace(catalog.content["bags"], cap=(Cap(limit=1, per="visitor"),)),
    }
    controller = Controller(name="Shop Ltd", contact="privacy@shop.example")
    privacy = Privacy(
        controller=controller, notice="https://shop.example/privacy", jurisdiction="EU", storage_locations=("EU",)
    )
    segments = {"keen": 'count("Viewed", within="7d") >= 3'}
    compiled = compile_catalog(structs.replace(catalog, content=content, privacy=privacy, segments=segments), 12)
    async with open_site(Shop, compiled=compiled) as opened:
        assert isinstance(opened, Shop)
        opened.visitors.states["u:u1"] = VisitorState(
            first_ms=NOW - 9, traits={"plan": "free"}, n_orders=2, exposures=SHOWN
        )
        yield opened


def made(tier: str, **more: Any) -> DecisionRecord:
    holdout = more.pop("holdout", False)
    choice = Choice("d", "home.hero", 0, "tents", 2**31, "thompson", holdout=holdout)
    return DecisionRecord(
        choice=choice,
        message_id="m",
        request_id="r",
        key="u:u1",
        tier=tier,
        reason="",
        decided_at_ms=NOW,
        arms=("tents", "bags"),
        **more,
    )


async def told(site: Shop) -> dict[str, Any]:
    response = await site.client.post("/v1/visitors/u1/explain", headers=SERVER)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_each_decision_names_the_data_it_looks_at_with_their_values(site: Shop) -> None:
    person = await told(site)
    hero = next(each for each in person["decisions"] if each["placement"] == "home.hero")
    data = {each["name"]: each for each in person["data"]}
    assert set(hero["data"]) <= data.keys()
    assert {"traits.plan", 'count("Viewed", within="7d")', "exposures", "n_orders", "device"} <= set(hero["data"])
    assert data["traits.plan"] == {
        "name": "traits.plan",
        "words": "what is known about you: plan",
        "source": "what you told the site, or what it knows of your account",
        "value": "free",
    }
    assert data["n_orders"]["value"] == 2
    assert data['count("Viewed", within="7d")']["value"] == 0
    assert data["device"]["value"] is None
    assert data["exposures"]["value"] == {"content bags": 2}


async def test_the_latest_decisions_are_told_in_a_sentence_each(site: Shop) -> None:
    assert isinstance(site.records, FakeRecords)
    site.records.kept = [made("personalised"), made("rules"), made("personalised", holdout=True)]
    first, second, third = (await told(site))["latest"]
    assert first["words"] == (
        "On 2023-11-14 at 22:13:20 UTC “tents” was chosen for “home.hero”: "
        "a model drew it by what was known of you, with a chance of 50 % among 2 contents."
    )
    assert "fixed rules" in second["words"]
    assert "nothing is personalised" in third["words"]
    assert site.records.asked == ["u:u1"]


async def test_of_an_apprentice_nobody_is_told_that_a_model_chose(site: Shop) -> None:
    """It shows the baseline; what its policy would have drawn was shown to nobody."""
    assert isinstance(site.records, FakeRecords)
    record = made("personalised")
    watched = structs.replace(record, choice=structs.replace(record.choice, policy_arm="shoes"))
    site.records.kept = [watched, structs.replace(record, arms=("tents",))]
    first, second = (await told(site))["latest"]
    assert "a model only watches, and chose nothing" in first["words"]
    assert second["words"].endswith("by what was known of you, as nothing else could be shown.")


async def test_where_no_record_can_be_read_all_else_is_told(site: Shop) -> None:
    site.records = NoRecords()
    async with open_site(Shop, compiled=site.compiled, records=NoRecords(), visitors=site.visitors) as other:
        assert isinstance(other, Shop)
        person = await told(other)
    assert person["latest"] is None
    assert person["text"][-1] == "The latest choices cannot be listed at the moment."
    assert person["decisions"]


async def test_who_refused_is_told_that_nothing_is_used(site: Shop) -> None:
    assert (await told(site))["personalised"] is True
    site.visitors.states["u:u1"].consents = {"personalization": Word(False, NOW)}
    person = await told(site)
    assert person["personalised"] is False
    assert "You have refused personalisation" in person["text"][1]


async def test_everybody_is_told_whom_to_ask_and_how_to_object(site: Shop) -> None:
    person = await told(site)
    assert person["contact"] == "Shop Ltd answers for this: ask privacy@shop.example."
    assert (person["notice"], person["withdrawal"]) == ("https://shop.example/privacy",) * 2
    rights = " ".join(person["rights"])
    for way in ("withdraw your consent", "Sec-GPC", "erased", "a person looks at", "data protection authority"):
        assert way in rights


async def test_a_person_who_proves_who_they_are_is_told_the_same(site: Shop) -> None:
    mine = await site.client.post("/v1/me/explain", json={"userId": "u1", "userHash": HASH}, headers=WRITE)
    assert mine.status_code == 200, mine.text
    assert mine.json() == await told(site)
    by_header = await site.client.post(
        "/v1/me/explain", json={"userId": "u1"}, headers={**WRITE, "X-User-Hash": HASH}
    )
    assert by_header.json() == mine.json()


@pytest.mark.parametrize("proof", [{}, {"userHash": "00"}, {"userToken": "x.y.z"}])
async def test_without_proof_nobody_is_told_anything(site: Shop, proof: dict[str, str]) -> None:
    refused = await site.client.post("/v1/me/explain", json={"userId": "u1", **proof}, headers=WRITE)
    assert (refused.status_code, refused.json()["code"]) == (403, "unverified_user")
    assert "traits" not in refused.text
    another = await site.client.post("/v1/me/explain", json={"userId": "u2", "userHash": HASH}, headers=WRITE)
    assert another.status_code == 403
    assert (await site.client.post("/v1/visitors/u1/explain", headers=WRITE)).status_code == 403


async def test_a_server_that_asks_for_a_person_is_recorded(site: Shop) -> None:
    await told(site)
    [act] = site.audit.acts
    assert (act.trail, act.act) == ("reads", "explain_visitor")
