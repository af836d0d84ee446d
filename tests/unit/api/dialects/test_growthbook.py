"""GrowthBook: a placement is a feature; whose it is, and what tells of its decision."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec import structs

from personalization.catalog.catalog import Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.decision_id import key_of
from personalization.events.event import DecisionMade, Link
from tests.of_type import of_type
from tests.unit.api.dialects.evaluating import serving
from tests.unit.api.site import ID_KEY, SERVER, Site, shop

PAGE = "/api/eval/pk_dev"


async def evaluate(
    site: Site, path: str = PAGE, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    sent = {"attributes": {"id": "x"}, "forcedVariations": {}, "forcedFeatures": [], "url": "", **body}
    return await site.client.post(path, json=sent, headers=headers or {})


async def features(site: Site, **body: Any) -> dict[str, Any]:
    response = await evaluate(site, **body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()["features"]
    return found


def tracked(feature: Any) -> Any:
    """The experiment's result that the client's callback gets."""
    ((track,),) = [rule["tracks"] for rule in feature["rules"]]
    return track["result"]


async def test_every_placement_is_a_feature_whose_callback_names_the_decision(site: Site) -> None:
    found = await features(site)
    assert list(found) == ["home.hero", "home.list"]
    by_placement = {record.choice.placement: record for record in site.spool.decisions()}
    for name, feature in found.items():
        (rule,) = feature["rules"]
        ((experiment, result),) = [(track["experiment"], track["result"]) for track in rule["tracks"]]
        choice = by_placement[name].choice
        assert (experiment["key"], result["key"]) == (name, choice.arm)
        assert (result["hashAttribute"], result["hashValue"]) == ("decisionId", choice.decision_id)
        assert rule["force"] == feature["defaultValue"] == result["value"] == experiment["variations"][0]


async def test_an_evaluation_is_deferred_and_kept_for_the_session(site: Site) -> None:
    first, second = await features(site), await features(site)
    assert first == second
    for _, entry in site.spool.entries():
        made = of_type(DecisionMade, entry.event)
        assert (made.sticky, made.exposed) == (True, False)


@pytest.mark.parametrize(
    ("path", "headers", "attributes", "keys", "linked"),
    [
        (PAGE, {}, {}, ("a:x",), []),
        (PAGE, {}, {"userId": "u1"}, ("u:u1", "a:x"), ["a:x"]),
        (PAGE, {}, {"anonymousId": "a2"}, ("a:x",), []),
        (PAGE, {}, {"id": 7}, ("a:7",), []),
        ("/api/eval/any", SERVER, {}, ("u:x",), []),
        ("/api/eval/any", SERVER, {"anonymousId": "a2"}, ("u:x", "a:a2"), ["a:a2"]),
        ("/api/eval/any", SERVER, {"anonymousId": "x"}, ("a:x",), []),
    ],
)
async def test_whose_features_they_are(
    site: Site,
    path: str,
    headers: dict[str, str],
    attributes: dict[str, Any],
    keys: tuple[str, ...],
    linked: list[str],
) -> None:
    found = (await evaluate(site, path, headers, attributes={"id": "x", **attributes})).json()["features"]
    assert site.visitors.asked == [keys]
    assert key_of(ID_KEY, tracked(found["home.hero"])["hashValue"]) == keys[0]
    assert [key for key, entry in site.spool.entries() if isinstance(entry.event, Link)] == linked


async def test_attributes_and_the_pages_address_are_seen_by_rules(site: Site) -> None:
    when = 'context.plan == "pro" && context.page.path == "/tents"'
    site.compiled = serving(Content(body="no", when=f"!({when})"), Content(body="yes", when=when))
    asked = {"attributes": {"id": "x", "plan": "pro"}, "url": "https://shop.example/tents?q=1"}
    assert (await features(site, **asked))["flag"]["defaultValue"] == "yes"
    assert (await features(site, **{**asked, "url": "https://shop.example/"}))["flag"]["defaultValue"] == "no"
    assert (await features(site, **{**asked, "url": "https://[::1"}))["flag"]["defaultValue"] == "no"


@pytest.mark.parametrize("forced", [[["home.hero", "<i>mine</i>"], ["other", 1]], {"home.hero": "<i>mine</i>"}])
async def test_a_forced_feature_is_what_was_forced_and_no_decision(site: Site, forced: Any) -> None:
    found = await features(site, forcedFeatures=forced)
    assert found["home.hero"] == {"defaultValue": "<i>mine</i>"}
    assert [record.choice.placement for record in site.spool.decisions()] == ["home.list"]


async def test_all_features_forced_are_no_decision(site: Site) -> None:
    found = await features(site, forcedFeatures=[["home.hero", 1], ["home.list", None]])
    assert found == {"home.hero": {"defaultValue": 1}, "home.list": {"defaultValue": None}}
    assert site.spool.records == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"attributes": {}}, "attributes.id"),
        ({"attributes": {"id": ""}}, "attributes.id"),
        ({"attributes": {"id": ["x"]}}, "attributes.id"),
        ({"attributes": []}, "attributes"),
        ({"forcedVariations": {"home.hero": 1}}, "forcedVariations.home.hero"),
        ({"forcedFeatures": [["home.hero"]]}, "forcedFeatures[0]"),
        ({"forcedFeatures": [["home.hero", 2**70]]}, "forcedFeatures.home.hero"),
        ({"url": 7}, "url"),
    ],
)
async def test_bad_input_is_named_and_decides_nothing(site: Site, body: dict[str, Any], field: str) -> None:
    response = await evaluate(site, **body)
    assert response.status_code == 400, response.text
    error = response.json()
    assert (error["status"], error["error"].split(": ")[0]) == (400, field)
    assert site.spool.records == []


async def test_a_variation_forced_of_the_clients_own_experiment_is_the_clients(site: Site) -> None:
    assert (await features(site, forcedVariations={"my-own": 1}))["home.hero"]["rules"]


@pytest.mark.parametrize("path", ["/api/eval/sk_dev", "/api/features/sk_dev"])
async def test_a_server_key_in_the_path_is_refused_with_the_remedy(site: Site, path: str) -> None:
    ask = site.client.post(path, json={"attributes": {"id": "x"}}) if "eval" in path else site.client.get(path)
    response = await ask
    assert (response.status_code, response.json()["code"]) == (401, "exposed_server_key")
    assert site.spool.records == []


@pytest.mark.parametrize("path", ["/api/eval/pk_nobody", "/api/features/pk_nobody"])
async def test_a_key_nobody_has_is_refused(site: Site, path: str) -> None:
    ask = site.client.post(path, json={"attributes": {"id": "x"}}) if "eval" in path else site.client.get(path)
    assert (await ask).status_code == 401
    assert site.spool.records == []


async def test_without_a_visitor_every_feature_is_its_default_and_says_so(site: Site) -> None:
    catalog = shop()
    placements = {
        "home.list": structs.replace(catalog.placements["home.list"], default="hello"),
        "home.hero": catalog.placements["home.hero"],
        "search": Placement(arms="caller", default=""),
    }
    site.compiled = compile_catalog(structs.replace(catalog, placements=placements), 13)
    response = await site.client.get("/api/features/pk_dev")
    assert response.json()["features"] == {
        "home.list": {"defaultValue": "Hello there"},
        "home.hero": {"defaultValue": "<b>Shoes</b>"},
    }
    (warning,) = response.json()["warnings"]
    assert "remoteEval" in warning["message"]
    assert site.spool.records == []
    assert site.visitors.asked == []


async def test_a_client_is_never_told_a_date_that_would_keep_it_from_the_next_features(site: Site) -> None:
    assert set((await evaluate(site)).json()) == {"status", "features", "experiments"}


@pytest.mark.parametrize("path", [PAGE, "/api/features/pk_dev"])
async def test_pages_of_other_origins_may_ask(site: Site, path: str) -> None:
    preflight = await site.client.options(path, headers={"Origin": "https://shop.example"})
    assert preflight.status_code == 204
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    answer = await evaluate(site) if path == PAGE else await site.client.get(path)
    assert answer.headers["access-control-allow-origin"] == "*"
