"""Where a key may stand: in a header, in the address, in the body; a server key never in an address."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import orjson
import pytest

from api.access.shown_key import MAX_KEYED_BODY_BYTES
from tests.unit.api.site import Site

EVENT = {"type": "track", "event": "Viewed", "messageId": "m-1", "anonymousId": "a1"}
BASIC = base64.b64encode(b"pk_dev:").decode()
WITHOUT_COLON = base64.b64encode(b"pk_dev").decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer pk_dev"},
        {"Authorization": "bearer  pk_dev"},
        {"Authorization": f"Basic {BASIC}"},
        {"authorization": f"basic {WITHOUT_COLON}"},
        {"X-API-Key": "pk_dev"},
    ],
)
async def test_a_key_may_stand_in_a_header(site: Site, headers: Mapping[str, str]) -> None:
    response = await site.client.post("/v1/events", json=EVENT, headers=headers)
    assert response.status_code == 200, response.text
    assert len(site.log.records) == 1


@pytest.mark.parametrize("query", ["key=pk_dev", "writeKey=pk_dev", "a=1&key=pk_dev"])
async def test_a_write_key_may_stand_in_the_address(site: Site, query: str) -> None:
    assert (await site.client.post(f"/v1/events?{query}", json=EVENT)).status_code == 200
    assert len(site.log.records) == 1


async def test_a_server_key_in_an_address_is_refused_with_the_remedy(site: Site) -> None:
    response = await site.client.post("/v1/events?key=sk_dev", json=EVENT)
    assert (response.status_code, response.json()["code"]) == (401, "exposed_server_key")
    assert "nextbest keys rotate" in response.json()["message"]
    assert site.log.records == []


async def test_a_beacon_carries_its_key_in_the_body(site: Site) -> None:
    body = orjson.dumps({**EVENT, "writeKey": "pk_dev"})
    response = await site.client.post("/v1/events", content=body, headers={"Content-Type": "text/plain"})
    assert response.status_code == 200, response.text
    ((key, _),) = site.entries()
    assert key == "a:a1"
    assert b"pk_dev" not in site.log.records[0].value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'["writeKey"]',
        b'{"writeKey":7}',
        b'{"writeKey":"pk_other"}',
        b'{"writeKey"',
        b'{"key":"pk_dev"}',
    ],
)
async def test_a_body_without_a_good_key_is_nobodys(site: Site, body: bytes) -> None:
    response = await site.client.post("/v1/events", content=body)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")


async def test_a_key_is_found_beside_what_is_no_json(site: Site) -> None:
    """Whoever sends a bad number is told of that, and not that nobody knows the key."""
    good = orjson.dumps(EVENT).decode()
    body = f'{{"events":[{good},{{"type":"track","n":NaN}}],"writeKey":"pk_dev"}}'
    answer = (await site.client.post("/v1/events", content=body)).json()
    assert (answer["accepted"], answer["rejected"][0]["code"]) == (1, "bad_number")
    posthog: dict[str, object] = {"api_key": None, "token": "pk_dev", "batch": []}
    assert (await site.client.post("/batch/", json=posthog)).status_code == 200


async def test_a_body_is_read_for_its_key_up_to_a_bound(site: Site) -> None:
    body = orjson.dumps({"writeKey": "pk_dev", "events": ["x" * MAX_KEYED_BODY_BYTES]})
    response = await site.client.post("/v1/events", content=body)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


async def test_a_header_outweighs_address_and_body(site: Site) -> None:
    body = {**EVENT, "writeKey": "pk_dev"}
    response = await site.client.post("/v1/events?key=pk_dev", json=body, headers={"X-API-Key": "pk_nobody"})
    assert response.status_code == 401


async def test_what_no_page_may_call_takes_a_key_from_headers_alone(site: Site) -> None:
    assert (await site.client.get("/v1/visitors/a1?key=sk_dev")).status_code == 401
    assert (
        await site.client.post("/v1/unlink", json={"anonymousId": "a1", "writeKey": "sk_dev"})
    ).status_code == 401


@pytest.mark.parametrize("path", ["/v1/decide", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/home.hero"])
async def test_a_preflight_is_answered_by_the_dialect_whose_path_it_is(site: Site, path: str) -> None:
    response = await site.client.request("OPTIONS", path)
    accepted = response.headers["access-control-allow-headers"].split(", ")
    assert ("if-none-match" in accepted) == path.startswith("/ofrep")
