"""OFREP: a placement is a flag; whose it is, what its value is, and why."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Unavailable
from personalization.events.decision_id import key_of
from personalization.events.event import DecisionMade, Link
from personalization.visitor.visitor_state import Holdout, Session, Sticky, VisitorState
from tests.of_type import of_type
from tests.unit.api.dialects.evaluating import evaluate, evaluate_all, serving
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site, shop

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"


def key_in(site: Site, flag: Any) -> str:
    return key_of(ID_KEY, flag["metadata"]["decisionId"])


async def test_a_flag_has_what_every_client_needs(site: Site) -> None:
    response = await evaluate(site)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    flag = response.json()
    assert set(flag) == {"key", "value", "variant", "reason", "metadata"}
    assert (flag["key"], flag["reason"]) == ("home.hero", "SPLIT")
    assert all(isinstance(value, str | int | float | bool) for value in flag["metadata"].values()), "flat"
    (record,) = site.spool.decisions()
    assert (record.choice.decision_id, record.choice.arm) == (flag["metadata"]["decisionId"], flag["variant"])
    assert flag["metadata"]["propensity"] == record.choice.weight / 2**32


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Content(type="html", body="<b>x</b>"), b'"<b>x</b>"'),
        (Content(type="redirect", body="https://shop.example/"), b'"https://shop.example/"'),
        (Content(body=True), b"true"),
        (Content(body=7), b"7"),
        (Content(body=1.0), b"1.0"),
        (Content(body="text"), b'"text"'),
        (Content(body=["a", 1]), b'["a",1]'),
        (Content(body={"title": "T"}), b'{"title":"T"}'),
    ],
)
async def test_a_value_is_of_the_contents_own_type(site: Site, content: Content, text: bytes) -> None:
    site.compiled = serving(content)
    response = await evaluate(site, "flag")
    assert b'"value":%s,' % text in response.content


async def test_a_certain_propensity_is_a_float_to_every_client(site: Site) -> None:
    site.compiled = serving(Content(body=1))
    assert b'"propensity":1.0' in (await evaluate(site, "flag")).content


ONE, TWO = (Content(body=1),), (Content(body=1), Content(body=2))


@pytest.mark.parametrize(
    ("contents", "terms", "state", "reason", "variant"),
    [
        (TWO, {}, VisitorState(), "SPLIT", None),
        (TWO, {"holdout": 0.5}, VisitorState(holdouts={"flag": Holdout(True, NOW)}), "SPLIT", "c0"),
        (ONE, {}, VisitorState(), "STATIC", "c0"),
        (ONE, {"when": "n_orders > 0"}, VisitorState(), "DISABLED", "c0"),
        (ONE, {"when": "n_orders > 0"}, VisitorState(n_orders=1), "TARGETING_MATCH", "c0"),
        (ONE, {"holdout": 0.5}, VisitorState(holdouts={"flag": Holdout(True, NOW)}), "SPLIT", "c0"),
        (TWO, {"when": "n_orders > 0"}, VisitorState(), "DISABLED", "c0"),
        ((Content(body=1), Content(body=2, when="n_orders > 0")), {}, VisitorState(), "SPLIT", "c0"),
        (TWO, {"consent": ("ads",)}, VisitorState(), "SPLIT", None),
    ],
)
async def test_why_a_value_is_what_it_is(
    site: Site,
    contents: tuple[Content, ...],
    terms: dict[str, Any],
    state: VisitorState,
    reason: str,
    variant: str | None,
) -> None:
    site.compiled = serving(*contents, **terms)
    site.visitors.states["a:a1"] = state
    flag = (await evaluate(site, "flag")).json()
    assert flag["reason"] == reason
    assert variant in (None, flag["variant"])


async def test_rules_alone_are_a_targeting_match(site: Site) -> None:
    site.compiled = serving(Content(body=1), Content(body=2, priority=1))
    flag = (await evaluate(site, "flag", consent={"personalization": False})).json()
    assert (flag["reason"], flag["variant"], flag["metadata"]["tier"]) == ("TARGETING_MATCH", "c1", "rules")


async def test_an_evaluation_is_deferred_and_kept_though_the_catalog_does_not_say_so(site: Site) -> None:
    assert not site.compiled.catalog.placements["home.hero"].sticky
    flags = [(await evaluate(site)).json() for _ in range(5)]
    assert all(flag == flags[0] for flag in flags)
    for _, entry in site.spool.entries():
        made = of_type(DecisionMade, entry.event)
        assert (made.sticky, made.exposed) == (True, False)
    own = {(await site.decide()).json()["decisions"][0]["decisionId"] for _ in range(5)}
    assert len(own) == 5, "our own dialect keeps what the catalog says is kept"


async def test_a_kept_choice_is_told_with_its_first_id(site: Site) -> None:
    session = Session(1, NOW - 1_000, NOW - 1_000)
    kept = Sticky("kept-id", "tents", 2**31, NOW - 500)
    site.visitors.states["a:a1"] = VisitorState(session=session, sticky={"home.hero/0": kept})
    flag = (await evaluate(site)).json()
    assert (flag["variant"], flag["metadata"]["decisionId"], flag["metadata"]["propensity"]) == (
        "tents",
        "kept-id",
        0.5,
    )
    site.visitors.states["a:a1"].session = Session(2, NOW - 100, NOW - 100)
    assert (await evaluate(site)).json()["metadata"]["decisionId"] != "kept-id"


async def test_a_flag_is_one_slot_however_many_the_placement_has(site: Site) -> None:
    flag = (await evaluate(site, "home.list")).json()
    assert flag["variant"] in ("shoes", "tents", "bags", "hello")
    assert [
        entry.event.choice.slot for _, entry in site.spool.entries() if isinstance(entry.event, DecisionMade)
    ] == [0]


async def test_all_flags_are_what_each_is_on_its_own(site: Site) -> None:
    for visitor in map(str, range(1, 12)):
        flags = (await evaluate_all(site, targeting_key=visitor)).json()["flags"]
        assert [flag["key"] for flag in flags] == ["home.hero", "home.list"]
        for flag in flags:
            assert (await evaluate(site, flag["key"], visitor)).json() == flag
    pairs = {(flags[0]["variant"], flags[1]["variant"]) for flags in [
        (await evaluate_all(site, targeting_key=visitor)).json()["flags"] for visitor in map(str, range(1, 40))
    ]}  # fmt: skip
    assert any(hero == other for hero, other in pairs), "one offer may stand in several flags"


@pytest.mark.parametrize(
    ("headers", "context", "keys", "logged_under", "linked"),
    [
        (WRITE, {}, ("a:x",), "a:x", []),
        (WRITE, {"userId": "u1"}, ("u:u1", "a:x"), "u:u1", ["a:x"]),
        (WRITE, {"anonymousId": "a2"}, ("a:x",), "a:x", []),
        (WRITE, {"userId": 7}, ("u:7", "a:x"), "u:7", ["a:x"]),
        (WRITE, {"userId": "undefined"}, ("a:x",), "a:x", []),
        (SERVER, {}, ("u:x",), "u:x", []),
        (SERVER, {"anonymousId": "a2"}, ("u:x", "a:a2"), "u:x", ["a:a2"]),
        (SERVER, {"anonymousId": "x"}, ("a:x",), "a:x", []),
        (SERVER, {"userId": "u1"}, ("u:x",), "u:x", []),
    ],
)
async def test_whose_flag_it_is(
    site: Site,
    headers: dict[str, str],
    context: dict[str, Any],
    keys: tuple[str, ...],
    logged_under: str,
    linked: list[str],
) -> None:
    flag = (await evaluate(site, targeting_key="x", headers=headers, **context)).json()
    assert site.visitors.asked == [keys]
    assert key_in(site, flag) == logged_under
    assert [key for key, entry in site.spool.entries() if isinstance(entry.event, DecisionMade)] == [logged_under]
    assert [key for key, entry in site.spool.entries() if isinstance(entry.event, Link)] == linked


@pytest.mark.parametrize(
    ("headers", "context", "device", "locale"),
    [
        ({**WRITE, "User-Agent": BROWSER, "Accept-Language": "de-AT,de;q=0.9"}, {}, "mobile", "Hallo"),
        ({**WRITE, "User-Agent": BROWSER}, {"userAgent": "X11; Linux", "locale": "de"}, "desktop", "Hallo"),
        ({**WRITE, "User-Agent": BROWSER, "Accept-Language": "*"}, {}, "mobile", "Hello"),
        ({**WRITE, "User-Agent": "python-requests/2.34", "Accept-Language": "de"}, {}, "unknown", "Hello"),
        ({**SERVER, "User-Agent": BROWSER, "Accept-Language": "de"}, {}, "unknown", "Hello"),
    ],
)  # fmt: skip
async def test_a_browser_speaks_for_itself_where_the_context_says_nothing(
    site: Site, headers: dict[str, str], context: dict[str, Any], device: str, locale: str
) -> None:
    compiled = serving(
        Content(body="Hello", locales={"de": "Hallo"}), Content(body="Hello", locales={"de": "Hallo"})
    )
    catalog = structs.replace(compiled.catalog, features=("device",))
    site.compiled = compile_catalog(catalog, 14)
    flag = (await evaluate(site, "flag", headers=headers, **context)).json()
    assert flag["value"] == locale
    assert site.spool.decisions()[0].features == {"device": device}


async def test_rules_see_the_context_without_the_ids(site: Site) -> None:
    site.compiled = serving(
        Content(body="no"), Content(body="yes", when='context.plan == "pro" && !has(context.targetingKey)')
    )
    site.compiled = compile_catalog(
        structs.replace(
            site.compiled.catalog,
            content={
                "c0": Content(body="no", when='context.plan != "pro"'),
                "c1": site.compiled.catalog.content["c1"],
            },
        ),
        15,
    )
    assert (await evaluate(site, "flag", plan="pro")).json()["value"] == "yes"


async def test_what_its_sender_should_know_stands_in_the_metadata(site: Site) -> None:
    flag = (await evaluate(site, targeting_key="null")).json()
    assert "nobody's id" in flag["metadata"]["warning"]
    assert "warning" not in (await evaluate(site)).json()["metadata"]


@pytest.mark.parametrize("key", ["nowhere", "home", "home.hero/0", "%F0%9F%98%80"])
async def test_a_flag_that_is_none_is_not_found(site: Site, key: str) -> None:
    response = await evaluate(site, key)
    assert response.status_code == 404
    body = response.json()
    assert (body["errorCode"], set(body)) == ("FLAG_NOT_FOUND", {"key", "errorCode", "errorDetails", "requestId"})
    assert "home.hero" in body["errorDetails"], "it says which there are"
    assert site.spool.records == []


@pytest.mark.parametrize(
    ("path", "status"), [("/ofrep/v1/configuration", 404), ("/ofrep/v2/evaluate/flags/x", 404)]
)
async def test_other_paths_are_no_flags(site: Site, path: str, status: int) -> None:
    response = await site.client.post(path, json={}, headers=WRITE)
    assert (response.status_code, response.json()["errorCode"]) == (status, "GENERAL")


async def test_without_a_catalog_it_says_so_as_ofrep_does(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_yet(_: Site) -> None:
        raise Unavailable("none")

    monkeypatch.setattr(Site, "current", property(none_yet))
    response = await evaluate(site)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["errorCode"] == "GENERAL"
    assert "no catalog" in response.json()["errorDetails"]


async def test_a_body_too_large_is_refused(site: Site) -> None:
    response = await evaluate(site, padding="x" * 1_100_000)
    assert (response.status_code, response.json()["errorCode"]) == (413, "GENERAL")


async def test_shop_has_no_sticky_placement() -> None:
    """What these tests rest on: keeping is the dialect's doing."""
    assert not any(placement.sticky for placement in shop().placements.values())


async def test_what_callers_bring_arms_for_is_no_flag_alone_or_among_all(site: Site) -> None:
    catalog = shop()
    placements = {**catalog.placements, "search": Placement(arms="caller")}
    site.compiled = compile_catalog(structs.replace(catalog, placements=placements), 13)
    response = await evaluate(site, "search")
    assert (response.status_code, response.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert response.json()["errorDetails"].endswith("flags are: home.hero, home.list")
    assert [flag["key"] for flag in (await evaluate_all(site)).json()["flags"]] == ["home.hero", "home.list"]
