"""PostHog's flags: a placement is a flag, its variant the content, and its reason names the decision."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from personalization.catalog.catalog import Content
from personalization.events.decision_id import key_of
from personalization.events.event import DecisionMade, Link
from tests.of_type import of_type
from tests.unit.api.dialects.evaluating import serving
from tests.unit.api.site import ID_KEY, Site


async def ask(site: Site, key: str = "pk_dev", path: str = "/flags/?v=2", **body: Any) -> httpx.Response:
    return await site.client.post(path, json={"token": key, "distinct_id": "d1", "groups": {}, **body})


async def flags(site: Site, **body: Any) -> dict[str, Any]:
    response = await ask(site, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["flags"]
    return found


@pytest.mark.parametrize("path", ["/flags/?v=2", "/flags/?v=4", "/flags?v=2"])
async def test_every_placement_is_a_flag_that_names_its_decision(site: Site, path: str) -> None:
    found = (await ask(site, path=path)).json()["flags"]
    assert list(found) == ["home.hero", "home.list"]
    by_placement = {record.choice.placement: record.choice for record in site.spool.decisions()}
    for name, flag in found.items():
        choice = by_placement[name]
        assert (flag["key"], flag["enabled"], flag["variant"]) == (name, True, choice.arm)
        assert flag["reason"]["description"] == f"decision {choice.decision_id}"
        assert isinstance(flag["metadata"]["id"], int), "SDKs take no other for a flag"


async def test_an_evaluation_is_deferred_and_kept_for_the_session(site: Site) -> None:
    assert await flags(site) == await flags(site)
    for _, entry in site.spool.entries():
        made = of_type(DecisionMade, entry.event)
        assert (made.sticky, made.exposed) == (True, False)


@pytest.mark.parametrize(
    ("content", "enabled", "variant", "payload"),
    [
        (Content(type="html", body="<b>x</b>"), True, "c0", "<b>x</b>"),
        (Content(body={"title": "T"}), True, "c0", {"title": "T"}),
        (Content(body=True), True, None, True),
        (Content(body=False), False, None, False),
    ],
)
async def test_a_payload_is_the_content_and_a_switch_is_on_or_off(
    site: Site, content: Content, enabled: bool, variant: str | None, payload: Any
) -> None:
    site.compiled = serving(content)
    flag = (await flags(site))["flag"]
    assert (flag["enabled"], flag["variant"]) == (enabled, variant)
    assert orjson.loads(flag["metadata"]["payload"]) == payload


async def test_flags_that_are_named_are_evaluated_alone(site: Site) -> None:
    assert list(await flags(site, flag_keys_to_evaluate=["home.list", "nowhere"])) == ["home.list"]
    assert [record.choice.placement for record in site.spool.decisions()] == ["home.list"]
    assert await flags(site, flag_keys_to_evaluate=[]) == {}


@pytest.mark.parametrize(
    ("key", "body", "keys", "linked"),
    [
        ("pk_dev", {}, ("a:d1",), []),
        ("pk_dev", {"$device_id": "d1"}, ("a:d1",), []),
        ("pk_dev", {"$device_id": "b1"}, ("u:d1", "a:b1"), ["a:b1"]),
        ("sk_dev", {}, ("u:d1",), []),
        ("sk_dev", {"device_id": "b1"}, ("u:d1", "a:b1"), ["a:b1"]),
        ("sk_dev", {"device_id": "d1"}, ("a:d1",), []),
    ],
)
async def test_whose_flags_they_are(
    site: Site, key: str, body: dict[str, Any], keys: tuple[str, ...], linked: list[str]
) -> None:
    found = await flags(site, key=key, **body)
    assert site.visitors.asked == [keys]
    assert key_of(ID_KEY, found["home.hero"]["metadata"]["decisionId"]) == keys[0]
    assert [each for each, entry in site.spool.entries() if isinstance(entry.event, Link)] == linked


async def test_person_properties_and_groups_are_seen_by_rules(site: Site) -> None:
    when = 'context.plan == "pro" && context.page.path == "/tents" && context.groups.company == "acme"'
    site.compiled = serving(Content(body="no", when=f"!({when})"), Content(body="yes", when=when))
    asked = {"person_properties": {"plan": "pro", "$pathname": "/tents"}, "groups": {"company": "acme"}}
    assert (await flags(site, **asked))["flag"]["variant"] == "c1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"distinct_id": None}, "distinct_id"),
        ({"distinct_id": 7.5}, "distinct_id"),
        ({"person_properties": []}, "person_properties"),
        ({"flag_keys_to_evaluate": "home.hero"}, "flag_keys_to_evaluate"),
    ],
)
async def test_bad_input_is_named_and_decides_nothing(site: Site, body: dict[str, Any], field: str) -> None:
    response = await ask(site, **body)
    assert (response.status_code, response.json()["attr"]) == (400, field)
    assert response.json()["detail"].startswith(f"{field}: ")
    assert site.spool.records == []


@pytest.mark.parametrize(
    ("method", "path", "status", "remedy"),
    [
        ("GET", "/flags/definitions?token=sk_dev&send_cohorts", 403, "leave out its secret_key"),
        ("GET", "/api/feature_flag/local_evaluation/?token=sk_dev", 403, "leave out its secret_key"),
        ("POST", "/decide/?v=3", 404, "update yours"),
    ],
)
async def test_what_is_not_here_is_refused_with_the_remedy(
    site: Site, method: str, path: str, status: int, remedy: str
) -> None:
    response = await site.client.request(method, path, headers={"Authorization": "Bearer phs_any"})
    assert (response.status_code, response.json()["attr"]) == (status, "path")
    assert remedy in response.json()["detail"]
    assert site.spool.records == site.log.records == []
