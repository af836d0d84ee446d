"""Every entry says who brought it, and from which network, in a form that tells nobody's address."""

from __future__ import annotations

import ipaddress

import httpx
import pytest

from api.app import Application
from api.services.senders import origin_of
from personalization.events.decision_id import mint
from personalization.events.entry import Sender
from personalization.events.event import Page
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SECRETS, SERVER, WRITE, Site, open_site

SECRET = SECRETS.key("origins")
TODAY = NOW // 86_400_000
BOTH = {"anonymousId": "a1", "userId": "u1"}
VISITOR = "198.51.100.77"
ID = mint(ID_KEY, "u:u1", b"123456789")


def stamps(site: Site) -> list[Sender | None]:
    return [entry.sender for _, entry in site.entries() + site.spool.entries()]


def come_from(site: Site, peer: tuple[str, int] | None) -> None:
    """Whatever the site is asked from now on comes from there."""
    app = of_type(httpx.ASGITransport, site.client._transport).app
    assert isinstance(app, Application)
    transport = httpx.ASGITransport(app=app, client=peer)  # type: ignore[arg-type]  # None is what ASGI allows
    site.client = httpx.AsyncClient(transport=transport, base_url="http://site")


@pytest.mark.parametrize(("headers", "by"), [(WRITE, "write"), (SERVER, "server")])
async def test_every_entry_is_stamped_with_its_sender(site: Site, headers: dict[str, str], by: str) -> None:
    come_from(site, (VISITOR, 50_000))
    await site.client.post("/v1/events", json={"type": "identify", **BOTH}, headers=headers)
    await site.client.post(f"/v1/decisions/{ID}/reward", json={"value": 1}, headers=headers)
    await site.client.post(f"/v1/decisions/{ID}/activate", headers=headers)
    await site.decide(visitor={"anonymousId": "a2", "userId": "u2"}, events=[{"type": "page"}], headers=headers)
    origin = origin_of(SECRET, VISITOR, TODAY)
    assert len(origin) == 8
    assert stamps(site) == [Sender("web", by, after_login="logged_out", origin=origin)] * 7


async def test_headers_of_proxies_are_nobodys_word(site: Site) -> None:
    come_from(site, (VISITOR, 50_000))
    await site.client.post(
        "/v1/events", json={"type": "page", **BOTH}, headers={**WRITE, "X-Forwarded-For": "203.0.113.9"}
    )
    assert of_type(Sender, stamps(site)[0]).origin == origin_of(SECRET, VISITOR, TODAY)


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin"),
    [
        ("10.0.0.7", [VISITOR], VISITOR),
        ("10.0.0.7", [f"192.0.2.66, {VISITOR}, 10.0.0.8"], VISITOR),
        ("10.0.0.7", ["192.0.2.66", VISITOR], VISITOR),
        ("10.0.0.7", [f"{VISITOR}:4711"], VISITOR),
        ("10.0.0.7", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.7", [f"{VISITOR}, unknown"], ""),
        ("10.0.0.7", [], ""),
        ("203.0.113.9", [VISITOR], "203.0.113.9"),
        ("10.0.0.7", [f"{'9' * 10_000}, {VISITOR}"], VISITOR),
    ],
)
async def test_of_a_trusted_proxy_it_is_believed_whom_it_speaks_for(
    peer: str, forwarded: list[str], origin: str
) -> None:
    """The last address that no trusted proxy has: what stands before it is anybody's word."""
    async with open_site(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),)) as site:
        come_from(site, (peer, 50_000))
        headers = [*WRITE.items(), *(("X-Forwarded-For", each) for each in forwarded)]
        await site.client.post("/v1/events", json={"type": "page", **BOTH}, headers=headers)
    assert of_type(Sender, stamps(site)[0]).origin == origin_of(SECRET, origin, TODAY)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.9", "192.168.1.1", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1"],
)
async def test_our_own_networks_are_nobodys_origin(site: Site, host: str) -> None:
    """Behind such an address stands a proxy or a colleague: it is not one network of visitors."""
    come_from(site, (host, 50_000))
    await site.client.post("/v1/events", json={"type": "page", **BOTH}, headers=WRITE)
    assert of_type(Sender, stamps(site)[0]).origin == b""


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("198.51.100.1", "198.51.100.254", True),
        ("198.51.100.1", "198.51.101.1", False),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::ffff:198.51.100.1", "198.51.100.7", True),
    ],
)
def test_an_origin_is_a_network_of_a_day(left: str, right: str, same: bool) -> None:
    assert (origin_of(SECRET, left, 1) == origin_of(SECRET, right, 1)) == same
    assert origin_of(SECRET, left, 1) != origin_of(SECRET, left, 2)
    assert origin_of(SECRET, left, 1) != origin_of(b"other", left, 1)


@pytest.mark.parametrize("peer", [None, ("", 0), ("testclient", 50000)])
async def test_a_peer_without_an_address_has_no_origin(site: Site, peer: tuple[str, int] | None) -> None:
    # As behind a socket of the file system.
    come_from(site, peer)
    assert (await site.client.post("/v1/events", json={"type": "page", **BOTH}, headers=WRITE)).status_code == 200
    assert stamps(site)[0] == Sender("web", "write", after_login="logged_out")


async def test_an_address_in_the_context_is_not_logged(site: Site) -> None:
    event = {"type": "page", "anonymousId": "a1", "context": {"ip": "198.51.100.1", "locale": "de"}}
    await site.collect(event)
    await site.decide(events=[event], context={"ip": "198.51.100.1"})
    (collected,) = site.entries()
    assert of_type(Page, collected[1].event).context == {"locale": "de"}
    assert of_type(Page, site.spool.entries()[0][1].event).context == {"locale": "de"}
    assert not any(b"198.51.100" in record.value for record in site.log.records + site.spool.records)
