"""Who asks for too much is told when to come back, before anything of it is done; nobody else notices."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.app import Application
from personalization.catalog.catalog import Catalog, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.rate import Rate, RateLimits
from tests.of_type import of_type
from tests.unit.api.site import SERVER, WRITE, Site, open_site, shop

VISITOR, NEIGHBOUR = "198.51.100.7", "198.51.100.8"
PROXY = "203.0.113.1"
THREE = Rate(limit=3, within_ms=3_600_000)
PAGE = {"type": "page", "anonymousId": "a1"}


def limited(**limits: Rate) -> Catalog:
    source = Source(
        write_keys=("pk_dev",),
        server_keys=("sk_dev",),
        consent_default="granted",
        limits=RateLimits(**limits),
    )
    catalog = shop()
    return Catalog(placements=catalog.placements, content=catalog.content, sources={"web": source})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    compiled = compile_catalog(limited(per_address=THREE), 1)
    async with open_site(compiled=compiled, trusted_proxies=(ipaddress.ip_network(PROXY),)) as opened:
        yield opened


async def asked(
    site: Site, address: str, path: str = "/v1/events", body: Any = PAGE, headers: Any = WRITE
) -> httpx.Response:
    app = of_type(httpx.ASGITransport, site.client._transport).app
    assert isinstance(app, Application)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, client=(address, 50_000)), base_url="http://site"
    ) as client:
        return await client.post(path, json=body, headers=headers)


async def statuses(site: Site, n: int, address: str, **more: Any) -> list[int]:
    return [(await asked(site, address, **more)).status_code for _ in range(n)]


async def test_of_what_is_too_much_nothing_is_taken_and_others_go_on(site: Site) -> None:
    assert await statuses(site, 5, VISITOR) == [200, 200, 200, 429, 429]
    assert len(site.log.records) == 3
    assert await statuses(site, 1, NEIGHBOUR) == [200]
    assert len(site.log.records) == 4


async def test_who_is_refused_is_told_when_to_come_back_and_what_to_change(site: Site) -> None:
    await statuses(site, 3, VISITOR)
    response = await asked(site, VISITOR)
    assert 0 < int(response.headers["retry-after"]) <= math.ceil(THREE.within_ms / 3 / 1_000)
    assert "retry-after" in response.headers["access-control-expose-headers"]
    assert response.json()["code"] == "rate_limited"
    assert "sources.web.limits.per_address" in response.json()["message"]
    text = site.metrics.exposition().decode()
    assert 'nextbest_rate_limited_total{limit="per_address",source="web"} 1.0' in text


async def test_a_body_that_is_not_looked_at_is_not_complained_of(site: Site) -> None:
    await statuses(site, 3, VISITOR)
    assert (await asked(site, VISITOR, body="no event")).status_code == 429


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/decide", {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}),
        ("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "a1"}}),
        ("/ofrep/v1/evaluate/flags/home.hero", {"context": {"targetingKey": "a1"}}),
    ],
)
async def test_every_route_draws_on_the_same_bucket(site: Site, path: str, body: Any) -> None:
    assert await statuses(site, 2, VISITOR, path=path, body=body) == [200, 200]
    assert await statuses(site, 2, VISITOR) == [200, 429]
    refused = await asked(site, VISITOR, path, body)
    assert refused.status_code == 429
    assert "retry-after" in refused.headers
    assert "errorCode" in refused.json() or "code" in refused.json()


async def test_a_batch_is_taken_whole_whatever_its_size_and_paid_for_afterwards(site: Site) -> None:
    await statuses(site, 2, VISITOR)
    batch = {"events": [{**PAGE, "messageId": f"m{n}"} for n in range(500)]}
    assert (await asked(site, VISITOR, body=batch)).json()["accepted"] == 500
    assert len(site.log.records) == 502
    refused = await asked(site, VISITOR)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > THREE.within_ms / 3 / 1_000, "49 tokens are owed besides"


async def test_addresses_of_one_network_of_ipv6_are_one(site: Site) -> None:
    assert await statuses(site, 3, "2001:db8:1:2::1") == [200, 200, 200]
    assert await statuses(site, 1, "2001:db8:1:2:ffff::9") == [429]
    assert await statuses(site, 1, "2001:db8:1:3::1") == [200]
    assert await statuses(site, 3, VISITOR) == [200, 200, 200]
    assert await statuses(site, 1, f"::ffff:{VISITOR}") == [429]


async def test_a_trusted_proxy_speaks_for_many_and_others_only_for_themselves(site: Site) -> None:
    def through(address: str) -> dict[str, str]:
        return {**WRITE, "X-Forwarded-For": address}

    assert await statuses(site, 4, PROXY, headers=through(VISITOR)) == [200, 200, 200, 429]
    assert await statuses(site, 1, PROXY, headers=through(f"{NEIGHBOUR}, {VISITOR}")) == [429]
    assert await statuses(site, 1, PROXY, headers=through(NEIGHBOUR)) == [200]
    assert await statuses(site, 9, PROXY) == [200] * 9, "itself it is nobody's address"
    assert await statuses(site, 4, "192.0.2.5", headers=through("192.0.2.6")) == [200, 200, 200, 429]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "::1", "testclient"])
async def test_behind_an_address_of_our_own_networks_are_many(site: Site, address: str) -> None:
    assert await statuses(site, 9, address) == [200] * 9


async def test_a_server_key_is_bounded_by_itself_wherever_it_comes_from() -> None:
    compiled = compile_catalog(limited(per_address=THREE, per_server_key=Rate(limit=5, within_ms=3_600_000)), 1)
    async with open_site(compiled=compiled) as site:
        assert await statuses(site, 4, VISITOR, headers=SERVER) == [200] * 4
        assert await statuses(site, 2, "127.0.0.1", headers=SERVER) == [200, 429]
        assert await statuses(site, 1, VISITOR) == [200]


async def test_a_write_key_is_bounded_as_a_whole_only_where_the_catalog_says_so(site: Site) -> None:
    everybody = [f"198.51.100.{n}" for n in range(20)]
    assert [(await asked(site, each)).status_code for each in everybody] == [200] * 20
    async with open_site(compiled=compile_catalog(limited(per_write_key=THREE), 1)) as other:
        assert [(await asked(other, each)).status_code for each in everybody] == [200] * 3 + [429] * 17


async def test_who_has_no_key_takes_nothing_from_a_bucket(site: Site) -> None:
    assert await statuses(site, 9, VISITOR, headers={"Authorization": "Bearer pk_other"}) == [401] * 9
    assert await statuses(site, 1, VISITOR) == [200]
