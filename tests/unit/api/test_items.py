"""``/v1/content``: nothing is kept that could not be named, shown or written again."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from personalization.catalog.catalog import Content
from personalization.catalog.item import Item
from tests.unit.api.site import SERVER, Site

ARTICLE = {"type": "html", "body": "b", "tags": ["t"]}
DEEP = b"[" * 40 + b"]" * 40


async def send(site: Site, method: str, path: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await site.client.request(method, f"/v1/content{path}", content=content, headers=SERVER)


UNFIT: dict[str, tuple[Any, str]] = {
    "after the year 9999": ({"ends": 253402300800000}, "ends"),
    "before the year 1": ({"starts": -62135596800001}, "starts"),
    "the year 10000 in UTC": ({"ends": "9999-12-31T23:59:59.999-14:00"}, "ends"),
    "the year 0 in UTC": ({"starts": "0001-01-01T00:00:00+14:00"}, "starts"),
    "a number as html of a language": ({"locales": {"de": {"x": 7}}}, "locales.de"),
    "nothing as html of a language": ({"locales": {"de": None}}, "locales.de"),
    "a number beyond 64 bits": ({"type": "json", "body": {"n": 2**64}}, "body.n"),
    "a number below 64 bits": ({"type": "json", "body": [-(2**63) - 1]}, "body[0]"),
    "one in a language": ({"type": "json", "locales": {"de": [10**30]}}, "locales.de[0]"),
    "a priority beyond 64 bits": ({"priority": 10**30}, "priority"),
    "a feature": ({"features": {"y": 1, "x": ["a", 1]}}, "features.x[1]"),
    "many categories": ({"features": {"x": ["a"] * 65}}, "features.x"),
    "depth": (b'{"type":"json","body":[%s%s]}' % (b"1," * 10_100, DEEP), "body"),
    "a NUL": (rb'{"type":"json","body":[%s"\u0000"]}' % (b"1," * 10_100), "body"),
}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("case", UNFIT)
async def test_what_could_not_be_shown_again_is_never_kept(site: Site, method: str, case: str) -> None:
    await send(site, "PUT", "/x", ARTICLE)
    before = dict(site.items.kept)
    body, field = UNFIT[case]
    if not isinstance(body, bytes):
        body = {**ARTICLE, **body}
    answer = await send(site, method, "/x", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text
    assert site.items.kept == before
    assert (await send(site, "GET", "/x", b"")).status_code == 200


UNSAFE: dict[str, tuple[Any, str, str]] = {
    "a script": ({"body": "<script>x()</script>"}, "body", "<script> may do more"),
    "a handler on a later line": ({"body": "<p>\n<p onclick='x()'>"}, "body", "line 2: <p> has onclick"),
    "in a language": ({"locales": {"de": "<iframe>"}}, "locales.de", "<iframe> may do more"),
    "a value that runs": (
        {"body": "<p onclick='{{traits.x}}'>", "trusted": True},
        "body",
        "{{traits.x}} stands in the handler onclick",
    ),
    "a value that leads": ({"body": '<a href="{{traits.x}}">'}, "body", "{{traits.x}} may decide where href leads"),
    "a redirect to code": ({"type": "redirect", "body": "javascript:x()"}, "body", "begins with javascript:"),
    "a redirect to no app of ours": ({"type": "redirect", "body": "other://x"}, "body", "begins with other:"),
    "a redirect by a value": ({"type": "redirect", "body": "//{{traits.x}}/"}, "body", "{{traits.x}} may decide"),
}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("case", UNSAFE)
async def test_what_could_become_code_in_a_page_is_never_kept(site: Site, method: str, case: str) -> None:
    await send(site, "PUT", "/x", ARTICLE)
    before = dict(site.items.kept)
    body, field, message = UNSAFE[case]
    answer = (await send(site, method, "/x", {**ARTICLE, **body})).json()
    assert (answer["field"], answer["code"]) == (field, "unsafe_body"), answer
    assert answer["message"].startswith(message)
    assert site.items.kept == before
    many = (await send(site, "POST", "", {"items": [{"id": "y", **ARTICLE, **body}]})).json()
    assert [each["field"] for each in many["rejected"]] == [f"items[0].{field}"]
    assert site.items.kept == before


async def test_a_trusted_item_may_embed_and_trust_can_be_taken_back_only_from_what_shows(site: Site) -> None:
    await send(site, "PUT", "/x", {**ARTICLE, "body": "<script>x()</script>", "trusted": True})
    assert site.items.kept["x"].content.trusted
    assert (await send(site, "PATCH", "/x", {"trusted": None})).json()["field"] == "body"
    assert site.items.kept["x"].content.trusted
    await send(site, "PATCH", "/x", {"trusted": None, "body": "<b>x</b>"})
    assert not site.items.kept["x"].content.trusted


async def test_an_item_of_before_these_rules_can_be_taken_out_of_stock(site: Site) -> None:
    content = Content(type="html", body="<script>x('{{traits.x}}')</script>")
    site.items.kept["x"] = Item(content=content)
    await send(site, "PATCH", "/x", {"inStock": False})
    assert site.items.kept["x"] == Item(content=content, in_stock=False)


async def test_the_first_and_the_last_moment_are_shown_as_sent(site: Site) -> None:
    sent = {**ARTICLE, "starts": "0001-01-01T00:00:00Z", "ends": "9999-12-31T23:59:59.999Z"}
    answer = await send(site, "PUT", "/x", sent)
    assert (answer.json()["starts"], answer.json()["ends"]) == (
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999000Z",
    )


@pytest.mark.parametrize("path", ["%00", "a%0Ab", "a%0A", "a%7F", "a%C2%85", "%ff%fe"])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_id_in_a_path_has_no_control_character_and_is_utf_8(site: Site, method: str, path: str) -> None:
    answer = await send(site, method, f"/{path}", ARTICLE)
    assert (answer.status_code, answer.json()["field"]) == (400, "id"), answer.text
    assert site.items.kept == {}


async def test_of_many_each_bad_one_is_refused_alone(site: Site) -> None:
    bad = [
        (rb'"id":"q\u0000"', "items[1].id"),
        (rb'"id":"q\nr"', "items[2].id"),
        (b'"id":"a","body":"\xff"', "items[3].body"),
        (b'"id":"a","body":1e999', "items[4].body"),
        (b'"id":"a","type":"json","body":' + DEEP, "items[5].body"),
        (b'"id":"a","body":"x","locales":{"de":7}', "items[6].locales.de"),
    ]
    items = [b'{"id":"good","type":"html","body":"x"}', *(b'{"type":"html",%s}' % each for each, _ in bad)]
    answer = await send(site, "POST", "", b'{"items":[%s]}' % b",".join(items))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1), answer.text
    fields = [each["field"] for each in answer.json()["rejected"]]
    assert all(field.startswith(name) for field, (_, name) in zip(fields, bad, strict=True)), fields
    assert list(site.items.kept) == ["good"]


@pytest.mark.parametrize("value", [b"NaN", rb'"\ud800"'])
async def test_of_many_one_that_json_lacks_is_refused_alone(site: Site, value: bytes) -> None:
    good = b'{"id":"good","type":"html","body":"x"}'
    answer = await send(site, "POST", "", b'{"items":[{"id":"b","type":"json","body":%s},%s]}' % (value, good))
    assert (answer.status_code, answer.json()["rejected"][0]["field"]) == (200, "items[0].body")
    assert list(site.items.kept) == ["good"]


async def test_of_many_none_is_kept_where_they_cannot_be_told_apart(site: Site) -> None:
    good = b'{"id":"good","type":"html","body":"x"}'
    answer = await send(site, "POST", "", b'{"items":[%s,{"id":"b",,"type":"html"}]}' % good)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")
    assert site.items.kept == {}


async def test_an_item_under_an_id_of_old_can_be_taken_out(site: Site) -> None:
    await send(site, "PUT", "/x", ARTICLE)
    site.items.kept["a\nb"] = site.items.kept["x"]
    assert (await send(site, "DELETE", "/a%0Ab", b"")).status_code == 204
    assert list(site.items.kept) == ["x"]
