"""Segment's wire: what its clients send is collected, and what they are told keeps no client sending for ever."""

from __future__ import annotations

import base64
import gzip
import ipaddress
import json
import math
from typing import Any

import httpx
import pytest
from msgspec import structs

from api.access.networks import Network
from api.access.proof import identity_secret, user_hash
from api.reading.wire import n_unknown
from eventlog.refused_event import RefusedEvent, refused_event_of
from eventlog.topics import DEAD_LETTERS
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Unavailable
from personalization.events.event import Alias, Group, Identify, Link, Page, Screen, Track
from tests.unit.api.site import NOW, SECRETS, SERVER, Site, open_site, shop

SUCCESS = b'{"success":true}'
BASIC = {"Authorization": "Basic " + base64.b64encode(b"pk_dev:").decode()}
STRICT = {**BASIC, "X-Strict-Mode": "1"}
TRACK = {"type": "track", "event": "Viewed", "anonymousId": "a1", "messageId": "m1"}
BODIES: dict[str, dict[str, Any]] = {
    "track": {"event": "Viewed", "anonymousId": "a1", "properties": {"n": 1}},
    "identify": {"anonymousId": "a1", "traits": {"plan": "pro"}},
    "page": {"anonymousId": "a1", "name": "Home"},
    "screen": {"anonymousId": "a1", "name": "Home"},
    "group": {"anonymousId": "a1", "groupId": "g1"},
    "alias": {"userId": "u1", "previousId": "a1"},
}
EVENTS: dict[str, type[Any]] = {
    "track": Track,
    "identify": Identify,
    "page": Page,
    "screen": Screen,
    "group": Group,
    "alias": Alias,
}


async def batch(site: Site, *events: Any, headers: dict[str, str] = BASIC, **more: Any) -> httpx.Response:
    return await site.client.post("/v1/batch", json={"batch": list(events), **more}, headers=headers)


def accepted(response: httpx.Response) -> None:
    assert (response.status_code, response.content) == (200, SUCCESS), response.text


def own_events(site: Site) -> list[tuple[str, Any]]:
    return [(key, entry.event) for key, entry in site.entries() if not isinstance(entry.event, Link)]


def letters(site: Site) -> list[RefusedEvent]:
    found = [refused_event_of(record.value) for record in site.spool.records if record.topic == DEAD_LETTERS]
    assert None not in found
    return [each for each in found if each is not None]


def refused(site: Site, reason: str, source: str = "web") -> float | None:
    return site.metrics.registry.get_sample_value(
        "nextbest_refused_events_total", {"source": source, "reason": reason}
    )


@pytest.mark.parametrize("kind", BODIES)
async def test_the_path_says_of_which_type_a_single_event_is(site: Site, kind: str) -> None:
    for path in (f"/v1/{kind}", f"/v1/{kind[0]}"):
        accepted(await site.client.post(path, json=BODIES[kind], headers=BASIC))
        accepted(await site.client.post(path, json={**BODIES[kind], "type": kind}, headers=BASIC))
    events = [event for _, event in own_events(site)]
    assert [type(event) for event in events] == [EVENTS[kind]] * 4
    assert len({event.message_id for event in events}) == 4


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/beacon/v1/batch?writeKey=pk_dev"])
@pytest.mark.parametrize("label", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_batch_is_taken_gzip_or_not_whatever_its_label(site: Site, path: str, label: str) -> None:
    text = json.dumps({"batch": [TRACK, {**TRACK, "messageId": "m2"}], "writeKey": "pk_dev"}).encode()
    for body in (text, gzip.compress(text)):
        accepted(await site.client.post(path, content=body, headers={"Content-Type": label}))
    assert [event.message_id for _, event in own_events(site)] == ["m1", "m2"] * 2


async def test_ids_may_be_null_or_numbers_and_an_alias_has_two(site: Site) -> None:
    accepted(
        await batch(
            site,
            {**TRACK, "anonymousId": None, "userId": 7},
            {**TRACK, "anonymousId": 8, "userId": None},
            {"type": "alias", "previousId": "a1", "userId": 7, "anonymousId": None},
        )
    )
    assert [key for key, _ in own_events(site)] == ["u:7", "a:8", "u:7"]
    links = [(key, entry.event) for key, entry in site.entries() if isinstance(entry.event, Link)]
    assert [(key, link.canonical) for key, link in links] == [("a:a1", "u:7")]


async def test_traits_of_an_identify_may_stand_in_its_context_alone(site: Site) -> None:
    context = {"traits": {"plan": "pro"}, "library": {"name": "rudder"}}
    identify = {"type": "identify", "anonymousId": "a1", "context": context}
    accepted(await batch(site, identify, {**identify, "traits": {"plan": "free"}}, {**TRACK, "context": context}))
    first, second, track = (event for _, event in own_events(site))
    assert (first.traits, first.context) == ({"plan": "pro"}, {"library": {"name": "rudder"}})
    assert second.traits == {"plan": "free"}
    assert track.context["traits"] == {"plan": "pro"}


async def test_a_clock_is_corrected_by_when_the_batch_was_sent(site: Site) -> None:
    """RudderStack's clients have ``originalTimestamp`` alone."""
    hour = 3_600_000
    sent: dict[str, Any] = {"sentAt": NOW - hour}
    accepted(await batch(site, {**TRACK, "originalTimestamp": NOW - hour - 5_000}, **sent))
    accepted(
        await site.client.post("/v1/t", json={**TRACK, "timestamp": NOW - hour - 7_000, **sent}, headers=BASIC)
    )
    assert [entry.occurred_at_ms for _, entry in site.entries()] == [NOW - 5_000, NOW - 7_000]


async def test_consent_categories_are_words_on_purposes(site: Site) -> None:
    refusing = {"consent": {"categoryPreferences": {"personalization": False, "ads": True}}}
    managed = {"consentManagement": {"deniedConsentIds": ["personalization"], "allowedConsentIds": ["ads"]}}
    for context in (refusing, managed):
        site.log.records.clear()
        accepted(await batch(site, {**TRACK, "context": context, "properties": {"secret": 1}}))
        ((_, event),) = own_events(site)
        assert event == Track(
            message_id="m1",
            anonymous_id="a1",
            event="Consent Updated",
            properties={"personalization": False, "ads": True},
        )


@pytest.mark.parametrize(
    "said",
    [
        None,
        "yes",
        [],
        {"personalization": True},
        {"Personalization": True},
        {"categoryPreferences": {"personalization": True}},
    ],
)
@pytest.mark.parametrize("denied", [["personalization"], "personalization", {"personalization": "C0004"}])
async def test_a_refusal_to_a_consent_manager_holds_whatever_stands_beside_it(
    site: Site, said: Any, denied: Any
) -> None:
    managed = {"deniedConsentIds": denied, "allowedConsentIds": ["personalization", "ads"]}
    context = {"consentManagement": managed, "consent": said}
    accepted(await batch(site, {**TRACK, "context": context, "properties": {"secret": 1}}))
    ((_, event),) = own_events(site)
    assert (event.event, event.properties) == ("Consent Updated", {"personalization": False, "ads": True})


async def test_the_context_of_a_batch_holds_for_its_events_as_far_as_theirs_says_nothing_else(site: Site) -> None:
    """Segment's Java client has its library there, and callers of its HTTP API what they like."""
    own = {"locale": "fr", "consent": {"email": True}}
    common = {"locale": "de", "consent": {"ads": False}, "ip": "192.0.2.1"}
    accepted(await batch(site, TRACK, {**TRACK, "messageId": "m2", "context": own}, context=common))
    first, second = (event.context for _, event in own_events(site))
    assert first == {"locale": "de", "consent": {"ads": False}}
    assert second == {"locale": "fr", "consent": {"ads": False, "email": True}}
    site.log.records.clear()
    nothings: tuple[Any, ...] = (None, [], "x", {})
    for nothing in nothings:
        accepted(await batch(site, TRACK, context=nothing))
    assert [event.context for _, event in own_events(site)] == [{}] * 4
    site.log.records.clear()
    accepted(await batch(site, {**TRACK, "context": {}}, context={"consent": {"personalization": False}}))
    assert [event.event for _, event in own_events(site)] == ["Consent Updated"]


async def test_the_context_of_a_batch_makes_no_more_of_it_than_a_body_holds(site: Site) -> None:
    context, many = {"x": "x" * 3_000}, [{"type": "track", "event": "V", "anonymousId": "a1"}] * 2_000
    answer = await batch(site, *many, context=context)
    assert (answer.status_code, answer.json()["field"], answer.json()["code"]) == (400, "context", "too_large")
    assert site.log.records == []
    accepted(await batch(site, *many[:1_000], context=context))
    assert len(site.log.records) == 1_000
    assert (await batch(site, TRACK, context={"x": "x" * 33_000})).json()["field"] == "context"


async def test_who_has_not_agreed_is_not_logged_and_told_success(site: Site) -> None:
    accepted(await batch(site, TRACK, headers={"Authorization": "Bearer pk_strict"}))
    assert site.log.records == []


async def test_a_bad_event_is_told_success_counted_by_reason_and_kept_without_what_it_said(site: Site) -> None:
    bad = {
        **TRACK,
        "event": None,
        "userId": "ada-7",
        "traits": {"email": "ada@example.com"},
        "properties": {"ada@example.com": "secret"},
        "context": {"library": {"name": "analytics.js", "version": "9"}},
    }
    accepted(await batch(site, TRACK, bad, {**TRACK, "properties": {"ada@example.com": 2**70}}))
    accepted(await batch(site, {**TRACK, "userId": 491701234567.5}))
    assert [event.message_id for _, event in own_events(site)] == ["m1"]
    assert (refused(site, "missing_field"), refused(site, "bad_number")) == (1.0, 1.0)
    nameless, numbered, by_phone = letters(site)
    assert by_phone.code == "bad_id"
    assert (nameless.code, numbered.code) == ("missing_field", "bad_number")
    assert (nameless.source, nameless.field, nameless.library) == ("web", "event", "analytics.js 9")
    assert nameless.members["traits"] == "object of 1"
    assert numbered.field == "properties"
    kept = b"".join(record.value for record in site.spool.records)
    assert not any(word in kept for word in (b"ada", b"example.com", b"secret", b"a1", b"4917"))


async def test_of_an_event_that_json_lacks_is_kept_what_it_looked_like(site: Site) -> None:
    text = json.dumps(
        {**TRACK, "event": "Sold", "properties": {"n": math.nan}, "context": {"library": {"name": "py"}}}
    )
    accepted(await site.client.post("/v1/batch", content=f'{{"batch":[{text}]}}', headers=BASIC))
    (kept,) = letters(site)
    assert (kept.code, kept.field, kept.event, kept.library) == ("bad_number", "properties", "Sold", "py")
    assert kept.members["properties"] == "object of 1"


async def test_of_a_large_event_that_was_refused_only_its_members_are_looked_at(site: Site) -> None:
    """One of 4 MiB would hold decisions up for as long as it takes to read it."""
    large = {**TRACK, "event": "Sold", "properties": {"n": [1] * 200_000}}
    accepted(await site.client.post("/v1/t", json=large, headers=BASIC))
    (kept,) = letters(site)
    assert (kept.code, kept.event) == ("too_large", "Sold")
    assert kept.members["properties"].endswith(" bytes")


async def test_few_refused_events_are_kept_and_all_are_counted(site: Site) -> None:
    """The letters of workers are beside them, and nobody with a write key may push these out."""
    reasons: list[dict[str, Any]] = [
        {"event": ""},
        {"userId": 7.5},
        {"timestamp": "x"},
        {"type": "bake"},
        {"properties": {"n": 2**70}},
    ]
    accepted(await batch(site, *[{**TRACK, "event": ""}] * 10))
    assert len(letters(site)) == 5
    for _ in range(10):
        accepted(await batch(site, *[{**TRACK, **reason} for reason in reasons]))
    assert len(letters(site)) == 20
    assert refused(site, "bad_time") == 10.0
    site.now_ms += 3_600_000
    accepted(await batch(site, {**TRACK, "event": ""}))
    assert len(letters(site)) == 21


async def test_strict_mode_tells_what_is_wrong_and_keeps_the_good_ones(site: Site) -> None:
    response = await batch(site, {**TRACK, "event": ""}, TRACK, headers=STRICT)
    body = response.json()
    assert (response.status_code, body["code"], body["accepted"]) == (400, "missing_field", 1)
    assert [(each["index"], each["field"]) for each in body["rejected"]] == [(0, "batch[0].event")]
    assert body["message"] == body["rejected"][0]["message"]
    single = await site.client.post("/v1/track", json={"anonymousId": "a1"}, headers=STRICT)
    assert (single.status_code, single.json()["field"]) == (400, "event")
    accepted(await batch(site, TRACK, headers=STRICT))
    assert letters(site) == []
    assert refused(site, "missing_field") is None, "who is told need not be told of"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/track", "/v1/i", "/beacon/v1/batch"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"17", b'{"batch"', b"\x1f\x8bno gzip"])
async def test_what_is_no_json_object_is_refused_in_either_mode(site: Site, path: str, body: bytes) -> None:
    for headers in (BASIC, STRICT):
        response = await site.client.post(path, content=body, headers=headers)
        assert response.status_code == 400
        assert {"code", "message"} <= response.json().keys()
    assert site.log.records == site.spool.records == []


async def test_a_batch_is_bounded_by_events_and_an_event_by_bytes(site: Site) -> None:
    many = [{"type": "track", "event": "V", "anonymousId": "a1"}] * 2_501
    assert (await batch(site, *many)).json()["code"] == "too_many"
    assert site.log.records == []
    accepted(await batch(site, *many[1:]))
    assert len(site.log.records) == 2_500
    accepted(await site.client.post("/v1/track", json={**TRACK, "properties": {"x": "x" * 33_000}}, headers=BASIC))
    assert (len(site.log.records), refused(site, "too_large")) == (2_500, 1.0)


async def test_an_empty_batch_is_a_success(site: Site) -> None:
    accepted(await batch(site))
    missing = await site.client.post("/v1/batch", json={"events": [TRACK]}, headers=BASIC)
    assert (missing.status_code, missing.json()["field"]) == (400, "batch")


@pytest.mark.parametrize("mode", [{}, {"X-Strict-Mode": "1"}])
async def test_an_unknown_key_is_told_so_in_words_that_clients_read(site: Site, mode: dict[str, str]) -> None:
    nobodys = {"Authorization": "Basic " + base64.b64encode(b"nobody:").decode(), **mode}
    for path in ("/v1/batch", "/v1/t", "/beacon/v1/batch?writeKey=nobody", "/v1/projects/nobody/settings"):
        method = "GET" if "projects" in path else "POST"
        response = await site.client.request(method, path, content=b'{"batch":[]}', headers=nobodys)
        assert response.status_code == 401
        assert {"code", "message"} <= response.json().keys()


async def test_the_key_in_the_body_will_do(site: Site) -> None:
    accepted(await batch(site, TRACK, headers={}, writeKey="pk_dev"))
    accepted(await site.client.post("/v1/t", json={**TRACK, "writeKey": "pk_dev"}))
    assert len(site.log.records) == 2


async def test_while_the_log_is_away_clients_are_told_to_send_again(site: Site) -> None:
    site.log.error = Unavailable("away on purpose")
    response = await batch(site, TRACK)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert {"code", "message"} <= response.json().keys()


async def test_a_user_without_proof_counts_for_the_browser_and_is_counted() -> None:
    catalog = shop()
    web = structs.replace(catalog.sources["web"], verify_users=True)
    async with open_site() as site:
        site.compiled = compile_catalog(structs.replace(catalog, sources={"web": web}), 12)
        alone = {"type": "track", "event": "Viewed", "userId": "u1", "messageId": "m2"}
        accepted(await batch(site, {**TRACK, "userId": "u1"}, alone))
        assert own_events(site) == [("a:a1", Track(message_id="m1", anonymous_id="a1", event="Viewed"))]
        counted = site.metrics.registry.get_sample_value("nextbest_unverified_users_total", {"source": "web"})
        assert (counted, refused(site, "unverified_user")) == (1.0, 1.0)
        accepted(await batch(site, alone, headers=SERVER))
        assert own_events(site)[-1][0] == "u:u1"
        proof = {"userHash": user_hash(identity_secret(SECRETS, "web"), "u1")}
        accepted(await batch(site, {**alone, "context": proof}))
        key, event = own_events(site)[-1]
        assert (key, event.context) == ("u:u1", {}), "what proves it is not stored"


async def test_what_clients_add_for_their_own_service_is_nothing_unknown(site: Site) -> None:
    before = n_unknown()
    own = {"_metadata": {}, "channel": "web", "writeKey": "pk_dev", "integrations": {"All": True}, "version": "1"}
    accepted(await batch(site, {**TRACK, **own}))
    accepted(await site.client.post("/v1/t", json={**TRACK, **own}, headers=BASIC))
    assert n_unknown() == before
    accepted(await batch(site, {**TRACK, "strange": 1}))
    assert n_unknown() == before + 1


async def settings(site: Site, key: str = "pk_dev", **headers: str) -> httpx.Response:
    return await site.client.get(f"/v1/projects/{key}/settings", headers=headers)


async def test_settings_name_the_key_and_where_they_were_asked_for(site: Site) -> None:
    answer = (await settings(site)).json()
    assert answer["integrations"] == {"Segment.io": {"apiKey": "pk_dev", "apiHost": "site/v1", "protocol": "http"}}
    assert answer["plan"]["track"]["__default"] == {"enabled": True}


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}


@pytest.mark.parametrize(
    ("networks", "found"), [(("127.0.0.0/8",), "https://shop.example/v1"), ((), "http://site/v1")]
)
async def test_settings_believe_only_a_trusted_proxy(networks: tuple[str, ...], found: str) -> None:
    trusted: tuple[Network, ...] = tuple(ipaddress.ip_network(each) for each in networks)
    async with open_site(trusted_proxies=trusted) as site:
        told = (await settings(site, **FORWARDED)).json()["integrations"]["Segment.io"]
    assert f"{told['protocol']}://{told['apiHost']}" == found


async def test_settings_are_given_for_no_server_key_and_no_strange_host(site: Site) -> None:
    exposed = await settings(site, "sk_dev")
    assert (exposed.status_code, exposed.json()["code"]) == (401, "exposed_server_key")
    strange = await settings(site, Host="a b/c")
    assert (strange.status_code, strange.json()["code"]) == (400, "bad_host")


@pytest.mark.parametrize("headers", [BASIC, {}])
async def test_a_rudderstack_page_is_told_of_no_destination(site: Site, headers: dict[str, str]) -> None:
    answer = await site.client.get("/sourceConfig/?v=3&writeKey=pk_dev", headers=headers)
    source = answer.json()["source"]
    assert (source["writeKey"], source["enabled"], source["destinations"]) == ("pk_dev", True, [])
    assert source["config"]["statsCollection"]["errors"] == {"enabled": False}


@pytest.mark.parametrize(
    "path", ["/v1/t", "/v1/page", "/v1/batch", "/sourceConfig/", "/v1/projects/pk_dev/settings"]
)
async def test_pages_may_send_the_headers_that_browser_clients_have(site: Site, path: str) -> None:
    asked = "anonymousid, authorization, content-type, rsa-retry-attempt, sentat, x-retry-count"
    head = {"Origin": "https://shop.example", "Access-Control-Request-Headers": asked}
    answer = await site.client.options(path, headers=head)
    assert answer.status_code == 204
    assert set(asked.split(", ")) <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_what_is_taken_here_is_what_our_own_dialect_takes(site: Site) -> None:
    """One event, sent by both, makes the same entry of the log."""
    events: list[dict[str, Any]] = [
        {**TRACK, "properties": {"n": 1}, "context": {"page": {"path": "/x"}, "ip": "192.0.2.1"}},
        {"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"plan": "pro"}, "messageId": "m2"},
        {"type": "page", "name": "Home", "anonymousId": "a1", "messageId": "m3", "timestamp": NOW - 1000},
    ]
    await site.collect(*events)
    by_own = site.entries()
    site.log.records.clear()
    accepted(await batch(site, *events))
    assert site.entries() == by_own
    assert len(by_own) == 4, "three events and a link"
