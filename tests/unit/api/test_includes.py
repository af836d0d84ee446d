"""``GET /v1/decide``: a decision by its address, and the content alone for pages that include it."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from msgspec import structs

from personalization.catalog.catalog import Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.decision_id import key_of
from personalization.events.event import Activated, DecisionMade
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, WRITE, Site, shop

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


@pytest.fixture(autouse=True)
def _includable(site: Site) -> None:
    """Placements of contents of one type each."""
    catalog = shop()
    placements = {
        **catalog.placements,
        "banner": Placement(content=("shoes", "hello"), default="shoes", slots=2),
        "one": Placement(content=("shoes",), default="shoes"),
        "seen": Placement(content=("context",), default="context"),
        "settings": Placement(content=("tents", "mild"), default="tents"),
    }
    of_page = {name: f"{{{{context.page.{name}}}}}" for name in ("url", "path", "title", "referrer")}
    said = {name: f"{{{{context.{name}}}}}" for name in ("userAgent", "locale", "timezone")}
    content = {
        **catalog.content,
        "mild": Content(body={"title": "Mild"}),
        "context": Content(body={**of_page, **said}),
    }
    site.compiled = compile_catalog(structs.replace(catalog, placements=placements, content=content), 13)


async def get(site: Site, headers: dict[str, str] = WRITE, /, **parameters: str | list[str]) -> httpx.Response:
    sent = {"visitor": "a1", "placement": "home.hero", **parameters}
    return await site.client.get(f"/v1/decide?{urlencode(sent, doseq=True)}", headers=headers)


async def test_the_html_of_a_content_is_the_whole_body_and_headers_name_the_decision(site: Site) -> None:
    response = await get(site, placement="one", format="html")
    assert (response.status_code, response.text) == (200, "<b>Shoes</b>")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-nextbest-content-id"] == "shoes"
    assert response.headers["x-nextbest-tier"] == "personalised"
    assert response.headers["cache-control"] == "private, no-store"
    ((key, entry),) = site.spool.entries()
    made = of_type(DecisionMade, entry.event).choice
    assert (key, made.decision_id) == ("a:a1", response.headers["x-nextbest-decision-id"])


async def test_a_header_names_what_can_be_activated(site: Site) -> None:
    response = await get(site, placement="one", format="html", activate="false")
    decision_id = response.headers["x-nextbest-decision-id"]
    done = await site.client.post("/v1/exposures", json={"decisionIds": [decision_id]}, headers=WRITE)
    assert done.json()["accepted"] == 1
    assert site.entries()[0][1].event == Activated(decision_id=decision_id)
    assert key_of(ID_KEY, decision_id) == "a:a1"


async def test_slots_follow_one_another(site: Site) -> None:
    both = await get(site, placement="banner", format="html")
    assert sorted(both.headers["x-nextbest-content-id"].split(", ")) == ["hello", "shoes"]
    assert both.text in ("<b>Shoes</b>Hello there", "Hello there<b>Shoes</b>")
    one = await get(site, placement="banner", format="html", slots="1")
    assert one.text in ("<b>Shoes</b>", "Hello there")


async def test_contents_of_json_are_a_list_of_what_they_are(site: Site) -> None:
    response = await get(site, placement="settings", format="json")
    assert response.headers["content-type"] == "application/json"
    assert response.json() in ([{"title": "Tents"}], [{"title": "Mild"}])


@pytest.mark.parametrize(
    ("parameters", "field", "code"),
    [
        ({"placement": ["one", "banner"], "format": "html"}, "placement", "too_many"),
        ({"placement": "settings", "format": "html"}, "format", "other_type"),
        ({"placement": "one", "format": "json"}, "format", "other_type"),
        ({"placement": "one", "format": "xml"}, "format", "invalid_field"),
        ({"placement": "nowhere", "format": "html"}, "placements[0]", "unknown_placement"),
        ({"placement": ["one", "banner"], "slots": "2"}, "slots", "invalid_field"),
        ({"slots": "none"}, "slots", "invalid_field"),
        ({"slots": "0"}, "slots", "invalid_field"),
        ({"deadlineMs": "nan"}, "deadlineMs", "invalid_field"),
        ({"activate": "maybe"}, "activate", "invalid_field"),
        ({"locale": "de\x00"}, "locale", "bad_text"),
        ({"visitor": ["a1", "a2"]}, "visitor", "invalid_field"),
        ({"visiter": "a1"}, "visiter", "unknown_parameter"),
        ({"_": "1700000000"}, "_", "unknown_parameter"),
    ],
)
async def test_what_cannot_be_answered_is_named_and_nothing_is_recorded(
    site: Site, parameters: dict[str, str | list[str]], field: str, code: str
) -> None:
    response = await get(site, **parameters)
    assert (response.status_code, response.json()["field"], response.json()["code"]) == (400, field, code)
    assert site.spool.records == []


async def test_contents_of_another_type_are_not_eligible_in_an_include(site: Site) -> None:
    for n in range(20):
        response = await get(site, visitor=f"v{n}", placement="home.list", slots="1", format="html")
        assert response.headers["x-nextbest-content-id"] in ("shoes", "hello")
    records = site.spool.decisions()
    assert {tuple(sorted(record.arms)) for record in records} == {("hello", "shoes")}
    assert all(record.filtered == {"tents": "type", "bags": "type"} for record in records)
    assert {sum(record.weights) for record in records} == {2**32}, "the probabilities are those among them"
    whole = await site.client.get("/v1/decide?visitor=v0&placement=home.list", headers=WRITE)
    assert whole.json()["decisions"][0]["reason"].endswith("from 4 eligible")


async def test_a_visitor_held_out_is_included_the_default_whatever_is_eligible(site: Site) -> None:
    placement = structs.replace(shop().placements["home.list"], holdout=0.9, slots=1)
    site.compiled = compile_catalog(structs.replace(shop(), placements={"home.list": placement}), 14)
    for n in range(20):
        assert (await get(site, visitor=f"v{n}", placement="home.list", format="html")).status_code == 200
    held_out = [record.choice.arm for record in site.spool.decisions() if record.choice.holdout]
    assert len(held_out) > 5
    assert set(held_out) == {"shoes"}


@pytest.mark.parametrize(
    ("parameter", "value", "good"),
    [
        ("format", "xml", "html or json"),
        ("slots", "many", "a whole number from 1 to 50"),
        ("slots", "51", "a whole number from 1 to 50"),
        ("deadlineMs", "", "a whole number from 0 to 10000"),
        ("activate", "maybe", "true or false"),
    ],
)
async def test_a_parameter_that_is_wrong_is_answered_with_what_is_good(
    site: Site, parameter: str, value: str, good: str
) -> None:
    message = (await get(site, **{parameter: value})).json()["message"]
    assert message == f"is {value!r}; send {good}, or leave it out"


async def test_an_unknown_parameter_is_answered_with_those_there_are(site: Site) -> None:
    message = (await get(site, visiter="a1")).json()["message"]
    for name in ("visitor", "placement", "slots", "format", "deadlineMs", "activate", "referrer", "key"):
        assert f" {name}" in message


async def test_an_include_is_answered_though_redis_is_away(site: Site) -> None:
    site.visitors.away = True
    response = await get(site, placement="one", format="html")
    assert (response.status_code, response.text) == (200, "<b>Shoes</b>")
    assert response.headers["x-nextbest-tier"] == "contextual"


async def test_a_visitor_whose_cookie_is_empty_is_nobody_and_one_who_is_not_named_is_a_mistake(site: Site) -> None:
    response = await get(site, placement="one", format="html", visitor="")
    assert (response.status_code, response.text) == (200, "<b>Shoes</b>")
    assert site.spool.records == [], "nobody leaves nothing"
    left_out = await site.client.get("/v1/decide?placement=one&format=html", headers=WRITE)
    assert (left_out.status_code, left_out.json()["code"]) == (400, "missing_visitor")


async def test_what_an_address_says_of_the_page_is_the_context(site: Site) -> None:
    page = {"url": "https://shop.example/a?b=c&d", "path": "/a", "title": "A & B", "referrer": "https://x.example/"}
    browser = {"User-Agent": FIREFOX, "Accept-Language": "de-CH,de;q=0.9"}
    headers = {**WRITE, **browser}
    seen = await get(site, headers, placement="seen", format="json", timezone="Europe/Zurich", **page)
    assert seen.json() == [{**page, "timezone": "Europe/Zurich", "userAgent": FIREFOX, "locale": "de-CH"}]
    told = await get(site, headers, placement="seen", format="json", locale="fr", userAgent="told")
    assert (told.json()[0]["locale"], told.json()[0]["userAgent"]) == ("fr", "told")
