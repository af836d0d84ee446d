"""PostHog's events: what each is here, whose it is, and what becomes of bad ones."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import orjson
import pytest
from msgspec import structs

from api.access.proof import identity_secret, user_hash
from api.access.shown_key import MAX_KEYED_BODY_BYTES
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.event import Alias, Group, Identify, Link, Page, Screen, Track
from tests.of_type import of_type
from tests.unit.api.site import NOW, SECRETS, Site, open_site, shop

AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


async def send(site: Site, *events: dict[str, Any], key: str = "pk_dev", **more: Any) -> httpx.Response:
    return await site.client.post("/batch/", json={"api_key": key, "batch": list(events), **more})


async def sent(site: Site, *events: dict[str, Any], key: str = "pk_dev", **more: Any) -> None:
    response = await send(site, *events, key=key, **more)
    assert response.status_code == 200, response.text
    assert "rejected" not in response.json()


def event(name: str = "Viewed", distinct_id: Any = "d1", **more: Any) -> dict[str, Any]:
    return {"event": name, "distinct_id": distinct_id, "uuid": "m-1", **more}


@pytest.mark.parametrize("path", ["/batch/", "/batch", "/capture/", "/capture", "/i/v0/e/", "/i/v0/e", "/e/", "/e"])
@pytest.mark.parametrize("form", ["batch", "one", "list"])
async def test_an_event_is_taken_wherever_an_sdk_sends_it(site: Site, path: str, form: str) -> None:
    headers: dict[str, str] = {}
    if form == "batch":
        body: Any = {"api_key": "pk_dev", "batch": [event()]}
    elif form == "one":
        body = {"token": "pk_dev", **event()}
    else:
        body, headers = [event()], {"Authorization": "Bearer pk_dev"}
    packed = gzip.compress(orjson.dumps(body))
    response = await site.client.post(path, content=packed, headers={**headers, "Content-Encoding": "gzip"})
    assert (response.status_code, response.json()) == (200, {"status": 1})
    ((key, entry),) = site.entries()
    assert (key, of_type(Track, entry.event).event, of_type(Track, entry.event).message_id) == (
        "a:d1",
        "Viewed",
        "m-1",
    )
    assert b"pk_dev" not in site.log.records[0].value


@pytest.mark.parametrize(
    ("key", "properties", "user_id", "anonymous_id", "linked"),
    [
        ("pk_dev", {}, None, "d1", []),
        ("pk_dev", {"$device_id": "d1"}, None, "d1", []),
        ("pk_dev", {"$device_id": "b1"}, "d1", "b1", ["a:b1"]),
        ("pk_dev", {"$device_id": "b1", "$is_identified": False}, None, "d1", []),
        ("sk_dev", {}, "d1", None, []),
        ("sk_dev", {"$device_id": "d1"}, None, "d1", []),
        ("sk_dev", {"$device_id": "b1"}, "d1", "b1", ["a:b1"]),
        ("sk_dev", {"$anon_distinct_id": "b2", "$device_id": "b1"}, "d1", "b2", ["a:b2"]),
    ],
)
async def test_whose_an_event_is(
    site: Site,
    key: str,
    properties: dict[str, Any],
    user_id: str | None,
    anonymous_id: str | None,
    linked: list[str],
) -> None:
    await sent(site, event(properties=properties), key=key)
    (track,) = [entry.event for _, entry in site.entries() if isinstance(entry.event, Track)]
    assert (track.user_id, track.anonymous_id) == (user_id, anonymous_id)
    assert [found for found, entry in site.entries() if isinstance(entry.event, Link)] == linked


MADE_UP = "0193a4b2-7c1d-4e5f-8a9b-0c1d2e3f4a5b"


@pytest.mark.parametrize(
    ("distinct_id", "is_person", "key"),
    [(MADE_UP, False, f"a:{MADE_UP}"), (MADE_UP, True, f"u:{MADE_UP}"), ("u1", False, "u:u1")],
)
async def test_an_id_that_a_server_sdk_made_up_is_no_users(
    site: Site, distinct_id: str, is_person: bool, key: str
) -> None:
    """Each event without a ``distinct_id`` has one of its own: kept as long as users are, they fill the store."""
    said = {"$process_person_profile": is_person}
    await sent(site, event(distinct_id=distinct_id, properties=said), key="sk_dev")
    assert [found for found, _ in site.entries()] == [key]


async def test_a_batch_of_more_than_1_mib_has_its_key_in_its_body_too() -> None:
    """SDKs have no other place for it, and drop what is answered 413."""
    async with open_site(max_body_bytes=4 * MAX_KEYED_BODY_BYTES) as site:
        many = [event(uuid=f"m-{n}", properties={"x": "x" * 20_000}) for n in range(100)]
        await sent(site, *many)
        assert len(site.log.records) == 100
        own = {"events": ["x" * MAX_KEYED_BODY_BYTES], "writeKey": "pk_dev"}
        refused = await site.client.post("/v1/events", json=own)
    assert (refused.status_code, "Authorization" in refused.json()["message"]) == (413, True)


async def test_an_identification_gives_traits_and_joins_the_browser(site: Site) -> None:
    properties = {
        "$anon_distinct_id": "b1",
        "$set": {"plan": "pro", "$os": "Linux"},
        "$set_once": {"first_seen": "2026"},
    }
    await sent(site, event("$identify", "u1", properties=properties))
    (identify,) = [entry.event for _, entry in site.entries() if isinstance(entry.event, Identify)]
    assert (identify.user_id, identify.anonymous_id) == ("u1", "b1")
    assert (identify.traits, identify.traits_once) == ({"plan": "pro"}, {"first_seen": "2026"})
    assert [key for key, entry in site.entries() if isinstance(entry.event, Link)] == ["a:b1"]


@pytest.mark.parametrize("name", ["$set", "$set_once"])
async def test_properties_of_a_person_alone_are_traits(site: Site, name: str) -> None:
    await sent(site, {**event(name), name: {"plan": "pro"}}, key="sk_dev")
    ((key, entry),) = site.entries()
    identify = of_type(Identify, entry.event)
    assert (key, identify.traits, identify.traits_once) == (
        "u:d1",
        {"plan": "pro"} if name == "$set" else {},
        {"plan": "pro"} if name == "$set_once" else {},
    )


async def test_an_event_that_says_something_of_the_person_is_both(site: Site) -> None:
    await sent(site, event("Ordered", properties={"value": 3, "$set": {"plan": "pro"}}))
    track, identify = [entry.event for _, entry in site.entries()]
    assert of_type(Track, track).properties == {"value": 3}
    assert of_type(Identify, identify).traits == {"plan": "pro"}
    assert (of_type(Track, track).message_id, of_type(Identify, identify).message_id) == ("m-1", "m-1/set")


async def test_what_sdks_set_by_themselves_is_no_trait(site: Site) -> None:
    await sent(site, event(properties={"$set_once": {"$initial_referrer": "x"}, "$lib": "web", "n": 1}))
    ((_, entry),) = site.entries()
    assert of_type(Track, entry.event).properties == {"n": 1}


async def test_a_page_view_is_a_page_where_rules_look_for_it(site: Site) -> None:
    properties = {
        "$current_url": "https://shop.example/tents",
        "$pathname": "/tents",
        "title": "Tents",
        "$raw_user_agent": AGENT,
        "$browser_language": "de-AT",
        "$timezone": "Europe/Vienna",
        "$ip": "203.0.113.7",
        "category": "tents",
    }
    await sent(site, event("$pageview", properties=properties))
    ((_, entry),) = site.entries()
    page = of_type(Page, entry.event)
    about = {"url": "https://shop.example/tents", "path": "/tents", "title": "Tents"}
    assert (page.name, page.properties) == ("Tents", {**about, "category": "tents"})
    assert page.context == {
        "userAgent": AGENT,
        "locale": "de-AT",
        "timezone": "Europe/Vienna",
        "page": about,
    }
    assert b"203.0.113.7" not in site.log.records[0].value


async def test_screens_groups_and_aliases_are_what_they_are(site: Site) -> None:
    await sent(
        site,
        event("$screen", properties={"$screen_name": "Cart"}),
        event("$groupidentify", uuid="m-2", properties={"$group_type": "company", "$group_key": "acme",
              "$group_set": {"size": 3}}),
        event("$create_alias", "b1", uuid="m-3", properties={"distinct_id": "b1", "alias": "d1"}),
        key="sk_dev",
    )  # fmt: skip
    screen, group, alias = [entry.event for _, entry in site.entries() if not isinstance(entry.event, Link)]
    assert of_type(Screen, screen).name == "Cart"
    assert (of_type(Group, group).group_id, of_type(Group, group).traits) == ("acme", {"size": 3})
    assert (of_type(Alias, alias).user_id, of_type(Alias, alias).previous_id) == ("d1", "b1")
    assert [key for key, entry in site.entries() if isinstance(entry.event, Link)] == ["a:b1"]


async def test_a_group_alone_names_nobody_and_is_left_out(site: Site) -> None:
    properties = {"$group_type": "company", "$group_key": "acme", "$group_set": {"size": 3}}
    await sent(site, event("$groupidentify", "$company_acme", properties=properties), key="sk_dev")
    assert site.log.records == []


async def test_a_flag_that_was_asked_for_is_an_impression_of_its_decision(site: Site) -> None:
    properties = {"$feature_flag": "home.hero", "$feature_flag_response": "shoes"}
    told, local = ({**properties, "$feature_flag_reason": why} for why in ("decision d-1", "Evaluated locally"))
    called = "$feature_flag_called"
    await sent(site, event(called, properties=told), event(called, uuid="m-2", properties=local))
    shown, other = [of_type(Track, entry.event) for _, entry in site.entries()]
    assert (shown.event, shown.properties) == ("Impression", {"decisionId": "d-1", "placement": "home.hero"})
    assert (other.event, other.properties) == ("$feature_flag_called", {})


async def test_a_wrong_clock_is_corrected_by_when_the_batch_was_sent(site: Site) -> None:
    await sent(site, event(timestamp="2023-11-14T21:13:20Z"), sent_at="2023-11-14T21:14:20Z")  # an hour behind
    await sent(site, event(offset=90_000, uuid="m-2"))
    assert [entry.occurred_at_ms for _, entry in site.entries()] == [NOW - 60_000, NOW - 90_000]


async def test_consent_travels_as_a_property(site: Site) -> None:
    await sent(site, event(properties={"consent": {"personalization": False}, "n": 1}))
    ((_, entry),) = site.entries()
    assert (of_type(Track, entry.event).event, of_type(Track, entry.event).properties) == (
        "Consent Updated",
        {"personalization": False},
    )


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"distinct_id": "d1"}, "batch[1].event"),
        ({"event": "x"}, "batch[1].distinct_id"),
        ({"event": "x", "distinct_id": 7.5}, "batch[1].distinct_id"),
        ({"event": "x", "distinct_id": ["d1"]}, "batch[1].distinct_id"),
        ({"event": "", "distinct_id": "d1"}, "batch[1].event"),
        ({"event": "x", "distinct_id": "d1", "timestamp": "soon"}, "batch[1].timestamp"),
        ({"event": "x", "distinct_id": "d1", "properties": []}, "batch[1].properties"),
        ({"event": "x", "distinct_id": "d1", "properties": {"$set": 1}}, "batch[1].properties.$set"),
        ({"event": "x", "distinct_id": "d1", "properties": {"n": 2**70}}, "batch[1].properties.n"),
        ({"event": "$set", "distinct_id": "d1", "$set": {"n": 2**70}}, "batch[1].$set.n"),
        ({"event": "$set", "distinct_id": "d1", "$set_once": {"n": 2**70}}, "batch[1].$set_once.n"),
        ({"event": "$create_alias", "distinct_id": "d1"}, "batch[1].properties.alias"),
        ({"event": "$groupidentify", "distinct_id": "d1"}, "batch[1].properties.$group_key"),
        ({"event": "x", "distinct_id": "d1", "uuid": "u" * 300}, "batch[1].uuid"),
        ({"event": "x", "distinct_id": "d1", "properties": {"t": "x" * 40_000}}, "batch[1]"),
        (7, "batch[1]"),
    ],
)
async def test_a_bad_event_is_named_and_keeps_no_good_one_back(site: Site, bad: Any, field: str) -> None:
    response = await send(site, event(), bad)
    assert response.status_code == 200, response.text
    (rejected,) = response.json()["rejected"]
    assert (rejected["index"], rejected["field"]) == (1, field)
    assert len(site.log.records) == 1
    alone = await send(site, bad)
    assert (alone.status_code, alone.json()["attr"]) == (400, field.replace("[1]", "[0]"))
    assert len(site.log.records) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"data=e30", b'{"api_key":"pk_dev","batch":{}}', b"[1", b'"x"'])
async def test_a_body_that_is_no_batch_is_refused(site: Site, body: bytes) -> None:
    response = await site.client.post("/batch/", content=body, headers={"Authorization": "Bearer pk_dev"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith(("body: ", "batch: "))
    assert site.log.records == []


async def test_without_a_key_nothing_is_taken(site: Site) -> None:
    response = await site.client.post("/batch/", json={"batch": [event()]})
    assert (response.status_code, response.json()["type"]) == (401, "authentication_error")
    assert site.log.records == []


async def test_a_log_that_is_away_is_no_loss_of_the_senders(site: Site) -> None:
    site.log.error = OSError("away on purpose")
    response = await send(site, event())
    assert response.status_code >= 500, "SDKs send it again"


async def test_a_user_has_to_be_proven_where_the_source_asks_for_it(site: Site) -> None:
    catalog = shop()
    web = structs.replace(catalog.sources["web"], verify_users=True)
    site.compiled = compile_catalog(structs.replace(catalog, sources={"web": web}), 13)
    proof = user_hash(identity_secret(SECRETS, "web"), "u1")
    await sent(site, event("A", "u1", properties={"$device_id": "b1"}))
    await sent(site, event("B", "u1", uuid="m-2", properties={"$device_id": "b2", "userHash": proof}))
    await sent(site, event("C", "u1", uuid="m-3", properties={"userHash": proof}))
    found = [(key, entry.event.event) for key, entry in site.entries() if isinstance(entry.event, Track)]
    assert found == [("a:b1", "A"), ("u:u1", "B"), ("u:u1", "C")]
    headers = {"X-User-Hash": proof}
    body = {"api_key": "pk_dev", "batch": [event("E", "u1", uuid="m-6")]}
    assert (await site.client.post("/batch/", json=body, headers=headers)).status_code == 200
    assert site.entries()[-1][0] == "u:u1", "as for flags, proof may stand in a header"
    left_out = await send(site, event("F", "u1", uuid="m-7", properties={"$device_id": "b9"}))
    assert [each["field"] for each in left_out.json()["warnings"]] == ["batch[0].distinct_id"]
    wrong = await send(site, event("D", "u1", uuid="m-4", properties={"userHash": "00"}))
    assert (wrong.status_code, wrong.json()["code"]) == (400, "unverified_user")
    alias = event("$create_alias", "b3", uuid="m-5", properties={"distinct_id": "b3", "alias": "u1"})
    assert (await send(site, alias)).json()["code"] == "unverified_user"
    assert all(proof.encode() not in record.value for record in site.log.records)
