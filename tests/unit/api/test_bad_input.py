"""Bad input: a 4xx that names the field, soon, and nothing else disturbed."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from api.reading.json_check import find_trouble, trouble_in
from tests.of_type import of_type
from tests.unit.api.site import SERVER, WRITE, Site

DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def decide_body(**parts: bytes) -> bytes:
    fields = {"visitor": b'{"anonymousId":"a1"}', "placements": b'["home.hero"]', **parts}
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in fields.items()) + b"}"


def event_body(
    properties: bytes = b"{}", anonymous_id: bytes = b'"a1"', around: bytes = b'{"events":[%s]}'
) -> bytes:
    return around % (
        b'{"type":"track","event":"Viewed","anonymousId":%s,"properties":%s}' % (anonymous_id, properties)
    )


BAD = [
    ("decide", decide_body(context=b'{"price":NaN}'), 400, "context.price"),
    ("decide", decide_body(context=b'{"price":-Infinity}'), 400, "context.price"),
    ("decide", decide_body(context=b'{"price":1e999}'), 400, "context.price"),
    ("decide", decide_body(context=b'{"a":' + DEEP + b"}"), 400, "context.a[0][0][0][0]"),
    ("decide", decide_body(context=DEEP_OBJECTS), 400, "context.a.a.a.a.a"),
    ("decide", decide_body(context=b'{"a":"x\\u0000"}'), 400, "context.a"),
    ("decide", decide_body(context=b'{"a":["\\ud800 x"]}'), 400, "context.a[0]"),
    ("decide", decide_body(context=b'{"a":"\xed\xa0\x80"}'), 400, "context.a"),
    ("decide", decide_body(context=b"17"), 400, "context"),
    ("decide", decide_body(visitor=b"{}"), 400, "visitor"),
    ("decide", decide_body(visitor=b'{"anonymousId":""}'), 400, "visitor"),
    ("decide", decide_body(visitor=b'{"anonymousId":"a\\u0000"}'), 400, "visitor.anonymousId"),
    ("decide", decide_body(visitor=b'{"anonymousId":"\\udc00"}'), 400, "visitor.anonymousId"),
    ("decide", decide_body(visitor=b'{"userId":7.5}'), 400, "visitor.userId"),
    ("decide", decide_body(visitor=b'{"userId":"%s"}' % (b"x" * 257)), 400, "visitor.userId"),
    ("decide", decide_body(visitor=b'{"userId":"%s"}' % ("é" * 129).encode()), 400, "visitor.userId"),
    ("decide", decide_body(placements=b'["home.hero","nowhere"]'), 400, "placements[1]"),
    ("decide", decide_body(placements=b'[{"placement":"home.hero","slots":99}]'), 400, "placements[0].slots"),
    ("decide", decide_body(placements=b"[17]"), 400, "placements[0]"),
    ("decide", decide_body(events=b'[{"type":"track","anonymousId":"a1"}]'), 400, "events[0].event"),
    ("decide", decide_body(events=b'[{"type":"track","event":"x","properties":{"n":1e999}}]'), 400,
     "events[0].properties.n"),
    ("decide", decide_body(deadlineMs=b'"soon"'), 400, "deadlineMs"),
    ("decide", b'{"visitor":{"anonymousId":"a1"}}', 400, "placements"),
    ("decide", b"", 400, "body"),
    ("decide", b'{"visitor"', 400, "body"),
    ("decide", b"[]", 400, "body"),
    ("decide", DEEP, 400, "[0][0][0][0][0][0]"),
    ("decide", b'{"visitor":' + b" " * 10_000_000, 413, "body"),
    ("events", event_body(b'{"price":NaN}'), 400, "events[0].properties.price"),
    ("events", event_body(b'{"price":1e999}'), 400, "events[0].properties.price"),
    ("events", event_body(b'{"a":' + DEEP + b"}"), 400, "events[0].properties.a[0][0][0]"),
    ("events", event_body(b'{"a":%s}' % (b"[" * 40 + b"]" * 40)), 400, "events[0].properties.a[0][0][0][0]"),
    ("events", event_body(b'{"a":{"b":"\\u0000"}}'), 400, "events[0].properties.a.b"),
    ("events", event_body(b'{"a":"\\ud83d"}'), 400, "events[0].properties.a"),
    ("events", event_body(b'{"a":"\xff"}'), 400, "events[0].properties.a"),
    ("events", event_body(b"{}", b'"\\u0000"'), 400, "events[0].anonymousId"),
    ("events", event_body(b"{}", b'""'), 400, "events[0].anonymousId"),
    ("events", event_body(b'{"price":NaN}', around=b"%s"), 400, "properties.price"),
    ("events", event_body(b"{}", b"null", around=b"%s"), 400, "anonymousId"),
    ("events", b'{"events":17}', 400, "events"),
    ("events", b'{"events":[]}', 400, "events"),
    ("events", b"{}", 400, "events"),
    ("events", b'{"events":[' + b" " * 10_000_000, 413, "body"),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "body", "status", "field"), BAD, ids=range(len(BAD)))
async def test_bad_input_is_named_soon_and_disturbs_nothing(
    site: Site, endpoint: str, body: bytes, status: int, field: str
) -> None:
    spent_s = []
    for _ in range(3):  # the least counts: a garbage collection may fall into any one
        began = time.process_time()
        response = await site.client.post(f"/v1/{endpoint}", content=body, headers=WRITE)
        spent_s.append(time.process_time() - began)
    assert response.status_code == status, response.text
    answer = response.json()
    assert answer["field"] == field, answer
    assert answer["code"]
    assert answer["message"]
    assert answer["requestId"]
    assert min(spent_s) < 0.05, "CPU of this process, client included"
    assert site.log.records == site.spool.records == []
    assert (await site.decide()).status_code == 200


async def test_the_good_events_beside_a_bad_number_are_kept(site: Site) -> None:
    good = b'{"type":"page","anonymousId":"a1"}'
    bad = b'{"type":"page","anonymousId":"a1","properties":{"n":1e999}}'
    body = b'{"events":[%s,%s]}' % (good, bad)
    response = await site.client.post("/v1/events", content=body, headers=WRITE)
    assert (response.status_code, response.json()["accepted"]) == (200, 1)
    assert response.json()["rejected"][0]["field"] == "events[1].properties.n"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"type": "page", "properties": {"a": [1, {"n": 2**64}]}}, "properties.a[1].n"),
        ({"type": "identify", "traits": {"n": -(2**63) - 1}}, "traits.n"),
        ({"type": "page", "context": {"n": 10**30}}, "context.n"),
    ],
)
async def test_a_number_beyond_64_bits_in_an_event_is_named(site: Site, bad: dict[str, Any], field: str) -> None:
    good, bad = ({"anonymousId": "a1", **event} for event in ({"type": "page"}, bad))
    response = await site.collect(good, bad)
    assert [each["field"] for each in response.json()["rejected"]] == [f"events[1].{field}"]
    response = await site.decide(events=[good, bad])
    assert (response.status_code, response.json()["field"]) == (400, f"events[1].{field}")
    response = await site.client.post("/v1/events", json=bad, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, field)


async def test_text_that_only_looks_bad_is_taken(site: Site) -> None:
    event = {
        "type": "page",
        "anonymousId": "ä😀",
        "properties": {"a": "\\u0000 \\ud800", "b": "😀", "c": [[]] * 40},
    }
    for body in (json.dumps(event), json.dumps(event, ensure_ascii=False)):
        response = await site.client.post("/v1/events", content=body.encode(), headers=WRITE)
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("path", "status", "code"), [("/v1/nothing", 404, "not_found"), ("/v1/events", 405, "method_not_allowed")]
)
async def test_every_error_has_the_one_shape(site: Site, path: str, status: int, code: str) -> None:
    response = await site.client.get(path)
    assert response.status_code == status
    assert response.json()["code"] == code
    assert response.json()["requestId"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/v1/visitors/nobody", 403),
        ("GET", "/v1/events", 405),
        ("DELETE", "/healthz", 405),
        ("DELETE", "/v1/decisions/x/reward", 405),
        ("POST", "/v1/decisions/x/reward", 400),
        ("POST", "/v1/decide", 400),
        ("GET", "/v1/decide", 400),
        ("POST", "/v1/events", 400),
    ],
)
async def test_a_page_of_any_origin_can_read_every_error(site: Site, method: str, path: str, status: int) -> None:
    headers = {"X-API-Key": "pk_dev", "Origin": "https://shop.example"}
    response = await site.client.request(method, path, headers=headers)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in response.headers["access-control-expose-headers"]
    assert response.headers["x-request-id"] == response.json()["requestId"]


@pytest.mark.parametrize(
    "path", ["/healthz/", "/readyz/", "/v1/decisions/x/activate/", "/v1/events/", "/v1/decide/"]
)
async def test_nobody_is_sent_to_a_host_that_a_request_names(site: Site, path: str) -> None:
    response = await site.client.get(path, headers={"Host": "evil.example"})
    assert response.status_code == 404
    assert "location" not in response.headers
    assert "evil.example" not in response.text


_MANY = b"1," * 25_000
"""More tokens than are looked at one by one."""


@pytest.mark.parametrize(
    ("bad", "code"), [(b"[" * 400 + b"]" * 400, "too_deep"), (rb'"\u0000"', "bad_text")], ids=["deep", "NUL"]
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/decide", b'{"visitor":{"anonymousId":"a1"},"placements":["home.hero"],"context":{"a":[%s%s]}}'),
        ("/v1/rank", b'{"visitor":{"anonymousId":"a1"},"placement":"x","items":[{"id":"a","content":[%s%s]}]}'),
    ],
)
async def test_what_is_refused_is_refused_wherever_it_stands(
    site: Site, path: str, body: bytes, bad: bytes, code: str
) -> None:
    response = await site.client.post(path, content=body % (_MANY, bad), headers=SERVER)
    assert (response.status_code, response.json()["code"]) == (400, code), response.text
    assert response.json()["field"] == "body"


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert trouble_in(rb'["\\u0000", %s 1]' % _MANY) is None


def test_finding_trouble_is_bounded() -> None:
    began = time.process_time()
    assert find_trouble(b'{"a":[' + b"1," * 2_000_000 + b"]}") is None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("GET", 404)])
async def test_what_asks_for_no_path_is_answered(site: Site, method: str, status: int) -> None:
    """``OPTIONS *`` asks for the server, and no dialect's paths begin so."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = of_type(httpx.ASGITransport, site.client._transport).app
    await app({"type": "http", "method": method, "path": "*", "headers": [], "query_string": b""}, receive, send)
    assert sent[0]["status"] == status


@pytest.mark.parametrize(
    ("path", "body", "field", "choices"),
    [
        ("events", {"type": "trak", "anonymousId": "a1"}, "type", ["track", "page"]),
        ("events", {"events": [{"type": "trak", "anonymousId": "a1"}]}, "events[0].type", ["track", "page"]),
        ("preview", {"facts": {"device": "fridge"}}, "facts.device", ["mobile", "tablet", "desktop"]),
        ("preview", {"facts": {"devices": "mobile"}}, "facts.devices", ["device", "nOrders"]),
        ("preview", {"placments": ["home.hero"]}, "placments", ["placements", "facts"]),
        ("preview", {"facts": {"events": [{"event": "x", "aggo": "1d"}]}}, "facts.events[0].aggo", ["ago"]),
    ],
)
async def test_what_is_none_of_a_few_choices_is_told_them(
    site: Site, path: str, body: dict[str, Any], field: str, choices: list[str]
) -> None:
    response = await site.client.post(f"/v1/{path}", json=body, headers=SERVER)
    answer = response.json()
    found = answer["rejected"][0] if answer.get("rejected") else answer
    assert (response.status_code, found["field"]) == (400, field)
    assert all(choice in found["message"] for choice in choices), found


@pytest.mark.parametrize(
    ("method", "path", "field", "says"),
    [
        ("GET", "/v1/visitors/nobody", "id", "'nobody'"),
        ("GET", "/v1/visitors/nobody?kind=user", "id", "user id 'nobody'"),
        ("GET", "/v1/visitors/nobody/consent", "id", "'nobody'"),
        ("POST", "/v1/visitors/nobody/explain", "id", "'nobody'"),
        ("GET", "/v1/decisions/x/explain", "decisionId", "as /v1/decide answered it"),
        ("GET", "/v1/placements/nowhere", "name", "home.hero"),
        ("GET", "/v1/placements/nowhere/arms", "name", "home.hero"),
        ("GET", "/v1/placements/nowhere/model", "name", "home.hero"),
        ("GET", "/v1/segments/nobodies/visitors", "name", "there is no segment 'nobodies'; there are: "),
        ("GET", "/v1/content/nothing", "id", "'nothing'"),
        ("PATCH", "/v1/content/nothing", "id", "'nothing'"),
        ("DELETE", "/v1/content/nothing", "id", "'nothing'"),
    ],
)
async def test_what_a_path_names_and_is_not_there_is_told_by_its_name(
    site: Site, method: str, path: str, field: str, says: str
) -> None:
    body = {"type": "html", "body": "<p>x</p>"} if method == "PATCH" else None
    response = await site.client.request(method, path, json=body, headers=SERVER)
    answer = response.json()
    assert (response.status_code, answer["code"], answer["field"]) == (404, "not_found", field), answer
    assert says in answer["message"], answer
